"""A watcher of a run on another machine that is cut off again and again while the log grows."""

from __future__ import annotations

import random
import shlex
import subprocess
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.remote import sshd
from tests.support import write_run
from tuitrain.events import Step
from tuitrain.readers.blocks import one_by_one
from tuitrain.remote import connection, sync
from tuitrain.runs import LogFollower
from tuitrain.runs.remote import DASHBOARD, find_remote_runs

CUTS = 100


def test_a_watcher_that_is_cut_off_a_hundred_times_has_exactly_the_records_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`ssh` is killed in the middle of answers of a real `sshd`; every record is read once, in order."""
    if sshd.MISSING:
        pytest.skip(sshd.MISSING)
    chance, cut, wake, left = random.Random(5), threading.Event(), threading.Event(), [CUTS, 3]
    run = write_run(tmp_path / "runs", steps=300, status=None)
    template = next(line for line in run.metrics.read_bytes().splitlines() if b'"step":300,' in line)
    receive = connection.Connection._receive

    def cut_off(self: Any) -> None:
        """Kill `ssh` after a few pieces of what it brings."""
        left[1] -= 1
        if left[0] and not left[1]:
            left[:] = left[0] - 1, chance.randrange(1, 6)
            self._process.kill()
            cut.set()
        receive(self)

    # The path of a socket has to be short.
    with TemporaryDirectory() as sockets, sshd.running(tmp_path / "sshd") as server:
        # New connections are cheap over one that is open.
        server.add_host("shared", server.port, f"ControlPath {sockets}/%C")
        master = subprocess.Popen([*shlex.split(server.ssh), "-M", "-N", "shared"], stdin=subprocess.DEVNULL)
        while not any(Path(sockets).iterdir()):
            assert master.poll() is None
            wake.wait(0.01)
        monkeypatch.setenv("TUITRAIN_SSH", server.ssh)
        monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setattr(sync, "_BACK_OFF_S", (0.0,) * (CUTS + 5))
        monkeypatch.setattr(sync, "POLL_S", 0.0)
        watched = find_remote_runs([f"shared:{run.path}"], DASHBOARD)[0][0]
        monkeypatch.setattr(connection.Connection, "_receive", cut_off)
        follower, read, step = LogFollower(watched.metrics), list[int](), 300

        def poll() -> None:
            more = True
            while more:
                batch = follower.poll()
                if batch.reset:
                    read.clear()
                read.extend(record.step for record in one_by_one(batch.records) if isinstance(record, Step))
                more = batch.more

        while left[0]:
            assert cut.wait(60)
            cut.clear()
            with run.metrics.open("ab") as log:
                for _ in range(chance.randrange(1, 40)):
                    step += 1
                    log.write(template.replace(b'"step":300,', b'"step":%d,' % step) + b"\n")
            poll()
        while watched.metrics.read_bytes() != run.metrics.read_bytes():
            wake.wait(0.01)
        poll()
        sync.close(sync._OPEN)
        master.terminate()
        master.wait()
    assert left[0] == 0 and read == list(range(1, step + 1))
