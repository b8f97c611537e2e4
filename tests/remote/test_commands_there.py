"""Commands on a run of another machine that take the tuitrain there: `resume`, `fork`, `stop --now`."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
import typer

from tests.remote.conftest import LocalSsh
from tests.support import write_run
from tuitrain.cli.app import command_line
from tuitrain.launch import LaunchError
from tuitrain.runs import RunDirectory, RunMetadata, RunNotFoundError

_FAKE = """#!/bin/sh
[ "$1" = --version ] && { echo 'tuitrain 0.1.0'; exit; }
for w; do printf '%s\\n' "$w"; done >"$WORDS"
[ "$1" = -m ] && shift 2
[ -z "$SAYS" ] || echo "$SAYS" >&2
case $1 in queue) echo '[{"position": 1, "run_id": "a", "processes": 2, "on_gpu": true}]'; exit;; esac
case $1 in stop) printf '[{"run_id": "%s", "status": "stopped"}]\\n' "${2##*/}"; exit 1;; esac
case $* in *bad=*) echo 'tuitrain: bad is not a key.' >&2; exit 2;; esac
printf '{"run_id": "new", "path": "%s/new", "pid": 5}\\n' "${2%/*}"
"""


def cli(*words: str) -> None:
    command_line()(list(words), prog_name="tuitrain", standalone_mode=False)


@pytest.fixture
def words(local_ssh: LocalSsh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with the words that `tuitrain` there was called with last."""
    program = tmp_path / "bin" / "tuitrain"
    program.parent.mkdir()
    program.write_text(_FAKE)
    program.chmod(0o755)
    monkeypatch.setenv("WORDS", str(tmp_path / "words"))
    path = f"PATH={program.parent}:/usr/bin:/bin"
    monkeypatch.setenv("TUITRAIN_SSH", f"{shutil.which('env')} {path} {local_ssh.use()}")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "words"


def a_run(folder: Path, **facts: object) -> RunDirectory:
    return write_run(folder, steps=5, status=None, info=RunMetadata(name="a", created=1.0, **facts))  # type: ignore[arg-type]


def test_a_run_there_is_resumed_and_forked_by_the_tuitrain_there(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "its $(runs)")
    cli("resume", f"here:{run.path}", "train.max_steps=600", "optim.lr=$(touch x)", "--gpus", "2", "--detach")
    assert words.read_text().splitlines() == [
        "resume", str(run.path), "train.max_steps=600", "optim.lr=$(touch x)", "--gpus=2", "--detach", "--json",
        f"--runs-dir={run.path.parent}",
    ]  # fmt: skip
    # A path below where `ssh` starts is shown relative to that.
    assert capsys.readouterr().out == "here:its $(runs)/new\n"
    cli("fork", "here:its $(runs)/" + run.run_id, "--at", "4", "--name", "b", "--note", "it's", "--detach")
    assert words.read_text().splitlines() == [
        "fork", str(run.path), "--at=4", "--name=b", "--note=it's", "--detach", "--json",
        f"--runs-dir={run.path.parent}",
    ]  # fmt: skip
    with pytest.raises(LaunchError, match=r"^here: bad is not a key\.$"):
        cli("resume", f"here:{run.path}", "bad=1", "--detach")
    assert not (tmp_path / "x").exists()


def test_what_takes_more_than_a_request_is_stopped_by_the_tuitrain_there(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, retried = a_run(tmp_path / "runs"), a_run(tmp_path / "retried", retries=3)
    cli("stop", "--now", "--grace", "3", f"here:{run.path}")
    assert words.read_text().splitlines()[:4] == ["stop", str(run.path), "--now", "--grace=3.0"]
    assert capsys.readouterr().out == f"{run.run_id}  stopped\n"
    cli("stop", f"here:{retried.path}")
    assert words.read_text().splitlines()[:2] == ["stop", str(retried.path)]
    words.unlink()
    cli("stop", "--no-wait", f"here:{run.path}")
    assert not words.exists() and (run.control / "stop").exists()


def test_the_queue_there_is_that_of_the_tuitrain_there(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "runs", queued=1.0)
    calls = [
        ((f"here:{tmp_path}/runs",), ["queue", "--json", f"--runs-dir={tmp_path}/runs"]),
        (("--host", "here"), ["queue", "--json", f"--runs-dir={tmp_path}/runs"]),
        (("move", f"here:{run.path}", "1"),
         ["queue", "move", str(run.path), "1", "--json", f"--runs-dir={tmp_path}/runs"]),
        (("rm", f"here:{run.path}"), ["queue", "rm", str(run.path), "--json", f"--runs-dir={tmp_path}/runs"]),
    ]  # fmt: skip
    for arguments, expected in calls:
        cli("queue", *arguments)
        assert words.read_text().splitlines() == expected
        assert capsys.readouterr().out.split() == ["position", "id", "needs", "1", "a", "2", "GPUs"]
    with pytest.raises(typer.BadParameter, match="exclude each other"):
        cli("queue", "here:", "--systemd")
    # It would have been the queue of this machine.
    with pytest.raises(typer.BadParameter, match=r"--host=here: stands before move: .* HOST:PATH"):
        cli("queue", "here:", "move", "latest", "1")


@pytest.mark.usefixtures("words")
def test_what_the_tuitrain_there_says_of_its_queue_is_said_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = a_run(tmp_path / "runs", queued=1.0)
    monkeypatch.setenv("SAYS", "/runs/.queue/1-b.json is not an entry of the queue (it is empty).")
    for arguments in ((f"here:{tmp_path}/runs",), ("move", f"here:{run.path}", "1"), ("rm", f"here:{run.path}")):
        cli("queue", *arguments, "--json")
        said = capsys.readouterr()
        assert said.err == "here: /runs/.queue/1-b.json is not an entry of the queue (it is empty).\n"
        assert [row["run_id"] for row in json.loads(said.out)] == ["a"]


def test_the_queue_of_a_directory_that_is_not_there_is_none_and_that_before_the_first_run_is_empty(
    words: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (("here:nosuch",), ("--host", f"here:{tmp_path}/nosuch"), ("--runs-dir", "nosuch")):
        with pytest.raises(RunNotFoundError, match=r"[Tt]here is no directory"):
            cli("queue", *arguments)
    cli("queue", "here:")
    cli("queue")
    assert capsys.readouterr().err == "The queue is empty.\n" * 2
    assert not words.exists() and not (tmp_path / "nosuch").exists()


def test_the_python_that_started_a_run_serves_where_no_tuitrain_is_found(words: Path, tmp_path: Path) -> None:
    (tmp_path / "bin" / "tuitrain").rename(tmp_path / "bin" / "python-there")
    run = a_run(tmp_path / "runs", command=[f"{tmp_path}/bin/python-there", "-m", "tuitrain_engine", "train"])
    cli("stop", "--now", f"here:{run.path}")
    assert words.read_text().splitlines()[:4] == ["-m", "tuitrain.cli", "stop", str(run.path)]
    assert sys.executable not in words.read_text()
    with pytest.raises(LaunchError, match="--install"):
        cli("resume", f"here:{a_run(tmp_path / 'other').path}", "--detach")
