"""Histories of round numbers, so that results can be computed by hand."""

from __future__ import annotations

from typing import Any

from tuitrain.analysis.compare import Comparison
from tuitrain.analysis.metric_rows import MetricRow
from tuitrain.events import Architecture, Eval, Hardware, Parallel, Run, Step
from tuitrain.runs import RunHistory


def run_record(**changes: Any) -> Run:
    """A run of 10 steps of 100 tokens on one device."""
    facts: dict[str, Any] = {
        "time": 0.0,
        "run_id": "a-20260101-000000-aaaa",
        "name": "a",
        "config": {"data": {"source": "stdlib", "tokenizer": "byte"}, "optim": {"lr": 0.1}},
        "architecture": Architecture(name="1L", params_total=1000, vocab_size=256),
        "flops_per_token": 6e9,
        "tokens_per_step": 100,
        "total_steps": 10,
        "token_budget": 2000,
        "hardware": Hardware(device="GPU", peak_tflops=1.0),
        "parallel": Parallel(strategy="single"),
    }
    return Run(**{**facts, **changes})


def history(
    *,
    steps: int = 10,
    every: int = 1,
    step_ms: float = 1000.0,
    loss: float = 2.0,
    evals: tuple[tuple[int, float], ...] = (),
    tokens_per_step: int = 100,
    **changes: Any,
) -> RunHistory:
    """Steps of one duration and one loss; evaluations are (step, loss)."""
    made = RunHistory()
    made.absorb([run_record(**changes)])
    rate = 1000 * tokens_per_step / step_ms
    records: list[Step | Eval] = [
        Step(time=float(step), step=step, tokens=step * tokens_per_step, loss=loss, accuracy=0.5, lr=0.1,
             step_time_ms=step_ms, tokens_per_sec=rate, mfu=rate / 1000, tflops=rate / 1000, mem_peak_gb=3.0)
        for step in range(every, steps + 1, every)
    ]  # fmt: skip
    records += [Eval(time=step + 0.5, step=step, tokens=step * tokens_per_step, loss=value) for step, value in evals]
    made.absorb(sorted(records, key=lambda record: record.time))
    return made


def row(comparison: Comparison, key: str) -> MetricRow:
    """The row of a metric."""
    return next(each for each in comparison.metrics if each.metric.key == key)
