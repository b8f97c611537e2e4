"""Which of our metrics a metric of another tool is, and why."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache

from tuitrain.events import Eval, Step
from tuitrain.readers.text import number

VALIDATION = "val"
GIB = 2**30 / 1e9
"""GB in a GiB; GB is 10⁹ bytes."""
_GROUPS = frozenset({
    "train", "training", "trainer", "inner", "optim", "optimizer", "opt", "perf", "speed", "throughput", "stats",
    "memory", "mem", "system", "device", "metrics", "metric", "scalars", "logs", "values", "actor",
    "cuda",
})  # fmt: skip
"""Words before the name of a metric that only say where it belongs."""
_EVALUATION = {
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "eval": "val", "evaluation": "val",
    "dev": "val", "test": "test",
}  # fmt: skip
_NAMES: dict[str, tuple[str, float]] = {
    **dict.fromkeys(
        ("loss", "lm loss", "train loss", "training loss", "loss out", "crossentropyloss", "cross entropy loss",
         "ce loss", "nll loss", "global avg loss", "avg loss", "average loss", "total loss", "epoch loss", "losses",
         "reduced train loss", "step loss"), ("loss", 1.0),
    ),
    **dict.fromkeys(
        ("accuracy", "acc", "token accuracy", "mean token accuracy", "epoch accuracy", "accuracies", "accs"),
        ("accuracy", 1.0),
    ),
    **dict.fromkeys(("accuracy percent", "acc percent"), ("accuracy", 0.01)),
    **dict.fromkeys(("perplexity", "ppl"), ("perplexity", 1.0)),
    **dict.fromkeys(("lr", "learning rate"), ("lr", 1.0)),
    **dict.fromkeys(("grad norm", "gradient norm", "gnorm", "total grad norm", "global norm", "global grad norm",
                     "norm"), ("grad_norm", 1.0)),
    **dict.fromkeys(
        ("tokens", "total tokens", "num tokens", "tokens seen", "n tokens", "trained tokens", "consumed tokens",
         "num input tokens seen", "total trained tokens"), ("tokens", 1.0),
    ),
    **dict.fromkeys(("tokens per sec", "tokens per second", "tok s", "tok sec", "tokens sec", "tokens s", "wps",
                     "tokens per s", "tok per s", "tok per sec", "tps", "tgs", "tokens s device",
                     "tokens per second per gpu"), ("tokens_per_sec", 1.0)),
    **dict.fromkeys(("mfu", "bf16 mfu", "mfu actor"), ("mfu", 1.0)),
    "mfu percent": ("mfu", 0.01), "bf16 mfu percent": ("mfu", 0.01),
    **dict.fromkeys(("tflops", "achieved tflops", "tflops per gpu", "tflop s", "tflop s device",
                     "model tflops per gpu"), ("tflops", 1.0)),
    **dict.fromkeys(("step time ms", "iter time ms", "time ms", "dt ms", "elapsed time per iteration ms",
                     "step avg ms"), ("step_time_ms", 1.0)),
    **dict.fromkeys(("step time", "step time s", "iter time s", "curr iter time", "time per step s",
                     "train step timing in s", "timing s step"),
                    ("step_time_ms", 1000.0)),
    **dict.fromkeys(("data load time", "data time s"), ("data_time_ms", 1000.0)),
    "data time ms": ("data_time_ms", 1.0),
    **dict.fromkeys(("peak mem", "peak mem gb", "peak memory gb", "mem peak gb", "max memory gb", "memory peak gb",
                     "max memory allocated gb"), ("mem_peak_gb", 1.0)),
    **dict.fromkeys(("peak gpu memory mb", "peak memory mb"), ("mem_peak_gb", 1e-3)),
    **dict.fromkeys(("memory gib", "max active gib", "max allocated gib", "peak memory gib", "peak mem gib",
                     "peak memory active", "peak memory alloc"), ("mem_peak_gb", GIB)),
    **dict.fromkeys(("memory allocated gb", "allocated gb", "mem allocated gb", "mem gb", "memory gb", "gpu mem gb"),
                    ("mem_allocated_gb", 1.0)),
    **dict.fromkeys(("mem gib", "gpu mem gib", "allocated gib", "mem allocated gib"), ("mem_allocated_gb", GIB)),
    **dict.fromkeys(("gpu memory mb", "memory allocated mb"), ("mem_allocated_gb", 1e-3)),
    **dict.fromkeys(("memory reserved gb", "reserved gb", "mem reserved gb", "max memory reserved gb"),
                    ("mem_reserved_gb", 1.0)),
    **dict.fromkeys(("max reserved gib", "device reserved gib", "peak memory reserved"), ("mem_reserved_gb", GIB)),
    **dict.fromkeys(("grad mean", "gradients grad mean"), ("grad_mean", 1.0)),
    **dict.fromkeys(("grad std", "gradients grad std"), ("grad_std", 1.0)),
}  # fmt: skip
_NOT_OURS = frozenset({"train time ms"})
"""What only looks like one of ours without the word for its group."""
_UNITS_OF_MEMORY = re.compile(r"(?<![A-Za-z])[KMGT]iB(?![A-Za-z])")
_EVAL_FIELDS = frozenset({"loss", "accuracy", "perplexity"})
_SPLIT = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^0-9A-Za-z]+")


@dataclass(frozen=True)
class Target:
    """Where a metric of another tool goes: a field of ours, of an evaluation on `split` or of a step.

    A value of ours is `factor` times the tool's. reason: why, in words.
    """

    field: str
    split: str | None = None
    factor: float = 1.0
    reason: str = ""

    @property
    def key(self) -> str:
        """The key of the metric as ours are called; `eval/SPLIT/FIELD` of a split other than the validation's."""
        if self.split is None:
            return self.field
        if self.split == VALIDATION:
            return "val_loss" if self.field == "loss" else f"val_{self.field}"
        return f"eval/{self.split}/{self.field}"


