from __future__ import annotations

import dataclasses
import math

import pytest

from tests.analysis.histories import history, run_record
from tests.support import write_run
from tuitrain.accounting import mfu, perplexity
from tuitrain.analysis.summary import Percentiles, SplitOutcome, Summary, TimeSpent, split_outcomes, summarize
from tuitrain.events import Eval, Step
from tuitrain.runs import RunHistory, load_history


def evaluated(*records: Eval) -> RunHistory:
    made = RunHistory()
    made.absorb(records)
    return made


def test_the_best_loss_is_that_of_the_sequences_of_the_newest_evaluation() -> None:
    made = evaluated(
        Eval(step=10, loss=0.5, split_fingerprint="old"),
        Eval(step=20, loss=3.0, split_fingerprint="new"),
        Eval(step=30, loss=2.0, split_fingerprint="new"),
        Eval(step=40, loss=2.5, split_fingerprint="new"),
    )
    made.absorb(Step(step=step, loss=1.0) for step in range(1, 41))
    summary = summarize(made)
    assert (summary.final_val_loss, summary.best_val_loss, summary.best_val_step) == (2.5, 2.0, 30)
    assert summarize(made, ("step", 30.0)).best_val_loss == 2.0


def test_each_split_has_its_results() -> None:
    made = evaluated(
        Eval(step=10, loss=4.0, split="train"), Eval(step=10, loss=3.0), Eval(step=20, loss=1.0, split="train"),
        Eval(step=20, loss=math.nan),
    )  # fmt: skip
    outcomes = split_outcomes(made)
    assert list(outcomes) == ["val", "train"]
    assert outcomes["train"] == SplitOutcome(1.0, 20, 1.0, 20)
    assert (outcomes["val"].final_step, outcomes["val"].best, outcomes["val"].best_step) == (20, 3.0, 10)


def test_a_wall_time_that_a_clock_made_negative_is_unknown() -> None:
    made = history()
    made.absorb([Step(time=-3600.0, step=11)])
    assert summarize(made).wall_time_s is None


def test_the_summary_of_round_numbers_is_exact() -> None:
    summary = summarize(history(evals=((0, 5.0), (4, 1.0), (8, 2.0))))
    assert summary == Summary(
        name="a", run_id="a-20260101-000000-aaaa", attempts=1, step=10, total_steps=10, total_tokens=1000,
        token_budget=2000, budget_fraction=0.5, final_loss=2.0, last_loss=2.0, final_val_loss=2.0, final_val_step=8,
        best_val_loss=1.0, best_val_step=4, final_perplexity=math.exp(2), generalization_gap=0.0, final_accuracy=0.5,
        mfu_percentiles=Percentiles(0.1, 0.1, 0.1), tokens_per_sec_percentiles=Percentiles(100.0, 100.0, 100.0),
        step_time_ms_percentiles=Percentiles(1000.0, 1000.0, 1000.0), tokens_per_hour=360_000.0, mean_mfu=0.1,
        mean_mfu_causal=None, mean_tokens_per_sec=100.0, mean_step_time_ms=1000.0, mean_tflops=0.1, peak_memory_gb=3.0,
        step_time_scatter=0.0, training_time_s=10.0, wall_time_s=10.0, total_flops=6e12, params_total=1000,
        steps_logged=10, steps_covered=10, logged_time_s=10.0, tokens_per_parameter=1.0, effective_batch_tokens=100,
        gpu_hours=10 / 3600,
        time_spent=TimeSpent(elapsed_s=10.0, training_s=10.0),
    )  # fmt: skip


def test_an_empty_log_has_an_empty_summary() -> None:
    assert summarize(RunHistory()) == Summary()


def test_throughput_is_all_tokens_by_all_time_and_mfu_agrees_with_it() -> None:
    run = RunHistory()
    run.absorb([run_record()])
    tokens = 0
    for step, rate in enumerate((100.0, 300.0, 50.0), start=1):
        tokens += 100
        run.absorb([Step(step=step, tokens=tokens, step_time_ms=100_000 / rate, tokens_per_sec=rate,
                         mfu=mfu(rate, 6e9, 1, 1.0))])  # fmt: skip
    summary = summarize(run)
    assert summary.mean_tokens_per_sec == pytest.approx(300 / (1 + 1 / 3 + 2))
    assert summary.mean_tokens_per_sec is not None
    assert summary.mean_mfu == pytest.approx(mfu(summary.mean_tokens_per_sec, 6e9, 1, 1.0))


