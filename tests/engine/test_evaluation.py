"""An evaluation covers the same sequences for any batch size; warm-up holds no more memory than a step."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine_runs import make_run

from tuitrain import events
from tuitrain.config import load_config
from tuitrain_engine import describe
from tuitrain_engine.control import Control
from tuitrain_engine.data.mixture import FiniteMixture
from tuitrain_engine.journal import Journal
from tuitrain_engine.parallel import World
from tuitrain_engine.trainer import Trainer, prepare, warm_up

SMALL_SPLIT = Path(__file__).parents[1] / "data" / "faults" / "small-split.jsonl"
"""40 rows of 63 characters, half of them easy and half hard; a quarter held out makes 9 sequences of 64."""


@contextlib.contextmanager
def prepared(folder: Path, **sections: dict[str, object]) -> Iterator[Trainer]:
    """The trainer of a micro run before its first step."""
    run_dir = make_run(folder, f"run{len(list(folder.iterdir()))}", **sections)
    journal = Journal(run_dir)
    with contextlib.redirect_stdout(io.StringIO()):
        config = load_config(str(run_dir / "config.toml"))
        yield prepare(run_dir, config, journal, Control(run_dir), World(), resume=False)
    journal.close()


def small_split(folder: Path, micro: int, steps: int) -> tuple[float, float, int, str]:
    """Loss, accuracy, number of sequences and fingerprint of an evaluation of the small split before training."""
    sections = {
        "model": {"seq_len": 64},
        "data": {"source": str(SMALL_SPLIT), "val_fraction": 0.25},
        "train": {"global_batch_size": 16, "micro_batch_size": micro},
        "eval": {"steps": steps},
    }
    with prepared(folder, **sections) as trainer:
        loss, accuracy = trainer.evaluator.measure()
        return loss, accuracy, trainer.evaluator.sequences, trainer.evaluator.fingerprint


def test_every_held_out_sequence_counts_once_for_any_micro_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    evaluations = {micro: small_split(tmp_path, micro, steps=5) for micro in (1, 2, 4, 8, 16)}
    loss, accuracy, sequences, fingerprint = evaluations[1]
    assert sequences == 9
    for micro in evaluations:
        assert evaluations[micro][:2] == pytest.approx((loss, accuracy), rel=1e-6), micro
        assert evaluations[micro][2:] == (sequences, fingerprint)


def test_the_split_of_a_mixture_ends_before_a_source_repeats() -> None:
    class Numbered:
        def __init__(self, n: int) -> None:
            self.tokens = self.n_sequences = n

    sizes = [7, 3, 2]
    for seed in range(20):
        mixture = FiniteMixture(dict(zip("abc", map(Numbered, sizes), strict=True)), [0.6, 0.25, 0.15], seed)
        counts = mixture._shares.counts(mixture.n_sequences)
        assert all(count <= size for count, size in zip(counts, sizes, strict=True)), (seed, counts)


def test_warm_up_holds_one_set_of_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    with prepared(tmp_path, telemetry={"log_interval": 3}) as trainer:
        held = []
        trainer.model.register_forward_pre_hook(
            lambda model, _: held.append(any(parameter.grad is not None for parameter in model.parameters()))
        )
        warm_up(dataclasses.replace(trainer, compiled=True))
        # A graph with accuracy, a graph without, and the graph of an evaluation.
        assert held == [False] * 3
        assert all(parameter.grad is None for parameter in trainer.model.parameters())


def test_gradients_measured_less_often_than_configured_are_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    for interval, reported in ((4, False), (3, True)):
        with prepared(tmp_path, telemetry={"log_interval": 2, "grad_stats_interval": interval}) as trainer:
            decisions = describe.routine_decisions(trainer.config, trainer.optimizer, trainer.machine, 8, 5)
        gradients = [decision.value for decision in decisions if decision.subject == "gradients"]
        assert gradients == (["every 6 steps"] if reported else [])


def test_disabled_evaluations_and_samples_are_reported_as_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    with prepared(tmp_path, eval={"interval": 0}, sampling={"interval": 0}) as trainer:
        decisions = describe.routine_decisions(trainer.config, trainer.optimizer, trainer.machine, 8, 5)
    reported = {decision.subject: (decision.value, decision.reason) for decision in decisions}
    assert reported["evaluation"] == ("never", "only on request; always the same 8 held-out sequences")
    assert reported["samples"] == ("never", "sampling.interval = 0")


def write_log(path: Path, *records: events.Record) -> Journal:
    with events.EventWriter(path / "metrics.jsonl") as log:
        for record in records:
            log.write(record)
    return Journal(path, writes=False)


def test_a_resume_keeps_only_evaluations_that_nothing_has_superseded(tmp_path: Path) -> None:
    def attempt(number: int) -> events.Run:
        return events.Run(run_id="r", name="r", attempt=number)

    def evaluation(step: int, loss: float, split: str = "val") -> events.Eval:
        return events.Eval(step=step, loss=loss, split=split, sequences=8, split_fingerprint="f")

    journal = write_log(
        tmp_path,
        attempt(1), events.Step(step=1), evaluation(40, 3.0), evaluation(60, 1.0), evaluation(80, 1.1),
        attempt(2), events.Step(step=51), evaluation(80, 2.0), evaluation(80, 0.5, split="train"),
        evaluation(90, float("nan")), evaluation(100, 1.9),
    )  # fmt: skip
    assert [(each.step, each.loss) for each in journal.evaluations(up_to_step=90)] == [(40, 3.0), (80, 2.0)]