class NameMapping:
    """Maps the names of one run's metrics. OURS is as in `target_named`; empty, it keeps the name as it is.

    given: NAME → OURS for this log, which comes first; settings: for all logs; then what the format knows, which
    `learn` adds; then what a name says.
    """

    def __init__(self, given: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None) -> None:
        self._given = dict(given or {})
        self._settings = dict(settings or {})
        self._meanings: dict[str, str] = {}
        self._targets: dict[str, Target | None] = {}
        # Ours that were given for this log are taken, whichever metric comes first.
        self._taken = {target.key: name for name, ours in self._given.items() if (target := target_named(ours))}

    def learn(self, meanings: Mapping[str, str]) -> None:
        """Add what the format knows of names: NAME → OURS."""
        self._meanings.update(meanings)

    def target(self, name: str) -> Target | None:
        """Where this metric goes; None: it is shown under its own name.

        The first metric that means one of ours takes it, so that no two are mixed.
        """
        if name not in self._targets:
            self._targets[name] = self._choose(name)
        return self._targets[name]

    @property
    def targets(self) -> dict[str, Target | None]:
        """All metrics so far, in the order they were met."""
        return self._targets

    def _choose(self, name: str) -> Target | None:
        sources = (
            (self._given, "--map says so for this log"), (self._settings, "the settings say so"),
            (self._meanings, "the format says so"),
        )  # fmt: skip
        for names, reason in sources:
            if name in names:
                named = target_named(names[name])
                target = replace(named, reason=reason) if named is not None else None
                break
        else:
            target = guessed(name)
        if target is None:
            return None
        taken = self._taken.setdefault(target.key, name)
        return target if taken == name else None


