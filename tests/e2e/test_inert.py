"""Text of logs, configurations and file names sends no control sequence to the terminal, in any command or screen."""

from __future__ import annotations

import base64
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import write_run
from tests.terminal import Terminal, obeyed

SEEN = "SEEN"
"""Stands beside the hostile sequences and is shown where they were."""
HOSTILE = (
    f"\x1b]2;t\x07\x1b]52;c;cm0=\x1b\\{SEEN}\x1b[5;41m\x1b[?1047h\x9b5;41m\x9d0;t\x9c\x1bPq\x1b\\\x1b_a\x1b\\"
    "\u202e\u2066\u200b\u2028\x85\x07\x08\x00\x7f[red]m[/red][/] $\\frac{$ "
)
FOREIGN = (b"\x1b[5;41m", b"\x1b[?1047h")
"""Sequences of the same kind as our own, which only the hostile texts hold."""
KEPT = ("type", "level", "status", "split", "strategy")
COMMANDS = (
    "ls", "ls --json", "ls -q", "show a", "show a --json", "status a", "status a --json", "logs a", "logs a --json",
    "compare a b --format table", "compare a b --json", "compare a b --format markdown", "compare a b --format csv",
    "compare a b --format latex",
    "compare a b --group-by tag --format table", "compare a b --at step=50", "diff a b", "diff a b --all --json",
    "audit a b -v", "audit a b --json",
    "watch a b --once", "export metrics a", "export metrics a --format jsonl", "export comparison a b", "stop a",
    "export samples a", "export samples a --format markdown",
    "show no-such", "resume a", "sample a", "ls filter-without-match",
    "schema", "plan gpt2-tiny --gpu H100", "presets", "presets gpt2-tiny", "doctor --quick",
)  # fmt: skip
NUMBERS_ONLY = ("export metrics", "show no-such", "ls filter", "sample", "schema", "plan", "presets", "doctor")
PROGRAM = """
import json, sys
from tuitrain.cli import main
for command in json.loads(sys.argv[1]):
    sys.argv = ["tuitrain", *command]
    print("$", *command)
    try:
        main()
    except SystemExit as end:
        print(f"exit code {end.code}")
print("the end")
"""


