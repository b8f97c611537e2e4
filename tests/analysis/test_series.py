from __future__ import annotations

import math

import numpy as np
import pytest

from tests.analysis.histories import history, run_record
from tuitrain.accounting.step_time import steps_covered
from tuitrain.analysis.series import AXES, eval_x_values, x_at_steps, x_values
from tuitrain.events import Eval, Step
from tuitrain.runs import RunHistory


def test_each_axis_counts_its_unit() -> None:
    run = history(steps=3)
    assert x_values(run, "step").tolist() == [1, 2, 3]
    assert x_values(run, "tokens").tolist() == [100, 200, 300]
    assert x_values(run, "time").tolist() == [1.0, 2.0, 3.0]
    assert x_values(run, "flops").tolist() == [6e11, 12e11, 18e11]


def test_a_record_every_ten_steps_counts_ten_steps_of_time() -> None:
    assert x_values(history(steps=30, every=10), "time").tolist() == [10.0, 20.0, 30.0]


def test_a_log_that_begins_in_the_middle_counts_only_its_own_steps() -> None:
    assert steps_covered(np.array([5000.0, 5010.0, 5030.0])).tolist() == [10, 10, 20]
    assert steps_covered(np.array([0.0, 1.0])).tolist() == [1, 1]
    assert steps_covered(np.empty(0)).tolist() == []


def test_gaps_between_attempts_and_repeated_work_take_no_training_time() -> None:
    run = history(steps=10)
    run.absorb([run_record(time=9000.0, attempt=2)])
    run.absorb(Step(time=9000.0 + step, step=step, tokens=100 * step, step_time_ms=1000.0) for step in range(6, 13))
    assert x_values(run, "time").tolist() == [float(step) for step in range(1, 13)]


def test_a_row_without_step_time_counts_its_tokens_at_its_throughput() -> None:
    run = RunHistory()
    run.absorb(
        [
            Step(step=1, tokens=100, step_time_ms=1000.0),
            Step(step=2, tokens=300, tokens_per_sec=100.0),
            Step(step=3, tokens=400),
            Step(step=4, tokens=500, step_time_ms=500.0),
        ]
    )
    assert x_values(run, "time").tolist() == [1.0, 3.0, 3.0, 3.5]


@pytest.mark.parametrize("axis", ["tokens", "time", "flops"])
def test_an_axis_without_values_in_the_log_is_nan(axis: str) -> None:
    run = RunHistory()
    run.absorb([Step(step=1, loss=1.0), Step(step=2, loss=1.0)])
    assert np.isnan(x_values(run, axis)).all()  # type: ignore[arg-type]


def test_the_error_for_an_unknown_axis_lists_the_axes() -> None:
    with pytest.raises(ValueError, match="step, tokens, time, flops"):
        x_values(history(), "wishes")  # type: ignore[arg-type]


def test_positions_between_records_are_interpolated_from_zero() -> None:
    run = history(steps=30, every=10)
    positions = x_at_steps(run, "time", np.array([0.0, 5.0, 15.0, 30.0, 31.0]))
    assert positions[:4].tolist() == [0.0, 5.0, 15.0, 30.0]
    assert math.isnan(positions[4])


def test_evaluations_have_the_tokens_of_their_step() -> None:
    run = history(steps=10)
    run.absorb([Eval(step=5, tokens=501, loss=1.0), Eval(step=7, loss=1.0)])
    assert eval_x_values(run, "tokens").tolist() == [501, 700]
    assert eval_x_values(run, "time").tolist() == [5, 7]


@pytest.mark.parametrize("axis", AXES)
def test_an_empty_log_has_no_positions(axis: str) -> None:
    assert len(x_values(RunHistory(), axis)) == 0  # type: ignore[arg-type]
    assert len(eval_x_values(RunHistory(), axis)) == 0  # type: ignore[arg-type]
