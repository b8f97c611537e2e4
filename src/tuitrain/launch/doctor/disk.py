"""The disks that runs and caches are written to."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from pathlib import Path

from tuitrain.files import mount_of, os_error_text
from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.machine import GB

MOST_BYTES, CHUNK, MOST_S = 256 << 20, 4 << 20, 2.0
"""What is written: so much, or what goes in so many seconds."""
SLOW_MB_PER_S = 50.0
LEAST_GB = 5.0
"""Free space below which a checkpoint of a small model may not fit."""
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "lustre", "gpfs", "ceph", "fuse.sshfs", "beegfs")


def examine_directory(name: str, path: Path, variable: str) -> Finding:
    """Whether a directory can be written, or made, and how much is free. variable: what sets another one."""
    existing = _existing(path)
    if not os.access(existing, os.W_OK | os.X_OK):
        return Finding(name, "wrong", f"{path} cannot be written", f"set {variable} to a directory of yours")
    free = shutil.disk_usage(existing).free / GB
    detail = f"{path}, {free:,.1f} GB free"
    if free < LEAST_GB:
        return Finding(name, "warning", detail, f"free some space, or set {variable} to a directory on another disk")
    return Finding(name, "ok", detail)


def examine_speed(path: Path) -> Finding:
    """How fast a file is written to the disk of a directory, with fsync, and read from it again."""
    existing = _existing(path)
    kind = _file_system(existing)
    try:
        if shutil.disk_usage(existing).free < 4 * MOST_BYTES:
            return Finding("disk speed", "missing", f"{kind}: too little is free to measure it")
        written, read = _measured(existing)
    except OSError as error:
        reason = os_error_text(error) or str(error)
        return Finding("disk speed", "wrong", f"{kind}: {reason}", "runs cannot be written there: choose another disk")
    detail = f"{kind}: {written:,.0f} MB/s written with fsync, {read:,.0f} MB/s read"
    if written >= SLOW_MB_PER_S:
        return Finding("disk speed", "ok", detail)
    fix = f"a checkpoint of 10 GB takes {1e4 / written / 60:.0f} min: set TUITRAIN_RUNS_DIR to a faster disk"
    return Finding("disk speed", "warning", detail, fix)


def _measured(directory: Path) -> tuple[float, float]:
    """MB/s of writing with fsync and of reading without the cache of the kernel, as far as it lets go of it."""
    path, data = directory / f".tuitrain-doctor-{secrets.token_hex(4)}", os.urandom(CHUNK)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        size, began = 0, time.monotonic()
        while size < MOST_BYTES and time.monotonic() - began < MOST_S:
            size += os.write(file, data)
        os.fsync(file)
        write_s = time.monotonic() - began
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.lseek(file, 0, os.SEEK_SET)
        began = time.monotonic()
        read = 0
        while part := os.read(file, CHUNK):
            read += len(part)
        read_s = time.monotonic() - began
    finally:
        os.close(file)
        path.unlink(missing_ok=True)
    return size / 1e6 / write_s, read / 1e6 / max(read_s, 1e-9)


def _file_system(path: Path) -> str:
    """The kind of the file system that a directory lies on."""
    mount = mount_of(path)
    kind = (mount and mount.fstype) or "unknown file system"
    return f"{kind} over the network" if kind in _NETWORK else kind


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
