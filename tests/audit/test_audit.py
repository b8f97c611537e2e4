"""The audit: a log that agrees with itself has no finding, and each number that is changed has one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.audit.consistent_log import Log, audit_of, findings, logs
from tests.support import run_record
from tuitrain.accounting import find_gpu
from tuitrain.audit import CHECKS
from tuitrain.config import load_config
from tuitrain.events import AnyRecord, End, Eval, Run, Step

replace = msgspec.structs.replace


@given(logs)
def test_a_log_whose_numbers_follow_from_each_other_has_no_finding(log: Log) -> None:
    outcome = log.audit()
    assert outcome.findings == ()
    assert {*outcome.agreeing, *outcome.not_checked} == {check.name for check in CHECKS}
    assert set(outcome.not_checked) <= {"leak", "evaluation-time"}


def test_a_token_budget_that_ends_the_run_decays_by_tokens() -> None:
    assert Log(overrides=("train.max_steps=none", "train.token_budget=100k")).audit().findings == ()


@pytest.mark.parametrize("factor", [0.25, 0.9, 1.1, 4.0])
@pytest.mark.parametrize(
    ("key", "check"),
    [
        ("tokens", "tokens"), ("tokens_per_sec", "throughput"), ("step_time_ms", "throughput"), ("tflops", "tflops"),
        ("mfu", "mfu"), ("mfu_causal", "mfu"), ("lr", "schedule"),
    ],
)  # fmt: skip
def test_a_column_that_is_off_contradicts_another(key: str, check: str, factor: float) -> None:
    whole = key == "tokens"
    log = Log(processes=2).changed(
        Step, lambda step: replace(step, **{key: (round if whole else float)(getattr(step, key) * factor)})
    )
    found = findings(log.audit())[check]
    assert found.severity == "impossible"
    assert found.steps is not None and found.steps[0] < found.steps[1]


def test_a_single_wrong_record_is_found_and_located() -> None:
    log = Log().changed(Step, lambda step: replace(step, tflops=3 * step.tflops) if step.step == 17 else step)
    assert findings(log.audit())["tflops"].steps == (17, 17)


@pytest.mark.parametrize("factor", [0.5, 0.97, 1.05, 2.0])
@pytest.mark.parametrize(
    ("key", "checks"),
    [
        ("flops_per_token", {"flops", "tflops"}), ("flops_per_token_causal", {"flops", "mfu"}),
        ("tokens_per_step", {"batch", "tokens", "throughput"}),
    ],
)  # fmt: skip
def test_a_fact_of_the_run_that_is_off_contradicts_its_steps(key: str, checks: set[str], factor: float) -> None:
    log = Log().changed(Run, lambda run: replace(run, **{key: round(getattr(run, key) * factor)}))
    found = findings(log.audit())
    assert set(found) >= checks
    assert all(found[name].severity == "impossible" for name in checks)


def with_shape(**changes: Any) -> Callable[[Run], Run]:
    return lambda run: replace(run, architecture=replace(run.architecture, **changes))


def test_parameters_follow_from_the_shapes() -> None:
    finding = findings(Log().changed(Run, with_shape(n_layers=9)).audit())["parameters"]
    assert finding.severity == "impossible"
    log = Log()
    stated = log.records[0].architecture.params_total
    assert f"{stated:,}" in finding.message and "9L" in finding.message
    tied = findings(Log().changed(Run, with_shape(tied_embeddings=True)).audit())["parameters"]
    assert "untied embeddings" in tied.likelier
    more = findings(Log().changed(Run, with_shape(params_non_embedding=stated + 1)).audit())["parameters"]
    assert "params_non_embedding" in more.message


@pytest.mark.parametrize(
    ("gpu", "peak", "likelier"),
    [
        ("NVIDIA B200", 4500.0, "with sparsity"),
        ("NVIDIA H100 80GB HBM3", 1979.0, "with sparsity"),
        ("NVIDIA GeForce RTX 4090", 330.3, "with fp16 accumulation"),
        ("NVIDIA GeForce RTX 3090", 142.0, "with fp16 accumulation"),
        ("NVIDIA A100-SXM4-80GB", 156.0, "of TF32"),
        ("NVIDIA RTX A6000", 312.0, "the wrong GPU; this is the figure of the A100"),
        ("NVIDIA L40S", 624.0, "the A100 40GB or the A100 with sparsity"),
    ],
)
def test_the_peak_of_another_precision_or_gpu_is_named(gpu: str, peak: float, likelier: str) -> None:
    """Also where MFU is consistent with it, as it is of a program that knows no better."""
    right = find_gpu(gpu).bf16_tflops
    log = Log(gpu=gpu)
    log.changed(Run, lambda run: replace(run, hardware=replace(run.hardware, peak_tflops=peak)))
    log.changed(
        Step, lambda step: replace(step, mfu=step.mfu * right / peak, mfu_causal=step.mfu_causal * right / peak)
    )
    (only,) = log.audit().findings
    assert (only[0], only[1].severity) == ("peak", "impossible")
    assert likelier in only[1].likelier


@pytest.mark.parametrize(("peak", "severity"), [(280.0, None), (400.0, "suspicious")])
def test_a_peak_that_was_set_may_be_lower_than_that_of_the_table(peak: float, severity: str | None) -> None:
    log = Log().changed(Run, lambda run: replace(run, hardware=replace(run.hardware, peak_tflops=peak)))
    log.changed(Step, lambda step: replace(step, mfu=step.tflops / peak, mfu_causal=None))
    found = findings(log.audit())
    assert (found["peak"].severity if "peak" in found else None) == severity


@pytest.mark.parametrize(
    ("factor", "likelier"), [(0.5, "the figure of the A100 with sparsity"), (312 / 989, "that of the H800 or the H100")]
)
def test_the_peak_that_would_make_an_mfu_right_is_named(factor: float, likelier: str) -> None:
    log = Log().changed(Step, lambda step: replace(step, mfu=step.mfu * factor))
    finding = findings(log.audit())["mfu"]
    assert likelier in finding.likelier


def test_an_mfu_over_one_is_impossible_also_where_only_the_speed_gives_it() -> None:
    fast = 0.4 / Log().records[2].mfu
    assert "mfu-limit" not in findings(Log().changed(Step, lambda step: scaled(step, fast)).audit())
    found = findings(Log().changed(Step, lambda step: scaled(step, 3 * fast)).audit())
    assert found["mfu-limit"].severity == "impossible"
    unstated = Log().changed(Step, lambda step: replace(scaled(step, 3 * fast), mfu=None, mfu_causal=None, tflops=None))
    assert "tokens per second and FLOPs per token" in findings(unstated.audit())["mfu-limit"].message
    high = findings(Log().changed(Step, lambda step: scaled(step, 2.1 * fast)).audit())
    assert high["mfu-limit"].severity == "suspicious"


def scaled(step: Step, factor: float) -> Step:
    """A step that is faster by a factor."""
    speeds = {key: getattr(step, key) * factor for key in ("tokens_per_sec", "tflops", "mfu", "mfu_causal")}
    return replace(step, step_time_ms=step.step_time_ms / factor, **speeds)


def test_the_batch_is_the_product_of_its_factors() -> None:
    log = Log(processes=2)
    log.changed(Run, lambda run: replace(run, parallel=replace(run.parallel, accumulation=8)))
    found = findings(log.audit())["batch"]
    assert found.severity == "impossible"
    assert "2 × 8 × 2 = 32" in found.message and "the 2 processes" in found.likelier


def test_attempts_of_other_sizes_are_each_checked_by_their_own() -> None:
    log, later = Log(), Log(overrides=("train.global_batch_size=32",), steps=60)
    size = log.config.tokens_per_step
    resumed = [
        replace(record, time=record.time + 100.0, **({"tokens": record.tokens - 30 * size} if kind is not Run else {}))
        for record in later.records
        if (kind := type(record)) is Run or (kind in (Step, Eval) and record.step > 30)
    ]
    assert audit_of([*log.records, *resumed]).findings == ()
    wrong = [replace(r, tokens=r.tokens + size) if isinstance(r, Step) and r.step > 50 else r for r in resumed]
    (only,) = audit_of([*log.records, *wrong]).findings
    assert only[0] == "tokens" and "step 50 to 51" in only[1].message


def test_step_times_that_include_evaluations_are_suspicious_and_sums_beyond_the_clock_impossible() -> None:
    slow = Log(evaluations=5).changed(
        Step, lambda step: replace(step, step_time_ms=step.step_time_ms + 400) if step.step % 5 == 1 else step
    )
    found = findings(slow.audit())
    assert found["evaluation-time"].severity == "suspicious"
    assert (
        "right after evaluations take" in found["evaluation-time"].message
        and "include the evaluations" in found["evaluation-time"].likelier
    )
    seconds = Log().changed(Step, lambda step: replace(step, step_time_ms=1000 * step.step_time_ms))
    assert "another unit" in findings(seconds.audit())["step-clock"].likelier


def test_steps_that_repeat_return_or_are_missing() -> None:
    log = Log()
    at = next(i for i, record in enumerate(log.records) if isinstance(record, Step) and record.step == 7)
    again = replace(log.records[at], loss=9.0)
    twice = findings(audit_of([*log.records[: at + 1], again, *log.records[at + 1 :]]))["steps"]
    assert twice.severity == "impossible" and twice.steps == (7, 7)
    same = findings(audit_of([*log.records[: at + 1], log.records[at], *log.records[at + 1 :]]))["steps"]
    assert same.severity == "suspicious" and "two processes" in same.likelier
    added = replace(Step(time=log.records[at].time, step=7), metrics={"reward": 1.0})
    assert audit_of([*log.records[: at + 1], added, *log.records[at + 1 :]]).findings == ()
    missing = findings(audit_of([*log.records[:at], *log.records[at + 3 :]]))["steps"]
    assert "3 records are missing" in missing.message
    lost = findings(audit_of([*log.records[:-1], *log.records[at:-1]]))["steps"]
    assert "without a new attempt" in lost.message


def test_a_clock_that_goes_back_within_an_attempt() -> None:
    log = Log().changed(Step, lambda step: replace(step, time=step.time - 3600) if step.step > 20 else step)
    log.records = [each for each in log.records if not isinstance(each, Eval | End)]
    found = findings(log.audit())["clock"]
    assert found.severity == "impossible" and "59 m 59 s after step 20" in found.message
    resumed = [replace(record, time=record.time - 3600) for record in Log().records]
    assert "clock" not in findings(audit_of([*Log().records, *resumed]))


def test_a_completed_run_has_all_its_steps() -> None:
    log = Log().changed(End, lambda end: replace(end, status="completed"))
    assert "40 of 80 steps" in findings(log.audit())["steps"].message


def test_perplexity_is_the_exponential_of_the_loss() -> None:
    off = Log().changed(Eval, lambda each: replace(each, perplexity=1.1 * each.perplexity) if each.step == 20 else each)
    found = findings(off.audit())["perplexity"]
    assert (found.severity, found.steps) == ("impossible", (20, 20))
    bits = Log().changed(Eval, lambda each: replace(each, loss=each.loss / math.log(2)))
    assert "in bits" in findings(bits.audit())["perplexity"].likelier
    rounded = Log().changed(
        Eval, lambda each: replace(each, loss=round(each.loss, 2), perplexity=round(each.perplexity, 1))
    )
    assert rounded.audit().findings == ()


def test_bits_per_byte_follow_from_the_loss() -> None:
    off = Log().changed(Eval, lambda each: replace(each, bits_per_byte=each.bits_per_byte * (1.1 if each.step else 1)))
    found = findings(off.audit())["bits-per-byte"]
    assert (found.severity, found.steps) == ("impossible", (10, 10))
    less = Log().changed(Eval, lambda each: replace(each, bits_per_byte=each.bits_per_byte * 0.9))
    assert "bits-per-byte" in less.audit().agreeing, "padding is no target"
    more = Log().changed(Eval, lambda each: replace(each, sequences=10))
    assert "at most" in findings(more.audit())["bits-per-byte"].message


def test_the_first_loss_is_that_of_a_uniform_guess() -> None:
    trained = Log().changed(Eval, lambda each: replace(each, loss=2.0, perplexity=math.exp(2.0), bits_per_byte=None))
    found = findings(trained.audit())["first-loss"]
    assert found.severity == "suspicious" and "ln(256)" in found.message
    pretrained = Log(overrides=("model.init_from=hf:gpt2",))
    pretrained.changed(Eval, lambda each: replace(each, loss=2.0, perplexity=math.exp(2.0), bits_per_byte=None))
    assert "first-loss" in pretrained.audit().not_checked


def test_held_out_text_that_is_better_from_the_start_is_a_leak() -> None:
    leaking = Log(evaluations=5).changed(Eval, lambda each: replace(each, loss=each.loss - 0.8, perplexity=None))
    assert findings(leaking.audit())["leak"].severity == "suspicious"
    dropout = Log(evaluations=5, overrides=("model.dropout=0.1",))
    dropout.changed(Eval, lambda each: replace(each, loss=each.loss - 0.8, perplexity=None))
    assert "dropout" in dropout.audit().not_checked["leak"]
    # A training loss that is a mean over all steps so far lags behind the evaluations.
    total = 0.0
    lagging = Log(evaluations=5)
    for at, record in enumerate(lagging.records):
        if isinstance(record, Step):
            total += record.loss
            lagging.records[at] = replace(record, loss=0.8 * record.loss + 0.2 * total / record.step)
    assert "leak" in lagging.audit().agreeing


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accuracy": 31.0}, "is a share"), ({"grad_norm": -1.0}, "cannot be negative"),
        ({"mem_allocated_gb": 30.0}, "more than the peak"), ({"mem_peak_gb": 90.0}, "the device has 85.9 GB"),
    ],
)  # fmt: skip
def test_values_that_cannot_be(change: dict[str, float], words: str) -> None:
    found = findings(Log().changed(Step, lambda step: replace(step, **change)).audit())["ranges"]
    assert found.severity == "impossible" and words in found.message


def test_what_a_log_lacks_is_not_checked_and_said() -> None:
    outcome = audit_of([Step(time=1.0, step=1, loss=2.0), Step(time=2.0, step=2, loss=1.9)])
    assert outcome.findings == ()
    assert set(outcome.agreeing) == {"steps", "clock", "ranges"}
    assert outcome.not_checked["tokens"] == "the tokens of a step are not known"
    assert audit_of([]).findings == ()


ABSURD = {
    "n_layer": 2**62, "n_head": 3, "n_embd": 2**61, "lr": "1e-3", "vocab_size": 7, "block_size": 1e300,
    "batch_size": True, "total_params": -1, "num_gpus": "x",
}  # fmt: skip
numbers = st.one_of(st.none(), st.floats(), st.sampled_from((0.0, -1.0, 1e300, 1e-300)))
whole = st.integers(0, 2**63 - 1)


@given(
    st.lists(
        st.one_of(
            st.builds(Step, time=st.floats(0, 1e10), step=whole, tokens=st.none() | whole, loss=numbers, lr=numbers,
                      step_time_ms=numbers, tokens_per_sec=numbers, tflops=numbers, mfu=numbers, mfu_causal=numbers,
                      mem_peak_gb=numbers, accuracy=numbers),
            st.builds(Eval, time=st.floats(0, 1e10), step=whole, tokens=st.none() | whole, loss=numbers,
                      perplexity=numbers, duration_ms=numbers),
            st.builds(End, time=st.floats(0, 1e10), status=st.just("completed"), step=whole, tokens=whole),
            st.sampled_from((
                run_record(load_config("gpt2-tiny"), "a", at=0.0),
                run_record(load_config("llama2-tiny", ["train.max_steps=none", "train.token_budget=1M"]), "a", at=0.0),
                Run(time=0.0, run_id="a", name="a", config=ABSURD, flops_per_token=1e-300, tokens_per_step=2**63 - 1),
            )),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_every_check_of_any_log_agrees_finds_something_or_says_what_is_missing(records: list[AnyRecord]) -> None:
    outcome = audit_of(records)
    outcomes = [*outcome.agreeing, *outcome.not_checked, *dict(outcome.findings)]
    assert sorted(outcomes) == sorted(check.name for check in CHECKS)
