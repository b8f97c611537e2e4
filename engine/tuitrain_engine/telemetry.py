"""Turns steps into records without stalling the device.

On CUDA the numbers of a step are copied to pinned memory without waiting and read one step late, when they are there
anyway, and steps are timed by events. Time between two step boundaries belongs to the step, whatever it was spent on
(data, telemetry, printing), except inside `paused()`.

Several processes put their sums, their times and the requests they have met into one small vector that all gather on
the device, so that every process reads the same numbers at the same step and acts on a request at the same boundary.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch
from torch import Tensor

from tuitrain import accounting, events
from tuitrain.accounting import FlopsPerToken
from tuitrain.config.sections import TelemetryConfig
from tuitrain_engine.control import from_number, to_number
from tuitrain_engine.parallel import World
from tuitrain_engine.rank_times import RankTimes

GB = 1e9
Mark = float | torch.cuda.Event


class NonFiniteError(RuntimeError):
    """The loss, the gradient norm or the validation loss of a step is nan or infinite."""

    def __init__(self, what: str, value: float, step: int) -> None:
        super().__init__(f"The {what} is {value} at step {step}.")
        self.what, self.step = what, step

    def alert(self) -> events.Alert:
        """The record that says so."""
        message = f"{self} Training stopped; a lower optim.lr, a longer warmup or train.grad_clip may help."
        code = {"loss": "non_finite_loss", "gradient norm": "non_finite_gradient"}.get(self.what, "non_finite_val_loss")
        return events.Alert(level="critical", code=code, message=message, step=self.step)


@dataclass(frozen=True)
class Scale:
    """What turns time into throughput and utilisation. peak_tflops is of one device, None when unknown."""

    tokens_per_step: int
    flops_per_token: FlopsPerToken
    peak_tflops: float | None


@dataclass
class StepNumbers:
    """The results of a step on the device: scalars, and the measurements that were due.

    loss_sum and correct are sums over the `targets` targets of this process; the rest is the same on all processes.
    """

    loss_sum: Tensor
    targets: Tensor
    grad_norm: Tensor
    correct: Tensor | None = None
    gradients: Tensor | None = None
    """`Gradients.measure`: mean, standard deviation, largest magnitude, non-finite elements, then block norms."""
    update: Tensor | None = None
    """`Gradients.measure_update`: block norms of the parameters, then of their update."""


@dataclass
class _Pending:
    step: int
    tokens: int
    lr: float
    data_ms: float
    has_accuracy: bool
    lengths: dict[str, int]
    """The number of `values` of each measurement, in order."""
    values: Tensor
    begin: Mark
    waits: Mark
    end: Mark


@dataclass
class _Window:
    """Steps since the last `step` record."""

    losses: list[float] = field(default_factory=list)
    time_ms: float = 0.0
    data_ms: float = 0.0
    ranks: list[tuple[list[float], list[float]]] = field(default_factory=list)
    """Step time and time before waiting of every process, milliseconds, one pair a step."""


# What processes exchange at each step. Times are those of the previous step: a step's own are not known yet.
_EXCHANGED = ("loss_sum", "targets", "correct", "step_ms", "before_wait_ms", "requests", "saved")


class Telemetry:
    """Receives each step, writes `step` and `layers` records, and watches the loss and the utilisation."""

    def __init__(
        self,
        write: Callable[[events.Record], None],
        config: TelemetryConfig,
        scale: Scale,
        world: World,
        device: torch.device,
        total_steps: int,
    ) -> None:
        self._write, self._config, self._scale, self._world = write, config, scale, world
        self._device, self._total_steps = device, total_steps
        self._cuda = device.type == "cuda"
        self.rank_times = RankTimes()
        self._pending: _Pending | None = None
        self._window = _Window()
        self._begin = self._waits = self._mark()
        self._times_ms = (math.nan, math.nan)
        self._requests: dict[str, str] = {}
        self._saved = False
        self._process = psutil.Process()
        self._warned_of_mfu = False

    def logs(self, step: int) -> bool:
        """Whether this step gets a `step` record."""
        return step % self._config.log_interval == 0 or step == self._total_steps

    def wants_gradients(self, step: int) -> bool:
        """Whether this step's gradient statistics are due; they belong to a `step` record."""
        every = self._config.grad_stats_interval
        return every > 0 and step % every == 0 and self.logs(step)

    def before_wait(self) -> None:
        """Mark that from now on the step waits for the other processes."""
        if self._world.size > 1:
            self._waits = self._mark()

    def finish_step(
        self,
        step: int,
        tokens: int,
        lr: float,
        data_s: float,
        numbers: StepNumbers,
        requests: dict[str, str],
        saved: bool = False,
    ) -> None:
        """Record a step's numbers and the requests to this process; on CUDA those of the step before are read first.

        saved: whether this process has written its part of the checkpoint that is under way.

        Raises NonFiniteError, on all processes at the same step.
        """
        self.drain()
        parts = {
            "exchanged": self._exchange(numbers, requests, saved),
            "grad_norm": numbers.grad_norm,
            "gradients": numbers.gradients,
            "update": numbers.update,
        }
        present = {name: part.detach().float().reshape(-1) for name, part in parts.items() if part is not None}
        values = torch.cat(list(present.values()))
        if self._cuda:
            values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)
        end = self._mark()
        self._pending = _Pending(
            step=step, tokens=tokens, lr=lr, data_ms=data_s * 1e3, has_accuracy=numbers.correct is not None,
            lengths={name: len(part) for name, part in present.items()}, values=values,
            begin=self._begin, waits=self._waits, end=end,
        )  # fmt: skip
        self._begin = self._waits = end
        if not self._cuda:
            self.drain()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Work that is no part of a step: records of finished steps are written first, the clock starts after.

        Every process pauses at the same step boundary, whoever works: the clocks of all start when the last is done.
        """
        self.drain()
        yield
        self._world.wait()
        self._begin = self._waits = self._mark()

    def drain(self) -> None:
        """Write the records that are still pending."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._read(pending)

    def pop_requests(self) -> dict[str, str]:
        """Requests known to every process since the last call, with their origins."""
        requests, self._requests = self._requests, {}
        return requests

    def pop_saved(self) -> bool:
        """Whether every process knows, since the last call, that the main one has written its checkpoint."""
        saved, self._saved = self._saved, False
        return saved

    def _exchange(self, numbers: StepNumbers, requests: dict[str, str], saved: bool) -> Tensor:
        """`_EXCHANGED` of every process as (processes, 7), on the device."""
        mine = torch.stack(
            [part.detach().float() for part in (numbers.loss_sum, numbers.targets, numbers.correct) if part is not None]
        )
        known = [0.0] * (numbers.correct is None) + [*self._times_ms, float(to_number(requests)), float(saved)]
        return self._world.gather(torch.cat((mine, torch.tensor(known).to(mine.device, non_blocking=True))))

    def _mark(self) -> Mark:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @staticmethod
    def _elapsed_ms(begin: Mark, end: Mark) -> float:
        if isinstance(begin, torch.cuda.Event) and isinstance(end, torch.cuda.Event):
            end.synchronize()
            return begin.elapsed_time(end)
        return (end - begin) * 1e3

    def _read(self, pending: _Pending) -> None:
        elapsed_ms = self._elapsed_ms(pending.begin, pending.end)
        self._times_ms = (elapsed_ms, self._elapsed_ms(pending.begin, pending.waits))
        values = dict(zip(pending.lengths, pending.values.split(list(pending.lengths.values())), strict=True))
        exchanged = dict(zip(_EXCHANGED, values["exchanged"].view(-1, len(_EXCHANGED)).T.tolist(), strict=True))
        for number in exchanged["requests"]:
            self._requests |= from_number(int(number))
        self._saved |= bool(exchanged["saved"][0])
        targets = sum(exchanged["targets"])
        loss, grad_norm = sum(exchanged["loss_sum"]) / targets, float(values["grad_norm"])
        window = self._window
        window.losses.append(loss)
        window.time_ms += elapsed_ms
        window.data_ms += pending.data_ms
        if not math.isnan(exchanged["step_ms"][0]):
            window.ranks.append((exchanged["step_ms"], exchanged["before_wait_ms"]))
            if self._world.size > 1:
                self.rank_times.add(exchanged["step_ms"], exchanged["before_wait_ms"])
        problem = None
        for what, value in (("loss", loss), ("gradient norm", grad_norm)):
            if problem is None and not math.isfinite(value):
                problem = NonFiniteError(what, value, pending.step)
        if self.logs(pending.step) or problem is not None:
            accuracy = sum(exchanged["correct"]) / targets if pending.has_accuracy else None
            self._log(pending, accuracy, grad_norm, values)
            self._window = _Window()
        if problem is not None:
            self._write(problem.alert())
            raise problem

    def _log(self, pending: _Pending, accuracy: float | None, grad_norm: float, values: dict[str, Tensor]) -> None:
        window, scale, world = self._window, self._scale, self._world.size
        steps = len(window.losses)
        step_ms = window.time_ms / steps
        speed = scale.tokens_per_step / (step_ms / 1e3)
        flops = scale.flops_per_token
        allocated, peak, reserved = self._memory()
        record = events.Step(
            step=pending.step,
            tokens=pending.tokens,
            loss=sum(window.losses) / steps,
            accuracy=accuracy,
            lr=pending.lr,
            step_time_ms=step_ms,
            data_time_ms=window.data_ms / steps,
            tokens_per_sec=speed,
            tflops=accounting.achieved_tflops(speed, flops.full, world),
            mfu=accounting.mfu(speed, flops.full, world, scale.peak_tflops),
            mfu_causal=accounting.mfu(speed, flops.causal, world, scale.peak_tflops),
            mem_allocated_gb=allocated,
            mem_peak_gb=peak,
            mem_reserved_gb=reserved,
            grad_norm=grad_norm,
        )
        if world > 1 and window.ranks:
            _add_slowest(record, window.ranks)
        layers = events.Layers(step=pending.step)
        if "gradients" in values:
            mean, std, largest, non_finite, *layers.grad_norm = values["gradients"].tolist()
            record.grad_mean, record.grad_std, record.grad_max = mean, std, largest
            record.grad_nonfinite = int(non_finite)
        if "update" in values:
            _add_update(record, layers, values["update"])
        self._write(record)
        if layers.grad_norm:
            self._write(layers)
        self._check_mfu(record)

    def _check_mfu(self, record: events.Step) -> None:
        if record.mfu is not None and record.mfu > 1.0 and not self._warned_of_mfu:
            self._warned_of_mfu = True
            message = (
                f"MFU is {record.mfu:.2f}, and cannot exceed 1: the peak of {self._scale.peak_tflops:g} TFLOP/s "
                "is wrong for this device. Set hardware.peak_tflops."
            )
            self._write(events.Alert(level="warning", code="mfu_above_one", message=message, step=record.step))

    def _memory(self) -> tuple[float, float, float | None]:
        """Allocated, peak and reserved GB: of the device, or on CPU of this process (reserved: None)."""
        if self._cuda:
            stats = torch.cuda.memory_stats(self._device)
            keys = ("allocated_bytes.all.current", "allocated_bytes.all.peak", "reserved_bytes.all.current")
            allocated, peak, reserved = (stats.get(key, 0) / GB for key in keys)
            return allocated, peak, reserved
        resident = self._process.memory_info().rss
        unit = 1 if sys.platform == "darwin" else 1024
        largest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return resident / GB, max(resident, largest) / GB, None


def _add_slowest(record: events.Step, ranks: list[tuple[list[float], list[float]]]) -> None:
    """The longest step time of any process, and which one the others waited for: means over the window."""
    step_ms, before_wait_ms = (
        [sum(times) / len(ranks) for times in zip(*column, strict=True)] for column in zip(*ranks, strict=True)
    )
    record.step_time_max_ms = max(step_ms)
    record.slowest_rank = max(range(len(before_wait_ms)), key=before_wait_ms.__getitem__)
    record.rank_skew_ms = max(before_wait_ms) - min(before_wait_ms)


def _add_update(record: events.Step, layers: events.Layers, norms: Tensor) -> None:
    """Norms of parameters and of their update, of all and by block; the ratio is what an update changes a weight by."""
    parameters, updates = norms.view(2, -1)
    record.param_norm, record.update_norm = parameters.norm().item(), updates.norm().item()
    layers.param_norm, layers.update_norm = parameters.tolist(), updates.tolist()
    layers.update_ratio = (updates / parameters).tolist()
