"""Asking installed programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tuitrain.text import clean

PATIENCE_S = 10.0


def first_line(command: Sequence[str]) -> str | None:
    """The first line that a command prints, on whichever output; None where it does not start, fails or hangs."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S,
            text=True, errors="replace",
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return clean(lines[0]) if lines and done.returncode == 0 else None
