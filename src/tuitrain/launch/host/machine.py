"""What another machine has for training: its directories, programs and tuitrain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tuitrain.launch.errors import LaunchError
from tuitrain.remote.address import Address
from tuitrain.remote.connection import RemoteError
from tuitrain.remote.script import run_script
from tuitrain.text import clean

TOOLS = ("rsync", "git", "tar", "gzip", "zstd", "uv", "tmux")
MARK = "tuitrain-source"
"""A file in our environment there: what was installed into it."""

PLACES = """
data=${XDG_DATA_HOME:-$HOME/.local/share}/tuitrain
PATH=$PATH:$HOME/.local/bin; export PATH
"""
_PROBE = (
    PLACES
    + r"""
echo "home $(pwd)"; echo "data $data"; echo "name $(uname -n)"; echo "system $(uname -s -m)"; echo "shell ${SHELL:-}"
for t in TOOLS; do if p=$(command -v $t); then echo "tool.$t $p"; fi; done
t=$data/env/bin/tuitrain
if [ -x "$t" ]; then echo "installed $(cat "$data/env/MARK" 2>/dev/null)"; else t=$(command -v tuitrain); fi
if [ -n "$t" ]; then echo "tuitrain $t"; v=$("$t" --version 2>/dev/null); echo "version ${v#tuitrain }"; fi
for p in python3 python3.14 python3.13 python3.12 python3.11; do
  v=$($p -c 'import sys, venv, ensurepip; print("%d.%d.%d" % sys.version_info[:3], sys.version_info >= (3, 11))' \
    2>/dev/null) || continue
  case $v in *True) echo "python $(command -v $p)"; echo "python.version ${v% *}"; break;; esac
done
"""
)


@dataclass(frozen=True)
class RemoteMachine:
    """A machine. home: where `ssh` starts, which paths are relative to. data: our directory there.

    tools: paths by name. tuitrain: its path, and its version; empty: none. python: one that is new enough, with `venv`.
    """

    host: str
    facts: dict[str, str]
    tools: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return self.facts["home"]

    def path_of(self, address: Address) -> str:
        """The absolute path of a place on it."""
        return str(PurePosixPath(self.home, address.path))

    @property
    def data(self) -> str:
        return self.facts["data"]

    @property
    def tuitrain(self) -> str:
        return self.facts.get("tuitrain", "")

    @property
    def version(self) -> str:
        return self.facts.get("version", "")

    @property
    def python(self) -> str:
        return self.facts.get("python", "")


def probe(host: str, words: Sequence[str] = (), *, ask: bool = False, more: str = "") -> RemoteMachine:
    """What is there. more: further lines of the script, which print facts, and words its arguments.

    Raises RemoteError, ScriptError.
    """
    script = _PROBE.replace("TOOLS", " ".join(TOOLS)).replace("MARK", MARK) + more
    facts, tools = dict[str, str](), dict[str, str]()
    for line in run_script(host, f"{script}\nexit 0", words, ask=ask).splitlines():
        key, _, value = clean(line).partition(" ")
        if key.startswith("tool."):
            tools[key.removeprefix("tool.")] = value
        else:
            facts[key] = value
    if not {"home", "data"} <= facts.keys():
        raise RemoteError(host, "its shell does not do what a POSIX shell does")
    return RemoteMachine(host, facts, tools)


def required(machine: RemoteMachine) -> str:
    """The path of tuitrain there. Raises LaunchError where there is none."""
    if machine.tuitrain:
        return machine.tuitrain
    raise LaunchError(
        f"{machine.host} has no tuitrain in PATH or {machine.data}/env: --install makes that environment.",
        exit_code=3,
    )
