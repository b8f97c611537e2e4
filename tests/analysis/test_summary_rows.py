"""Summaries in words: the verdict of fine-tuners on the gap, training times as they are reported by hand, costs."""

from __future__ import annotations

import numpy as np
import pytest

from tests.analysis.histories import history, run_record
from tuitrain.accounting.statistics import energy_kwh, percentiles
from tuitrain.accounting.summary import Summary
from tuitrain.analysis.generalization import generalization_verdict
from tuitrain.analysis.summary import Percentiles, summarize
from tuitrain.analysis.summary_rows import summary_rows, time_rows, training_note
from tuitrain.events import Architecture, Eval, Gpu, Hardware, Step, System
from tuitrain.runs import RunHistory


def evaluated(training: float, *validation: tuple[int, float]) -> Summary:
    """The summary of a run of 100 steps with one training loss."""
    return summarize(history(steps=100, loss=training, evals=validation))


@pytest.mark.parametrize(
    ("training", "validation", "sentence"),
    [
        # The fine-tuning whose gap of 12.9 % its author called overfitting: between the limits he names.
        (1.443, 1.629, "Some overfitting, as is usual: the validation loss is 12.9 % above the training loss."),
        (1.0, 1.04, "Good generalisation: the validation loss is 4.0 % above the training loss, within 5.0 %."),
        (1.0, 0.99, "Good generalisation: the validation loss is 1.0 % below the training loss, within 5.0 %."),
        (1.0, 1.151, "Overfitting: the validation loss is 15.1 % above the training loss, more than 15.0 %."),
        (1.0, 0.8, "The validation loss is 20.0 % below the training loss: dropout explains that, or held-out text "
                   "that is also trained on."),
    ],
)  # fmt: skip
def test_the_verdict_on_the_gap(training: float, validation: float, sentence: str) -> None:
    summary = evaluated(training, (100, validation))
    assert summary.generalization_gap == pytest.approx((validation - training) / training)
    assert generalization_verdict(summary) == sentence


def test_a_rising_validation_loss_is_overfitting_whatever_the_gap() -> None:
    assert generalization_verdict(evaluated(2.0, (40, 2.0), (70, 2.02), (100, 2.05))) == (
        "Overfitting: the validation loss has risen from 2.0000 at step 40 to 2.0500 at step 100, which is 2.5 % above "
        "the training loss."
    )
    # Shortly before the end, or by less than 1 %, it is noise.
    for noisy in ((90, 2.0), (40, 2.04)):
        verdict = generalization_verdict(evaluated(2.0, noisy, (100, 2.05)))
        assert verdict is not None and verdict.startswith("Good generalisation")


def test_without_a_loss_there_is_no_verdict() -> None:
    assert generalization_verdict(Summary()) is None
    assert generalization_verdict(evaluated(2.0)) is None


def test_the_training_loss_of_the_gap_is_that_at_the_evaluation() -> None:
    made = RunHistory()
    made.absorb([run_record()])
    made.absorb(Step(step=step, loss=200.0 - step) for step in range(1, 101))
    made.absorb([Eval(step=50, loss=165.0)])
    # The last 5 % of 50 records: steps 48 to 50.
    assert summarize(made).generalization_gap == pytest.approx(165 / 151 - 1)


SEED = (
    # Name, micro-batch × accumulation × GPUs, length, tokens per hour, training time of 199 iterations.
    ("qwen3", 2 * 96 * 2, 2048, 100.3e6, "1 h 33 m"),
    ("gpt2", 4 * 32 * 2, 2048, 158.1e6, "0 h 39 m"),
    ("llama3", 2 * 64 * 2, 2048, 74.0e6, "1 h 24 m"),
    ("llama2", 5 * 16 * 2, 2048, 151.6e6, "0 h 25 m"),
)


@pytest.mark.parametrize(("name", "sequences", "length", "per_hour", "time"), SEED)
@pytest.mark.parametrize("every", [1, 10])
def test_the_training_times_that_were_summed_by_a_script(
    name: str, sequences: int, length: int, per_hour: float, time: str, every: int
) -> None:
    step_ms = sequences * length / per_hour * 3.6e6
    made = history(
        steps=199 * every, every=every, step_ms=step_ms, tokens_per_step=sequences * length, total_steps=2000,
        architecture=Architecture(name=name, seq_len=length), config={},
    )  # fmt: skip
    # The scripts' logs have no size of a step: what the tokens of two records differ by is one.
    made.attempts[0].tokens_per_step = None
    summary = summarize(made)
    assert (summary.effective_batch_sequences, summary.effective_batch_tokens) == (sequences, sequences * length)
    assert summary.tokens_per_hour == pytest.approx(per_hour)
    assert summary.logged_time_s is not None
    hours, minutes = divmod(int(summary.logged_time_s / 60), 60)
    assert f"{hours} h {minutes} m" == time
    assert summary.training_time_s == pytest.approx(every * summary.logged_time_s)
    note = training_note(summary)
    if every == 1:
        assert note == " (199 of 2,000 steps)"
    else:
        assert note.startswith(" (199 of 2,000 steps logged, ")
        assert note.endswith("each of the other 1,791 counts as the record after it)")


