"""Logs for the rules of alerts: a healthy training, and the same with one fault. All are synthetic and repeatable."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from tuitrain.events import AnyRecord, Eval, Gpu, Hardware, Layers, Run, Step, System

FAULT_STEP = 600
"""Where each fault begins."""
START = 1_700_000_000.0


def healthy(
    steps: int = 1000,
    *,
    seed: int = 1,
    step_s: float = 1.0,
    noise: float = 0.02,
    heavy: bool = False,
    every: int = 1,
    eval_every: int = 50,
    ranks: int = 4,
    change: Callable[[AnyRecord], AnyRecord | None] = lambda record: record,
) -> list[AnyRecord]:
    """A training on four GPUs: loss, validation, gradient norms, speed, memory and machine.

    noise: of the loss, as a share; heavy: with rare large values, as of single samples. change: makes the fault, record
    by record; None leaves a record out.
    """
    rng = random.Random(seed)
    records: list[AnyRecord] = [
        Run(time=START, run_id="a", name="a", total_steps=2 * steps,
            hardware=Hardware(device="NVIDIA H100", device_type="cuda", count=ranks, memory_gb=80.0)),
    ]  # fmt: skip

    def scatter() -> float:
        normal = rng.gauss(0, noise)
        # Student's t with 4 degrees of freedom.
        return normal / math.sqrt(sum(rng.gauss(0, 1) ** 2 for _ in range(4)) / 4) if heavy else normal

    for step in range(every, steps + 1, every):
        at = START + step * step_s
        trend = 2 + 8 * (step + 10) ** -0.5
        records.append(
            Step(time=at, step=step, tokens=step * 1000, loss=trend * (1 + scatter()),
                 lr=1e-3 * min(1.0, step / 100) * (1 - 0.4 * step / steps), step_time_ms=1000 * step_s,
                 tokens_per_sec=1000 / step_s * (1 + rng.gauss(0, 0.03)), mfu=0.4,
                 mem_allocated_gb=50.0 + rng.gauss(0, 0.01), mem_peak_gb=70.0,
                 grad_norm=(0.4 + 3 / (1 + step / 10)) * math.exp(rng.gauss(0, 0.2)), slowest_rank=rng.randrange(ranks),
                 rank_skew_ms=1000 * step_s * rng.uniform(0.01, 0.3))
        )  # fmt: skip
        if step % 10 == 0:
            norms = [rng.uniform(0.05, 0.3) for _ in range(6)]
            records.append(Layers(time=at, step=step, grad_norm=norms))
        if step % 5 == 0:
            gpus = [Gpu(index=index, mem_used_gb=78.5, mem_total_gb=80.0, temp_c=70.0, throttle=["sw_power_cap"],
                        ecc_uncorrected=2) for index in range(ranks)]  # fmt: skip
            records.append(
                System(time=at, host="node", cpu_percent=20.0, ram_used_gb=100 + rng.gauss(0, 1), ram_total_gb=512.0,
                       disk_used_gb=500 + 0.01 * step, disk_total_gb=2000.0, gpus=gpus)
            )  # fmt: skip
        if step % eval_every == 0:
            records.append(Eval(time=at + 0.5, step=step, loss=trend * 1.01 * (1 + rng.gauss(0, 0.003))))
    return [changed for record in records if (changed := change(record)) is not None]


def broken(fault: str, steps: int = 1000, **options: Any) -> list[AnyRecord]:
    """The same with one of FAULTS from FAULT_STEP on."""
    return healthy(steps, change=FAULTS[fault][1](), **options)


def _past(record: AnyRecord) -> float:
    """How many steps after the fault a record is; below 0 before."""
    step = getattr(record, "step", None)
    if isinstance(record, System):
        step = record.time - START
    return -1.0 if step is None else step - FAULT_STEP


def _each(make: Callable[[Any, float], None], *kinds: type) -> Callable[[], Callable[[AnyRecord], AnyRecord | None]]:
    """A change of the records of some kinds from the fault on."""

    def change(record: AnyRecord) -> AnyRecord | None:
        if isinstance(record, kinds) and _past(record) >= 0:
            make(record, _past(record))
        return record

    return lambda: change


def _set(**values: Any) -> Callable[[Any, float], None]:
    def make(record: Any, past: float) -> None:
        for key, value in values.items():
            setattr(record, key, value(record, past) if callable(value) else value)

    return make


def _gpus(**values: Any) -> Callable[[Any, float], None]:
    def make(record: Any, past: float) -> None:
        _set(**values)(record.gpus[1], past)

    return make


def _once(make: Callable[[Any, float], None]) -> Callable[[Any, float], None]:
    def only(record: Any, past: float) -> None:
        if past < 1:
            make(record, past)

    return only


def _pause() -> Callable[[AnyRecord], AnyRecord | None]:
    def change(record: AnyRecord) -> AnyRecord | None:
        if _past(record) > 0:
            record.time += 900
        return record

    return change


def _dead(record: Any, past: float) -> None:
    record.grad_norm[3] = 0.0


FAULTS: dict[str, tuple[str, Callable[[], Callable[[AnyRecord], AnyRecord | None]]]] = {
    "loss is nan": ("non_finite_loss", _each(_set(loss=math.nan), Step)),
    "loss is inf": ("non_finite_loss", _each(_once(_set(loss=math.inf)), Step)),
    "gradient is nan": ("non_finite_gradient", _each(_set(grad_norm=math.nan), Step)),
    "one spike": ("spike", _each(_once(_set(loss=lambda r, past: r.loss * 1.5)), Step)),
    "divergence, slow": ("divergence", _each(_set(loss=lambda r, past: r.loss * (1 + past / 150)), Step)),
    "plateau": ("plateau", _each(_set(loss=lambda r, past: 2.326 + (r.loss % 0.01)), Step)),
    "overfitting": ("overfitting", _each(_set(loss=lambda r, past: r.loss * (1 + past / 2000)), Eval)),
    "validation data in training": ("leak", lambda: _leak),
    "gradient explodes": ("gradient_explosion", _each(_once(_set(grad_norm=60.0)), Step)),
    "gradient grows": ("gradient_explosion", _each(_set(grad_norm=lambda r, p: r.grad_norm * 1.03**p), Step)),
    "gradient vanishes": ("gradient_vanishing", _each(_set(grad_norm=lambda r, p: r.grad_norm * 0.95**p), Step)),
    "dead layer": ("dead_layer", _each(_dead, Layers)),
    "half the speed": ("throughput_drop", _each(_set(tokens_per_sec=lambda r, p: r.tokens_per_sec / 2), Step)),
    "slow rank": ("straggler", _each(_set(slowest_rank=3, rank_skew_ms=lambda r, p: 0.4 * r.step_time_ms), Step)),
    "GPU memory full": ("memory", _each(_set(mem_peak_gb=78.0), Step)),
    "memory leak": ("memory_growth", _each(_set(mem_allocated_gb=lambda r, p: r.mem_allocated_gb + 0.04 * p), Step)),
    "disk fills up": ("disk", _each(_set(disk_used_gb=lambda r, p: r.disk_used_gb + 1.5 * p), System)),
    "GPU hot": ("gpu_hot", _each(_gpus(temp_c=91.0), System)),
    "GPU throttled": ("gpu_throttled", _each(_gpus(throttle=["hw_thermal"]), System)),
    "ECC error": ("gpu_error", _each(_gpus(ecc_uncorrected=3), System)),
    "XID error": ("gpu_error", _each(_once(_gpus(xids=[79])), System)),
    "pause of 15 minutes": ("stall", _pause),
}
"""By what is broken: the code of the alert, and what makes it."""


def _leak(record: AnyRecord) -> AnyRecord | None:
    if isinstance(record, Eval) and record.loss is not None:
        record.loss *= 0.7
    return record
