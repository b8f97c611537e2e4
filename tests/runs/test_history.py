from __future__ import annotations

import math
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.events import Alert, AnyRecord, Checkpoint, End, Eval, Layers, Run, Sample, Step
from tuitrain.events.own_metrics import StepOrder
from tuitrain.runs import Columns, RunHistory


def run(attempt: int, at: float) -> Run:
    return Run(time=at, run_id="a", name="a", attempt=attempt)


def steps(first: int, last: int, at: float, loss: float = 1.0) -> list[AnyRecord]:
    return [Step(time=at + number, step=number, loss=loss) for number in range(first, last + 1)]


def resumed(*, in_pieces: bool) -> RunHistory:
    """100 steps with results every 25, then a second attempt from step 51 on."""
    first: list[AnyRecord] = [run(1, 0.0)]
    for number in range(1, 101):
        first += steps(number, number, 0.0)
        if number % 25 == 0:
            first += [
                Eval(time=float(number), step=number, loss=9.0),
                Sample(time=float(number), step=number, text="old"),
                Checkpoint(time=float(number), step=number, path="old"),
                Layers(time=float(number), step=number, grad_norm=[9.0]),
            ]
    second: list[AnyRecord] = [run(2, 1000.0), *steps(51, 74, 1000.0, loss=2.0)]
    second += [Eval(time=1075.5, step=75, loss=3.0), Sample(time=1075.5, step=75, text="new")]
    second += steps(75, 80, 1000.0, loss=2.0)
    history = RunHistory()
    if in_pieces:
        for record in first + second:
            history.absorb([record])
    else:
        history.absorb(first + second)
    return history


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_later_attempt_supersedes_repeated_steps(in_pieces: bool) -> None:
    history = resumed(in_pieces=in_pieces)
    assert history.steps["step"].tolist() == list(range(1, 81))
    assert history.steps["loss"][:50].tolist() == [1.0] * 50
    assert history.steps["loss"][50:].tolist() == [2.0] * 30
    assert history.superseded_steps["step"].tolist() == list(range(51, 101))
    assert len(history.attempts) == 2
    assert history.run is history.attempts[-1]


@pytest.mark.parametrize("in_pieces", [False, True])
def test_results_of_superseded_steps_are_superseded(in_pieces: bool) -> None:
    history = resumed(in_pieces=in_pieces)
    assert dict(zip(history.evals["step"].tolist(), history.evals["loss"].tolist(), strict=True)) == {
        25: 9.0, 50: 9.0, 75: 3.0,
    }  # fmt: skip
    assert [(sample.step, sample.text) for sample in history.samples] == [(25, "old"), (50, "old"), (75, "new")]
    assert [checkpoint.step for checkpoint in history.checkpoints] == [25, 50]
    assert [layers.step for layers in history.layers] == [25, 50]


def test_a_third_attempt_supersedes_the_second() -> None:
    history = resumed(in_pieces=False)
    history.absorb([run(3, 2000.0), *steps(61, 65, 2000.0, loss=3.0)])
    assert history.steps["step"].tolist() == list(range(1, 66))
    assert history.steps["loss"][-5:].tolist() == [3.0] * 5
    assert len(history.superseded_steps) == 70


@pytest.mark.parametrize("clock", [-3600.0, 0.0, 3600.0])
def test_superseding_does_not_depend_on_clocks(clock: float) -> None:
    history = RunHistory()
    history.absorb([run(1, 0.0), *steps(1, 100, 0.0)])
    history.absorb([Eval(time=float(at), step=at, loss=4.0) for at in (25, 50, 75, 100)])
    history.absorb([run(2, 200.0 + clock), Eval(time=201.0 + clock, step=50, loss=3.0), *steps(51, 60, 200.0 + clock)])
    assert [(each.step, each.loss) for each in history.evaluations_of("val")] == [(25, 4.0), (50, 3.0)]


def evaluated(*records: tuple[str, int, float]) -> RunHistory:
    history = RunHistory()
    history.absorb([Eval(step=step, split=split, loss=loss) for split, step, loss in records])
    return history


