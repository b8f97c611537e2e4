"""Asking installed programs."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from tuitrain.text import clean

PATIENCE_S = 10.0


def first_line(command: Sequence[str]) -> tuple[bool, str]:
    """Whether a command works, and the first line that it prints on whichever output, or why there is none."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE_S,
            text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        return False, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return False, f"no answer within {PATIENCE_S:g} s"
    said = next((line.strip() for line in done.stdout.splitlines() if line.strip()), f"exit code {done.returncode}")
    return done.returncode == 0, clean(said)
