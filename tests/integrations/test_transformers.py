"""Hugging Face Trainer, with a real model and real training."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainerCallback, TrainingArguments

import tuitrain
from tests.own_loop.loops import of_type, only_run
from tuitrain import events
from tuitrain.integrations.transformers import TuitrainCallback

TOKENS = [{"input_ids": row, "labels": row} for row in torch.arange(256).reshape(16, 16) % 64]


def trainer(tmp_path: Path, *callbacks: TrainerCallback, **arguments: Any) -> Trainer:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2
    )
    defaults = {
        "output_dir": str(tmp_path / "out"), "max_steps": 6, "logging_steps": 1, "report_to": "none", "use_cpu": True,
        "per_device_train_batch_size": 2, "disable_tqdm": True, "save_strategy": "no",
    }  # fmt: skip
    return Trainer(
        LlamaForCausalLM(config),
        TrainingArguments(**{**defaults, **arguments}),
        train_dataset=TOKENS,
        eval_dataset=TOKENS[:4],
        callbacks=list(callbacks),
    )


def test_report_to_tuitrain_logs_steps_and_evaluations(tmp_path: Path, runs_dir: Path) -> None:
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


class AskAt(TrainerCallback):
    """Leaves a request after step 2."""

    def __init__(self, request: str) -> None:
        self.request = request

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == 2:
            assert tuitrain.run.path is not None
            (tuitrain.run.path / "control" / self.request).touch()
            # The thread of the run looks for requests five times a second.
            tuitrain.run._requests.poll()


@pytest.mark.parametrize(("request_name", "last", "status"), [("stop", 3, "stopped"), ("checkpoint", 6, "completed")])
def test_requests_stop_and_save_as_the_trainer_does(
    tmp_path: Path, runs_dir: Path, request_name: str, last: int, status: str
) -> None:
    made = trainer(tmp_path, AskAt(request_name), TuitrainCallback(system=False))
    made.train()
    assert made.state.global_step == last
    run = only_run(runs_dir)
    (saved,) = of_type(run, events.Checkpoint)
    assert saved.step == 3
    assert (Path(saved.path) / "model.safetensors").exists()
    (end,) = of_type(run, events.End)
    assert end.status == status


SEVERAL = """
import torch
from pathlib import Path
from tests.integrations.test_transformers import AskAt, trainer
from tuitrain.integrations.transformers import TuitrainCallback

class AskOnce(AskAt):
    def on_step_begin(self, args, state, control, **kwargs):
        if state.is_world_process_zero:
            super().on_step_begin(args, state, control, **kwargs)

made = trainer(Path("."), AskOnce("stop"), TuitrainCallback(), max_steps=50)
made.train()
assert made.state.global_step == 3, made.state.global_step
"""


def test_a_stop_reaches_every_process(tmp_path: Path, runs_dir: Path) -> None:
    (tmp_path / "several.py").write_text(SEVERAL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "several.py"]
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    (end,) = of_type(only_run(runs_dir), events.End)
    assert end.status == "stopped"