def target_named(ours: str) -> Target | None:
    """The target that a user names: a field of ours, `val_loss`, `eval/SPLIT/loss`, or nothing.

    Raises ValueError with a sentence for a name that is none of ours.
    """
    if not ours:
        return None
    ours, star, scale = ours.partition("*")
    factor = number(scale) if star else 1.0
    if factor is None or not math.isfinite(factor):
        raise ValueError(f"{scale!r} is not a factor: after `*` there should be a number, as in mem_peak_gb*1.0737.")
    parts = ours.split("/")
    if len(parts) == 3 and parts[0] == "eval" and parts[2] in _EVAL_FIELDS:
        return Target(parts[2], parts[1], factor)
    if ours.startswith("val_") and ours[4:] in _EVAL_FIELDS:
        return Target(ours[4:], VALIDATION, factor)
    if ours in our_fields():
        return Target(ours, None, factor)
    known = ", ".join((*our_fields(), "val_loss", "eval/SPLIT/loss"))
    raise ValueError(f"{ours} is not one of our metrics. They are {known}.")


def guessed(name: str) -> Target | None:
    """The target of a name by what it says; None where it says nothing that we have."""
    name_and_unit = _UNITS_OF_MEMORY.sub(lambda unit: unit[0].lower(), name.replace("%", " percent "))
    lowered = [word.lower() for word in _SPLIT.split(name_and_unit) if word]
    split, rest = _split_of(lowered)
    if not rest:
        return None
    if len(rest) > 1 and rest[-1] in ("step", "epoch") and rest[-2] in ("loss", "accuracy"):
        # Lightning logs one metric both ways; the one of each step is the curve.
        if rest[-1] == "epoch" and split is None:
            return None
        rest = rest[:-1]
    if split is None and len(rest) > 1 and rest[-1] in ("train", "training"):
        rest = rest[:-1]
    while len(rest) > 1 and rest[0] in _GROUPS and (joined := " ".join(rest)) not in _NAMES and joined not in _NOT_OURS:
        rest = rest[1:]
    if split is None and rest[0] in ("lr", "learning") and (rest[-1] == "group0" or rest[-2:] == ["group", "0"]):
        # The first group of parameters: `lr-AdamW/group0`, `learning_rate_group0`, `LR (group 0)`.
        rest = ["lr"]
    known = _NAMES.get(" ".join(rest))
    if known is None or (split is not None and known[0] not in _EVAL_FIELDS):
        return None
    if split is None and known[0] == "perplexity":
        return None
    field, factor = known
    where = "" if split is None else f" of the split {split!r}"
    times = f", times {factor:g}" if factor != 1 else ""
    return Target(field, split, factor, f"{name!r} reads as {field}{where}{times}")


def _split_of(words: list[str]) -> tuple[str | None, list[str]]:
    """The evaluated split that the words name, and the other words: `eval_code_loss` is the loss of `code`."""
    for at, word in enumerate(words):
        if word in _EVALUATION and (at == 0 or at == len(words) - 1):
            rest = words[:at] + words[at + 1 :]
            if at == 0 and word == "eval" and len(rest) == 2 and rest[-1] in ("loss", "accuracy", "perplexity"):
                return rest[0], rest[1:]
            return _EVALUATION[word], rest
    return None, words


def declared_axis(axes: Mapping[str, str], name: str) -> str | None:
    """The metric over which one of this name is drawn; None: over the steps.

    axes: by names, or by patterns of names with `*`, of which the longest counts.
    """
    if name not in axes:
        patterns = [pattern for pattern in axes if "*" in pattern and fnmatchcase(name, pattern)]
        name = max(patterns, key=len, default=name)
    return axes.get(name)


@cache
def our_fields() -> tuple[str, ...]:
    """The fields of a step that a metric can be mapped to."""
    skipped = ("time", "step", "metrics", "late")
    return tuple(name for name in dict.fromkeys((*Step.__struct_fields__, *Eval.__struct_fields__))
                 if name not in skipped and name in Step.__struct_fields__)  # fmt: skip