@pytest.mark.parametrize(
    ("splits", "validation"),
    [
        (["train", "val"], "val"), (["val", "train"], "val"), (["wiki", "code", "val"], "val"),
        (["wiki", "code"], "wiki"), (["train", "valid"], "valid"), (["test"], "test"), (["train"], "train"),
        ([""], ""), ([], None),
    ],
)  # fmt: skip
def test_evaluations_are_kept_by_split(splits: list[str], validation: str | None) -> None:
    history = evaluated(
        *((split, step, number + step / 100) for step in (0, 25) for number, split in enumerate(splits))
    )
    assert history.validation_split == validation
    assert set(history.splits) == set(splits)
    assert history.splits[:1] == ([] if validation is None else [validation])
    for number, split in enumerate(splits):
        assert history.evals_of(split)["loss"].tolist() == [number, number + 0.25]
    own = [] if validation is None else history.evals_of(validation)["loss"].tolist()
    assert history.evals["loss"].tolist() == own


def test_a_restart_supersedes_the_evaluations_of_each_split_separately() -> None:
    history = evaluated(("val", 25, 3.0), ("wiki", 25, 5.0), ("val", 50, 2.0), ("wiki", 50, 4.0))
    history.absorb([run(2, 0.0), Eval(step=25, split="wiki", loss=6.0)])
    assert history.evals_of("val")["step"].tolist() == [25, 50]
    assert history.evals_of("wiki")["loss"].tolist() == [6.0]
    history.absorb(steps(26, 27, 0.0))
    assert history.evals_of("val")["step"].tolist() == [25]


def test_an_alert_without_a_step_has_the_newest_step_regardless_of_its_time() -> None:
    history = RunHistory()
    alerts = [Alert(time=at, level="info", code="c", message="m", step=step) for at, step in ((-9.0, None), (1e9, 2))]
    history.absorb([alerts[0], *steps(1, 5, 0.0), *alerts])
    assert history.alert_steps == [None, 5, 2]


def test_steps_after_an_end_belong_to_another_attempt_also_without_a_run_record() -> None:
    history = RunHistory()
    history.absorb([run(1, 0.0), *steps(1, 3, 0.0), End(time=4.0, status="stopped"), *steps(4, 5, 10.0)])
    assert history.end is None


def test_a_resume_without_repeated_steps_supersedes_nothing() -> None:
    history = RunHistory()
    history.absorb([run(1, 0.0), *steps(1, 10, 0.0), Eval(time=10.0, step=10, loss=1.0), run(2, 100.0)])
    history.absorb(steps(11, 20, 100.0))
    assert history.steps["step"].tolist() == list(range(1, 21))
    assert len(history.superseded_steps) == 0
    assert history.evals["step"].tolist() == [10]


def test_a_new_attempt_clears_the_end_of_the_previous_one() -> None:
    history = RunHistory()
    history.absorb([run(1, 0.0), *steps(1, 3, 0.0), End(time=4.0, status="stopped")])
    assert history.end is not None
    history.absorb([run(2, 10.0)])
    assert history.end is None


def test_an_empty_history_has_no_values() -> None:
    history = RunHistory()
    unknown = (history.run, history.step, history.tokens, history.started, history.system, history.last_time)
    assert unknown == (None,) * 6


def test_the_heartbeat_is_the_time_of_the_last_record_also_when_the_clock_was_set_back() -> None:
    history = RunHistory()
    history.absorb([Step(time=50.0, step=1), Step(time=40.0, step=2), Eval(time=45.0, step=2, loss=1.0)])
    assert history.last_time == 45.0


@given(st.lists(st.integers(1, 30), max_size=60))
def test_steps_always_increase_and_none_is_lost(numbers: list[int]) -> None:
    history = RunHistory()
    history.absorb([Step(time=float(at), step=number, loss=1.0) for at, number in enumerate(numbers)])
    kept = history.steps["step"]
    again = sum(number == before for before, number in pairwise(numbers))
    assert (np.diff(kept) > 0).all()
    assert len(kept) + len(history.superseded_steps) == len(numbers) - again
    if numbers:
        assert kept[-1] == numbers[-1]


