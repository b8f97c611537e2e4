"""The rules of alerts and their defaults."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from tuitrain.alerts.condition import FORM as CONDITION_FORM
from tuitrain.alerts.spans import FORM as SPAN_FORM

Level = Literal["info", "warning", "critical"]
LEVELS: tuple[Level, ...] = get_args(Level)
Action = Literal["stop", "checkpoint"]

Positive = Annotated[float, Meta(gt=0, description="a number above 0")]
Share = Annotated[float, Meta(gt=0, lt=1, description="a number between 0 and 1")]
Several = Annotated[int, Meta(ge=1, description="a whole number from 1")]
Length = Annotated[str, Meta(description=SPAN_FORM)]
_Actions = Annotated[
    list[Action], Meta(description='"stop", "checkpoint" or both in a list; they are requests to a run of tuitrain')
]
_Levels = Annotated[Level, Meta(description=f"one of {', '.join(LEVELS)}")]
_Flag = Annotated[bool, Meta(description="true or false")]
_Command = Annotated[str, Meta(description="a command line in quotes; it is not given to a shell")]


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """What every rule has. cooldown: the least distance of two alerts of the rule. do, command: off unless given."""

    enabled: _Flag = True
    level: _Levels = "warning"
    cooldown: Length = "1,000 records"
    do: _Actions = []
    command: _Command = ""


class Nan(Rule, frozen=True, kw_only=True):
    """A loss that is nan or infinite; a gradient norm that is, so many times in a row.

    Mixed precision in float16 skips single steps with an infinite gradient and is healthy.
    """

    level: _Levels = "critical"
    gradients: Several = 3


class Spike(Rule, frozen=True, kw_only=True):
    """A loss far above its trend.

    z: in robust standard deviations of the residual; rise: and by this share of the trend; largest: and so many times
    the largest residual of the 64 records before.
    """

    cooldown: Length = "100 records"
    z: Positive = 8.0
    rise: Positive = 0.1
    largest: Positive = 3.0


class Divergence(Rule, frozen=True, kw_only=True):
    """A loss that stays above the lowest level it had.

    Of medians of 16 records two in a row lie above the lowest one: by this share of it, by z robust standard deviations
    and by a fifth of what the loss had fallen.
    """

    level: _Levels = "critical"
    rise: Positive = 0.25
    z: Positive = 4.0


class Plateau(Rule, frozen=True, kw_only=True):
    """A loss that has not fallen by `improvement`, a share of it, over the newest `share` of the records.

    Its noise considered: a fall that may be there is no plateau. records: over at least so many. A learning rate below
    a tenth of its highest, or a loss below a twentieth of its first level, is the end of a training and no plateau.
    """

    records: Several = 512
    share: Share = 0.4
    improvement: Share = 0.002


class Overfitting(Rule, frozen=True, kw_only=True):
    """A validation loss that lies above its lowest at so many evaluations in a row, and rises.

    rise: by this share of it; z: and by so many standard deviations of the noise from one evaluation to the next.
    """

    cooldown: Length = "10 evaluations"
    evaluations: Several = 3
    rise: Positive = 0.02
    z: Positive = 4.0


class Leak(Rule, frozen=True, kw_only=True):
    """A validation loss below the training loss by this share of it, at so many evaluations from the first on.

    The training loss is the median of the 8 records before, and its noise counts; between two evaluations there are to
    be 4 of them.
    """

    evaluations: Several = 3
    gap: Share = 0.15


class GradientExplosion(Rule, frozen=True, kw_only=True):
    """A gradient norm so many times the median of the 64 records before, or a level that is of the lowest level."""

    cooldown: Length = "100 records"
    factor: Positive = 20.0


class GradientVanishing(Rule, frozen=True, kw_only=True):
    """A level of the gradient norm, the median of 16 records, below this share of the highest level."""

    share: Share = 1e-4


class DeadLayer(Rule, frozen=True, kw_only=True):
    """A block whose gradient norm is below this share of the median of all blocks, in so many records in a row."""

    records: Several = 3
    share: Share = 1e-6


class ThroughputDrop(Rule, frozen=True, kw_only=True):
    """Throughput below this share of the median of the 256 records before: for so many records and seconds.

    Where a log has none, MFU; else the inverse of the step time.
    """

    cooldown: Length = "100 records"
    share: Share = 0.7
    records: Several = 8
    seconds: Positive = 10.0


class Straggler(Rule, frozen=True, kw_only=True):
    """One rank for which the others wait longer than this share of a step, in so many records in a row."""

    share: Share = 0.2
    records: Several = 10


class Memory(Rule, frozen=True, kw_only=True):
    """Memory above this share of what there is: of the GPU its allocator's peak, of the machine so many readings."""

    share: Share = 0.95
    readings: Several = 3


