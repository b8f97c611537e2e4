"""Comparison of runs at a point of an axis."""

from __future__ import annotations

from tests.analysis.histories import history, row
from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.points import equally_far, shared_point
from tuitrain.runs import RunHistory


def test_runs_can_be_compared_at_a_position_of_an_axis() -> None:
    runs = [
        ("fast", history(step_ms=500.0, evals=((0, 4.0), (10, 2.0)))),
        ("slow", history(evals=((0, 4.0), (10, 3.0)))),
    ]
    comparison = compare_runs(runs, at=("time", 5.0))
    assert row(comparison, "total_tokens").values == [1000.0, 500.0]
    assert row(comparison, "final_val_loss").values == [2.0, 3.5]
    assert comparison.verdict[0].startswith("fast has the lower validation loss at 5 s of training: 2.0000")


def test_a_run_that_did_not_reach_the_point_is_named_and_has_no_values() -> None:
    comparison = compare_runs([("long", history(steps=10)), ("short", history(steps=5))], at=("tokens", 800.0))
    assert row(comparison, "final_loss").values == [2.0, None]
    assert comparison.verdict[0] == "short did not reach 800 tokens."


def test_a_run_without_values_at_a_point_is_said_to_begin_later_or_to_be_unknown() -> None:
    late, uncounted = history(steps=10, every=5), history(flops_per_token=None)
    early = compare_runs([("late", late), ("dense", history())], at=("step", 2.0)).verdict
    assert early[0] == "late has no record up to step 2."
    unknown = compare_runs([("uncounted", uncounted), ("counted", history())], at=("flops", 6e11)).verdict
    assert unknown[0] == "Whether uncounted reached 6.00e11 FLOP is unknown."


def test_a_validation_loss_between_two_evaluations_is_called_interpolated() -> None:
    runs = [("a", history(evals=((0, 4.0), (10, 2.0)))), ("b", history(evals=((0, 4.0), (5, 3.0), (10, 2.0))))]
    titles = {each.metric.key: each.metric.title for each in compare_runs(runs, at=("step", 5.0)).metrics}
    assert titles["final_val_loss"] == "validation loss, interpolated"
    assert titles["final_perplexity"] == "validation perplexity, interpolated"
    measured = {each.metric.key: each.metric.title for each in compare_runs(runs[1:], at=("step", 5.0)).metrics}
    assert measured["final_val_loss"] == "validation loss"
    assert row(compare_runs(runs), "final_val_loss").metric.title == "final validation loss"


def test_the_farthest_common_position_is_that_of_the_shortest_run() -> None:
    long, short = history(steps=10), history(steps=6, tokens_per_step=200)
    assert shared_point([long, short], "step") == ("step", 6.0)
    assert shared_point([long, short], "tokens") == ("tokens", 1000.0)
    assert shared_point([long, RunHistory()], "step") == ("step", 10.0)
    assert shared_point([RunHistory()], "step") is None
    assert shared_point([long, history(flops_per_token=None)], "flops") is None
    assert not equally_far([long, short], ("step", 6.0))
    assert equally_far([long, history()], ("step", 10.0))
