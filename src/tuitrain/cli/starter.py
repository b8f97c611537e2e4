"""What all ways to start runs share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tuitrain.cli.attach import Attachment
from tuitrain.launch.local import Label, Retries


@dataclass(frozen=True)
class Starter:
    """Where `launch` makes runs, and with which options. directory: absolute; gpus: with nodes those of each."""

    directory: Path
    label: Label
    attachment: Attachment
    gpus: int | None
    force: bool
    retries: Retries
    dry_run: bool
    as_json: bool