def poisoned(value: Any, key: str = "") -> Any:
    """The value with hostile sequences in every text and every key of a configuration."""
    if isinstance(value, str):
        return value if key in KEPT else value + HOSTILE
    if isinstance(value, list):
        return [poisoned(item, key) for item in value]
    if isinstance(value, dict):
        more = {f"own{HOSTILE}": f"value{HOSTILE}"} if key == "config" else {}
        return {name: poisoned(item, name) for name, item in value.items()} | more
    return value


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs whose every text is hostile, the names of their directories included."""
    runs = tmp_path_factory.mktemp("inert") / "runs"
    for name, floor in (("a", 2.0), ("b", 2.2)):
        run = write_run(runs, f"{name}{HOSTILE}".replace("/", "").replace("\0", ""), floor=floor)
        records = [json.loads(line) for line in run.metrics.read_bytes().splitlines()]
        records.insert(-1, {"type": "alert", "time": 1.0, "level": "critical", "code": "x", "message": "half \ud83d"})
        lines = "".join(json.dumps(poisoned(record)) + "\n" for record in records)
        run.metrics.write_text(lines, encoding="utf-8")
        info = json.loads((run.path / "run.json").read_text(encoding="utf-8"))
        info |= {"tags": [f"tag{HOSTILE}", name], "notes": [f"note{HOSTILE}"]}
        (run.path / "run.json").write_text(json.dumps(info | {"name": f"{name}{HOSTILE}"}), encoding="utf-8")
        source = "source = " + json.dumps(f"{name}{HOSTILE}").replace("\x7f", "\\u007f")
        config = run.config.read_text(encoding="utf-8").replace('source = "stdlib"', source)
        run.config.write_text(config, encoding="utf-8")
        run.console.write_text(f"console{HOSTILE}\n" * 50, encoding="utf-8")
    return runs


def foreign(raw: bytes) -> list[object]:
    """The control sequences of the hostile texts that reached the terminal, with their context."""
    matches = re.findall(rb".{,40}(?:%s).{,20}" % b"|".join(map(re.escape, FOREIGN)), raw)
    return [*obeyed(raw), *matches]


def modes(raw: bytes) -> dict[str, bool]:
    """The modes that a terminal is left in: alternate screen, mouse, pasting in brackets, a visible cursor."""
    last = {mode.decode(): way == b"h" for mode, way in re.findall(rb"\x1b\[\?(\d+)([hl])", raw)}
    return {name: last[name] for name in GIVEN_BACK}


GIVEN_BACK = {"1049": False, "1000": False, "1003": False, "1006": False, "2004": False, "25": True}


def environment(runs: Path, **more: str) -> dict[str, str]:
    own = {f"TUITRAIN_{name}_DIR": str(runs.parent / name.lower()) for name in ("CACHE", "CONFIG", "STATE")}
    return {**own, "TUITRAIN_RUNS_DIR": str(runs), "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **more}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
def test_no_command_prints_foreign_control_sequences(runs: Path, encoding: str) -> None:
    program = [sys.executable, "-c", PROGRAM, json.dumps([command.split() for command in COMMANDS])]
    with Terminal(program, environment(runs, PYTHONIOENCODING=encoding, COLUMNS="400")) as terminal:
        assert terminal.end() == 0
    raw = terminal.raw.decode(encoding).encode()
    assert foreign(raw) == []
    assert b"Traceback" not in raw
    assert b"the end" in raw, "no command ended the program"
    outputs = re.split(r"^\$ (.*)\r$", raw.decode(), flags=re.MULTILINE)
    shown = {command for command, output in zip(outputs[1::2], outputs[2::2], strict=True) if SEEN in output}
    assert shown >= {command for command in COMMANDS if not command.startswith(NUMBERS_ONLY)}


def test_no_screen_draws_foreign_control_sequences(runs: Path) -> None:
    with Terminal.of("watch", "a", "b", environment=environment(runs)) as terminal:
        terminal.see("quit", SEEN, "learning rate")
        walk(terminal)
        terminal.child.kill(signal.SIGTERM)
        assert terminal.end() == 128 + signal.SIGTERM
    copied = [base64.b64decode(text) for text in re.findall(rb"\x1b\]52;c;([\w+/=]*)\x07", terminal.raw)]
    assert len(copied) == 1
    assert obeyed(copied[0]) == []
    # Besides the clipboard, Textual itself sets the shape of the pointer.
    raw = re.sub(rb"\x1b\](52;c;[\w+/=]*|22;default)\x07", b"", terminal.raw)
    assert foreign(raw) == []
    assert modes(terminal.raw) == GIVEN_BACK


def walk(terminal: Terminal) -> None:
    """Visit every screen and dialog that shows foreign text."""
    press, escape, down = terminal.press, "\x1b", "\x1b[B"
    press("b", "console")
    press("b", "MFU fell", SEEN)
    press("b", "the preset llama2-tiny" + SEEN)
    press("i")
    for key, title in (("e", "export loss"), ("T", "tags"), ("N", "note"), ("P", "panels of"), ("?", "keys:")):
        press(key, title)
        press(escape, gone=title)
    press("S", "completed", SEEN)
    press("2", "sort", SEEN)
    press(" ", " marked ● b" + SEEN)
    press(f"{down} ", "   ▲ a" + SEEN)
    press("Y", "copied")
    press("/tag:x", "tag:x")
    press(escape, gone="tag:x")
    press("3", "baseline", SEEN)
    press("m", "groups by")
    press(escape, gone="groups by")
    press("4", "node1", SEEN)
    press("5", "step 100", SEEN)
    press("6", "console", SEEN)
    press(f"/{SEEN}\r", "of 50")
    press("a", "MFU fell", SEEN)
    press("7", "architecture", SEEN)
    press("8", "presets")
    press("\x10", "Search")
    press(escape, gone="Search")


def test_a_terminal_without_utf_8_gets_ascii_and_is_restored_on_hangup(runs: Path) -> None:
    with Terminal.of("watch", "a", "b", environment=environment(runs, LC_ALL="C")) as terminal:
        terminal.see("quit", SEEN, "+ loss", "learning rate")
        terminal.child.kill(signal.SIGHUP)
        assert terminal.end() == 128 + signal.SIGHUP
    assert terminal.raw.isascii()
    assert modes(terminal.raw) == GIVEN_BACK


def test_a_terminal_that_cannot_move_its_cursor_gets_one_frame_and_the_reason(runs: Path) -> None:
    with Terminal.of("watch", "a", environment=environment(runs, TERM="dumb")) as terminal:
        assert terminal.end() == 0
    assert b"One frame only" in terminal.raw
    assert b"TERM is dumb." in terminal.raw
    assert b"learning rate" in terminal.raw
    assert foreign(terminal.raw) == []
