"""Runs at a point of an axis, against plain loops."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import run_record
from tuitrain.analysis.compare import compare_runs
from tuitrain.analysis.points import shared_point
from tuitrain.analysis.series import AXES, Axis
from tuitrain.events import Eval, Step
from tuitrain.runs import RunHistory

FLOPS = 6e9


@dataclass(frozen=True)
class Written:
    """What a log says: steps with a record, tokens and milliseconds of each step, losses of evaluations at steps."""

    gaps: list[int]
    tokens_per_step: int
    step_ms: float
    evals: dict[int, float]

    @property
    def steps(self) -> list[int]:
        return list(accumulate(self.gaps))

    def history(self) -> RunHistory:
        made = RunHistory()
        made.absorb([run_record(flops_per_token=FLOPS, tokens_per_step=self.tokens_per_step)])
        records: list[Step | Eval] = [
            Step(time=float(n), step=n, tokens=n * self.tokens_per_step, loss=3.0, step_time_ms=self.step_ms)
            for n in self.steps
        ]
        records += [
            Eval(time=n + 0.5, step=n, tokens=n * self.tokens_per_step, loss=loss) for n, loss in self.evals.items()
        ]
        made.absorb(sorted(records, key=lambda record: record.time))
        return made

    def x(self, axis: Axis, step: float) -> float:
        """Where a step is on an axis: every step has the same tokens, time and FLOPs."""
        return step * {
            "step": 1.0, "tokens": self.tokens_per_step, "time": self.step_ms / 1000,
            "flops": self.tokens_per_step * FLOPS,
        }[axis]  # fmt: skip

    def last_step(self, axis: Axis, at: float) -> int | None:
        """The last record up to a point; None where the run has not reached it."""
        if self.x(axis, self.steps[-1]) < at * (1 - 1e-9):
            return None
        return max((n for n in self.steps if self.x(axis, n) <= at * (1 + 1e-9)), default=None)

    def val_loss(self, axis: Axis, at: float) -> float | None:
        """The validation loss at a point, on the line between the evaluations around it."""
        points = sorted((self.x(axis, n), loss) for n, loss in self.evals.items())
        for (left, before), (right, after) in zip(points, points[1:] or points, strict=False):
            if left * (1 - 1e-9) <= at <= right * (1 + 1e-9):
                share = 0.0 if right == left else min(max((at - left) / (right - left), 0.0), 1.0)
                return before + share * (after - before)
        return None


@st.composite
def logs(draw: st.DrawFn) -> Written:
    # The first gap is at most the second: the log begins with the run.
    later = draw(st.lists(st.integers(2, 5), min_size=2, max_size=8))
    gaps = [draw(st.integers(1, later[0])), *later]
    steps = list(accumulate(gaps))
    evaluated = draw(st.lists(st.sampled_from(steps), unique=True, max_size=4))
    losses = {step: draw(st.floats(1, 9)) for step in sorted(evaluated)}
    return Written(gaps, draw(st.sampled_from((100, 256))), draw(st.sampled_from((500.0, 1000.0))), losses)


@given(st.lists(logs(), min_size=1, max_size=3), st.sampled_from(AXES), st.floats(0.05, 1.1))
def test_runs_at_a_point_are_what_plain_loops_say(written: list[Written], axis: Axis, share: float) -> None:
    at = share * max(each.x(axis, each.steps[-1]) for each in written)
    compared = compare_runs([(f"run {n}", each.history()) for n, each in enumerate(written)], at=(axis, at))
    rows = {row.metric.key: row.values for row in compared.metrics}
    for index, each in enumerate(written):
        step = each.last_step(axis, at)
        tokens = rows["total_tokens"][index] if "total_tokens" in rows else None
        assert tokens == (None if step is None else step * each.tokens_per_step)
        time = rows["training_time_s"][index] if "training_time_s" in rows else None
        assert time == (None if step is None else pytest.approx(each.x("time", step)))
        loss = rows["final_val_loss"][index] if "final_val_loss" in rows else None
        expected = None if step is None else each.val_loss(axis, at)
        assert loss == (None if expected is None else pytest.approx(expected, rel=1e-6))


@given(st.lists(logs(), min_size=1, max_size=3), st.sampled_from(AXES))
def test_the_farthest_point_of_all_is_the_end_of_the_shortest(written: list[Written], axis: Axis) -> None:
    point = shared_point([each.history() for each in written], axis)
    assert point is not None
    assert point[1] == pytest.approx(min(each.x(axis, each.steps[-1]) for each in written))
