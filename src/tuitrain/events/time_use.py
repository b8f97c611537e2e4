"""Where the time between the first and the last record of a log went, as far as its records tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from tuitrain.events.records import AnyRecord, Checkpoint, Control, End, Eval, Run, Stage, Step
from tuitrain.events.requests import paused_since

COMPILING = ("compiling", "loading the kernels")
"""The engine's stages in which it compiles."""


@dataclass(frozen=True)
class TimeOutsideSteps:
    """Seconds that no step took.

    startup_s is the time from the first record of an attempt to its first step, without evaluations and compilation,
    and that of an attempt without a step; between_attempts_s that between two attempts; paused_s that from a pause
    until the run continues, without the evaluations and checkpoints in it.
    """

    startup_s: float = 0.0
    compile_s: float = 0.0
    evaluation_s: float = 0.0
    checkpoint_s: float = 0.0
    paused_s: float = 0.0
    between_attempts_s: float = 0.0


@dataclass
class TimeUse:
    """Where the time outside of the steps went, from the records in the order of the log.

    The time between two steps that no step took is that of the evaluations and checkpoints between them, as far as
    their durations explain it: a checkpoint that is written beside the training takes none. Where the log has no
    duration for them, all of it is theirs.
    """

    first: float | None = None
    """Unix seconds of the first record, and of the newest one."""
    last: float | None = None
    outside: TimeOutsideSteps = field(default_factory=TimeOutsideSteps)

    _has_run: bool = False
    _is_over: bool = False
    _from: float = 0.0
    """What came before this time in the attempt is accounted for."""
    _step: Step | None = None
    """The newest one of the attempt."""
    _begun: tuple[Step, float, bool] | None = None
    """The first step of the attempt until the second one comes, its seconds, and whether it is the first record."""
    _step_s: float = 0.0
    """What a step took lately."""
    _compiling_since: float | None = None
    _compiled_s: float = 0.0
    _durations: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Of the evaluations, the checkpoints and the pauses since the newest step."""
    _paused_since: float | None = None
    _untimed: tuple[bool, bool] = (False, False)
    """Whether any of them has no duration."""

    def absorb(self, record: AnyRecord) -> None:
        """Take in the next record of the log that is no step."""
        begins = isinstance(record, Stage) and (self._is_over or self._step is not None)
        if isinstance(record, Run) and record.update is not True:
            begins = self._has_run or self._is_over or self._step is not None
        if self.first is None or begins:
            self._begin(record.time)
        if self._is_over:
            return
        if self._compiling_since is not None and isinstance(record, Stage | Eval):
            self._compiled_s += max(0.0, record.time - self._compiling_since)
            self._compiling_since = None
        match record:
            case Run():
                self._has_run = True
            case Stage(stage=stage) if stage in COMPILING:
                self._compiling_since = record.time
            case Eval():
                self._add(0, record.duration_ms)
            case Checkpoint():
                self._add(1, record.duration_ms)
            case Control() | End():
                self._note_pause(record)
            case _:
                pass
        self.last = record.time
        if isinstance(record, End):
            self._settle(record.time - self._from)
            self._is_over = True

    def absorb_steps(self, steps: Sequence[Step]) -> None:
        """Take in steps that stand one after the other in the log."""
        first, newest = steps[0], steps[-1]
        each_s = self._step_s if first.step_time_ms is None else first.step_time_ms / 1000
        covered = 1.0 if self._step is None else max(0.0, float(first.step - self._step.step))
        began = first.time - each_s * covered
        if self.first is None or self._is_over:
            self._begin(began)
        if self._compiling_since is not None:
            self._compiled_s += max(0.0, began - self._compiling_since)
            self._compiling_since = None
        begins = self._step is None
        self._settle(began - self._from)
        if begins:
            self._begun = (first, each_s, self.first == began)
        if (
            self._begun is not None
            and (second := steps[1] if begins and len(steps) > 1 else first) is not self._begun[0]
        ):
            self._correct(second)
        self._step = newest
        known = (step.step_time_ms for step in reversed(steps) if step.step_time_ms is not None)
        self._step_s = next((each / 1000 for each in known), self._step_s)
        self._from = self.last = newest.time

    def _correct(self, second: Step) -> None:
        """The first record of an attempt stands for as many steps as the second, which took no time to start up."""
        assert self._begun is not None and self.first is not None
        (first, each_s, opens_log), self._begun = self._begun, None
        more = each_s * max(0.0, min(float(first.step), float(second.step - first.step)) - 1)
        if opens_log:
            self.first -= more
        else:
            self._take("startup_s", max(-more, -self.outside.startup_s))

    def so_far(self) -> TimeUse:
        """The same with what the records since the newest step explain, also where no further one has come yet."""
        state = TimeUse(**vars(self))
        if not state._is_over and state.last is not None:
            state._end_pause(state.last)
            state._settle(state.last - state._from)
        return state

    def _note_pause(self, record: Control | End) -> None:
        since = self._paused_since
        if isinstance(record, Control):
            self._paused_since = paused_since(record, since)
        if since is not None and (isinstance(record, End) or self._paused_since is None):
            self._paused_since = since
            self._end_pause(record.time)

    def _end_pause(self, time: float) -> None:
        if self._paused_since is not None:
            evaluated, saved, paused = self._durations
            self._durations = evaluated, saved, paused + max(0.0, time - self._paused_since)
            self._paused_since = None

    def _begin(self, time: float) -> None:
        """An attempt begins with a record of this time."""
        if self.first is None:
            self.first = time
        elif self.last is not None:
            if not self._is_over:
                self._end_pause(self.last)
                self._settle(self.last - self._from)
            self._take("between_attempts_s", max(0.0, time - self.last))
        self._from = self.last = time
        self._has_run = self._is_over = False
        self._step = self._begun = self._compiling_since = None
        self._compiled_s, self._durations, self._untimed = 0.0, (0.0, 0.0, 0.0), (False, False)
        self._paused_since = None

    def _add(self, kind: int, duration_ms: float | None) -> None:
        """Note an evaluation (0) or a checkpoint (1) since the newest step."""
        known, untimed = list(self._durations), list(self._untimed)
        if duration_ms is None or not duration_ms >= 0:
            untimed[kind] = True
        else:
            known[kind] += duration_ms / 1000
        self._durations, self._untimed = (known[0], known[1], known[2]), (untimed[0], untimed[1])

    def _settle(self, seconds: float) -> None:
        """Share out the seconds since the newest step, or since the attempt began, that no step took."""
        left = max(0.0, seconds)
        for kind, name in enumerate(("evaluation_s", "checkpoint_s", "paused_s")):
            taken = min(self._durations[kind], left)
            self._take(name, taken)
            left -= taken
        if self._step is None:
            compiled = min(self._compiled_s, left)
            self._take("compile_s", compiled)
            self._take("startup_s", left - compiled)
        elif self._untimed == (True, False):
            self._take("evaluation_s", left)
        elif self._untimed == (False, True):
            self._take("checkpoint_s", left)
        self._compiled_s, self._durations, self._untimed = 0.0, (0.0, 0.0, 0.0), (False, False)

    def _take(self, name: str, seconds: float) -> None:
        """Add seconds to those of this name."""
        if seconds:
            self.outside = replace(self.outside, **{name: getattr(self.outside, name) + seconds})
