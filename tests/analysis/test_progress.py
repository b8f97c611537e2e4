"""Progress and time to the end."""

from __future__ import annotations

import pytest

from tests.support import run_record, step_record
from tuitrain.analysis.progress import progress_of
from tuitrain.config import load_config
from tuitrain.runs import RunHistory

CONFIG = load_config("llama2-tiny", ["train.max_steps=100"])


def history(steps: int, *, seconds: float = 2.0, start: float = 1000.0, attempt: int = 1) -> RunHistory:
    made = RunHistory()
    made.absorb([run_record(CONFIG, "a", at=start, attempt=attempt)])
    made.absorb([step_record(CONFIG, step, at=start + seconds * step) for step in range(1, steps + 1)])
    return made


def test_the_pace_is_measured_in_wall_time() -> None:
    progress = progress_of(history(25))
    assert (progress.step, progress.total_steps, progress.fraction) == (25, 100, 0.25)
    assert progress.eta_s == pytest.approx(150)
    assert progress.elapsed_s == pytest.approx(50)


def test_one_step_gives_an_estimate_from_its_step_time() -> None:
    made = history(1)
    step_ms = made.steps.last("step_time_ms")
    assert step_ms is not None
    assert progress_of(made).eta_s == pytest.approx(99 * step_ms / 1000)


@pytest.mark.parametrize("clock", [-90_000.0, 0.0])
def test_the_pace_of_a_resumed_run_is_that_of_its_attempt_also_on_a_clock_that_is_behind(clock: float) -> None:
    made = history(40, start=100_000.0)
    made.absorb([run_record(CONFIG, "a", at=200_000.0 + clock, attempt=2)])
    made.absorb([step_record(CONFIG, step, at=200_000.0 + clock + step) for step in range(31, 51)])
    assert progress_of(made).eta_s == pytest.approx(50)


def test_the_time_between_two_attempts_does_not_count() -> None:
    made = history(40)
    made.absorb([run_record(CONFIG, "a", at=90_000.0, attempt=2)])
    made.absorb([step_record(CONFIG, step, at=90_000.0 + step) for step in range(41, 51)])
    assert progress_of(made).eta_s == pytest.approx(50)


def test_a_finished_run_has_nothing_left() -> None:
    progress = progress_of(history(100))
    assert (progress.fraction, progress.eta_s) == (1.0, 0.0)


def test_an_empty_log_has_no_progress() -> None:
    progress = progress_of(RunHistory())
    assert (progress.fraction, progress.eta_s, progress.elapsed_s, progress.step) == (None, None, None, None)


def test_a_run_with_only_a_token_budget_counts_tokens() -> None:
    made = RunHistory()
    record = run_record(CONFIG, "a", at=0.0)
    record.total_steps, record.token_budget = None, 4 * CONFIG.tokens_per_step
    made.absorb([record, *(step_record(CONFIG, step, at=10.0 * step) for step in (1, 2))])
    progress = progress_of(made)
    assert progress.fraction == pytest.approx(0.5)
    assert progress.eta_s == pytest.approx(20)


def test_a_run_without_steps_has_no_estimate() -> None:
    progress = progress_of(history(0))
    assert (progress.fraction, progress.eta_s) == (0.0, None)
