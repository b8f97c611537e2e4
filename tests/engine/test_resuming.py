"""Resumes with changed settings, and resumes from incomplete run directories."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from engine_runs import configure, known_values, make_run, model_tensors, of_type, read_log, run_engine

from tuitrain import events
from tuitrain.config import load_config
from tuitrain.config.sections import HardwareConfig
from tuitrain.runs import RunDirectory, load_history
from tuitrain_engine import checkpoint
from tuitrain_engine.control import Control
from tuitrain_engine.data import ReadingStopped
from tuitrain_engine.hardware import find_machine
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import Trainer, prepare, train

BUDGET, PER_STEP = 1280, 128


def newest_attempt(run_dir: Path) -> list[events.AnyRecord]:
    """The log from its last `run` record on."""
    records = read_log(run_dir)
    return records[max(i for i, record in enumerate(records) if isinstance(record, events.Run)) :]


def cut_back(run_dir: Path, step: int) -> None:
    """Restore the run to the moment after a step whose checkpoint is on disk, as if killed before the next record."""
    lines = (run_dir / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if isinstance(r := events.decode(line), events.Step) and r.step == step)
    (run_dir / "metrics.jsonl").write_bytes(b"".join(lines[: at + 1]))
    for saved in checkpoint.complete(run_dir):
        if saved.step > step:
            shutil.rmtree(saved.path)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a budget of ten steps' tokens, killed after the fifth, and the learning rates of all ten."""
    run_dir = make_run(
        tmp_path_factory.mktemp("budget"), train={"max_steps": None, "token_budget": BUDGET},
        eval={"interval": 0}, sampling={"interval": 0}, checkpoint={"interval": 5},
    )  # fmt: skip
    assert run_engine(run_dir).returncode == 0
    cut_back(run_dir, 5)
    return run_dir


@pytest.mark.parametrize(("batch", "steps", "tokens"), [(16, 8, 5 * PER_STEP + 3 * 256), (4, 15, BUDGET)])
def test_a_token_budget_counts_trained_tokens_when_the_batch_changes(
    halfway: Path, tmp_path: Path, batch: int, steps: int, tokens: int
) -> None:
    run_dir = tmp_path / "other"
    shutil.copytree(halfway, run_dir)
    configure(run_dir, f"train.global_batch_size={batch}")
    process = run_engine(run_dir, "train", "--resume")
    assert process.returncode == 0, process.stderr
    records = newest_attempt(run_dir)
    run, end, done = records[0], records[-1], of_type(records, events.Step)
    assert isinstance(run, events.Run) and isinstance(end, events.End)
    assert (run.total_steps, run.tokens_per_step) == (steps, batch * 16)
    assert [step.step for step in done] == list(range(6, steps + 1))
    assert (end.status, end.step, end.tokens) == ("completed", steps, tokens)
    assert [step.tokens for step in done] == list(range(5 * PER_STEP + batch * 16, tokens + 1, batch * 16))
    before = of_type(read_log(halfway), events.Step)[-1].lr
    rates = [before, *(step.lr for step in done)]
    assert rates == sorted(rates, reverse=True) and rates[-1] == pytest.approx(0.001)
    assert before - rates[1] < 2.5 * (before - rates[-1]) / (steps - 5)


