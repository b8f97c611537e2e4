"""Real file systems for tests as root: one that is small, one that freezes, one that turns read-only."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts file systems")


@contextmanager
def small_disk(folder: Path, size_kib: int) -> Iterator[Path]:
    """A tmpfs of this size."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size_kib}k", "none", str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def block_disk(folder: Path, size_mb: int = 8) -> Iterator[Path]:
    """An ext4 file system in a file, which can be frozen and aborted."""
    if not shutil.which("mkfs.ext4") or not shutil.which("fsfreeze"):
        pytest.skip("mkfs.ext4 and fsfreeze are not installed (e2fsprogs, util-linux)")
    folder.mkdir()
    image = folder.with_suffix(".img")
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    _mount("-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """A file system on which no write ends, as on a network mount whose server is away."""
    subprocess.run(["fsfreeze", "-f", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "-u", folder], check=True)


def turn_read_only(folder: Path) -> None:
    """What ext4 does after an error of its disk: it is read-only from now on, also to files that are open."""
    subprocess.run(["mount", "-o", "remount,abort", folder], check=True)


def wait_until(condition: Callable[[], object], patience_s: float = 60.0) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def _mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this machine does not mount: {done.stderr.strip()}")
