"""Why a run stopped, in the words of its `end` record."""

from __future__ import annotations

import time

import pytest

from tuitrain.events import End
from tuitrain.events.requests import REQUESTED, result_text, stop_reason
from tuitrain.runs.slurm import stopped_by_signal


@pytest.mark.parametrize(
    ("origin", "sentence", "by_signal"),
    [
        (REQUESTED, "stopped on request", False),
        ("stopped by `tuitrain stop`", "stopped by `tuitrain stop`", False),
        ("SIGINT", "stopped by SIGINT (Ctrl-C)", True),
        ("SIGHUP", "stopped by SIGHUP (its terminal was closed)", True),
        ("SIGTERM", "stopped by SIGTERM", True),
    ],
)
def test_the_end_says_who_stopped_the_run(
    monkeypatch: pytest.MonkeyPatch, origin: str, sentence: str, by_signal: bool
) -> None:
    monkeypatch.delenv("SLURM_JOB_END_TIME", raising=False)
    assert stop_reason(origin) == sentence
    # A job of Slurm goes on after a signal, and not where a user has stopped the run.
    assert stopped_by_signal(End(status="stopped", reason=sentence)) is by_signal


@pytest.mark.parametrize(("left_s", "is_said"), [(118, True), (7200, False), (-5, False)])
def test_a_signal_before_the_time_limit_of_a_job_says_so(
    monkeypatch: pytest.MonkeyPatch, left_s: int, is_said: bool
) -> None:
    monkeypatch.setenv("SLURM_JOB_END_TIME", str(int(time.time()) + left_s))
    sentence = stop_reason("SIGTERM")
    assert sentence.endswith(" s before the time limit of its Slurm job") is is_said
    assert stopped_by_signal(End(status="stopped", reason=sentence))
    assert "time limit" not in stop_reason(REQUESTED)


def test_a_result_names_the_signal_that_asked_for_it() -> None:
    assert result_text("done", 66, "SIGTERM") == "done at step 66 (SIGTERM)"
    assert result_text("paused", 5, REQUESTED) == "paused at step 5"
