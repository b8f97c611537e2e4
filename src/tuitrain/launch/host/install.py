"""Installing tuitrain on another machine, into an environment of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuitrain import __version__
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.host.machine import MARK, PLACES, RemoteMachine, probe
from tuitrain.launch.host.send import send
from tuitrain.launch.host.tree import Tree, read_tree
from tuitrain.remote.script import ScriptError, run_script

_SOURCES = ("pyproject.toml", "src", "engine", "presets", "README.md", "LICENSE", "constraints.txt")
"""What tuitrain is built from."""
_INSTALL = (
    PLACES
    + r"""
exec 2>&1; set -e
env=$data/env; mkdir -p "$data"
if command -v uv >/dev/null; then
  uv venv -q --allow-existing --python '>=3.11' "$env"
  uv pip install -q --python "$env/bin/python" "$1"
else
  "$3" -m venv "$env"
  "$env/bin/python" -m pip install -q --disable-pip-version-check "$1"
fi
printf '%s\n' "$2" >"$env/MARK"
"""
)


def install(machine: RemoteMachine, report: Callable[[str], object], *, ask: bool = False) -> RemoteMachine:
    """Install this tuitrain with its engine into an environment of its own there, unless that is done already.

    It is built from the sources where it runs from them here. Raises LaunchError, RemoteError.
    """
    sources = source_tree()
    mark = f"{__version__} {sources.digest}" if sources is not None else __version__
    if machine.facts.get("installed") == mark:
        return machine
    tool = "uv" if "uv" in machine.tools else "venv"
    if tool == "venv" and not machine.python:
        raise LaunchError(
            f"{machine.host} has neither uv nor a Python of version 3.11 or newer with venv.", exit_code=3
        )
    what = f"tuitrain[engine]=={__version__}"
    if sources is not None:
        what = f"{send(sources, machine, ask=ask).destination}[engine]"
    report(f"{machine.host}: installing tuitrain {__version__} into {machine.data}/env with {tool}.")
    try:
        run_script(machine.host, _INSTALL.replace("MARK", MARK), [what, mark, machine.python], line=report, ask=ask)
    except ScriptError as error:
        raise LaunchError(f"{machine.host}: tuitrain cannot be installed; {tool} says why.", exit_code=1) from error
    return probe(machine.host, ask=ask)


def source_tree() -> Tree | None:
    """The sources that this tuitrain runs from; None for an installed one."""
    root = Path(__file__).resolve().parents[4]
    if not all((root / name).exists() for name in ("pyproject.toml", "engine", "src")):
        return None
    return read_tree(root, below=_SOURCES)
