"""The checks of an audit, in the order in which they are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tuitrain.audit.audited_log import AuditedLog
from tuitrain.audit.batch import find_batch, find_tokens
from tuitrain.audit.finding import Finding
from tuitrain.audit.gpu_peaks import find_peak
from tuitrain.audit.learning import find_schedule
from tuitrain.audit.losses import find_bits_per_byte, find_first_loss, find_leak, find_perplexity
from tuitrain.audit.order import find_clock, find_steps
from tuitrain.audit.ranges import find_ranges
from tuitrain.audit.sizes import find_flops, find_parameters
from tuitrain.audit.speed import find_throughput
from tuitrain.audit.step_times import find_evaluation_time, find_step_clock
from tuitrain.audit.utilisation import find_mfu, find_mfu_above_one, find_tflops


@dataclass(frozen=True)
class Check:
    """One comparison. find raises NotCheckedError where the log lacks an input."""

    name: str
    compares: str
    tolerance: str
    find: Callable[[AuditedLog], Iterable[Finding]]


CHECKS: tuple[Check, ...] = (
    Check("parameters", "parameters and the shapes of the architecture", "0.5 %", find_parameters),
    Check("flops", "FLOPs per token and the shapes, or the parameters (6N and attention)", "0.5 %", find_flops),
    Check("batch", "tokens per step, global batch, and micro-batch × accumulation × processes", "exact", find_batch),
    Check("tokens", "cumulative tokens and steps × tokens per step", "exact", find_tokens),
    Check("throughput", "tokens/s, tokens per step and step time", "0.5 %", find_throughput),
    Check("tflops", "TFLOP/s and tokens/s × FLOPs per token", "0.5 %", find_tflops),
    Check("mfu", "MFU, TFLOP/s (or tokens/s × FLOPs per token) and the peak", "0.5 %", find_mfu),
    Check("mfu-limit", "MFU, stated and as it follows from the speed, and 1", "none", find_mfu_above_one),
    Check("peak", "peak of the device, stated or implied, and the table of dense peaks", "1.2 %", find_peak),
    Check("step-clock", "sum of the step times and the clock", "5 %, one step and 2 s", find_step_clock),
    Check("evaluation-time", "times of steps at evaluations and of the others", "1.5 times", find_evaluation_time),
    Check("steps", "steps that are missing, written twice, or go back", "none", find_steps),
    Check("clock", "times of records in the order they were written", "1 s", find_clock),
    Check("perplexity", "perplexity and exp(loss)", "0.5 %", find_perplexity),
    Check(
        "bits-per-byte", "bits per byte, loss, and the targets and bytes of an evaluation", "0.5 %", find_bits_per_byte
    ),
    Check("schedule", "learning rate and the schedule of the configuration", "0.5 % of the peak", find_schedule),
    Check("first-loss", "loss of the untrained model and ln(vocabulary)", "0.75 to 1.5 times", find_first_loss),
    Check("leak", "loss of held-out text and of training after it", "5 % and 0.05", find_leak),
    Check("ranges", "shares, times, norms and memory, and what they can be", "none", find_ranges),
)
"""Tolerances are those for a log of the engine; what rounding to the digits of a number can make comes on top."""