def test_records_of_one_step_add_up_and_the_later_value_wins() -> None:
    history = RunHistory()
    history.absorb([Step(time=1.0, step=1, loss=3.0), Step(time=2.0, step=1, lr=0.1, metrics={"reward": 1.0})])
    history.absorb(
        [Step(time=3.0, step=1, metrics={"reward": 2.0, "kl/policy": 0.5}), Step(time=4.0, step=2, loss=2.0)]
    )
    assert history.steps["step"].tolist() == [1, 2]
    assert history.steps["loss"].tolist() == [3.0, 2.0]
    assert history.steps.series("reward")[1].tolist() == [2.0]
    assert history.steps.last("kl/policy") == 0.5
    assert history.steps["time"].tolist() == [1.0, 4.0]
    assert len(history.superseded_steps) == 0


def test_a_metric_that_lags_behind_the_others_supersedes_nothing() -> None:
    history = RunHistory()
    for number in range(0, 50, 10):
        history.absorb([Step(time=1.0, step=number, loss=1.0 * number)])
    for number in range(0, 50, 5):
        history.absorb([Step(time=2.0, step=number, metrics={"reward": float(number)}, late=True)])
    assert history.steps["step"].tolist() == list(range(0, 50, 5))
    assert history.steps.series("reward")[0].tolist() == list(range(0, 50, 5))
    assert history.steps.series("loss")[0].tolist() == list(range(0, 50, 10))
    history.absorb([Step(time=3.0, step=20, metrics={"reward": 0.0})])
    assert history.steps["step"].tolist() == [0, 5, 10, 15, 20]
    assert len(history.superseded_steps) == 6


def test_metrics_of_ones_own_take_memory_only_for_their_points() -> None:
    history = RunHistory()
    own = ({f"layer {step}/norm": 1.0} for step in range(2000))
    tracemalloc.start()
    history.absorb([Step(time=1.0, step=step, loss=1.0, metrics=each) for step, each in enumerate(own)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(history.steps.keys) > 2000
    assert peak < 2000 * 2000


def test_a_declared_metric_among_ones_own_does_not_replace_its_field() -> None:
    history = RunHistory()
    history.absorb([Step(step=1, loss=2.0, metrics={"loss": 9.0}), Step(step=2, metrics={"loss": 8.0, "lr": 0.1})])
    assert history.steps["loss"].tolist() == [2.0, 8.0]
    assert history.steps.last("lr") == 0.1


def test_evaluations_of_one_step_add_up() -> None:
    history = RunHistory()
    history.absorb([Step(step=5), Eval(step=5, loss=1.0), Eval(step=5, metrics={"bleu": 20.0})])
    assert history.evals["loss"].tolist() == [1.0]
    assert history.evals.last("bleu") == 20.0


def test_absent_values_are_left_out_of_a_series_and_measured_nan_is_kept() -> None:
    columns = Columns()
    columns.extend([Step(step=1, loss=2.0), Step(step=2), Step(step=3, loss=math.nan), Step(step=4, loss=math.inf)])
    x, y = columns.series("loss")
    assert x.tolist() == [1.0, 3.0, 4.0]
    assert y[0] == 2.0
    assert math.isnan(y[1])
    assert y[2] == math.inf
    assert columns.present("loss").tolist() == [True, False, True, True]
    assert columns.last("loss") == math.inf


def test_a_column_without_a_value_is_empty() -> None:
    columns = Columns()
    columns.extend([Step(step=1)])
    assert not columns.has("loss")
    assert not columns.has("colour")
    assert columns.last("loss") is None
    assert [part.tolist() for part in columns.series("loss")] == [[], []]


def test_late_values_are_told_from_a_writer_that_went_back() -> None:
    order = StepOrder()
    steps = [(1, "loss"), (2, "loss"), (3, "loss"), (2, "reward"), (3, "reward"), (1, "reward"), (2, "loss"), (1, "lr")]
    assert [order.is_late(step, [name]) for step, name in steps] == [False] * 3 + [True, False, False, False, True]
