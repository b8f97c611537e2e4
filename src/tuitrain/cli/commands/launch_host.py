"""`tuitrain launch --host`: the same command on another machine."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli.lookup import find_one, find_own_one
from tuitrain.cli.output import is_terminal, print_json, print_lines, say
from tuitrain.cli.remote_commands import forwarded, may_ask, parsed, place_on, run_command

if TYPE_CHECKING:
    from tuitrain.launch.host.machine import RemoteMachine

Host = Annotated[
    str | None,
    typer.Option(metavar="[USER@]HOST[:DIR]",
                 help="Start it on this machine, which ssh reaches, among the runs in DIR there. Default: runs."),
]  # fmt: skip
Install = Annotated[
    bool,
    typer.Option("--install", help="With --host: install this tuitrain there, in an environment of its own, with uv or "
                                   "venv."),
]  # fmt: skip
Sync = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="With --host: the working tree to send, without what git ignores. Default: the "
                                     "git work tree of this directory, or with a command this directory."),
]  # fmt: skip
NoSync = Annotated[bool, typer.Option("--no-sync", help="With --host: send no working tree.")]
Tmux = Annotated[
    bool, typer.Option("--tmux", help="With --host: start it in a tmux session, where a logout ends what was started.")
]
OWN = ("preset", "overrides", "host", "install", "sync", "no_sync", "tmux", "detach", "foreground", "watch", "as_json",
       "runs_dir")  # fmt: skip
"""Parameters of `launch` that are not passed on as they are."""


def launch_on_host(ctx: typer.Context, command: Sequence[str] | None) -> None:
    """Start there what the command line asks for. command: after `--`. Raises LaunchError, ConfigError, RemoteError."""
    from tuitrain.launch.host import start
    from tuitrain.launch.host.install import install
    from tuitrain.launch.host.machine import probe, required
    from tuitrain.remote.sharing import share
    from tuitrain.settings import runs_directory

    given, ask = ctx.params, may_ask()
    _check(ctx, command)
    address = place_on(given["host"])
    tree = None
    if not given["no_sync"]:
        tree = start.local_tree(given["sync"], runs_directory(None), needed=command is not None)
    share(address.host, ask=ask)
    machine = probe(address.host, ask=ask)
    if given["install"]:
        machine = install(machine, say, ask=ask)
    required(machine)
    _say_version(machine.host, machine.version)
    if given["tmux"] and "tmux" not in machine.tools:
        raise typer.BadParameter(f"{machine.host} has no tmux.", param_hint="--tmux")
    at = start.prepared_directory(machine, tree, ask=ask)
    if at.sent is not None:
        say(_sent_line(machine.host, at.sent))
    words = [
        "launch",
        *_arguments(ctx, machine.host, ask),
        *forwarded(ctx, OWN),
        f"--runs-dir={machine.path_of(address)}",
    ]
    after = [] if command is None else ["--", *command]
    if given["dry_run"] or given["smoke"]:
        asked = ["--json"] if given["as_json"] else []
        start.run_tuitrain(at, [*words, *asked, *after], line=print, say=say, ask=ask)
        return None
    many = _is_sweep(given) or given["queue"]
    words += ["--json"] if many else ["--detach", "--json"]
    tmux = f"tuitrain-{given['name'] or 'run'}-{secrets.token_hex(2)}".replace(".", "-") if given["tmux"] else ""
    # A single one says commands for there.
    printed = start.run_tuitrain(at, [*words, *after], tmux=tmux, say=say if many else None, ask=ask)
    document = parsed(machine.host, printed)
    if tmux:
        say(f"In the tmux session {tmux}: ssh -t {machine.host} tmux attach -t {tmux}")
    return stay(machine, document, detach=given["detach"] or many, foreground=given["foreground"],
                as_json=given["as_json"])  # fmt: skip


def continue_on_host(ctx: typer.Context, command: str) -> None:
    """`resume` or `fork` of a run on another machine, there. Raises LaunchError, RemoteError, RunNotFoundError."""
    given = ctx.params
    run = find_own_one(given["run"], None, requests=True)
    words = [*(given["overrides"] or []), *forwarded(ctx, (*OWN, "run")), "--detach"]
    machine, document = run_command(run, command, words)
    stay(machine, document, detach=given["detach"], foreground=given["foreground"], as_json=given["as_json"])


def _check(ctx: typer.Context, command: Sequence[str] | None) -> None:
    """Report here what can be known to be wrong without the other machine."""
    from tuitrain.config import load_config
    from tuitrain.launch.sweep import grid

    given = ctx.params
    source = ctx.get_parameter_source("runs_dir")
    if given["runs_dir"] is not None and source is not None and source.name == "COMMANDLINE":
        raise typer.BadParameter("with --host write the directory of the runs there as --host HOST:DIR.",
                                 param_hint="--runs-dir")  # fmt: skip
    if command is None:
        load_config(given["preset"], grid(given["overrides"] or [])[0])


def _arguments(ctx: typer.Context, host: str, ask: bool) -> list[str]:
    from tuitrain.launch.host.start import with_file_sent

    preset = ctx.params["preset"]
    if preset is None:
        return []
    return [with_file_sent(preset, host, ask=ask), *(ctx.params["overrides"] or [])]


def _is_sweep(given: dict[str, Any]) -> bool:
    from tuitrain.launch.sweep import grid

    return len(grid(given["overrides"] or [])) > 1


def _say_version(host: str, version: str) -> None:
    from tuitrain import __version__

    if version != __version__:
        machine = version or "of an unknown version"
        say(f"{host} has tuitrain {machine}, and here is {__version__}: --install installs it.")


def _sent_line(host: str, sent: Any) -> str:
    what = f"commit {sent.commit[:10]}" if sent.commit else "no commit"
    changed = f" and {sent.dirty:,} changed file{'s' if sent.dirty > 1 else ''}" if sent.dirty else ""
    how = "there already" if sent.method == "none" else f"{sent.bytes:,} bytes with {sent.method}"
    return f"{host}: {what}{changed}, {sent.files:,} file{'s' if sent.files != 1 else ''}: {how}, in {sent.destination}"


def stay(machine: RemoteMachine, document: dict[str, Any], *, detach: bool, foreground: bool, as_json: bool) -> None:
    """Print the addresses of the runs that were started; of a single one show the dashboard, or its console.

    document: what the command there printed. Returns, or raises Exit with an exit code.
    """
    from tuitrain.launch.host.start import address_there

    runs = document.get("runs", [document])
    for run in runs:
        run["path"] = str(address_there(machine, run["path"]))
    addresses = [run["path"] for run in runs]
    if as_json:
        return print_json(document)
    print_lines(addresses)
    if len(addresses) != 1 or detach:
        return None
    sys.stdout.flush()
    if is_terminal() and not foreground:
        from tuitrain.cli.commands.watch import watch

        return watch(addresses)
    return _follow(addresses[0], foreground=foreground)


def _follow(address: str, *, foreground: bool) -> None:
    """Print the console of a run until it ends; its status is the exit code."""
    from tuitrain.cli.commands.logs import logs
    from tuitrain.runs import Status, read_snapshot

    while True:
        try:
            logs(address, follow=True)
            break
        except KeyboardInterrupt:
            if not foreground:
                say(f"\nThe training continues. Watch: tuitrain watch {address} · stop: tuitrain stop {address}")
                raise
            find_one(address, None).request("stop", "stopped by Ctrl-C")
            # A second one ends this command only.
            foreground = False
    status = read_snapshot(find_one(address, None)).status
    raise typer.Exit(0 if status in (Status.COMPLETED, Status.STOPPED) else 1)
