"""What a run wrote beside its steps, without what a later attempt did again: evaluations, samples, checkpoints, layers.

What supersedes what is decided by the order of the records in the log; not by clocks, which may be set
back during a run, and differ between machines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Generic, TypeVar

from tuitrain.events import Checkpoint, Eval, Layers, Sample
from tuitrain.events.own_metrics import combined

VALIDATION, TRAINING = "val", "train"
"""The names of the split that is held out, and of the one that is trained on."""

R = TypeVar("R", Eval, Sample, Checkpoint, Layers)
_STEP = attrgetter("step")


@dataclass
class Results(Generic[R]):
    """Records of one kind in the order of their steps.

    A record replaces those at its step and later ones. With `several_of`, the name of a field, it replaces of its own
    step only those with the same value there.
    """

    several_of: str | None = None
    records: list[R] = field(default_factory=list)
    earlier: int = 0
    """How many of them, at the front, were written before the newest restart."""
    _step: int = -1
    _values: set[object] = field(default_factory=set)
    """What the records of the newest step, `_step`, have in the field `several_of`, and perhaps more that is gone."""

    def add(self, record: R) -> None:
        """Add a record."""
        records = self.records
        while records and records[-1].step > record.step:
            records.pop()
        if self._is_new_beside(record):
            self.earlier = min(self.earlier, len(records))
            records.append(record)
            return
        start = len(records)
        while start and records[start - 1].step == record.step:
            start -= 1
        kept = [self._differ(other, record) for other in records[start:]]
        if isinstance(record, Eval) and start < len(records) and self.earlier <= len(records) - 1:
            record = combined(records[-1], record)
        self.earlier = min(self.earlier, start) + sum(kept[: max(self.earlier - start, 0)])
        records[start:] = [other for other, keep in zip(records[start:], kept, strict=True) if keep]
        records.append(record)

    def _is_new_beside(self, record: R) -> bool:
        """Whether it replaces no record of its own step, without a loop over all of them."""
        if self.several_of is None:
            return False
        if not self.records or self.records[-1].step != record.step or self._step != record.step:
            self._step, self._values = record.step, set()
            for other in reversed(self.records):
                if other.step != record.step:
                    break
                self._values.add(getattr(other, self.several_of))
        value = getattr(record, self.several_of)
        if value in self._values:
            return False
        self._values.add(value)
        return True

    def begin(self) -> None:
        """Further records are of another attempt."""
        self.earlier = len(self.records)

    def restart(self, step: int) -> None:
        """The new attempt begins with this step: what the ones before it left from there on goes."""
        first = bisect_left(self.records, step, hi=self.earlier, key=_STEP)
        del self.records[first : self.earlier]
        self.earlier = first

    def thin(self) -> None:
        """Leave out every second record."""
        self.earlier = (self.earlier + 1) // 2
        del self.records[1::2]

    def _differ(self, one: R, other: R) -> bool:
        return self.several_of is not None and getattr(one, self.several_of) != getattr(other, self.several_of)


@dataclass
class RunResults:
    """All results of a run. `evals` are by split, in the order of the first evaluation of each.

    has_steps: whether the attempt has one: the first after a `run` or an `end` record is a restart, as is one that goes
    back. What an attempt wrote before its first step is its own, and stays.
    """

    evals: dict[str, Results[Eval]] = field(default_factory=dict)
    samples: Results[Sample] = field(default_factory=lambda: Results("prompt"))
    checkpoints: Results[Checkpoint] = field(default_factory=Results)
    layers: Results[Layers] = field(default_factory=Results)
    has_steps: bool = False

    def begin(self) -> None:
        """An attempt has begun or ended: further records are of another one."""
        self.has_steps = False
        for results in self._all():
            results.begin()

    def restart(self, step: int) -> None:
        """The first step of an attempt, or one that goes back."""
        if self.has_steps:
            self.begin()
        for results in self._all():
            results.restart(step)
        self.has_steps = True

    def add(self, record: Eval | Sample | Checkpoint | Layers) -> None:
        """Add a result."""
        match record:
            case Eval():
                self.evals.setdefault(record.split, Results()).add(record)
            case Sample():
                self.samples.add(record)
            case Checkpoint():
                self.checkpoints.add(record)
            case Layers():
                self.layers.add(record)

    @property
    def splits(self) -> list[str]:
        """The splits that have evaluations, the first one first."""
        return [split for split, results in self.evals.items() if results.records]

    def evaluations(self, split: str | None) -> list[Eval]:
        """The evaluations of a split in the order of their steps; empty for an unknown split."""
        results = self.evals.get(split) if split is not None else None
        return results.records if results is not None else []

    def _all(self) -> tuple[Results[Eval] | Results[Sample] | Results[Checkpoint] | Results[Layers], ...]:
        return (*self.evals.values(), self.samples, self.checkpoints, self.layers)


def validation_split(splits: Iterable[str]) -> str | None:
    """The split whose loss is the validation loss: `val`, else the first of the others, `train` only where it is alone.

    None without any.
    """
    names = list(splits)
    if VALIDATION in names:
        return VALIDATION
    return next((split for split in names if split != TRAINING), names[0] if names else None)
