"""What every command has in common: help with examples, completion, exit codes, colour."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.cli import main
from tuitrain.cli.app import COMMANDS as TABLE
from tuitrain.cli.app import SECTIONS, command_line
from tuitrain.cli.output import STATUS_STYLES
from tuitrain.runs import Status
from tuitrain.runs.order import SORT_KEYS

ROOT: Any = get_command(command_line())


ROOT.commands = {command.name: command.load() for command in TABLE.values()}


def walk(command: Any = ROOT, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command with its path, groups included."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, (*path, name))


COMMANDS = dict(walk())


def examples(text: str) -> list[str]:
    """The command lines under `Examples:` of a help page."""
    block = text.split("Examples:\n", 1)[1].split("\n\n", 1)[0]
    lines = [re.sub(r"\$\(.*\)", "RUN", line.strip()) for line in block.splitlines()]
    return [re.split(r"\s{3,}| \||&&| >", line)[0] for line in lines]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_begins_with_examples(cli: Cli, path: tuple[str, ...], flag: str) -> None:
    result = cli(*path, flag)
    assert result.code == 0
    usage, first = result.out.split("\n\n")[:2]
    assert usage.startswith("Usage: tuitrain")
    assert first.lstrip().startswith("Examples:\n")


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_examples_of_help_parse(cli: Cli, path: tuple[str, ...]) -> None:
    for line in examples(cli(*path, "--help").out):
        words = shlex.split(line)
        if "tuitrain" not in words:
            continue
        command, arguments = ROOT, words[words.index("tuitrain") + 1 :]
        # A group such as `queue` may stand alone.
        while arguments and arguments[0][0] != "-" and hasattr(command, "commands"):
            command, arguments = command.commands[arguments[0]], arguments[1:]
        assert command.make_context(command.name, arguments).command is command


def test_help_of_ls_lists_what_sort_and_status_accept(cli: Cli) -> None:
    words = set(re.findall(r"\w+", cli("ls", "--help").out))
    assert {*SORT_KEYS, *Status} <= words


def test_every_command_stands_under_a_heading(cli: Cli) -> None:
    listed = [command.name for commands in SECTIONS.values() for command in commands]
    assert sorted(listed) == sorted(ROOT.commands)
    assert all(f"\n  {name} " in cli("--help").out for name in listed)


@pytest.mark.parametrize(
    "command",
    sorted({each.name for each in SECTIONS["Inspect"]} | {"compare", "audit", "diff", "plan", "presets", "doctor"}),
)
def test_every_read_command_has_json(cli: Cli, command: str) -> None:
    has_json = "--json" in cli(command, "--help").out
    assert has_json or command == "watch"


def test_a_wrong_command_or_option_offers_the_nearest(cli: Cli) -> None:
    result = cli("lauch")
    assert (result.code, result.out) == (2, "")
    assert "'launch'" in result.err
    result = cli("ls", "--jsn")
    assert result.code == 2
    assert "--json" in result.err


def test_shells_complete_runs(runs_dir: Path) -> None:
    """Asked as the completion script of bash does."""
    write_run(runs_dir, "gpt2-tiny-20260101-120000-aaaa", preset="gpt2-tiny")
    environment = {"_TUITRAIN_COMPLETE": "complete_bash", "COMP_WORDS": "tuitrain status gp", "COMP_CWORD": "2"}
    command = [sys.executable, "-m", "tuitrain.cli"]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["gpt2-tiny-20260101-120000-aaaa"]


def complete(
    words: str, current: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> list[str]:
    """What is offered, asked the way the completion script of bash does."""
    for name, value in {"_TUITRAIN_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(current)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main()
    return capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("words", "current", "offered"),
    [
        # bash cuts the word at = and :, and replaces what comes behind.
        ("tuitrain launch gpt2 model.norm =", 4, ["layernorm", "rmsnorm"]),
        ("tuitrain launch gpt2 model.norm = la", 5, ["layernorm"]),
        ("tuitrain launch gpt2 train.compile = t", 5, ["true"]),
        ("tuitrain launch gpt2 parallel.strategy = hs", 5, ["hsdp"]),
        ("tuitrain launch gpt2 model.window = n", 5, ["none"]),
        ("tuitrain ls stat", 2, ["status:"]),
        ("tuitrain ls status :", 3, [*STATUS_STYLES, "live"]),
        ("tuitrain ls status : fa", 4, ["failed"]),
        ("tuitrain ls tag : t", 4, ["test"]),
        ("tuitrain ls -- -stat", 3, ["-status:"]),
        ("tuitrain ls val", 2, ["val_loss"]),
        ("tuitrain ls --sort val", 3, ["val_loss"]),
        ("tuitrain ls --status fa", 3, ["failed"]),
        ("tuitrain compare latest ll", 3, ["llama2-tiny-20260101-120000-bbbb"]),
        ("tuitrain launch qwen3-t", 2, ["qwen3-tiny"]),
        ("tuitrain launch gpt2 train.max", 3, ["train.max_steps="]),
        ("tuitrain sta", 1, ["status"]),
        ("tuitrain watch --layout pe", 3, ["performance"]),
        ("tuitrain watch --theme colour", 3, ["colour-blind", "colour-blind-light"]),
        ("tuitrain export plots --figure m", 4, ["moving_average", "mfu", "memory"]),
        ("tuitrain tag latest te", 3, ["test"]),
        ("tuitrain plot gp", 2, ["gpt2-tiny-20260101-120000-aaaa"]),
        ("tuitrain plot latest -m grad_n", 4, ["grad_norm", "grad_nonfinite"]),
    ],
)
def test_shells_complete_words(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, current: int,
    offered: list[str],
) -> None:  # fmt: skip
    write_run(runs_dir, "gpt2-tiny-20260101-120000-aaaa", preset="gpt2-tiny", steps=2)
    write_run(runs_dir, "llama2-tiny-20260101-120000-bbbb", steps=2)
    assert complete(words, current, monkeypatch, capsys) == offered


@pytest.mark.parametrize(
    ("word", "offered"),
    [
        ("model.norm=la", ["model.norm=layernorm"]),
        ("train.micro_batch_size=", ["train.micro_batch_size=auto"]),
        ("checkpoint.async_save=", ["checkpoint.async_save=true", "checkpoint.async_save=false"]),
    ],
)
def test_other_shells_complete_the_whole_word(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], word: str, offered: list[str]
) -> None:
    monkeypatch.setenv("_TUITRAIN_COMPLETE", "complete_fish")
    monkeypatch.setenv("_TYPER_COMPLETE_ARGS", f"tuitrain launch gpt2 {word}")
    monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out.split() == offered


def test_completion_installs_itself(tmp_path: Path) -> None:
    environment = os.environ | {
        "HOME": str(tmp_path),
        "SHELL": "/bin/bash",
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    subprocess.run(
        [sys.executable, "-m", "tuitrain.cli", "--install-completion", "bash"],
        env=environment, check=True, capture_output=True,
    )  # fmt: skip
    assert "tuitrain" in (tmp_path / ".bashrc").read_text(encoding="utf-8")


def test_colour_is_the_users_choice(cli: Cli, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(runs_dir, "some")
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    assert "\x1b" not in cli("ls").out
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "\x1b[" in cli("ls").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[3" not in cli("ls").out


def test_a_closed_pipe_is_no_error(runs_dir: Path) -> None:
    for number in range(40):
        write_run(runs_dir, f"run-{number:02d}", steps=1)
    done = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -m tuitrain.cli ls --json | head -1"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "[\n"
    assert done.stderr == ""


def test_version(cli: Cli) -> None:
    from tuitrain import __version__

    assert cli("--version").out == f"tuitrain {__version__}\n"
