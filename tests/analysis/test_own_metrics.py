"""Metrics of one's own: their names by groups, their newest values, their rows in a comparison."""

from __future__ import annotations

import math

import pytest

from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.metrics import metric_of
from tuitrain.analysis.own_metrics import newest_own, own_metrics, own_values
from tuitrain.events import AnyRecord, Eval, Run, Step
from tuitrain.runs import RunHistory


def history(*records: AnyRecord, name: str = "own", config: dict[str, object] | None = None) -> RunHistory:
    made = RunHistory()
    made.absorb([Run(time=0.0, run_id=name, name=name, config=config or {}), *records])
    return made


def steps(*values: dict[str, float | None]) -> list[AnyRecord]:
    return [Step(time=float(step), step=step, metrics=own) for step, own in enumerate(values, start=1)]


def test_names_are_in_groups_with_their_numbers_in_order() -> None:
    names = ["reward/std", "layer/10/norm", "kl", "layer/2/norm", "reward/mean", "Zeit", "layer_10", "layer_2"]
    run = history(*steps(dict.fromkeys(names, 1.0)))
    assert own_metrics([run]) == [
        "kl", "layer_2", "layer_10", "Zeit", "layer/2/norm", "layer/10/norm", "reward/mean", "reward/std",
    ]  # fmt: skip


def test_what_is_declared_is_not_of_ones_own() -> None:
    run = history(
        Step(time=1.0, step=1, loss=2.0, lr=0.1, metrics={"kl": 0.5}),
        Eval(time=1.0, step=1, loss=2.0, accuracy=0.5, metrics={"bleu": 21.0}),
    )
    assert own_metrics([run, history()]) == ["bleu", "kl"]
    assert newest_own(run, "bleu") == 21
    assert newest_own(run, "of nobody") is None


def test_a_metric_that_comes_late_and_goes_has_its_own_steps() -> None:
    run = history(*steps({}, {}, {"kl": 1.0}, {"kl": math.nan}, {"kl": None}))
    assert own_values(run, "kl")[0].tolist() == [3, 4]
    assert math.isnan(newest_own(run, "kl") or 0)


@pytest.mark.parametrize("name", ["x" * 300, "a\x1b[31mb\nc", "\u202ereversed"])
def test_a_title_is_inert_and_not_long(name: str) -> None:
    title = metric_of(name).title
    assert title.isprintable()
    assert len(title) <= 60
    assert metric_of(name).key == name


def test_the_comparison_has_what_both_runs_have_and_ranks_none() -> None:
    one = history(*steps({"kl": 1.0, "only": 1.0}, {"kl": 2.0}))
    other = history(*steps({"kl": 3.0}))
    rows = [row for row in compare_runs([("a", one), ("b", other)]).metrics if row.metric.key in ("kl", "only")]
    assert [(row.metric.key, row.values, row.best) for row in rows] == [("kl", [2, 3], None)]
    assert rows[0].deltas == [None, 0.5]


def test_at_a_step_the_value_is_the_newest_until_then() -> None:
    one, other = history(*steps({"kl": 1.0}, {}, {"kl": 5.0})), history(*steps({}, {"kl": 3.0}))
    row = compare_runs([("a", one), ("b", other)], at=("step", 2.0)).metrics[-1]
    assert (row.metric.key, row.values) == ("kl", [1, 3])
    assert compare_runs([("a", one), ("b", other)], at=("step", 1.0)).metrics[-1].values == [1, None]


def test_groups_have_the_mean_and_the_spread() -> None:
    runs = [
        Member(str(number), history(*steps({"kl": value}), config={"optim": {"lr": rate}}))
        for number, (value, rate) in enumerate(((1.0, 0.1), (3.0, 0.1), (8.0, 0.2)))
    ]
    row = group_runs(runs, "optim.lr").metrics[-1]
    assert (row.metric.key, row.values, row.counts) == ("kl", [2, 8], [2, 1])
    assert row.spreads[0] == pytest.approx(math.sqrt(2))
