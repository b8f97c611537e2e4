"""Logs with extreme numbers, for tests of charts and exports."""

from __future__ import annotations

import random

from tuitrain.events import AnyRecord, Checkpoint, Eval, Gpu, Layers, Run, Step, System
from tuitrain.runs import RunHistory

VALUES = (0.0, 1.0, -1.0, 2.5, 5e-324, -5e-324, 1e308, -1e308, 1e-300, 1e17, 1e150, float("nan"), float("inf"))
TIMES = (1.7e9, 1.7e9 + 1, 1e13, 1e18, 1e300, -1.0, -1e300, 0.0, 5e-324)
STEPS = (1, 2, 100, 2**53, 2**53 + 1, 2**60, 2**60 + 1, 2**60 + 5000, 2**63 - 1)
OF_STEPS = (
    "loss", "accuracy", "lr", "step_time_ms", "data_time_ms", "tokens_per_sec", "tflops", "mfu", "mem_allocated_gb",
    "mem_peak_gb", "grad_norm", "grad_mean", "grad_std", "grad_max", "param_norm", "update_norm", "step_time_max_ms",
    "rank_skew_ms",
)  # fmt: skip


def extreme_history(seed: int) -> RunHistory:
    """A log of up to 60 steps near one another or far apart, with values of a few kinds."""
    of = random.Random(seed)
    values, times = of.sample(VALUES, of.choice((2, 4, len(VALUES)))), of.choice((TIMES, (1.7e9,), (1e300, -1.0)))
    step = of.choice((0, 2**53, 2**60))
    records: list[AnyRecord] = [
        Run(
            time=of.choice(times), run_id="r", name="n", total_steps=of.choice((None, 0, 100, 2**60 + 5000)),
            flops_per_token=of.choice((None, 1e9, 1e308, -1.0)), token_budget=of.choice((None, 0, 2**62)),
        )
    ]  # fmt: skip
    for row in range(of.choice((1, 3, 60))):
        step = min(of.choice((step + 1, step + 1, step + 1, step + 1000, of.choice(STEPS))), 2**63 - 1)
        time = of.choice((1.7e9 + row, of.choice(times)))
        tokens = of.choice((64 * (step % 10**9), None, 2**63 - 1, 0))
        numbers = {key: of.choice(values) for key in OF_STEPS if of.random() < 0.8}
        records.append(Step(time=time, step=step, tokens=tokens, **numbers))
        if of.random() < 0.3:
            records += [
                Eval(time=time, step=step, loss=of.choice(values), perplexity=of.choice(values)),
                Layers(time=time, step=step, grad_norm=[of.choice(values) for _ in range(3)]),
                System(
                    time=time, host="h", cpu_percent=of.choice(values), ram_used_gb=of.choice(values),
                    gpus=[Gpu(index=0, util_percent=of.choice(values), power_w=of.choice(values))],
                ),
                Checkpoint(time=time, step=step, path="p"),
            ]  # fmt: skip
    history = RunHistory()
    history.absorb(records)
    return history
