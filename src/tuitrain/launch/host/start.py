"""`tuitrain launch` on another machine: what it gets, and the runs that it starts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import msgspec

from tuitrain.events.layout import SENT_VARIABLE, Sent
from tuitrain.files import expanded, read_regular
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.host.machine import PLACES, RemoteMachine
from tuitrain.launch.host.send import send
from tuitrain.launch.host.tree import Tree, check_size, read_tree, root_of_repository
from tuitrain.remote.address import Address
from tuitrain.remote.script import ScriptError, run_script
from tuitrain.text import clean

_MOST_CONFIG_BYTES = 1 << 20
_RUN = (
    PLACES
    + r"""
cd -- "$1" || exit 1
t=$2; if [ -n "$3" ]; then export VARIABLE="$3"; fi; shift 3
exec "$t" "$@" </dev/null
"""
)
"""In the directory `$1` the tuitrain `$2`, with `$3` about the tree, and the other words as its arguments."""
_RUN_IN_TMUX = (
    PLACES
    + r"""
cd -- "$1" || exit 1
t=$2; s=$3; n=$4; shift 4
d=$(mktemp -d) || exit 1; scope=
if systemd-run --user --scope -q true >/dev/null 2>&1; then scope='systemd-run --user --scope -q'; fi
$scope tmux new-session -d -s "$n" sh -c '
  d=$1; t=$2; PATH=$3; export PATH; if [ -n "$4" ]; then export VARIABLE="$4"; fi; shift 4
  "$t" "$@" >"$d/out" 2>"$d/err" </dev/null; c=$?
  r=$(sed -n "s/.*\"path\": *\"\([^\"]*\)\".*/\1/p" "$d/out" | head -n 1)
  echo $c >"$d/code.new"; mv "$d/code.new" "$d/code"
  if [ -n "$r" ]; then exec "$t" logs -f "$r"; fi' sh "$d" "$t" "$PATH" "$s" "$@" || { rm -rf "$d"; exit 1; }
while [ ! -e "$d/code" ]; do
  tmux has-session -t "=$n" 2>/dev/null || [ -e "$d/code" ] || { echo "the tmux session ended" >&2; exit 1; }
  sleep 0.2 2>/dev/null || sleep 1
done
cat "$d/out"; cat "$d/err" >&2; c=$(cat "$d/code"); rm -rf "$d"; exit "$c"
"""
)
"""The same in a session of tmux with the name `$4`, which shows the console of the run until that has ended."""
_KEEP = (
    PLACES
    + r"""
umask 077; mkdir -p "$data/configs/$1" && cat >"$data/configs/$1/$2.new" && mv "$data/configs/$1/$2.new" \
  "$data/configs/$1/$2" && echo "$data/configs/$1/$2"
"""
)


@dataclass(frozen=True)
class RemoteDirectory:
    """A directory on another machine for the commands of a run, and what was sent there."""

    machine: RemoteMachine
    directory: str
    sent: Sent | None = None


def local_tree(sync: Path | None, runs_dir: Path, *, needed: bool) -> tuple[Tree, str] | None:
    """The working tree to send, and the working directory in it; None for nothing.

    sync: what the user gave; else it is the git work tree of the working directory, or that directory where a command
    needs it. runs_dir: here, which is left out. Raises LaunchError.
    """
    here = Path.cwd()
    root = sync or root_of_repository(here) or (here if needed else None)
    if root is None:
        return None
    tree = read_tree(root, without=[runs_dir])
    if sync is None:
        check_size(tree)
    inside = here.resolve().relative_to(tree.root) if here.resolve().is_relative_to(tree.root) else PurePosixPath()
    return tree, str(inside)


def prepared_directory(machine: RemoteMachine, tree: tuple[Tree, str] | None, *, ask: bool = False) -> RemoteDirectory:
    """Send the tree, and return where commands run there; without one that is the home directory."""
    if tree is None:
        return RemoteDirectory(machine, machine.home)
    sent = send(tree[0], machine, ask=ask)
    return RemoteDirectory(machine, str(PurePosixPath(sent.destination) / tree[1]), sent)


def with_file_sent(preset: str, host: str, *, ask: bool = False) -> str:
    """The preset; for a configuration file its path there, to which it is sent. Raises LaunchError, OSError."""
    if not (preset.endswith(".toml") or "/" in preset):
        return preset
    path = expanded(preset)
    name = f"{path.name}.toml" if path.is_dir() else path.name
    content = read_regular(path / "config.toml" if path.is_dir() else path, _MOST_CONFIG_BYTES)
    words = [hashlib.sha256(content).hexdigest()[:12], name]
    try:
        return run_script(host, _KEEP, words, data=[content], ask=ask).removesuffix("\n")
    except ScriptError as error:
        raise LaunchError(f"{host}: {preset} cannot be sent: {clean(error.text)}", exit_code=1) from None


def run_tuitrain(
    at: RemoteDirectory,
    words: Sequence[str],
    *,
    program: Sequence[str] = (),
    tmux: str = "",
    line: Callable[[str], object] | None = None,
    say: Callable[[str], object] | None = None,
    codes: Collection[int] = (0,),
    ask: bool = False,
) -> str:
    """Run tuitrain there with these arguments; returns what it printed. codes: of an exit that is no failure.

    program: the words that start tuitrain, where not that which was found there. tmux: the name of a session of tmux to
    run it in. line: called with each line that it prints, as it comes. say: with each line of its standard
    error, where it did not fail. Raises RemoteError, and LaunchError with what it said and its exit code.
    """
    machine = at.machine
    sent = msgspec.json.encode(at.sent).decode() if at.sent is not None else ""
    script, names = (_RUN_IN_TMUX, [tmux]) if tmux else (_RUN, [])
    script = script.replace("VARIABLE", SENT_VARIABLE)
    try:
        first, *more = program or [machine.tuitrain]
        words = [at.directory, first, sent, *names, *more, *words]
        return run_script(machine.host, script, words, line=line, say=say, codes=codes, ask=ask)
    except ScriptError as error:
        lines = [each.removeprefix("tuitrain: ") for each in error.text.splitlines() if each.strip()]
        message = "\n".join(f"{machine.host}: {each}" for each in lines) or str(error)
        raise LaunchError(message, exit_code=error.code) from None


def address_there(machine: RemoteMachine, path: str) -> Address:
    """The address of an absolute path there, relative to the home directory where it lies in that."""
    home = machine.home.rstrip("/") + "/"
    return Address(machine.host, path.removeprefix(home) if path.startswith(home) else path)
