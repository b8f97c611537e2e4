"""`tuitrain diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli.completion import complete_run
from tuitrain.cli.options import RUN_HELP, JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def diff(
    left: RunArgument,
    right: Annotated[
        str, typer.Argument(metavar="RUN", help=RUN_HELP, autocompletion=complete_run, show_default=False)
    ],
    everything: Annotated[bool, typer.Option("--all", help="Also the keys that are the same.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when keys differ.")] = False,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain diff gpt2-tiny-2026 llama2-tiny-2026
      tuitrain diff RUN RUN --all
      tuitrain diff RUN RUN --exit-code > /dev/null || echo different

    Configuration keys in which two runs differ.
    """
    from tuitrain.runs import find_run, runs_directory

    directories = [find_run(name, runs_directory(runs_dir)) for name in (left, right)]
    first, second = (flat_config(run) for run in directories)
    keys = [*first, *(key for key in second if key not in first)]
    same = {key for key in keys if first.get(key) == second.get(key)}
    shown = keys if everything else [key for key in keys if key not in same]
    # Runs of two directories may have the same id.
    names = [run.run_id if directories[0].run_id != directories[1].run_id else str(run.path) for run in directories]
    if as_json:
        values = ([first.get(key), second.get(key)] for key in shown)
        print_json({key: dict(zip(names, pair, strict=True)) for key, pair in zip(shown, values, strict=True)})
    elif not shown:
        say("No keys differ.")
    else:
        from tuitrain.analysis.units import config_value

        columns = [Column("key"), *(Column(name) for name in names)]
        print_table(columns, [[key, config_value(first.get(key)), config_value(second.get(key))] for key in shown])
    raise typer.Exit(1 if exit_code and len(same) < len(keys) else 0)


def flat_config(run: RunDirectory) -> dict[str, Any]:
    """The configuration of a run by dotted keys, without its name: from config.toml, else from its log."""
    from tuitrain.config import flatten
    from tuitrain.config.run_config import read_toml
    from tuitrain.launch import LaunchError
    from tuitrain.runs import read_snapshot

    if run.config.exists():
        tree = read_toml(run.config)
    else:
        logged = read_snapshot(run).run
        if logged is None or not logged.config:
            raise LaunchError(f"{run.run_id} has no configuration: neither a config.toml nor one in its log.", 3)
        tree = logged.config
    return {key: value for key, value in flatten(tree).items() if key not in ("name", "preset")}
