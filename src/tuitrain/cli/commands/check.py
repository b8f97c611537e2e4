"""`tuitrain check`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tuitrain.cli import options
from tuitrain.cli.errors import ALERTED
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from tuitrain.analysis.alerts import Rules
    from tuitrain.checks.watched_run import WatchedRun
    from tuitrain.events import Alert

LEVEL_STYLES = {"info": "dim", "warning": "yellow", "critical": "bold red"}


def check(
    runs: options.OptionalRuns = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="A TOML file with an [alerts] table.")
    ] = None,
    level: Annotated[
        Literal["info", "warning", "critical"], typer.Option("--level", help="The least level that counts.")
    ] = "warning",
    since: Annotated[
        str | None, typer.Option("--since", metavar="SPAN", help="Only alerts of the last 30 min, 2 h, 1 d.")
    ] = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain check latest
      tuitrain check lightning_logs/ --since 1h
      tuitrain check latest --rules rules.toml --json

    The alerts of runs: what went wrong, at which step. Exit code 6 when there is one of the level, 0 when all is quiet.

    Without a RUN: all that are live. The rules are those of the settings, and of --rules; docs/alerts.md lists them.
    """
    # Imported here: `--help` does without.
    from tuitrain.analysis.alerts import load_rules

    now = time.time()
    begin = 0.0 if since is None else now - _seconds(since)
    loaded = load_rules(rules)
    found = [(watched, _counted(watched, now, begin, level)) for watched in _watched(runs, loaded, runs_dir)]
    if as_json:
        print_json([_as_json(watched, alerts) for watched, alerts in found])
    else:
        _print(found)
    for watched, _ in found:
        _say_unknown(watched)
    if any(alerts for _, alerts in found):
        raise typer.Exit(ALERTED)


def _seconds(text: str) -> float:
    from tuitrain.analysis.alerts.spans import parse_span

    try:
        span = parse_span(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}.", param_hint="--since") from None
    if span.unit != "seconds":
        raise typer.BadParameter(f"{text!r} is no time: write 30 min, 2 h or 1 d.", param_hint="--since")
    return span.amount


def _watched(names: list[str] | None, rules: Rules, runs_dir: Path | None) -> list[WatchedRun]:
    """The runs with these names, or those that are live."""
    from tuitrain.checks.watched_run import WatchedRun
    from tuitrain.runs import list_runs, read_snapshot, runs_directory

    if names:
        return [WatchedRun(run, rules) for run in find_runs(names, runs_dir)]
    every = list_runs(runs_directory(runs_dir))
    return [WatchedRun(run, rules) for run in every if read_snapshot(run).status.live]


def _counted(watched: WatchedRun, now: float, begin: float, level: str) -> list[Alert]:
    """The alerts of a level at least, since a moment."""
    from tuitrain.analysis.alerts import LEVELS

    least = LEVELS.index(level)
    return [each for each in watched.poll(now) if LEVELS.index(each.level) >= least and each.time >= begin]


def _as_json(watched: WatchedRun, alerts: list[Alert]) -> dict[str, object]:
    from tuitrain.cli.run_view import alert_json

    return {
        "run_id": watched.directory.run_id,
        "path": str(watched.directory.path.absolute()),
        "status": str(watched.status),
        "problem": watched.problem or None,
        "alerts": [alert_json(alert) for alert in alerts],
    }


def _print(found: list[tuple[WatchedRun, list[Alert]]]) -> None:
    from tuitrain.analysis import units

    if not found:
        say("No run is live here; name one to check it.")
    for watched, alerts in found:
        many = f"{len(alerts)} alert{'' if len(alerts) == 1 else 's'}" if alerts else "quiet"
        print("  ".join(filter(None, [str(watched.status), watched.directory.run_id, watched.problem, many])))
        if alerts:
            texts = [each.message for each in alerts]
            print_table([
                Column("level", [each.level for each in alerts], styles=LEVEL_STYLES),
                Column("time", [units.moment(each.time, "%d %b %H:%M:%S") for each in alerts], rank=2),
                Column("step", [units.UNKNOWN if each.step is None else f"{each.step:,}" for each in alerts], "right"),
                Column("rule", [each.code for each in alerts], rank=1),
                Column("message", texts),
            ])  # fmt: skip


def _say_unknown(watched: WatchedRun) -> None:
    """Name conditions whose metric the log does not have: a typing error would never be noticed."""
    from tuitrain.config.errors import suggest

    monitor = watched.monitor
    for name, metric in monitor.unknown_metrics():
        near = suggest(metric, sorted(monitor.own_names)) or ""
        say(f"{watched.directory.run_id}: the condition {name} is about {metric!r}, which its log has not had.{near}")
