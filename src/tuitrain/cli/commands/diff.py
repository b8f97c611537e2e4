"""`tuitrain diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tuitrain.cli import options
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from tuitrain.runs import RunDirectory


def diff(
    left: options.Run,
    right: options.Run,
    everything: Annotated[bool, typer.Option("--all", help="Also keys with equal values.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 when keys differ.")] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain diff gpt2-tiny-2026 llama2-tiny-2026
      tuitrain diff RUN RUN --all
      tuitrain diff RUN RUN --exit-code > /dev/null || echo different

    Configuration keys in which two runs differ.
    """
    # Imported here: `--help` does without.
    from tuitrain.analysis.units import config_value

    directories = find_runs([left, right], runs_dir)
    first, second = (_flat_config(run) for run in directories)
    keys = list(dict.fromkeys([*first, *second]))
    differing = [key for key in keys if first.get(key) != second.get(key)]
    shown = keys if everything else differing
    # Runs of two directories may have the same id.
    names = [run.run_id if directories[0].run_id != directories[1].run_id else str(run.path) for run in directories]
    if as_json:
        print_json({key: {names[0]: first.get(key), names[1]: second.get(key)} for key in shown})
    elif not shown:
        say("No keys differ.")
    else:
        values = [[config_value(config.get(key)) for key in shown] for config in (first, second)]
        print_table([Column("key", shown), *map(Column, names, values)])
    raise typer.Exit(1 if exit_code and differing else 0)


def _flat_config(run: RunDirectory) -> dict[str, Any]:
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
