"""A small module that Lightning trains; a file of its own, since Lightning takes seconds to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from tuitrain.integrations.lightning import TuitrainLogger


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
