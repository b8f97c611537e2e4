"""Hugging Face Trainer, with a real model and real training."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.own_loop.loops import of_type, only_run
from tests.warm_engine import WarmProcess
from tuitrain import events


def test_report_to_tuitrain_logs_steps_and_evaluations(tmp_path: Path, runs_dir: Path) -> None:
    import tuitrain.integrations.transformers  # noqa: F401 (report_to knows it from here on)
    from tests.integrations.transformers_runs import trainer

    trainer(tmp_path, report_to="tuitrain", run_name="named", eval_strategy="steps", eval_steps=3).train()
    run = only_run(runs_dir)
    (record,) = of_type(run, events.Run)
    assert (record.name, record.total_steps) == ("named", 6)
    assert record.config["learning_rate"] == 5e-5
    assert record.config["model"]["hidden_size"] == 16
    assert record.architecture is not None
    logged = [each for each in of_type(run, events.Step) if each.loss is not None]
    assert [each.step for each in logged] == [1, 2, 3, 4, 5, 6]
    assert all(each.lr is not None and each.grad_norm is not None for each in logged)
    evaluations = of_type(run, events.Eval)
    assert [(each.step, each.split) for each in evaluations] == [(3, "val"), (6, "val")]
    assert all(each.loss is not None for each in evaluations)
    (end,) = of_type(run, events.End)
    assert end.status == "completed"


@pytest.mark.parametrize(("request_name", "last", "status"), [("stop", 3, "stopped"), ("checkpoint", 6, "completed")])
def test_requests_stop_and_save_as_the_trainer_does(
    tmp_path: Path, runs_dir: Path, request_name: str, last: int, status: str
) -> None:
    from tests.integrations.transformers_runs import AskAt, trainer
    from tuitrain.integrations.transformers import TuitrainCallback

    made = trainer(tmp_path, AskAt(request_name), TuitrainCallback(system=False))
    made.train()
    assert made.state.global_step == last
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert saved.step == 3
    assert (Path(saved.path) / "model.safetensors").exists()
    (end,) = of_type(run, events.End)
    assert end.status == status


def test_a_stop_reaches_every_process(tmp_path: Path, runs_dir: Path) -> None:
    module = "tests.integrations.transformers_runs"
    program = WarmProcess([], module=module, env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=tmp_path)
    _, errors = program.communicate(timeout=240)
    assert program.returncode == 0, errors
    (end,) = of_type(only_run(runs_dir), events.End)
    assert end.status == "stopped"
