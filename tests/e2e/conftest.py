"""The program as a user starts it: separate processes, a real engine, models of a few thousand weights.

At the end of a module the log of every run that it made agrees with itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import check_that_the_log_agrees
from tests.warm_engine import WarmProcess
from tuitrain.runs import RunDirectory, list_runs

PATIENCE_S = 120
SHAPE = ("model.n_layers=1", "model.d_model=32", "model.n_heads=2", "model.n_kv_heads=2", "model.head_dim=16",
         "model.d_ff=64", "model.seq_len=32", "train.global_batch_size=4", "train.micro_batch_size=4",
         "eval.steps=1", "eval.interval=5", "sampling.interval=5", "sampling.max_tokens=8", "checkpoint.interval=5",
         "telemetry.system_interval_s=0.5", "data.max_tokens=none")  # fmt: skip


def wait_for(condition: Callable[[], object], every_s: float = 0.1) -> None:
    """Wait until the condition holds; fail after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(every_s)


def with_steps(kind: str) -> dict[str, str]:
    """Variables that change the steps of an engine: see step_hook/sitecustomize.py."""
    folder = str(Path(__file__).parent / "step_hook")
    return {"PYTHONPATH": os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")]), "TUITRAIN_TEST_STEP": kind}


RESTING = with_steps("rest")
"""For runs that go on until they are stopped."""


@dataclass(frozen=True)
class Completed:
    """A finished command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """stdout as JSON."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Workspace:
    """A directory with a text to train on, and runs beside it; nothing is written anywhere else."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every process of the test."""
        own = {
            "TUITRAIN_RUNS_DIR": str(self.path / "runs"),
            "TUITRAIN_CACHE_DIR": str(self.path / "cache"),
            "OMP_NUM_THREADS": "1",
            "NO_COLOR": "1",
        }
        return {**os.environ, **own}

    @property
    def runs(self) -> list[RunDirectory]:
        """The runs of this directory, newest first."""
        return list_runs(self.path / "runs")

    def micro(self, preset: str, steps: int, *more: str) -> list[str]:
        """Arguments of `launch` for a tiny model with the architecture of a preset."""
        return [preset, f"data.source={self.path / 'text.txt'}", f"train.max_steps={steps}", *SHAPE, *more]

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command line of `tuitrain ARG …` in this environment."""
        return [sys.executable, "-m", "tuitrain.cli", *arguments]

    def __call__(self, *arguments: str, **variables: str) -> Completed:
        """Run `tuitrain ARG …` without a terminal, with additional environment variables."""
        process = WarmProcess(arguments, module="tuitrain.cli", env={**self.environment, **variables}, cwd=self.path)
        out, err = process.communicate(PATIENCE_S)
        return Completed(process.returncode or 0, out, err)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    path = tmp_path_factory.mktemp("e2e")
    text = "".join(f"def f{n}(x):\n    return x * {n} + {n * n}\n\n\n" for n in range(2000))
    (path / "text.txt").write_text(text, encoding="utf-8")
    made = Workspace(path)
    yield made
    for run in made.runs:
        if run.metrics.exists():
            check_that_the_log_agrees(run.path)
