"""Accounts for every byte of a log that several attempts wrote, without the readers of the application."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Record = dict[str, Any]
RESULTS = ("step", "eval", "sample", "checkpoint", "layers")
_VARYING = ("time", "tokens_per_sec", "tflops", "slowest_rank", "bytes")
"""Times and speeds, and the size of a checkpoint, which has the path of the run in it."""


class AttemptStart(NamedTuple):
    """What was on disk when an attempt was started; without a complete checkpoint `checkpoint` is -1."""

    log_bytes: int
    checkpoint: int


@dataclass
class Account:
    """What a log says, once every attempt has superseded what follows its checkpoint."""

    results: dict[tuple[str, int], Record] = field(default_factory=dict)
    """The records that count, by type and step."""
    superseded: list[Record] = field(default_factory=list)
    """The steps that a later attempt did again, in the order in which they were written."""
    torn: int = 0
    """Lines that the end of an attempt cut off."""
    ends: list[Record] = field(default_factory=list)

    def values(self) -> dict[tuple[str, int], Record]:
        """The results without what differs from run to run."""
        return {key: {name: value for name, value in record.items() if not _varies(name)}
                for key, record in self.results.items()}  # fmt: skip


def account_for(log: bytes, starts: Sequence[AttemptStart]) -> Account:
    """Account for each line of a log, whose attempts were started so; fails where one is missing, torn or twice."""
    account, runs = Account(), 0
    assert starts[0].log_bytes == 0 and log.endswith(b"\n")
    ends = [each.log_bytes for each in starts[1:]] + [len(log)]
    for number, (start, end) in enumerate(zip(starts, ends, strict=True), start=1):
        part = log[start.log_bytes : end]
        if start.log_bytes and not log[: start.log_bytes].endswith(b"\n") and part:
            assert part[:1] == b"\n", f"attempt {number} continues a torn line"
            part = part[1:]
        *lines, rest = part.split(b"\n")
        account.torn += bool(rest)
        # Any broken line but the one that the kill cut off is an error.
        records = [json.loads(line) for line in lines]
        kept = range(1, start.checkpoint + 1)
        missing = [step for step in kept if ("step", step) not in account.results]
        assert not missing, f"attempt {number} goes on from step {start.checkpoint}, and the log lacks {missing}"
        runs = _add(account, records, start.checkpoint, number, runs)
    return account


def starts_of(log: bytes, checkpoints: Sequence[int]) -> list[AttemptStart]:
    """Where the attempts of a log begin: their first record is the stage of reading the data."""
    begins = [0]
    for line in log.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    first = [at for at, line in zip(begins, log.splitlines(), strict=False) if b'"stage":"reading the data"' in line]
    return [AttemptStart(at, checkpoint) for at, checkpoint in zip(first, checkpoints, strict=True)]


def _add(account: Account, records: list[Record], checkpoint: int, number: int, runs: int) -> int:
    """Add what an attempt wrote; returns the number of `run` records so far."""
    steps = [record["step"] for record in records if record["type"] == "step"]
    first = max(checkpoint, 0) + 1
    assert steps == list(range(first, first + len(steps))), f"attempt {number} has the steps {steps}"
    if steps or checkpoint < 0:
        again = {key: record for key, record in account.results.items() if key[1] > checkpoint}
        account.superseded += [record for (kind, _), record in again.items() if kind == "step"]
        for key in again:
            del account.results[key]
    for record in records:
        kind = record["type"]
        if kind == "run":
            runs += 1
            assert record["attempt"] == runs
        elif kind == "end":
            account.ends.append(record)
        elif kind in RESULTS:
            key = (kind, record["step"])
            assert key not in account.results, f"attempt {number} writes {key} again"
            account.results[key] = record
    return runs


def _varies(name: str) -> bool:
    return name in _VARYING or name.startswith("mem_") or name.endswith("_ms")
