"""A real file system whose every call waits for a while, as on a network mount: sshfs, stopped and continued."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.mounts import wait_until
from tests.remote import sshd

MISSING = sshd.MISSING or ("" if shutil.which("sshfs") else "sshfs is not installed (Debian: sshfs)")
_NOT_KEPT = "dir_cache=no,attr_timeout=0,entry_timeout=0"


@dataclass(frozen=True)
class SilentMount:
    """path: the mount. behind: the same files where the server has them, which always answer."""

    path: Path
    behind: Path
    process: subprocess.Popen[bytes]

    @contextmanager
    def silent(self) -> Iterator[None]:
        """No call ends: not one that looks, reads, writes or lists."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def mounted(folder: Path) -> Iterator[SilentMount]:
    """A folder of this machine, mounted through an `sshd` on loopback."""
    if MISSING or os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip(MISSING or "only root mounts file systems, and it needs /dev/fuse")
    path, behind = folder / "mount", folder / "behind"
    path.mkdir()
    behind.mkdir()
    with sshd.running(folder / "sshd") as server:
        command = ["sshfs", "-f", "-F", str(server.config), "-o", _NOT_KEPT, f"far:{behind}", str(path)]
        process = subprocess.Popen(command)
        try:
            wait_until(lambda: path.is_mount() or process.poll() is not None)
            if process.poll() is not None:
                pytest.skip("this machine does not mount with sshfs")
            yield SilentMount(path, behind, process)
        finally:
            process.send_signal(signal.SIGCONT)
            subprocess.run(["umount", "-l", path], check=False)
            process.terminate()
            process.wait()