def test_the_records_of_the_engine_are_means_and_nothing_is_extrapolated() -> None:
    summary = summarize(history(steps=100, every=10, total_steps=100, config={"telemetry": {"log_interval": 10}}))
    assert (summary.steps_logged, summary.steps_covered, summary.extrapolated_steps) == (10, 100, 0)
    assert training_note(summary) == ""


def test_a_log_that_begins_in_the_middle_says_so() -> None:
    made = RunHistory()
    made.absorb(Step(time=float(step), step=step, step_time_ms=1000.0) for step in range(1001, 1101))
    assert training_note(summarize(made)) == " (of the 100 steps that are logged, up to step 1,100)"


def test_steps_that_include_evaluations_count_as_the_usual_ones() -> None:
    """As in nanoGPT's console: every 20th iteration evaluates first, for 9 seconds."""
    made = RunHistory()
    made.absorb([run_record(config={})])
    for step in range(1, 101):
        if step % 20 == 0:
            made.absorb([Eval(time=0.0, step=step, loss=2.0)])
        ms = 10_000.0 if step % 20 == 0 else 1000.0
        made.absorb([Step(time=0.0, step=step, step_time_ms=ms, mfu=300 / ms)])
    summary = summarize(made)
    assert (summary.training_time_s, summary.logged_time_s, summary.evaluated_steps) == (100.0, 145.0, 5)
    assert (summary.mean_step_time_ms, summary.mean_mfu) == (1000.0, pytest.approx(0.3))
    assert "5 records that include an evaluation count as the usual step" in dict(time_rows(summary))["training time"]
    # Two evaluations are no pattern, and what takes long elsewhere too is none of evaluations.
    few = RunHistory()
    few.absorb([run_record(config={}), *(Eval(step=step, loss=2.0) for step in (20, 40))])
    few.absorb(Step(step=step, step_time_ms=10_000.0 if step in (20, 40) else 1000.0) for step in range(1, 51))
    assert summarize(few).evaluated_steps == 0


def test_percentiles_by_hand() -> None:
    assert percentiles(np.arange(101.0)) == Percentiles(5.0, 50.0, 95.0)
    assert percentiles(np.array([np.nan, 2.0, np.inf])) == Percentiles(2.0, 2.0, 2.0)
    assert percentiles(np.array([np.nan])) is None


def test_energy_is_the_integral_of_the_power_without_the_gaps() -> None:
    made = RunHistory()
    # Two GPUs of 500 W for an hour, an hour without readings, and half an hour from 1,000 to 2,000 W.
    readings = [(minute, 1000.0) for minute in range(0, 61, 5)]
    readings += [(120 + minute, 1000 + 1000 * minute / 30) for minute in range(0, 31, 5)]
    made.absorb(
        System(time=60.0 * minute, host="a", gpus=[Gpu(index=n, power_w=watts / 2) for n in range(2)])
        for minute, watts in readings
    )
    summary = summarize(made)
    assert summary.energy_kwh == pytest.approx(1.0 + 0.75)
    assert dict(summary_rows(summary))["energy of one machine"] == "1.75 kWh, of 2 GPUs on a"
    assert summarize(history()).energy_kwh is None


@pytest.mark.parametrize("watts", [[], [100.0], [-5.0, 100.0], [float("nan"), 100.0]])
def test_energy_that_cannot_be_known(watts: list[float]) -> None:
    assert energy_kwh(np.arange(float(len(watts))), np.array(watts)) is None


def test_gpu_hours_and_costs_are_of_the_time_of_the_attempts() -> None:
    """Eight GPUs, 10 steps of a second each in a run of 3,600 s."""
    made = history(hardware=Hardware(device="NVIDIA H100 80GB HBM3", device_type="cuda", count=8))
    made.absorb([System(time=3600.0, host="a")])
    summary = summarize(made, usd_per_gpu_hour=2.5)
    assert (summary.wall_time_s, summary.gpu_hours, summary.cost_usd) == (3600.0, 8.0, 20.0)
    # At the fifth step.
    half = summarize(made, ("step", 5.0), usd_per_gpu_hour=2.5)
    assert (half.wall_time_s, half.gpu_hours) == (5.0, 8 * 5 / 3600)
    cpu = summarize(history(hardware=Hardware(device="AMD EPYC", device_type="cpu")), usd_per_gpu_hour=2.5)
    assert (cpu.gpu_hours, cpu.cost_usd) == (None, None)


def test_rows_say_what_belongs_together() -> None:
    made = history(evals=((4, 3.0), (8, 2.0)), config={"train": {"global_batch_size": 4}})
    rows = dict(summary_rows(summarize(made)))
    assert rows["final validation loss"] == "2.0000 at step 8"
    assert rows["tokens trained on"] == "1.00 k of 2.00 k, 50.0 %"
    assert rows["tokens per parameter"] == "1 (compute is spent best at 20, by Chinchilla)"
    assert rows["sequences per step"] == "4, 100 tokens"
    assert rows["mean step time"] == "1.00 s, percentiles 5: 1.00 s, 50: 1.00 s, 95: 1.00 s"
    assert rows["train–validation gap"] == "0.0 %"
    assert "n/a" not in "".join(rows.values())
    assert summary_rows(Summary()) == time_rows(Summary()) == []
