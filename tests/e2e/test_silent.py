"""The commands and the dashboard on a file system that does not answer for a while."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.silent import SilentMount, mounted
from tests.support import write_run
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def mount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SilentMount]:
    with mounted(tmp_path_factory.mktemp("silent")) as mount:
        write_run(mount.behind / "runs", "a-20260101-120000-0001", steps=30, status=None)
        yield mount


def test_a_list_says_what_it_waits_for_and_goes_on(mount: SilentMount) -> None:
    runs = mount.path / "runs"
    command = [sys.executable, "-m", "tuitrain.cli", "ls", "-q", "--runs-dir", str(runs)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        with mount.silent():
            said = process.stderr.readline()
        assert said.startswith(f"still reading {runs}: its file system may not answer.")
        assert process.stdout.read() == "a-20260101-120000-0001\n"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        with mount.silent():
            process.stderr.readline()
            process.send_signal(signal.SIGINT)
        # FUSE lets no process end before it has answered; those of NFS end at once.
        assert process.wait(60) == 130
        assert process.stdout.read() == ""


def test_the_dashboard_says_that_it_waits_and_its_keys_work(mount: SilentMount, tmp_path: Path) -> None:
    environment = {"TUITRAIN_STATE_DIR": str(tmp_path)}
    run = str(mount.path / "runs" / "a-20260101-120000-0001")
    with Terminal.of("watch", run, environment=environment) as terminal:
        terminal.see("step 30")
        with mount.silent():
            terminal.see("still reading after", "the file system may not answer")
            terminal.press("6", gone="throughput")
            terminal.press("7", "reading the configuration")
            terminal.press("1", "throughput")
            terminal.press("n", "The files of the runs do not answer")
        terminal.wait_for(lambda screen: "still reading" not in screen)
        terminal.press("6", "following")
        with mount.silent():
            terminal.see("still reading after")
            terminal.child.send("q")
            # The terminal is given back, whatever else waits.
            terminal.wait_for(lambda screen: b"\x1b[?1049l" in terminal.raw)
        assert terminal.end() == 0
