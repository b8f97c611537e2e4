"""`tuitrain check`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tuitrain.cli import options
from tuitrain.cli.errors import ALERTED
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import Column, print_json, print_table, say

if TYPE_CHECKING:
    from tuitrain.alerts import Level, Rules
    from tuitrain.checks.notify import Target
    from tuitrain.checks.watched_run import WatchedRun
    from tuitrain.events import Alert

EVERY_S = 5.0
LEVEL_STYLES = {"info": "dim", "warning": "yellow", "critical": "bold red"}


def check(
    runs: options.OptionalRuns = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="A TOML file with an [alerts] table.")
    ] = None,
    level: Annotated[
        Literal["info", "warning", "critical"] | None,
        typer.Option("--level", help="The least level that counts. Default: warning."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="SPAN", help="Only alerts of the last 30 min, 2 h, 1 d.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Watch these runs, and all that come below these folders.")
    ] = False,
    every: Annotated[
        float | None, typer.Option(min=0.1, metavar="S", help="With --follow: seconds between two polls. Default: 5.")
    ] = None,
    notify: Annotated[
        list[str] | None,
        typer.Option("--notify", metavar="URL", help="Where new alerts are sent: an address of apprise, or `terminal`.")
    ] = None,
    command: Annotated[
        str | None, typer.Option(metavar="LINE", help="A command that is started for each new alert.")
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="Send a test message to all addresses.")] = False,
    systemd: Annotated[bool, typer.Option("--systemd", help="Print a systemd unit of this with --follow.")] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:  # fmt: skip
    """\b
    Examples:
      tuitrain check latest
      tuitrain check lightning_logs/ --since 1h
      tuitrain check --follow --notify ntfy://my-topic
      tuitrain check --follow experiments/ --rules rules.toml
      tuitrain check --follow --systemd

    The alerts of runs: what went wrong, at which step. Exit code 6 when there is one of the level, 0 when all is quiet.

    Without a RUN: all that are live. The rules are those of the settings, and of --rules; docs/alerts.md lists them.
    Addresses are better kept in the settings or in TUITRAIN_NOTIFY: others see the arguments of a command.
    """
    # Imported here: `--help` does without.
    from tuitrain.alerts import load_rules
    from tuitrain.checks.notify import addresses_of_environment, targets_of

    if command is not None and not command.strip():
        raise typer.BadParameter("it is empty: give the command to start.", param_hint="--command")
    if every is not None and not (follow or systemd):
        raise typer.BadParameter("a single check polls once: give --follow too.", param_hint="--every")
    if since is not None and (follow or systemd):
        raise typer.BadParameter("it is of a single check: --follow remembers what it told.", param_hint="--since")
    loaded = load_rules(rules)
    least = level or loaded.notify_level
    if systemd:
        secret = notify or command
        return _print_unit(runs, {"rules": rules, "level": level, "every": every}, runs_dir, secret is not None)
    told = follow or test or notify or command
    addresses = [*(notify or []), *addresses_of_environment(), *loaded.notify] if told else []
    targets = targets_of(addresses, command or loaded.command if told else "")
    if test:
        return _test(targets)
    if follow:
        from tuitrain.cli.follow_alerts import follow_alerts

        return follow_alerts(runs or [], loaded, least, targets, every or EVERY_S, runs_dir, as_json=as_json)
    now = time.time()
    begin = 0.0 if since is None else now - _seconds(since)
    found = [(watched, _counted(watched, now, begin, least)) for watched in _watched(runs, loaded, runs_dir)]
    if as_json:
        print_json([_as_json(watched, alerts) for watched, alerts in found])
    else:
        _print(found)
    for watched, _ in found:
        _say_unknown(watched)
    if targets:
        _tell(found, targets, now)
    if any(alerts for _, alerts in found):
        raise typer.Exit(ALERTED)
    return None


def _seconds(text: str) -> float:
    from tuitrain.alerts.spans import parse_span

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


def _counted(watched: WatchedRun, now: float, begin: float, level: Level) -> list[Alert]:
    """The alerts of a level at least, since a moment."""
    from tuitrain.alerts import LEVELS

    least = LEVELS.index(level)
    found = [alert for _, alert in watched.poll(now)]
    return [each for each in found if LEVELS.index(each.level) >= least and each.time >= begin]


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


def _tell(found: list[tuple[WatchedRun, list[Alert]]], targets: list[Target], now: float) -> None:
    """Tell of the alerts that nobody was told of by a check of the same runs."""
    from tuitrain.checks.actions import message_of
    from tuitrain.checks.notify import Deliveries
    from tuitrain.checks.reported import reported_of

    reported, deliveries = reported_of(watched.directory.metrics for watched, _ in found), Deliveries(targets)
    for watched, alerts in found:
        keys = {id(alert): key for key, alert in (*watched.alerts, *watched.standing)}
        for alert in alerts:
            run, key = str(watched.directory.metrics), keys[id(alert)]
            if reported.add(run, key):
                deliveries.add(message_of(watched.directory, alert), (run, key), now)
    for problem in deliveries.send(now):
        say(problem)
    reported.save(now, deliveries.waiting)
    if reported.problem:
        say(reported.problem)


def _test(targets: list[Target]) -> None:
    from tuitrain.checks.notify import Message, NotifyError

    if not targets:
        raise typer.BadParameter(
            "there is no address: give --notify or --command, set TUITRAIN_NOTIFY, or notify in the settings.",
            param_hint="--test",
        )
    facts = {f"TUITRAIN_ALERT_{name}": "" for name in ("RUN_ID", "RUN_PATH", "STEP")}
    facts |= {"TUITRAIN_ALERT_LEVEL": "info", "TUITRAIN_ALERT_CODE": "test", "TUITRAIN_ALERT_MESSAGE": "A test."}
    facts["TUITRAIN_ALERT_TIME"] = f"{time.time():.3f}"
    failed = False
    for target in targets:
        try:
            target.send(Message("tuitrain info: a test", "Alerts of runs will come this way.", facts))
        except NotifyError as error:
            failed = True
            say(str(error))
        else:
            print(f"{target.name}: a test message was sent.")
    if failed:
        raise typer.Exit(1)


def _print_unit(names: list[str] | None, flags: dict[str, Any], runs_dir: Path | None, has_secret: bool) -> None:
    import sys

    from tuitrain.launch.systemd import check_unit
    from tuitrain.runs import runs_directory

    words = [str(Path(name).absolute()) if Path(name).exists() else name for name in names or []]
    flags["rules"] = None if flags["rules"] is None else flags["rules"].absolute()
    where = {"runs-dir": runs_directory(runs_dir).absolute()}
    arguments = ["check", "--follow", *words, *options.as_arguments({**flags, **where})]
    print(check_unit([sys.executable, "-m", "tuitrain.cli", *arguments], Path.cwd()), end="")
    if has_secret:
        say("Addresses and commands are not put into a unit: keep them in the settings or in its environment file.")
