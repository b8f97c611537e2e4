"""Which keys may change when a run resumes from a checkpoint.

The launcher checks this against config.toml before it starts the engine, the engine against the checkpoint.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tuitrain.config.run_config import RunConfig, difference
from tuitrain.config.sections import DataConfig


class Verdict(enum.Enum):
    """Whether a resume may change a key; the value is the reason, where there is one."""

    FREE = ""
    OTHER_SEQUENCES = "sequence numbers of the training data have another meaning"
    """Reported in an alert: the run continues at its position, but in another order or another text."""
    STATE = "they do not suit the weights and the optimizer of its checkpoint"
    HELD_OUT = "it could be evaluated on text that it was trained on"

    @property
    def refused(self) -> bool:
        """Whether the resume is refused."""
        return self in (Verdict.STATE, Verdict.HELD_OUT)


_VERDICTS = {
    "model": Verdict.STATE,
    "model.attention_backend": Verdict.FREE,
    "model.document_mask": Verdict.FREE,
    "model.dropout": Verdict.FREE,
    "model.norm_eps": Verdict.FREE,
    "model.rope_scaling": Verdict.FREE,
    "model.rope_theta": Verdict.FREE,
    "model.window": Verdict.FREE,
    "model.seq_len": Verdict.OTHER_SEQUENCES,
    "data": Verdict.OTHER_SEQUENCES,
    "data.tokenizer": Verdict.STATE,
    "data.bin_dtype": Verdict.STATE,
    "data.val_fraction": Verdict.HELD_OUT,
    "data.val_bytes": Verdict.HELD_OUT,
    "data.max_retries": Verdict.FREE,
    "data.stall_timeout_s": Verdict.FREE,
    "train.seed": Verdict.OTHER_SEQUENCES,
    "optim.name": Verdict.STATE,
}
"""By key, or by section for keys that are not listed; every other key may change freely."""


@dataclass(frozen=True)
class Change:
    """A key that a resume changes. None stands for unset."""

    key: str
    before: Any
    after: Any
    verdict: Verdict


def changes(before: RunConfig, after: RunConfig) -> list[Change]:
    """The keys that differ, each with its verdict."""
    return [
        Change(key, old, new, _verdict(key, before, after)) for key, (old, new) in difference(before, after).items()
    ]


def refusal(changes: Iterable[Change]) -> str | None:
    """A sentence when some of these changes are refused, else None."""
    refused = [change for change in changes if change.verdict.refused]
    if not refused:
        return None
    listed = " and ".join(f"{each.key} = {_text(each.after)} (it was {_text(each.before)})" for each in refused)
    reasons = " and ".join(dict.fromkeys(each.verdict.value for each in refused))
    return f"The run cannot resume with {listed}, since {reasons}: omit that, or launch a new run."


def other_sequences(changes: Iterable[Change]) -> str | None:
    """A sentence when some of these changes give sequence numbers another meaning, else None."""
    listed = "; ".join(
        f"{each.key}: {_text(each.before)} → {_text(each.after)}"
        for each in changes
        if each.verdict is Verdict.OTHER_SEQUENCES
    )
    if not listed:
        return None
    return (
        f"The run continues with other data than before ({listed}): {Verdict.OTHER_SEQUENCES.value}, so of the "
        "present epoch some text may be repeated and some skipped."
    )


def _verdict(key: str, before: RunConfig, after: RunConfig) -> Verdict:
    if key == "model.seq_len" and after.model.position == "learned":
        return Verdict.STATE
    if key == "data.max_tokens" and not _only_adds_text(before.data, after.data):
        return Verdict.HELD_OUT
    while key not in _VERDICTS and "." in key:
        key = key.rpartition(".")[0]
    return _VERDICTS.get(key, Verdict.FREE)


def _only_adds_text(before: DataConfig, after: DataConfig) -> bool:
    """Whether another data.max_tokens holds out none of the text that was trained on.

    The end of a text is held out: the end of less text was trained on. Of a stream the beginning is held out.
    """
    both = before.shares.keys() & after.shares.keys()
    more = after.max_tokens is None or (before.max_tokens is not None and after.max_tokens > before.max_tokens)
    return not both or (more and all(before.streams(source) == after.streams(source) for source in both))


def _text(value: object) -> str:
    return "unset" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
