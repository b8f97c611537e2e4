from __future__ import annotations

import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.histories import history
from tuitrain.analysis.compare import Comparison, compare_runs
from tuitrain.analysis.groups import Member, group_runs
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.events import Architecture
from tuitrain.export.tables import render_comparison


def member(name: str, lr: float, seed: int, val: float, *, tags: tuple[str, ...] = (), **more: object) -> Member:
    config = {"preset": "tiny", "optim": {"lr": lr}, "train": {"seed": seed}, "schedule": {"warmup_steps": 5}}
    return Member(name, history(config=config, evals=((5, 9.0), (10, val)), **more), tags)  # type: ignore[arg-type]


def sweep() -> list[Member]:
    """Two learning rates, three seeds each: means 2.0 and 3.0, standard deviations 0.1 and 0.2."""
    low = [member(f"a{seed}", 0.1, seed, val, tags=("x",)) for seed, val in enumerate((1.9, 2.0, 2.1))]
    high = [member(f"b{seed}", 0.2, seed, val, tags=("y", "x")) for seed, val in enumerate((2.8, 3.0, 3.2))]
    return [*low, *high]


def row(comparison: Comparison, key: str) -> MetricRow:
    return next(each for each in comparison.metrics if each.metric.key == key)


def test_mean_and_standard_deviation_of_each_group_by_hand() -> None:
    comparison = group_runs(sweep(), "optim.lr")
    assert comparison.names == ["lr=0.1 (3 runs)", "lr=0.2 (3 runs)"]
    assert comparison.groups == [["a0", "a1", "a2"], ["b0", "b1", "b2"]]
    loss = row(comparison, "final_val_loss")
    assert loss.values == pytest.approx([2.0, 3.0])
    assert loss.spreads == pytest.approx([0.1, 0.2])
    assert (loss.counts, loss.best) == ([3, 3], 0)
    assert loss.deltas == [None, pytest.approx(0.5)]
    assert loss.value_text(0) == "2.0000 ± 0.1000"


def test_a_unit_is_written_once() -> None:
    groups = group_runs(sweep(), "optim.lr")
    assert row(groups, "mean_mfu").value_text(0) == "10.0 ± 0.0 %"
    time = row(groups, "training_time_s")
    assert replace(time, values=[1391.0, 60.0], spreads=[21.0, 1.0]).value_text(0) == "23 m 11 s ± 21 s"


def test_the_verdict_names_welchs_test() -> None:
    # sqrt(0.01 / 3 + 0.04 / 3) = 0.129, so t is 7.75.
    verdict = group_runs(sweep(), "optim.lr").verdict
    assert verdict[0] == (
        "lr=0.1 has the lower validation loss: 2.0000 ± 0.1000 (n = 3) against 3.0000 ± 0.2000 (n = 3) of lr=0.2; "
        "Welch's t = 7.75 with 2.9 degrees of freedom, p = 0.0048: more than chance explains."
    )
    assert verdict[1].startswith("lr=0.1 and lr=0.2 have the same throughput")
    close = group_runs(
        [*sweep()[:3], *(member(f"c{seed}", 0.3, seed, val) for seed, val in enumerate((1.9, 2.0, 2.2)))], "optim.lr"
    )
    assert "which chance may explain" in close.verdict[0]
    assert row(close, "final_val_loss").best is None
    assert "a single run" in group_runs([sweep()[0], sweep()[3]], "optim.lr").verdict[0]
    alike = [member(f"d{seed}", 0.1 + seed // 2, seed, 2.0 + seed // 2) for seed in range(4)]
    assert "allows no test" in group_runs(alike, "optim.lr").verdict[0]


def test_each_group_is_tested_against_the_baseline() -> None:
    loss = row(group_runs(sweep(), "optim.lr"), "final_val_loss")
    assert loss.tests[0] is None
    assert loss.tests[1] is not None
    assert loss.tests[1].t == pytest.approx(1 / math.sqrt(0.05 / 3))
    assert loss.delta_text(1) == "+50.0 %, p = 0.0048"


def test_losses_of_different_tokens_are_not_ranked_between_groups() -> None:
    other = [member(f"c{seed}", 0.3, seed, 1.0, architecture=Architecture(name="x", vocab_size=9)) for seed in (0, 1)]
    comparison = group_runs([*sweep(), *other], "optim.lr")
    assert "not comparable" in comparison.verdict[0]
    assert not any("validation loss" in sentence for sentence in comparison.verdict)
    assert row(comparison, "final_val_loss").tests == [None, None, None]


@settings(max_examples=20)
@given(st.randoms())
def test_the_order_of_the_runs_changes_nothing_between_groups(shuffled: random.Random) -> None:
    members = [*sweep(), member("c0", 0.3, 0, 2.0), member("c1", 0.3, 1, 2.05)]
    expected = group_runs(members, "optim.lr").verdict
    shuffled.shuffle(members)
    assert group_runs(members, "optim.lr").verdict == expected


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("lr", ["lr=0.1 (3 runs)", "lr=0.2 (3 runs)"]),
        ("tag", ["x (3 runs)", "x y (3 runs)"]),
        ("preset", ["preset=tiny (6 runs)"]),
        ("seed", ["seed=0 (2 runs)", "seed=1 (2 runs)", "seed=2 (2 runs)"]),
    ],
)
def test_runs_can_be_grouped_by_keys_tags_and_fields(key: str, names: list[str]) -> None:
    assert group_runs(sweep(), key).names == names