def test_a_change_of_the_sequences_is_refused_or_reported(halfway: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "other"
    shutil.copytree(halfway, run_dir)
    first = (run_dir / "config.toml").read_bytes()

    def resume(*overrides: str) -> subprocess.CompletedProcess[str]:
        requested = run_dir / "requested.toml"
        requested.write_text(load_config(str(run_dir / "config.toml"), overrides).to_toml(), encoding="utf-8")
        process = run_engine(run_dir, "train", "--resume", "--config", str(requested))
        assert not requested.exists()
        return process

    process = resume("data.val_fraction=0.2")
    assert process.returncode == 2 and "data.val_fraction = 0.2 (it was 0.1)" in process.stderr
    # The refused configuration is not kept for the next attempt.
    assert (run_dir / "config.toml").read_bytes() == first

    process = resume("model.seq_len=32", "train.seed=2")
    assert process.returncode == 0, process.stderr
    assert (run_dir / "config.earlier-1.toml").read_bytes() == first
    assert load_config(str(run_dir / "config.toml")).model.seq_len == 32
    records = newest_attempt(run_dir)
    (alert,) = of_type(records, events.Alert)
    assert alert.code == "data_changed"
    assert "model.seq_len: 16 → 32" in alert.message and "train.seed: 1337 → 2" in alert.message
    assert records[-1].tokens == 5 * PER_STEP + 3 * 256


def test_records_due_at_the_checkpoint_that_are_missing_are_written_once(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    assert run_engine(run_dir).returncode == 0
    whole = read_log(run_dir)
    cut_back(run_dir, 4)
    saved, sums = tmp_path / "saved", checkpoint.directory(run_dir, 4) / "SHA256SUMS"
    shutil.copytree(sums.parent, saved)
    # The attempt was killed before the checksums had their name.
    sums.rename(sums.with_suffix(".tmp"))
    results = (events.Checkpoint, events.Eval, events.Sample)
    for attempt in (2, 3):
        assert run_engine(run_dir, "train", "--resume").returncode == 0
        made_up = [record for record in newest_attempt(run_dir) if isinstance(record, results) and record.step == 4]
        assert [type(record) for record in made_up] == (list(results) if attempt == 2 else [])
        if attempt == 2:
            expected = [record for record in of_type(whole, events.Eval) if record.step == 4]
            assert made_up[1].loss == expected[0].loss
            assert sums.read_bytes() == (saved / sums.name).read_bytes() and not sums.with_suffix(".tmp").exists()
        # Killed again before the next checkpoint.
        shutil.rmtree(run_dir / "checkpoints")
        shutil.copytree(saved, checkpoint.directory(run_dir, 4))


def test_a_checkpoint_before_the_first_step_resumes_as_a_fresh_start_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))

    def trained(name: str, stalls: bool) -> Trainer:
        run_dir = make_run(
            tmp_path, name, model={"dropout": 0.1}, train={"max_steps": 3}, checkpoint={"interval": 0}
        )  # fmt: skip
        config = load_config(str(run_dir / "config.toml"))

        def prepared(resume: bool) -> Trainer:
            return prepare(run_dir, config, Journal(run_dir), Control(run_dir), World(), resume=resume)

        def stall(first: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
            raise ReadingStopped("request")

        if stalls:
            trainer = prepared(resume=False)
            monkeypatch.setattr(trainer.dataset.train, "batch", stall)
            assert train(trainer) == "request"
            assert [saved.step for saved in checkpoint.complete(run_dir)] == [0]
            # Values that the checkpoint restores are not drawn before.
            monkeypatch.setattr("tuitrain_engine.model.init._normal", None)
        trainer = prepared(resume=stalls)
        assert train(trainer) is None
        assert [each.step for each in of_type(read_log(run_dir), events.Eval)] == [0, 2, 3]
        return trainer

    straight, resumed = trained("straight", stalls=False), trained("resumed", stalls=True)
    for left, right in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(left, right)


def test_a_resumed_run_equals_an_uninterrupted_run_bit_for_bit(tmp_path: Path) -> None:
    straight = make_run(
        tmp_path, "straight", model={"dropout": 0.1}, train={"max_steps": 8}, checkpoint={"interval": 4}
    )
    assert run_engine(straight).returncode == 0
    half = tmp_path / "half"
    shutil.copytree(straight, half)
    checkpoint.prune(half, 1, None)
    shutil.copytree(checkpoint.directory(straight, 4), checkpoint.directory(half, 4))
    # Step 8 was being written when the machine failed.
    (checkpoint.directory(half, 8) / ".metadata").unlink()
    process = run_engine(half, "train", "--resume")
    assert process.returncode == 0, process.stderr
    assert "newest undamaged checkpoint" in process.stdout
    summary = read_log(half)[-1].summary
    assert summary["wall_time_s"] >= summary["training_time_s"]
    assert summary["wall_time_s"] == pytest.approx(load_history(RunDirectory(half)).wall_time_s)
    assert summary == known_values(half)
    assert summary["time_spent"]["repeated_s"] > 0

    records = read_log(half)
    assert [run.attempt for run in of_type(records, events.Run)] == [1, 2]
    first = {step.step: step for step in of_type(read_log(straight), events.Step)}
    start = next(i for i, record in enumerate(records) if isinstance(record, events.Run) and record.attempt == 2)
    resumed = of_type(records[start:], events.Step)
    assert [step.step for step in resumed] == [5, 6, 7, 8]
    for step in resumed:
        expected = first[step.step]
        assert (step.loss, step.grad_norm, step.lr, step.accuracy, step.tokens) == (
            expected.loss, expected.grad_norm, expected.lr, expected.accuracy, expected.tokens
        )  # fmt: skip
    left, right = model_tensors(straight, 8), model_tensors(half, 8)
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def truncate(run_dir: Path, step: int) -> None:
    """Truncate the data files of a checkpoint to half, as a full disk or a crash does."""
    for path in checkpoint.directory(run_dir, step).glob("*.distcp"):
        os.truncate(path, path.stat().st_size // 2)


def test_a_damaged_checkpoint_does_not_displace_a_good_one(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 4}, checkpoint={"interval": 2, "keep_last": 2})
    assert run_engine(run_dir).returncode == 0
    truncate(run_dir, 4)
    half_written = checkpoint.directory(run_dir, 3)
    half_written.mkdir()
    configure(run_dir, "train.max_steps=6", "checkpoint.keep_last=1")
    process = run_engine(run_dir, "train", "--resume")
    assert process.returncode == 0, process.stderr
    assert "step-00000002 is the newest undamaged checkpoint" in " ".join(process.stdout.split())
    (alert,) = of_type(read_log(run_dir), events.Alert)
    assert alert.code == "checkpoint_damaged" and "step-00000004 is damaged" in alert.message
    assert f"warning   {alert.message}" in process.stdout
    newest = checkpoint.newest(run_dir)
    assert newest is not None and newest.step == 6
    assert not half_written.exists()
    assert (run_dir / "checkpoints" / "damaged-step-00000004").is_dir() or checkpoint.at_step(run_dir, 4)


def test_without_a_complete_checkpoint_a_resume_fails_and_nothing_is_lost(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path, train={"max_steps": 2}, checkpoint={"interval": 2})
    assert run_engine(run_dir).returncode == 0
    truncate(run_dir, 2)
    before = [record for record in read_log(run_dir) if isinstance(record, events.Step)]
    process = run_engine(run_dir, "train", "--resume")
    assert process.returncode == 3
    assert "no undamaged checkpoint" in process.stderr and "Traceback" not in process.stderr
    assert of_type(read_log(run_dir), events.Step) == before
    assert checkpoint.directory(run_dir, 2).is_dir()
    sample = run_engine(run_dir, "sample", "--prompt", "x", "--step", "2")
    assert sample.returncode == 3 and "damaged" in sample.stderr


def test_auto_is_resolved_before_the_first_step_and_kept_by_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = make_run(tmp_path, train={"micro_batch_size": "auto", "global_batch_size": 24})
    process = run_engine(run_dir)
    assert process.returncode == 0, process.stdout + process.stderr
    assert "micro-batch 12 the largest up to 16 that fits 90 % of" in " ".join(process.stdout.split())
    (run,) = of_type(read_log(run_dir), events.Run)
    assert (run.config["train"]["micro_batch_size"], run.parallel.accumulation) == (12, 2)
    assert load_config(str(run_dir / "config.toml")).train.micro_batch_size == 12
    assert not list(run_dir.glob("config.earlier-*"))

    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    less = replace(find_machine(load_config(str(run_dir / "config.toml")).train, HardwareConfig()), memory_gb=1e-4)
    monkeypatch.setattr("tuitrain_engine.trainer.find_machine", lambda *_: less)

    def resumed(*changes: str) -> int:
        config = load_config(str(run_dir / "config.toml"), [*changes, "train.max_steps=9"])
        journal = Journal(run_dir)
        trainer = prepare(run_dir, config, journal, Control(run_dir), World(), resume=True)
        journal.close()
        assert load_config(str(run_dir / "config.toml")).train == trainer.config.train
        return trainer.config.train.micro_batch

    assert resumed() == 12
    assert resumed("train.micro_batch_size=auto") == 1
    assert "not even one sequence fits 90 % of 0.1 MB" in " ".join(capsys.readouterr().out.split())
