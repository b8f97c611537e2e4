"""Import layers, and the packages that a command may load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support import write_run
from tuitrain.cli.app import COMMANDS

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "tuitrain_engine", "textual", "matplotlib", "plotext", "apprise")

# The heavy packages that a command may load for its purpose.
HEADLESS = {
    "--help": (),
    "--version": (),
    "ls": (),
    "ls --json": (),
    "status first": (),
    "status first --json": (),
    "check first": (),
    "check first --json": (),
    "show first": (),
    "logs first": (),
    "diff first second": (),
    "audit first second": (),
    "compare first second --format table": (),
    "compare first second --json": (),
    "watch first --once": (),
    "plot first -m lr --width 60": ("plotext",),
    "export metrics first --format csv --out out.csv": (),
    "export comparison first second --out comparison.json": (),
    "export samples first --format markdown": (),
    "export report first --out report --dpi 20": ("matplotlib",),
    "export plots first --out figures --figure loss --dpi 20": ("matplotlib",),
    "export plots first --format txt --out texts": ("plotext",),
    "plan gpt2-124m --gpu H100": (),
    "presets": (),
    "presets gpt2": (),
    "doctor --quick": (),
    "schema": (),
    "stop first": (),
    "tag first some": (),
    "note first some text": (),
    "rm first": (),
    "launch gpt2-tiny --dry-run": (),
    "launch gpt2-tiny --gpus 2 train.micro_batch_size=4 --dry-run": (),
    "launch gpt2-tiny data.source=nowhere.txt --detach": (),
}

# Each command reports what it loads of these packages and none before it did.
PROBE = f"""
import sys, traceback
from tuitrain.cli import main
seen = set()
for command in sys.argv[1:]:
    sys.argv = ["tuitrain", *command.split()]
    try:
        main()
    except SystemExit:
        pass
    except BaseException:
        traceback.print_exc()
    loaded = set({HEAVY!r}) & set(sys.modules)
    print("LOADED", *loaded - seen, file=sys.stderr)
    seen |= loaded
"""

# Help needs only the arguments of a command; the rooms below take most of the time that its module takes to import.
OF_HELP = ("tuitrain.cli", "tuitrain.files", "tuitrain.text", "tuitrain.seven_bit", "tuitrain.plots.axes")
HELP_PROBE = f"""
import sys
from tuitrain.cli import main
seen = set()
for command in sys.argv[1:]:
    sys.argv = ["tuitrain", *command.split(), "--help"]
    try:
        main()
    except SystemExit:
        pass
    loaded = {{name for name in sys.modules if name in ("numpy", "psutil", "rich") or name.startswith("tuitrain.")}}
    for name in sorted(loaded - seen):
        if name != "tuitrain.plots" and not name.startswith({OF_HELP!r}):
            print(f"{{command}} --help: {{name}}", file=sys.stderr)
    seen |= loaded
"""


def test_rooms_import_only_from_rooms_below_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert lint_imports(config_filename="pyproject.toml", no_cache=True) == EXIT_STATUS_SUCCESS


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hygiene")
    write_run(path / "runs", "first")
    write_run(path / "runs", "second", preset="gpt2-tiny")
    return path


def test_help_needs_only_the_arguments_of_a_command() -> None:
    exports = ("plots", "metrics", "comparison", "samples", "report", "weights")
    names = ["", *COMMANDS, *(f"export {name}" for name in exports)]
    done = subprocess.run([sys.executable, "-c", HELP_PROBE, *names], capture_output=True, text=True, timeout=120)
    assert done.stdout.count("Usage: tuitrain") == len(names)
    assert done.stderr == ""


@pytest.fixture(scope="module")
def said(workspace: Path) -> dict[str, str]:
    """What each command wrote to standard error, with what it loaded in the last line.

    The commands that may load the same packages share a process.
    """
    found: dict[str, str] = {}
    for allowed in sorted(set(HEADLESS.values())):
        commands = [command for command in HEADLESS if HEADLESS[command] == allowed]
        done = subprocess.run(
            [sys.executable, "-c", PROBE, *commands], cwd=workspace, capture_output=True, text=True, timeout=120
        )
        parts = re.findall(r".*?^LOADED.*?$", done.stderr, flags=re.DOTALL | re.MULTILINE)
        found |= dict(zip(commands, parts, strict=True))
    return found


@pytest.mark.parametrize("command", HEADLESS)
def test_a_headless_command_loads_nothing_heavy(command: str, said: dict[str, str]) -> None:
    errors = said[command]
    assert "Traceback" not in errors, errors
    assert "--help` shows" not in errors, errors
    loaded = errors.splitlines()[-1].split()
    assert loaded[0] == "LOADED"
    assert set(loaded[1:]) <= set(HEADLESS[command])