@pytest.mark.parametrize(("steps", "averaged"), [(1, 1), (19, 1), (21, 2), (200, 10), (3000, 50)])
def test_the_final_loss_is_the_mean_of_the_last_twentieth_but_no_more_than_fifty_records(
    steps: int, averaged: int
) -> None:
    run = RunHistory()
    run.absorb(Step(step=step, loss=float(step)) for step in range(1, steps + 1))
    assert summarize(run).final_loss == pytest.approx(steps - (averaged - 1) / 2)
    assert summarize(run).last_loss == steps


def test_nan_is_left_out_of_means_but_reported() -> None:
    run = RunHistory()
    run.absorb(Step(step=step, loss=math.nan if step == 40 else 1.0) for step in range(1, 41))
    summary = summarize(run)
    assert summary.final_loss == 1.0
    assert summary.last_loss is not None
    assert math.isnan(summary.last_loss)
    run.absorb(Step(step=step, loss=math.nan) for step in range(41, 81))
    assert math.isnan(summarize(run).final_loss or 0.0)


def test_a_validation_loss_of_nan_is_never_the_best() -> None:
    summary = summarize(history(evals=((2, math.nan), (4, 3.0), (6, math.nan))))
    assert (summary.best_val_loss, summary.best_val_step) == (3.0, 4)
    assert math.isnan(summary.final_val_loss or 0.0)
    assert math.isnan(summary.final_perplexity or 0.0)


def test_perplexity_is_defined_for_any_loss() -> None:
    assert perplexity(None) is None
    assert perplexity(0.0) == 1.0
    assert perplexity(1e6) == math.inf
    assert math.isnan(perplexity(math.nan) or 0.0)


def test_a_resumed_run_counts_only_steps_in_effect() -> None:
    run = history(steps=10)
    run.absorb([run_record(time=100.0, attempt=2)])
    run.absorb(Step(time=100.0 + step, step=step, tokens=100 * step, step_time_ms=1000.0) for step in range(6, 9))
    summary = summarize(run)
    assert (summary.attempts, summary.step, summary.training_time_s, summary.wall_time_s) == (2, 8, 8.0, 18.0)


def test_a_log_without_a_run_record_has_a_summary() -> None:
    run = RunHistory()
    run.absorb([Step(time=5.0, step=1, loss=2.0), Step(time=9.0, step=2, loss=1.0), Eval(time=9.0, step=2, loss=1.5)])
    summary = summarize(run)
    assert (summary.final_loss, summary.final_val_loss, summary.wall_time_s) == (1.0, 1.5, 4.0)
    assert (summary.name, summary.mean_mfu, summary.total_flops, summary.training_time_s) == (None,) * 4


def test_at_a_position_only_earlier_records_count() -> None:
    run = history(steps=10, evals=((0, 5.0), (4, 3.0), (8, 1.0)))
    summary = summarize(run, ("tokens", 600.0))
    assert (summary.step, summary.total_tokens, summary.training_time_s) == (6, 600, 6.0)
    assert summary.final_val_loss == pytest.approx(2.0)
    assert (summary.best_val_loss, summary.best_val_step) == (3.0, 4)
    assert summarize(run, ("time", 6.0)).step == summarize(run, ("step", 6)).step == 6
    assert summarize(run, ("flops", 3.6e12)).step == 6


def test_values_at_a_position_that_a_run_did_not_reach_are_unknown() -> None:
    summary = summarize(history(steps=10, evals=((4, 3.0),)), ("tokens", 1001.0))
    measured = (
        "step",
        "final_loss",
        "final_val_loss",
        "best_val_loss",
        "mean_mfu",
        "mean_tokens_per_sec",
        "total_flops",
    )
    assert [getattr(summary, name) for name in measured] == [None] * len(measured)


def test_a_realistic_run_has_every_number(tmp_path_factory: pytest.TempPathFactory) -> None:
    written = write_run(tmp_path_factory.mktemp("runs"), overrides=("train.token_budget=1M",))
    summary = summarize(load_history(written), usd_per_gpu_hour=2.0)
    unknown = [field.name for field in dataclasses.fields(summary) if getattr(summary, field.name) is None]
    # A single reading has no duration.
    assert unknown == ["energy_kwh", "energy_gpus", "energy_host"]
