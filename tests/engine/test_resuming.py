"""Resumes that change something on the way, or that find something missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from engine_runs import make_run, of_type, read_log, run_engine

from tuitrain import events
from tuitrain.config import load_config
from tuitrain_engine import checkpoint
from tuitrain_engine.control import Control
from tuitrain_engine.data import ReadingStopped
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import Trainer, prepare, train

BUDGET, PER_STEP = 1280, 128


def configure(run_dir: Path, *overrides: str) -> None:
    """Change the configuration of a run."""
    config = load_config(str(run_dir / "config.toml"), overrides)
    (run_dir / "config.toml").write_text(config.to_toml(), encoding="utf-8")


def newest_attempt(run_dir: Path) -> list[events.AnyRecord]:
    """The log from its last `run` record on."""
    records = read_log(run_dir)
    return records[max(i for i, record in enumerate(records) if isinstance(record, events.Run)) :]


def cut_back(run_dir: Path, step: int) -> None:
    """The run as it was right after a step, whose checkpoint is on disk: killed before anything else was written."""
    lines = (run_dir / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    at = next(i for i, line in enumerate(lines) if isinstance(r := events.decode(line), events.Step) and r.step == step)
    (run_dir / "metrics.jsonl").write_bytes(b"".join(lines[: at + 1]))
    for found in checkpoint.complete(run_dir):
        if found.step > step:
            shutil.rmtree(found.path)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a budget of ten steps' tokens that was killed after the fifth, with the learning rates of all ten."""
    run_dir = make_run(
        tmp_path_factory.mktemp("budget"), train={"max_steps": None, "token_budget": BUDGET},
        eval={"interval": 0}, sampling={"interval": 0}, checkpoint={"interval": 5},
    )  # fmt: skip
    assert run_engine(run_dir).returncode == 0
    cut_back(run_dir, 5)
    return run_dir


@pytest.mark.parametrize(("batch", "steps", "tokens"), [(16, 8, 5 * PER_STEP + 3 * 256), (4, 15, BUDGET)])
def test_a_token_budget_counts_what_is_trained_when_the_batch_changes(
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


def test_what_a_sequence_means_is_refused_or_said(halfway: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "other"
    shutil.copytree(halfway, run_dir)
    first = (run_dir / "config.toml").read_bytes()

    def resume(*overrides: str) -> subprocess.CompletedProcess[str]:
        asked = run_dir / "asked.toml"
        asked.write_text(load_config(str(run_dir / "config.toml"), overrides).to_toml(), encoding="utf-8")
        process = run_engine(run_dir, "train", "--resume", "--config", str(asked))
        assert not asked.exists()
        return process

    process = resume("data.val_fraction=0.2")
    assert process.returncode == 2 and "data.val_fraction = 0.2 (it was 0.1)" in process.stderr
    # The next attempt is not asked to go on with what was refused.
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


def test_what_was_due_at_the_checkpoint_and_is_missing_is_made_up_for_once(tmp_path: Path) -> None:
    run_dir = make_run(tmp_path)
    assert run_engine(run_dir).returncode == 0
    whole = read_log(run_dir)
    cut_back(run_dir, 4)
    saved = tmp_path / "saved"
    shutil.copytree(checkpoint.directory(run_dir, 4), saved)
    results = (events.Checkpoint, events.Eval, events.Sample)
    for attempt in (2, 3):
        assert run_engine(run_dir, "train", "--resume").returncode == 0
        made_up = [record for record in newest_attempt(run_dir) if isinstance(record, results) and record.step == 4]
        assert [type(record) for record in made_up] == (list(results) if attempt == 2 else [])
        if attempt == 2:
            expected = [record for record in of_type(whole, events.Eval) if record.step == 4]
            assert made_up[1].loss == expected[0].loss
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
            raise ReadingStopped("control file")

        if stalls:
            trainer = prepared(resume=False)
            monkeypatch.setattr(trainer.dataset.train, "batch", stall)
            assert train(trainer) == "control file"
            assert [found.step for found in checkpoint.complete(run_dir)] == [0]
            # What the checkpoint fills is not drawn before.
            monkeypatch.setattr("tuitrain_engine.model.init._normal", None)
        trainer = prepared(resume=stalls)
        assert train(trainer) is None
        assert [each.step for each in of_type(read_log(run_dir), events.Eval)] == [0, 2, 3]
        return trainer

    straight, resumed = trained("straight", stalls=False), trained("resumed", stalls=True)
    for left, right in zip(straight.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(left, right)
