"""Lightning, with a real module and real training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from tests.own_loop.loops import of_type, only_run
from tuitrain import events
from tuitrain.integrations.lightning import TuitrainLogger, TuitrainRequests


class Line(LightningModule):
    """Learns a line."""

    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Linear(width, 1)

    def training_step(self, batch: torch.Tensor, index: int) -> torch.Tensor:
        loss = (self.layer(batch) ** 2).mean()
        self.log("train_loss", loss)
        self.log("mine/bias", self.layer.bias.mean())
        return loss

    def validation_step(self, batch: torch.Tensor, index: int) -> None:
        self.log("val_loss", (self.layer(batch) ** 2).mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)


class Ask(Callback):
    """Leaves a request before the batch of step 3."""

    def __init__(self, logger: TuitrainLogger, request: str) -> None:
        self.logger, self.request = logger, request

    def on_train_batch_start(self, trainer: Trainer, *args: Any) -> None:
        if trainer.global_step == 3:
            run = self.logger.experiment
            assert run.path is not None
            (run.path / "control" / self.request).touch()
            run._requests.poll()


def fit(tmp_path: Path, logger: TuitrainLogger, *callbacks: Callback) -> Trainer:
    data = torch.utils.data.DataLoader(torch.randn(16, 4), batch_size=2)
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=logger, log_every_n_steps=1, callbacks=list(callbacks),
        default_root_dir=tmp_path, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(Line(), data, data)
    return trainer


def test_what_a_module_logs_is_in_the_log(tmp_path: Path, runs_dir: Path) -> None:
    fit(tmp_path, TuitrainLogger(name="line"), TuitrainRequests())
    run = only_run(runs_dir)
    losses = [each for each in of_type(run, events.Step) if each.loss is not None]
    assert [each.step for each in losses] == list(range(8))
    assert all(isinstance(each.metrics, dict) and "mine/bias" in each.metrics for each in losses)
    (evaluation,) = of_type(run, events.Eval)
    assert evaluation.loss is not None
    assert {"width": 4} in [each.config for each in of_type(run, events.Run)]
    (end,) = of_type(run, events.End)
    assert end.status == "completed"


@pytest.mark.parametrize(("asked", "steps", "status"), [("stop", 4, "stopped"), ("checkpoint", 8, "completed")])
def test_requests_stop_and_save_as_lightning_does(
    tmp_path: Path, runs_dir: Path, asked: str, steps: int, status: str
) -> None:
    logger = TuitrainLogger()
    trainer = fit(tmp_path, logger, Ask(logger, asked), TuitrainRequests())
    assert trainer.global_step == steps
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert torch.load(saved.path, weights_only=False)["global_step"] == 4
    (end,) = of_type(run, events.End)
    assert end.status == status
