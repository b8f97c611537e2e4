"""Commands that run on another machine: what of a command line goes there."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import typer

from tuitrain.cli.rules import flag_of

if TYPE_CHECKING:
    from tuitrain.launch.host.machine import RemoteMachine
    from tuitrain.remote.address import Address
    from tuitrain.runs import RunDirectory


def may_ask() -> bool:
    """Whether `ssh` may ask for a password."""
    return sys.stdin.isatty()


def forwarded(ctx: typer.Context, without: Collection[str]) -> list[str]:
    """The options that were given on the command line, as words for the same command elsewhere.

    without: names of parameters that are left out, the arguments among them.
    """
    words = []
    for parameter in ctx.command.params:
        name = parameter.name or ""
        source = ctx.get_parameter_source(name)
        if name in without or source is None or source.name != "COMMANDLINE":
            continue
        words += _words(parameter, ctx.params[name])
    return words


def _words(parameter: Any, value: Any) -> list[str]:
    flag = flag_of(parameter)
    if isinstance(value, bool):
        return [flag if value else max(parameter.secondary_opts, key=len)]
    return [f"{flag}={each}" for each in (value if isinstance(value, list | tuple) else [value])]


def place_on(host: str) -> Address:
    """The folder of the runs on the HOST or HOST:DIR of --host. Raises BadParameter, SettingsError."""
    from tuitrain.remote.address import AddressError
    from tuitrain.remote.hosts import host_address

    try:
        return host_address(host)
    except AddressError as error:
        raise typer.BadParameter(str(error), param_hint="--host") from None


def run_command(
    run: RunDirectory,
    command: str,
    words: Sequence[str],
    *,
    say: Callable[[str], object] | None = None,
    codes: Collection[int] = (0,),
) -> tuple[RemoteMachine, Any]:
    """Run a command of tuitrain, such as `queue rm`, on a run where that is, with --json; returns what it printed.

    It is the tuitrain that is found there, else that of the Python which the run was started with. say:
    called with what it said. codes: of an exit that is no failure. Raises LaunchError, RemoteError.
    """
    from tuitrain.launch.host.machine import probe, required
    from tuitrain.launch.host.start import RemoteDirectory, run_tuitrain
    from tuitrain.remote.address import parse_address

    address, info = parse_address(run.remote), run.read_metadata()
    machine = probe(address.host, ask=may_ask())
    program = [machine.tuitrain]
    if not machine.tuitrain and info is not None and info.command:
        program = [info.command[0], "-m", "tuitrain.cli"]
    elif not machine.tuitrain:
        required(machine)
    path = PurePosixPath(machine.path_of(address))
    path = path.parent if path.name == run.metrics.name else path
    words = [*command.split(), str(path), *words, "--json", f"--runs-dir={path.parent}"]
    at = RemoteDirectory(machine, machine.home)
    printed = run_tuitrain(at, words, program=program, say=say, codes=codes, ask=may_ask())
    return machine, parsed(machine.host, printed)


def parsed(host: str, printed: str) -> Any:
    """The JSON that the tuitrain of a machine printed. Raises LaunchError for what is none."""
    from tuitrain.launch import LaunchError

    try:
        return json.loads(printed)
    except ValueError:
        raise LaunchError(
            f"{host}: its tuitrain printed what is not understood; --install installs this one.", exit_code=1
        ) from None
