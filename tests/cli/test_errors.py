"""What goes wrong is one sentence in the program's name, with an exit code, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support import file_permissions, write_run
from tests.warm_engine import WarmProcess


@pytest.mark.parametrize(
    ("command", "code", "sentence"),
    [
        ("lauch", 2, "No such command 'lauch'. Did you mean 'launch', 'watch'?"),
        ("ls --jsn", 2, "--jsn: there is no such option. Did you mean '--json'?"),
        ("ls --sort x", 2, "--sort: 'x' is not one of 'age', 'name', "),
        ("ls --limit 0", 2, "--limit, -n: it should be greater than or equal to 1."),
        ("ls stat:live", 2, "QUERY: 'stat' in stat:live is no key; known: "),
        ("plan gpt2-tiny --gpus x", 2, "--gpus: it should be a whole number."),
        ("plan gpt2-tiny --gpu", 2, "--gpu: it needs a value."),
        ("plan gpt2-tiny --gpu H1000", 2, "--gpu: 'H1000' is not known. Did you mean 'H100'? "),
        ("plan gpt2-tiny optim.betas=[0.9]", 2, "optim.betas = [0.9] is not valid: it should be 2 numbers, such as "),
        ("plan gpt2-tiny trian.max_steps=3", 2, "trian is not a key of the configuration. Did you mean 'train'?"),
        ("plan ./my-rnu.toml", 3, "my-rnu.toml: no such file. Did you mean 'my-run.toml'?"),
        ("plan nothing.toml", 3, "nothing.toml: no such file or directory."),
        ("show", 2, "RUN: it is missing; `tuitrain show --help` shows examples."),
        ("show one two", 2, "two: this command takes fewer arguments; `tuitrain show --help` shows examples."),
        ("show runs/onee", 3, "runs/onee is neither a run directory nor a log file. Did you mean 'runs/one'?"),
        ("compare one --x foo", 2, "--x: 'foo' is not one of 'step', "),
        ("watch --layout foo", 2, '--layout: "foo" is not one of overview, training, performance, system.'),
        ("watch --once --serve", 2, "--once prints one frame of text, "),
        ("launch gpt2-tiny --name /", 2, "--name: '/' is not valid: "),
        ("export plots nothing --format foo", 2, "--format: 'foo' is not one of png, pdf, svg, txt, ansi."),
    ],
)
def test_an_error_starts_with_what_is_wrong(cli: Cli, runs_dir: Path, command: str, code: int, sentence: str) -> None:
    write_run(runs_dir, "one", steps=2)
    Path("my-run.toml").touch()
    result = cli(*command.split())
    assert (result.code, result.out) == (code, "")
    assert result.err.startswith(f"tuitrain: {sentence}")
    assert result.err.count("\n") == 1


def test_several_wrong_keys_are_a_sentence_each(cli: Cli) -> None:
    result = cli("plan", "gpt2-tiny", "model.n_layers=x", "optim.lr=y")
    assert result.err.splitlines() == [
        "tuitrain: model.n_layers = 'x' is not valid: it should be a whole number.",
        "tuitrain: optim.lr = 'y' is not valid: it should be a number.",
    ]


@pytest.mark.parametrize(
    ("command", "path"),
    [
        ("launch gpt2-tiny --detach --runs-dir closed", "closed/gpt2-tiny-"),
        ("export plots one --out closed/figures", "closed/figures"),
        ("export metrics one --out closed/one.csv", "closed/one.csv"),
        ("export metrics one --format parquet --out closed/one.parquet", "closed/one.parquet"),
        ("export metrics one --format tensorboard --out closed/tb", "closed/tb"),
        ("export comparison one --out closed/one.json", "closed/one.json"),
        ("resume one", "runs/one/"),
        ("checkpoint live", "runs/live/control/checkpoint"),
    ],
)
def test_where_nothing_may_be_written_the_path_is_named(cli: Cli, runs_dir: Path, command: str, path: str) -> None:
    run = write_run(runs_dir, "one", steps=30, status="stopped")
    live = write_run(runs_dir, "live", status=None)
    point = run.checkpoints / "step-00000025"
    point.mkdir(parents=True)
    (point / ".metadata").touch()
    for closed in (Path("closed"), run.path, live.control):
        closed.mkdir(exist_ok=True)
        closed.chmod(0o555)
    before = sorted(runs_dir.rglob("*"))
    with file_permissions():
        result = cli(*command.split())
    assert result.code == 1, result.err
    assert result.err.startswith("tuitrain: ")
    assert path in result.err
    assert result.err.lower().endswith("permission denied.\n")
    assert result.err.count("\n") == 1
    assert sorted(runs_dir.rglob("*")) == before
    assert not list(Path("closed").iterdir())


@pytest.mark.parametrize("command", ["export metrics one --out", "export comparison one --out"])
def test_a_full_disk_is_a_sentence_with_the_path(cli: Cli, runs_dir: Path, command: str) -> None:
    write_run(runs_dir, "one", steps=2)
    result = cli(*command.split(), "/dev/full")
    assert result.code == 1
    assert result.err == "tuitrain: /dev/full: no space is left on the disk: free some, or write elsewhere.\n"


def test_a_cache_that_cannot_be_used_is_a_sentence_with_the_path_and_a_failure(runs_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "no-directory").touch()
    environment = {**os.environ, "TUITRAIN_CACHE_DIR": str(tmp_path / "no-directory")}
    launch = WarmProcess(
        ["launch", "gpt2-tiny", "train.max_steps=1"], module="tuitrain.cli", env=environment, cwd=tmp_path
    )
    output, errors = launch.communicate()
    assert launch.returncode == 1
    assert f"The cache cannot be used: {tmp_path / 'no-directory'}" in output
    assert "Traceback" not in output + errors


def test_a_full_standard_output_is_one_too(runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=2)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "tuitrain.cli", "ls"], stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "TUITRAIN_RUNS_DIR": str(runs_dir)},
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "tuitrain: standard output: no space is left on the disk.\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["ls", "export metrics one --out closed.csv"])
def test_a_stream_that_is_closed_stops_no_command(runs_dir: Path, closed: str, command: str) -> None:
    write_run(runs_dir, "one", steps=2)
    log = (runs_dir / "one" / "metrics.jsonl").read_bytes()
    shell = f'exec "$0" -m tuitrain.cli {command} --runs-dir {runs_dir} {closed}'
    done = subprocess.run(["sh", "-c", shell, sys.executable], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (runs_dir / "one" / "metrics.jsonl").read_bytes() == log


def test_the_error_for_a_pipe_in_place_of_a_file_says_so(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "one", steps=2)
    (run.path / "console.log").unlink()
    os.mkfifo(run.path / "console.log")
    os.mkfifo("pipe")
    assert "console.log: it is a named pipe, not a regular file." in cli("logs", "one").err
    assert cli("show", "./pipe").err == "tuitrain: ./pipe is neither a run directory nor a log file.\n"
