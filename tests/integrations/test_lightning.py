"""Lightning, with a real module and real training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.own_loop.loops import of_type, only_run
from tuitrain import events


def test_what_a_module_logs_is_in_the_log(tmp_path: Path, runs_dir: Path) -> None:
    from tests.integrations.lightning_runs import fit
    from tuitrain.integrations.lightning import TuitrainLogger, TuitrainRequests

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
    from tests.integrations.lightning_runs import Ask, fit
    from tuitrain.integrations.lightning import TuitrainLogger, TuitrainRequests

    logger = TuitrainLogger()
    trainer = fit(tmp_path, logger, Ask(logger, asked), TuitrainRequests())
    assert trainer.global_step == steps
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert torch.load(saved.path, weights_only=False)["global_step"] == 4
    (end,) = of_type(run, events.End)
    assert end.status == status
