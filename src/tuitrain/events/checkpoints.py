"""Where the checkpoints of a run are, and which of them are complete.

A checkpoint is the directory `checkpoints/step-00001000`. It is complete once its index exists, which
torch.distributed.checkpoint writes last. Whether the files of a complete one are undamaged only the engine can tell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

INDEX = ".metadata"
_NAME = re.compile(r"step-(\d{8,})")


class SavedCheckpoint(NamedTuple):
    """A complete checkpoint on disk."""

    step: int
    path: Path


def checkpoint_directory(run_dir: Path, step: int) -> Path:
    """The directory of the checkpoint of a step."""
    return run_dir / "checkpoints" / f"step-{step:08d}"


def complete_checkpoints(run_dir: Path) -> list[SavedCheckpoint]:
    """The complete checkpoints of a run, oldest first."""
    matches = ((_NAME.fullmatch(path.name), path) for path in (run_dir / "checkpoints").glob("step-*"))
    return sorted(SavedCheckpoint(int(match[1]), path) for match, path in matches if match and (path / INDEX).is_file())