def test_runs_without_the_key_or_tags_are_a_group() -> None:
    members = [
        *sweep()[:1], Member("other", history(config={"optim": {"name": "sgd"}})), Member("silent", history(config={}))
    ]  # fmt: skip
    assert group_runs(members, "optim.lr").names == ["lr=0.1 (1 run)", "lr=unset (1 run)", "lr=n/a (1 run)"]
    assert group_runs(members, "tag").names == ["x (1 run)", "no tags (2 runs)"]


@pytest.mark.parametrize(
    ("key", "sentence"), [("optim.lrr", "Did you mean 'optim.lr'"), ("wishes", "No run has the key 'wishes'")]
)
def test_a_key_that_no_run_has_is_an_error(key: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        group_runs(sweep(), key)


def test_the_error_for_the_end_of_several_keys_lists_them() -> None:
    members = [Member("a", history(config={"optim": {"name": "x", "eps": 1}, "norm": {"eps": 2}}))]
    with pytest.raises(ValueError, match=r"'eps' is the end of 2 keys: optim.eps, norm.eps"):
        group_runs(members, "eps")


def test_the_baseline_is_the_group_of_the_baseline_run() -> None:
    comparison = group_runs(sweep(), "optim.lr", baseline=4)
    assert comparison.baseline == 1
    assert row(comparison, "final_val_loss").deltas == [pytest.approx(-1 / 3), None]


def test_keys_that_differ_show_the_values_of_each_group() -> None:
    values = {each.key: each.values for each in group_runs(sweep(), "optim.lr").config}
    assert values == {"optim.lr": ["0.1", "0.2"], "train.seed": ["0, 1, 2", "0, 1, 2"]}


def test_one_diverged_seed_makes_the_mean_nan_and_is_not_the_best() -> None:
    members = [*sweep(), member("a3", 0.1, 3, math.nan)]
    loss = row(group_runs(members, "optim.lr"), "final_val_loss")
    assert math.isnan(loss.values[0] or 0.0)
    assert (loss.spreads[0], loss.best, loss.deltas) == (None, None, [None, None])


def test_a_group_with_a_run_that_diverged_is_not_the_best_in_a_loss() -> None:
    """Also where its evaluations, which were before, are numbers."""
    seeds = [*sweep(), member("a3", 0.1, 3, 1.9, loss=math.nan)]
    comparison = group_runs(seeds, "optim.lr")
    loss = row(comparison, "final_val_loss")
    assert (loss.best, loss.unranked) == (None, {0})
    assert comparison.verdict[0].startswith("a3 diverged, so its losses are not ranked")
    assert not any("lower validation loss" in sentence for sentence in comparison.verdict)


def test_groups_can_be_compared_at_a_position() -> None:
    comparison = group_runs(sweep(), "optim.lr", at=("step", 5.0))
    assert row(comparison, "final_val_loss").values == [9.0, 9.0]
    assert row(comparison, "total_tokens").values == [500.0, 500.0]


def test_every_format_has_the_spread() -> None:
    comparison = group_runs(sweep(), "optim.lr")
    assert "mean ± std at the end of each run" in render_comparison(comparison, "table")
    assert "2.0000 ± 0.1000 *" in render_comparison(comparison, "table")
    assert "**2.0000 ± 0.1000** | 3.0000 ± 0.2000 (+50.0 %, p = 0.0048) |" in render_comparison(comparison, "markdown")
    lines = render_comparison(comparison, "csv").splitlines()
    assert lines[0] == "kind,key,unit,lr=0.1 (3 runs),lr=0.2 (3 runs)"
    std = next(line for line in lines if line.startswith("std,final_val_loss"))
    assert [float(cell) for cell in std.split(",")[3:]] == pytest.approx([0.1, 0.2])
    document = json.loads(render_comparison(comparison, "json"))
    assert document["groups"] == {"lr=0.1 (3 runs)": ["a0", "a1", "a2"], "lr=0.2 (3 runs)": ["b0", "b1", "b2"]}
    loss = next(each for each in document["metrics"] if each["key"] == "final_val_loss")
    assert loss["tests"]["lr=0.2 (3 runs)"]["p"] == pytest.approx(0.0048, rel=0.02)
    assert loss["spreads"] == pytest.approx({"lr=0.1 (3 runs)": 0.1, "lr=0.2 (3 runs)": 0.2})


def test_a_comparison_of_single_runs_does_not_mention_groups() -> None:
    comparison = compare_runs([(each.name, each.history) for each in sweep()])
    document = json.loads(render_comparison(comparison, "json"))
    assert "groups" not in document
    assert "spreads" not in document["metrics"][0]
    assert "std" not in render_comparison(comparison, "csv")
