"""Stops and other requests while the engine trains."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
import torch
from engine_runs import (
    command,
    environment,
    make_run,
    model_tensors,
    of_type,
    read_log,
    start_engine,
)
from tests.support import check_that_the_log_agrees

from tuitrain import events
from tuitrain.config import load_config
from tuitrain.events.requests import write_request
from tuitrain_engine import checkpoint
from tuitrain_engine.control import Control
from tuitrain_engine.data import ReadingStopped
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import prepare, train


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 130)])
def test_a_stop_during_the_import_of_the_engine_is_handled(tmp_path: Path, name: str, code: int) -> None:
    run_dir = make_run(tmp_path)
    process = subprocess.Popen(
        command("train", "--run-dir", str(run_dir)),
        env=environment(run_dir), cwd=run_dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    # Handlers are installed first; importing torch takes seconds after that.
    while not _handles_sigterm(process.pid):
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    end = read_log(run_dir)[-1]
    assert isinstance(end, events.End) and end.status == "stopped" and name in end.reason
    assert "Traceback" not in errors


def _handles_sigterm(pid: int) -> bool:
    """Whether a process has a handler for SIGTERM."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGTERM", 0), ("SIGINT", 130), ("SIGHUP", 0), ("stop", 0)],
    ids=["SIGTERM", "SIGINT", "SIGHUP", "control-file"],
)
def test_a_stop_request_saves_and_ends_the_run(tmp_path: Path, name: str, code: int) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 0})
    process = start_engine(run_dir)
    if name == "stop":
        (run_dir / "control" / "stop").touch()
    else:
        os.kill(process.pid, getattr(signal, name))
    process.communicate(timeout=60)
    assert process.returncode == code
    records = read_log(run_dir)
    end = records[-1]
    assert isinstance(end, events.End) and end.status == "stopped" and 3 <= end.step < 100_000
    assert [saved.step for saved in checkpoint.complete(run_dir)] == [end.step]
    assert of_type(records, events.Control)[0].request == "stop"
    assert list((run_dir / "control").iterdir()) == []


def test_checkpoint_and_eval_on_request(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 0}, eval={"interval": 0})
    process = start_engine(run_dir)
    for request in ("checkpoint", "eval"):
        (run_dir / "control" / request).touch()
    answered = set()
    for line in process.stdout:
        if line.startswith("request"):
            answered.add(line.split()[1].rstrip(":"))
        if answered == {"checkpoint", "eval"}:
            break
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    records = read_log(run_dir)
    assert len(of_type(records, events.Eval)) == 1
    assert len(of_type(records, events.Checkpoint)) == 2


def test_a_stop_while_the_data_stalls_saves_the_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process: waiting itself is tested with the data; here the loop's reaction is tested."""
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    run_dir = make_run(tmp_path, train={"max_steps": 9}, checkpoint={"interval": 0}, eval={"interval": 0})
    journal = Journal(run_dir)
    config = load_config(str(run_dir / "config.toml"))
    trainer = prepare(run_dir, config, journal, Control(run_dir), World(), resume=False)
    batch, calls = trainer.dataset.train.batch, iter(range(100))

    def stall(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        # Two micro-batches a step: the second one of the fourth step stalls.
        if next(calls) == 7:
            raise ReadingStopped("request")
        return batch(first, count)

    monkeypatch.setattr(trainer.dataset.train, "batch", stall)
    assert train(trainer) == "request"
    journal.close()
    assert checkpoint.newest(run_dir).step == trainer.progress.step == 3
    saved = model_tensors(run_dir, 3)
    assert all(torch.equal(value, saved[name]) for name, value in trainer.model.state_dict().items())
    assert [record.request for record in of_type(read_log(run_dir), events.Control)] == ["stop"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_pause_answers_requests_and_goes_on(tmp_path: Path, processes: int) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 100_000}, checkpoint={"interval": 0}, eval={"interval": 0})
    process = start_engine(run_dir, processes)

    def ask(request: str, answer: str) -> None:
        write_request(run_dir, request)
        assert any(line.startswith(f"request   {request}: {answer}") for line in process.stdout)

    ask("pause", "paused")
    ask("eval", "done")
    ask("checkpoint", "done")
    ask("continue", "continued")
    assert any(line.startswith("step") for line in process.stdout)
    ask("pause", "paused")
    write_request(run_dir, "stop")
    process.communicate(timeout=60)
    assert process.returncode == 0
    check_that_the_log_agrees(run_dir)
    records = read_log(run_dir)
    end, steps = records[-1], [record.step for record in of_type(records, events.Step)]
    assert isinstance(end, events.End) and (end.status, end.step) == ("stopped", steps[-1])
    assert steps == list(range(1, len(steps) + 1))
    first, second = (record.step for record in of_type(records, events.Checkpoint))
    assert second == end.step > first == of_type(records, events.Eval)[0].step
    # While it was paused no step came.
    at = [index for index, record in enumerate(records) if isinstance(record, events.Control)]
    assert not of_type(records[at[0] : at[3]], events.Step)
