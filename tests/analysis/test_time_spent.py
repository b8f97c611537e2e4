"""Where the wall clock of a run went."""

from __future__ import annotations

from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.analysis.histories import run_record
from tuitrain.accounting.outcome import summary_of_lines
from tuitrain.analysis.summary import TimeSpent, summarize
from tuitrain.events import Alert, AnyRecord, Checkpoint, Control, End, Eval, Stage, Step, System, encode
from tuitrain.runs import RunHistory


def spent(*records: AnyRecord, launched: float | None = None) -> TimeSpent | None:
    made = RunHistory()
    made.absorb(records)
    return summarize(made, launched=launched).time_spent


def steps(first: int, last: int, start: float, every: int = 1, step_ms: float = 1000.0) -> list[Step]:
    """Steps of a second each that begin at a time, written every so many."""
    return [
        Step(time=start + (step - first + 1), step=step, step_time_ms=step_ms, data_time_ms=100.0)
        for step in range(first - 1 + every, last + 1, every)
    ]


def a_run(async_save: bool = False) -> list[AnyRecord]:
    """Launched at 0: 5 s in the queue, 20 s of start-up and 30 s of compilation, 10 steps with an evaluation of 4 s
    before the first and after the fifth, a checkpoint of 3 s after the eighth, a sample of 2 s after the last."""
    return [
        Stage(time=5.0, stage="reading the data"),
        Stage(time=10.0, stage="building the model"),
        run_record(time=15.0),
        Stage(time=25.0, stage="compiling"),
        Stage(time=55.0, stage="evaluating"),
        Eval(time=59.0, step=0, loss=5.0, duration_ms=4000.0),
        Stage(time=59.0, stage="first step"),
        *steps(1, 5, 59.0),
        Eval(time=68.0, step=5, loss=4.0, duration_ms=4000.0),
        *steps(6, 8, 68.0),
        Checkpoint(time=74.0, step=8, path="c", duration_ms=3000.0),
        *steps(9, 10, 74.0),
        End(time=78.0, status="completed", step=10),
    ]


def test_every_second_of_a_run_by_hand() -> None:
    assert spent(*a_run(), launched=0.0) == TimeSpent(
        elapsed_s=78.0, training_s=10.0, data_wait_s=1.0, repeated_s=0.0, evaluation_s=8.0, checkpoint_s=3.0,
        compile_s=30.0, startup_s=20.0, between_attempts_s=0.0, queue_s=5.0, other_s=2.0,
    )  # fmt: skip


def test_what_a_later_attempt_does_again_and_the_pause_before_it() -> None:
    """Killed at step 10 without a word, resumed 100 s later from step 8, whose checkpoint it had."""
    log = [
        *a_run()[:-1],
        Stage(time=176.0, stage="reading the data"),
        run_record(time=180.0, attempt=2),
        Stage(time=181.0, stage="first step"),
        *steps(9, 12, 186.0),
        End(time=190.0, status="completed", step=12),
    ]
    assert spent(*log) == TimeSpent(
        elapsed_s=185.0, training_s=12.0, data_wait_s=pytest.approx(1.2), repeated_s=2.0, evaluation_s=8.0,
        checkpoint_s=3.0, compile_s=30.0, startup_s=30.0, between_attempts_s=100.0, queue_s=None, other_s=0.0,
    )  # fmt: skip


def test_a_checkpoint_that_is_written_beside_the_training_takes_no_time() -> None:
    log = [run_record(), *steps(1, 5, 0.0), Checkpoint(time=5.0, step=2, path="c", duration_ms=3000.0),
           *steps(6, 10, 5.0)]  # fmt: skip
    found = spent(*log)
    assert found is not None
    assert (found.checkpoint_s, found.other_s, found.training_s) == (0.0, 0.0, 10.0)


def test_evaluations_without_a_duration_take_the_time_between_the_steps_around_them() -> None:
    """As of a loop of one's own, whose step after an evaluation has no time either."""
    after = Step(time=16.0, step=6)
    log = [run_record(), *steps(1, 5, 0.0), Eval(time=15.0, step=5, loss=2.0), after, *steps(7, 10, 16.0)]
    found = spent(*log)
    assert found is not None
    assert (found.evaluation_s, found.training_s, found.other_s) == (10.0, 9.0, 1.0)


def test_records_of_every_tenth_step_stand_for_the_steps_between_them() -> None:
    stages = [Stage(time=4.0, stage="compiling"), Stage(time=10.0, stage="first step")]
    found = spent(run_record(), *stages, *steps(1, 100, 10.0, every=10))
    assert found is not None
    assert (found.elapsed_s, found.training_s, found.startup_s, found.compile_s) == (110.0, 100.0, 4.0, 6.0)


