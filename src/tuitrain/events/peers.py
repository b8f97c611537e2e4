"""Why a process or a node of an attempt failed, in files that the process which writes the log looks for."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

NODE_VARIABLE = "TUITRAIN_NODE"
"""The rank of the node, where the nodes of a run watch each other: what starts torchrun there sets it."""


def mark_failure(run_dir: Path, attempt: str, who: str, sentence: str) -> None:
    """Leave word of a failure. attempt: the id of torchrun's rendezvous; who: `rank-1`, `node-1`."""
    path = run_dir / f".failed-{attempt}-{who}"
    unfinished = path.with_name(f"{path.name}.tmp")
    with suppress(OSError):  # the run directory was moved or removed
        unfinished.write_text(sentence, encoding="utf-8")
        unfinished.replace(path)


def failure_files(run_dir: Path, attempt: str) -> list[Path]:
    """The files of an attempt: lost nodes first, then processes."""
    return sorted(path for path in run_dir.glob(f".failed-{attempt}-*") if path.suffix != ".tmp")


def marked_failures(run_dir: Path, attempt: str) -> list[str]:
    """The sentences of an attempt."""
    return [path.read_text(encoding="utf-8", errors="replace") for path in failure_files(run_dir, attempt)]