class MemoryGrowth(Rule, frozen=True, kw_only=True):
    """Allocated memory that rises in eight levels of 16 records in a row, by this share of what there is.

    Where the number of steps is known: and would be full before the last.
    """

    share: Share = 0.02


class Disk(Rule, frozen=True, kw_only=True):
    """A file system of the run directory that is full within so many hours at the pace of the last half hour.

    Or has less than free_gb left.
    """

    cooldown: Length = "1 h"
    hours: Positive = 2.0
    free_gb: Positive = 1.0


class GpuHot(Rule, frozen=True, kw_only=True):
    """A GPU at this temperature or above, in so many readings in a row."""

    cooldown: Length = "1 h"
    celsius: Positive = 88.0
    readings: Several = 3


class GpuThrottled(Rule, frozen=True, kw_only=True):
    """A GPU that lowers its clocks for heat or for the power supply, in so many readings in a row.

    The limit of its own power budget is normal under load and does not count.
    """

    cooldown: Length = "1 h"
    readings: Several = 6


class GpuError(Rule, frozen=True, kw_only=True):
    """An uncorrected ECC error or an XID error that NVML reports since the run began."""

    level: _Levels = "critical"
    cooldown: Length = "0 s"


class Stall(Rule, frozen=True, kw_only=True):
    """No record but those of the machine for far longer than the run's own pace.

    factor: of the median time between the newest 64 steps; and three times the longest pause so far; and seconds.
    forget: a silent run that may be over is one no longer so long after.
    """

    cooldown: Length = "0 s"
    factor: Positive = 20.0
    seconds: Positive = 120.0
    forget: Length = "1 h"


class Crash(Rule, frozen=True, kw_only=True):
    """A run that failed, or whose process is gone without an `end` record."""

    level: _Levels = "critical"
    cooldown: Length = "0 s"


class End(Rule, frozen=True, kw_only=True):
    """The end of a run that completed or was stopped."""

    level: _Levels = "info"
    cooldown: Length = "0 s"


class When(Rule, frozen=True, kw_only=True):
    """A condition of one's own on a metric, under its name."""

    condition: Annotated[str, Meta(description=CONDITION_FORM)]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """All rules, and where alerts are sent.

    notify: URLs of apprise; command: started for each alert; notify_level: the least level that is sent.
    """

    nan: Nan = Nan()
    spike: Spike = Spike()
    divergence: Divergence = Divergence()
    plateau: Plateau = Plateau()
    overfitting: Overfitting = Overfitting()
    leak: Leak = Leak()
    gradient_explosion: GradientExplosion = GradientExplosion()
    gradient_vanishing: GradientVanishing = GradientVanishing()
    dead_layer: DeadLayer = DeadLayer()
    throughput_drop: ThroughputDrop = ThroughputDrop()
    straggler: Straggler = Straggler()
    memory: Memory = Memory()
    memory_growth: MemoryGrowth = MemoryGrowth()
    disk: Disk = Disk()
    gpu_hot: GpuHot = GpuHot()
    gpu_throttled: GpuThrottled = GpuThrottled()
    gpu_error: GpuError = GpuError()
    stall: Stall = Stall()
    crash: Crash = Crash()
    end: End = End()
    when: dict[str, When] = {}
    notify: Annotated[list[str], Meta(description="a URL of apprise in quotes, or a list of them")] = []
    command: _Command = ""
    notify_level: _Levels = "warning"

    def rule_of(self, code: str) -> Rule | None:
        """The rule whose alerts have this code; None for one that only the log of a run knows."""
        return self.when.get(code) or getattr(self, CODES.get(code, ""), None)

    def all_rules(self) -> list[Rule]:
        """The built-in ones and the conditions."""
        return [*(getattr(self, name) for name in RULES), *self.when.values()]


RULES: dict[str, type[Rule]] = {
    field.name: field.type
    for field in msgspec.structs.fields(Rules)
    if isinstance(field.type, type) and issubclass(field.type, Rule)
}
"""The built-in rules by name."""
DELIVERY = ("notify", "command", "notify_level")
CODES = {name: name for name in RULES} | {
    "non_finite_loss": "nan", "non_finite_gradient": "nan", "non_finite_val_loss": "nan", "failed": "crash",
    "completed": "end", "stopped": "end",
}  # fmt: skip
"""The rule of each code."""