def test_a_live_run_counts_what_is_not_over() -> None:
    found = spent(run_record(), *steps(1, 5, 0.0), Eval(time=9.0, step=5, loss=2.0, duration_ms=4000.0))
    assert found is not None
    assert (found.evaluation_s, found.other_s) == (4.0, 0.0)
    starting = spent(run_record(), Stage(time=4.0, stage="compiling"))
    assert starting is None


def test_a_log_whose_lines_have_no_times_tells_nothing() -> None:
    assert spent(run_record(), *(Step(time=7.0, step=n, step_time_ms=1000.0) for n in range(1, 11))) is None
    assert spent(run_record(), Step(time=7.0, step=1)) is None
    assert summarize(RunHistory()).time_spent is None


anything = st.lists(
    st.sampled_from([
        Stage(time=0, stage="compiling"), Stage(time=0, stage="reading"), run_record(time=0), Step(time=0, step=0),
        Eval(time=0, step=0, duration_ms=900.0), Eval(time=0, step=0), Checkpoint(time=0, step=0, path="c"),
        Checkpoint(time=0, step=0, path="c", duration_ms=5000.0), Alert(time=0, level="info", code="c", message="m"),
        End(time=0, status="failed"),
    ]),
    max_size=30,
)  # fmt: skip


def numbered(records: list[AnyRecord], pauses: list[float], going_back: list[int]) -> list[AnyRecord]:
    """The records at rising times, their steps counting up, sometimes from an earlier one."""
    import msgspec

    made, time, step = [], 100.0, 0
    for number, record in enumerate(records):
        time += pauses[number]
        changes = {"time": time}
        if isinstance(record, Step):
            step = max(1, step + 1 - going_back[number])
            changes |= {
                "step": step,
                "step_time_ms": 1000 * pauses[number],
                "loss": pauses[number],
                "tokens": 100 * step,
            }
        elif isinstance(record, Eval):
            changes |= {"step": step, "loss": pauses[number], "bits_per_byte": pauses[number] / 2}
        made.append(msgspec.structs.replace(record, **changes))
    return made


@given(
    anything, st.lists(st.floats(0.1, 50.0), min_size=30, max_size=30),
    st.lists(st.sampled_from((0, 0, 0, 3)), min_size=30, max_size=30), st.integers(0, 30),
)  # fmt: skip
def test_the_parts_are_never_negative_and_add_up_however_the_log_was_read(
    kinds: list[AnyRecord], pauses: list[float], going_back: list[int], cut: int
) -> None:
    records = numbered(kinds, pauses, going_back)
    whole, halves = RunHistory(), RunHistory()
    whole.absorb(records)
    halves.absorb(records[:cut])
    summarize(halves)
    halves.absorb(records[cut:])
    summary = summarize(whole)
    found = summary.time_spent
    assert summarize(halves).time_spent == found
    # What the `end` record says is the same.
    assert summary_of_lines(encode(record) for record in records) == summary
    if found is None:
        return
    elapsed, training, _, *others = (value or 0.0 for value in astuple(found))
    assert min(training, *others) >= 0
    assert training + sum(others) >= elapsed - 1e-6


def test_a_pause_is_no_evaluation_and_not_the_rest() -> None:
    log = a_run()
    # Paused for 60 s after the fifth step's evaluation, with a checkpoint of 5 s in it.
    later = [replace(each, time=each.time + 60) for each in log[13:]]
    paused = [
        Control(time=68.0, request="pause", result="paused at step 5"),
        Control(time=100.0, request="pause", result="paused for 32 s at step 5"),
        Checkpoint(time=110.0, step=5, path="b", duration_ms=5000.0),
        Control(time=128.0, request="continue", result="continued after 60 s at step 5"),
    ]
    found = spent(*log[:13], *paused, *later)
    assert found is not None
    assert (found.paused_s, found.checkpoint_s, found.evaluation_s, found.other_s) == (55.0, 8.0, 8.0, 2.0)
    # It counts as well while it lasts.
    lasting = spent(*log[:13], *paused[:1], System(time=98.0, host="a"))
    assert lasting is not None and lasting.paused_s == 30.0
    assert found.training_s == 10.0


def test_repeated_steps_of_impossible_length_leave_the_parts_unknown() -> None:
    first = [Step(time=float(step), step=step, step_time_ms=1.7e308) for step in range(1, 10)]
    assert spent(run_record(time=0.0), *first, *steps(1, 5, 20.0)) is None
