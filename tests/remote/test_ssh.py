"""Runs on another machine through a real `sshd`: every command that reads, over links that break."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from tests.remote.sshd import Proxy, Server
from tests.support import write_run
from tests.warm_engine import WarmProcess
from tuitrain.remote.address import Address
from tuitrain.remote.mirrored_file import Want
from tuitrain.remote.sync import opened
from tuitrain.runs import RunDirectory

CORPUS = Path(__file__).parents[1] / "data/corpus"


def tuitrain(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    process = WarmProcess([*map(str, arguments)], module="tuitrain.cli", env=os.environ, cwd=Path.cwd())
    out, err = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode or 0, out, err)


def output(*arguments: str | Path) -> str:
    done = tuitrain(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return write_run(tmp_path / "far runs; $(touch x)", steps=60)


def test_a_run_there_is_shown_as_the_same_run_here(far: str, run: RunDirectory) -> None:
    address = f"{far}:{run.path}"
    there, here = json.loads(output("show", "--json", address)), json.loads(output("show", "--json", run.path))
    assert there.pop("path") == address and here.pop("path") == str(run.path)
    assert there == here
    assert output("logs", address) == output("logs", run.path)
    assert output("plot", address, "--width", "80") == output("plot", run.path, "--width", "80")
    assert output("export", "metrics", address) == output("export", "metrics", run.path)


def test_a_run_there_and_one_here_are_compared(far: str, run: RunDirectory, tmp_path: Path) -> None:
    here = write_run(tmp_path / "runs", "here-20260101-120000-0123", steps=40)
    table = output("compare", f"{far}:{run.path}", here.path, "--format", "csv")
    assert "abcd" in table and "0123" in table


def test_requests_reach_a_run_there(far: str, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs", steps=20, status=None)
    address = f"{far}:{run.path}"
    assert "checkpoint requested" in output("checkpoint", address)
    assert (run.control / "checkpoint").read_bytes() == b""
    assert "stop requested" in tuitrain("stop", "--no-wait", address).stderr
    assert (run.control / "stop").exists()
    refused = tuitrain("rm", "--yes", address)
    assert refused.returncode == 2 and "on another machine" in refused.stderr and run.path.exists()


@pytest.mark.parametrize(
    ("name", "code", "sentence"),
    [
        ("far:/not/there", 3, "far:/not/there: no such file or directory"),
        ("-oProxyCommand=touch x:runs", 2, "is not the name of a host"),
        ("a b:runs", 2, "is not the name of a host"),
        ("$(touch x):runs", 2, "is not the name of a host"),
        ("far:a\nb", 2, "control characters"),
        ("silent:runs", 1, "silent: "),
    ],
)
def test_what_cannot_be_reached_is_said_in_a_sentence(
    far: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = tuitrain("show", "--", name)
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr and len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "x").exists()


def test_logs_of_every_format_are_read_there_as_here(far: str, tmp_path: Path) -> None:
    """All of the corpus in one folder, through one connection."""
    copy = tmp_path / "copy"
    for truth in sorted(CORPUS.glob("*/truth.json")):
        shutil.copytree(truth.parent / "data", copy / truth.parent.name)
    for path in copy.rglob("*"):
        # Times of last writes come in whole seconds.
        os.utime(path, (1.7e9, 1.7e9))
    there, here = (json.loads(output("show", "--json", where))
                   for where in (f"{far}:{copy}", copy))  # fmt: skip
    unlike = ("path", "run_id", "run")
    for each in (*there, *here):
        for key in unlike:
            each.pop(key)
        each["summary"].pop("run_id")
    assert len(here) > 20
    assert sorted(map(json.dumps, there)) == sorted(map(json.dumps, here))


def test_a_connection_that_is_cut_and_slow_loses_nothing(
    far: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitrain.remote.sync._BACK_OFF_S", (0.01,) * 20)
    log = tmp_path / "there" / "a.log"
    log.parent.mkdir()
    with Proxy(server.port, rate=400_000, delay_s=0.002, cut_after=[9_000, 60_000, 30_000]) as proxy:
        server.add_host("cut", proxy.port)
        log.write_bytes(os.urandom(150_000).hex().encode() + b"\n")
        sync = opened(Address("cut", str(log.parent)))
        sync.open()
        sync.wants = {"a.log": Want()}
        sync.catch_up(sync.wants)
        assert (sync.folder / "a.log").read_bytes() == log.read_bytes()
        sync.poll_s = 0.02
        sync.start()
        wake = threading.Event()
        proxy.cut()
        with log.open("ab") as file:
            file.write(b"after the cut\n")
        while (sync.folder / "a.log").read_bytes() != log.read_bytes():
            wake.wait(0.02)
        assert sync.link().connected and (sync.link().lag_s or 9) < 5
        assert proxy.connections >= 4
