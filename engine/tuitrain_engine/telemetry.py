"""Turns steps into records without stalling the device.

On CUDA the numbers of a step are copied to pinned memory without waiting and read one step late, when they are there
anyway, and steps are timed by events. Time between two step boundaries belongs to the step, whatever it was spent on
(data, telemetry, printing), except inside `paused()`.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
import torch
from torch import Tensor, nn

from tuitrain import accounting, events
from tuitrain.accounting import FlopsPerToken
from tuitrain.config.sections import TelemetryConfig

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
    world_size: int
    peak_tflops: float | None


@dataclass
class Totals:
    """What the whole run has amounted to; a checkpoint carries it on."""

    training_time_s: float = 0.0
    timed_steps: int = 0
    peak_memory_gb: float = 0.0
    wall_time_s: float = 0.0
    """Wall time of the attempts before this one, up to the checkpoint it continues from."""
    last_loss: float | None = None


@dataclass
class StepNumbers:
    """What a step leaves on the device: scalars, and the gradient statistics where they were due.

    loss_sum and correct are sums over the `targets` targets of the step.
    """

    loss_sum: Tensor
    targets: Tensor
    grad_norm: Tensor
    correct: Tensor | None = None
    gradients: Tensor | None = None
    """mean, standard deviation and largest magnitude, then one norm per block (embedding first, head last)."""


@dataclass
class _Pending:
    step: int
    tokens: int
    lr: float
    data_ms: float
    has_accuracy: bool
    values: Tensor
    begin: Mark
    end: Mark


@dataclass
class _Window:
    """Steps since the last `step` record."""

    losses: list[float] = field(default_factory=list)
    time_ms: float = 0.0
    data_ms: float = 0.0


class Telemetry:
    """Receives each step, writes `step` and `layers` records, and watches the loss and the utilisation."""

    def __init__(
        self,
        write: Callable[[events.Record], None],
        config: TelemetryConfig,
        scale: Scale,
        device: torch.device,
        total_steps: int,
        totals: Totals,
    ) -> None:
        self._write, self._config, self._scale = write, config, scale
        self._device, self._total_steps = device, total_steps
        self._cuda = device.type == "cuda"
        self.totals = totals
        self._pending: deque[_Pending] = deque()
        self._window = _Window()
        self._begin = self._mark()
        self._process = psutil.Process()
        self._warned_of_mfu = False

    def logs(self, step: int) -> bool:
        """Whether this step gets a `step` record."""
        return step % self._config.log_interval == 0 or step == self._total_steps

    def wants_gradients(self, step: int) -> bool:
        """Whether this step's gradient statistics are due; they go with a `step` record."""
        every = self._config.grad_stats_interval
        return every > 0 and step % every == 0 and self.logs(step)

    def finish_step(self, step: int, tokens: int, lr: float, data_s: float, numbers: StepNumbers) -> None:
        """Take a step's numbers; on CUDA those of the step before are read. Raises NonFiniteError."""
        parts = [numbers.loss_sum, numbers.targets, numbers.grad_norm]
        if numbers.correct is not None:
            parts.append(numbers.correct)
        values = torch.stack([part.detach().float() for part in parts])
        if numbers.gradients is not None:
            values = torch.cat((values, numbers.gradients))
        if self._cuda:
            values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)
        end = self._mark()
        self._pending.append(
            _Pending(
                step=step, tokens=tokens, lr=lr, data_ms=data_s * 1e3,
                has_accuracy=numbers.correct is not None, values=values, begin=self._begin, end=end,
            )
        )  # fmt: skip
        self._begin = end
        while len(self._pending) > (1 if self._cuda else 0):
            self._read(self._pending.popleft())

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Work that is no part of a step: records of finished steps are written first, the clock starts after."""
        self.drain()
        yield
        self._begin = self._mark()

    def drain(self) -> None:
        """Write what is still outstanding."""
        while self._pending:
            self._read(self._pending.popleft())

    def _mark(self) -> Mark:
        if not self._cuda:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _elapsed_ms(self, pending: _Pending) -> float:
        if isinstance(pending.begin, torch.cuda.Event) and isinstance(pending.end, torch.cuda.Event):
            pending.end.synchronize()
            return pending.begin.elapsed_time(pending.end)
        return (pending.end - pending.begin) * 1e3

    def _read(self, pending: _Pending) -> None:
        elapsed_ms = self._elapsed_ms(pending)
        loss_sum, targets, grad_norm, *others = pending.values.tolist()
        loss = loss_sum / targets
        window, totals = self._window, self.totals
        window.losses.append(loss)
        window.time_ms += elapsed_ms
        window.data_ms += pending.data_ms
        totals.training_time_s += elapsed_ms / 1e3
        totals.timed_steps += 1
        totals.last_loss = loss
        problem = None
        for what, value in (("loss", loss), ("gradient norm", grad_norm)):
            if problem is None and not math.isfinite(value):
                problem = NonFiniteError(what, value, pending.step)
        if self.logs(pending.step) or problem is not None:
            accuracy = others.pop(0) / targets if pending.has_accuracy else None
            self._log(pending, accuracy, grad_norm, others)
            self._window = _Window()
        if problem is not None:
            self._write(problem.alert())
            raise problem

    def _log(self, pending: _Pending, accuracy: float | None, grad_norm: float, stats: list[float]) -> None:
        window, scale = self._window, self._scale
        steps = len(window.losses)
        step_ms = window.time_ms / steps
        speed = scale.tokens_per_step / (step_ms / 1e3)
        flops, world = scale.flops_per_token, scale.world_size
        allocated, peak, reserved = self._memory()
        self.totals.peak_memory_gb = max(self.totals.peak_memory_gb, peak)
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
        if stats:
            record.grad_mean, record.grad_std, record.grad_max = stats[:3]
        self._write(record)
        if stats:
            self._write(events.Layers(step=pending.step, grad_norm=stats[3:]))
        if record.mfu is not None and record.mfu > 1.0 and not self._warned_of_mfu:
            self._warned_of_mfu = True
            message = (
                f"MFU is {record.mfu:.2f}, and more than 1 cannot be: the peak of {scale.peak_tflops:g} TFLOP/s is "
                "wrong for this device. Set hardware.peak_tflops."
            )
            self._write(events.Alert(level="warning", code="mfu_above_one", message=message, step=pending.step))

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


class GradientStatistics:
    """Mean, standard deviation and largest magnitude over all gradients, and a norm for each block."""

    def __init__(self, named_parameters: Iterable[tuple[str, nn.Parameter]], n_layers: int) -> None:
        named = list(named_parameters)
        self._parameters = [parameter for _, parameter in named]
        self._block_of = torch.tensor([_block(name, n_layers) for name, _ in named])
        self._n_blocks = n_layers + 2

    def measure(self) -> Tensor:
        """Float32 (3 + n_layers + 2,) on the gradients' device: mean, std, max |g|, then the block norms."""
        present = [(p.grad, i) for i, p in enumerate(self._parameters) if p.grad is not None]
        gradients = [gradient for gradient, _ in present]
        count = sum(gradient.numel() for gradient in gradients)
        mean = torch.stack([gradient.sum() for gradient in gradients]).sum() / count
        squares = torch.stack(torch._foreach_norm(gradients)).float().square()
        # aminmax rather than the infinity norm, which is ten times slower on CPU.
        extremes = [extreme for gradient in gradients for extreme in gradient.aminmax()]
        largest = torch.stack(extremes).float().abs().max()
        std = (squares.sum() / count - mean.square()).clamp(min=0).sqrt()
        blocks = self._block_of[[index for _, index in present]].to(squares.device)
        per_block = squares.new_zeros(self._n_blocks).index_add_(0, blocks, squares).sqrt()
        return torch.cat((torch.stack((mean.float(), std, largest)), per_block))


def _block(name: str, n_layers: int) -> int:
    """0 for the embedding, 1 … n_layers for the blocks, n_layers + 1 for the head."""
    part, _, rest = name.partition(".")
    if part == "blocks":
        return int(rest.split(".", 1)[0]) + 1
    return 0 if part == "embedding" else n_layers + 1
