"""A link of the kernel's own that is slow, late and lossy: in a network namespace, with `tc`."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.remote import sshd
from tests.support import write_run
from tuitrain.remote.sync import sync_of
from tuitrain.runs.remote import DASHBOARD, find_remote_runs

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def root(*words: str) -> None:
    """Run a command, or skip the test where the kernel or the rights do not allow it."""
    program = shutil.which(words[0], path=PATH)
    if program is None:
        pytest.skip(f"{words[0]} is not installed (Debian: iproute2)")
    done = subprocess.run([program, *words[1:]], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"{' '.join(words)}: {done.stderr.strip()}")


@pytest.fixture
def namespace() -> Iterator[str]:
    """A network namespace with a loopback device of its own."""
    name = f"tuitrain-{os.getpid()}"
    root("ip", "netns", "add", name)
    try:
        root("ip", "-n", name, "link", "set", "lo", "mtu", "1500", "up")
        yield name
    finally:
        subprocess.run([shutil.which("ip", path=PATH) or "ip", "netns", "del", name], check=True)


@pytest.mark.parametrize(
    "discipline", ["netem delay 20ms 5ms loss 1% rate 8mbit", "tbf rate 8mbit burst 16k latency 50ms"]
)
def test_over_a_throttled_link_that_goes_down_and_up_nothing_is_lost(
    namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, discipline: str
) -> None:
    if sshd.MISSING:
        pytest.skip(sshd.MISSING)
    root("tc", "-n", namespace, "qdisc", "add", "dev", "lo", "root", *discipline.split())
    run, wake = write_run(tmp_path / "runs", steps=500, status=None), threading.Event()
    with run.metrics.open("ab") as log:
        log.write(b'{"type":"other","text":"%s"}\n' % os.urandom(150_000).hex().encode())
    inside = [shutil.which("ip", path=PATH) or "ip", "netns", "exec", namespace]
    with sshd.running(tmp_path / "sshd", inside=inside) as server:
        monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
        watched = find_remote_runs([f"far:{run.path}"], DASHBOARD)[0][0]
        sync = sync_of(watched.metrics)
        assert sync is not None
        for state in ("down", "up"):
            with run.metrics.open("ab") as log:
                log.write(b'{"type":"other","text":"while the link goes %s"}\n' % state.encode())
            root("ip", "-n", namespace, "link", "set", "lo", state)
        while watched.metrics.read_bytes() != run.metrics.read_bytes():
            wake.wait(0.02)
        assert sync.link().connected
