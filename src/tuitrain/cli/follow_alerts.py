"""`tuitrain check --follow`: the loop that watches runs, tells of their alerts and does what rules ask for."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.analysis import units
from tuitrain.checks.actions import act, check_commands, message_of
from tuitrain.checks.notify import TERMINAL, Deliveries, Target, targets_of
from tuitrain.checks.reported import reported_of
from tuitrain.checks.watcher import NewAlert, Watcher
from tuitrain.cli.lookup import find_runs
from tuitrain.cli.output import say
from tuitrain.cli.run_view import alert_json
from tuitrain.events import spell_out
from tuitrain.runs import RunDirectory, RunNotFoundError, runs_directory
from tuitrain.text import ascii_json, clean

if TYPE_CHECKING:
    from tuitrain.alerts import Level, Rules


def follow_alerts(
    names: Sequence[str],
    rules: Rules,
    level: Level,
    targets: list[Target],
    every_s: float,
    runs_dir: Path | None,
    *,
    as_json: bool,
) -> None:
    """Watch until interrupted. Raises RunNotFoundError for a name of nothing, SettingsError for a bad command."""
    check_commands(rules)
    folders, runs = _folders_and_runs(names, runs_dir)
    reported = reported_of([*folders, *(run.metrics for run in runs)])
    if not targets and sys.stderr.isatty():
        targets = targets_of([TERMINAL])
    deliveries = Deliveries(targets)
    watcher = Watcher(folders, runs, rules, level, reported, time.time())
    said: set[str] = set()

    def say_once(text: str) -> None:
        if text and text not in said:
            said.add(text)
            say(text)

    first = True
    while True:
        now = time.time()
        for new in watcher.poll(now):
            if new.told:
                _print(new, as_json)
                deliveries.add(message_of(new.run, new.alert), (str(new.run.metrics), new.key), now)
            for done in act(new, rules):
                say(done)
        if first:
            _say_what(watcher, folders, targets, every_s)
            first = False
        problems = deliveries.send(now)
        reported.save(now, deliveries.waiting)
        for problem in (*problems, watcher.problem, reported.problem):
            say_once(problem)
        time.sleep(every_s)


def _folders_and_runs(names: Sequence[str], runs_dir: Path | None) -> tuple[list[Path], list[RunDirectory]]:
    """Folders, where new runs may come, and single runs. Without a name the directory of the runs."""
    folders: list[Path] = []
    runs: list[RunDirectory] = []
    for name in names:
        path = Path(name).expanduser()
        try:
            found = find_runs([name], runs_dir, part="FOLLOWED")
        except RunNotFoundError:
            # A folder in which there will be runs.
            if not path.is_dir():
                raise
            found = []
        if path.is_dir() and [run.path for run in found] != [path.resolve()]:
            folders.append(path)
        else:
            runs += found
    return (folders, runs) if names else ([runs_directory(runs_dir)], [])


def _say_what(watcher: Watcher, folders: Sequence[Path], targets: Sequence[Target], every_s: float) -> None:
    count = len(watcher.watched)
    below = f" and all that come below {', '.join(map(str, folders))}" if folders else ""
    told = f"; told: {', '.join(target.name for target in targets)}" if targets else ""
    say(f"Watching {count} run{'' if count == 1 else 's'}{below}, every {every_s:g} s{told}. Ctrl-C ends it.")


def _print(new: NewAlert, as_json: bool) -> None:
    alert = new.alert
    if as_json:
        values = {"run_id": new.run.run_id, "path": str(new.run.path.absolute()), **alert_json(alert)}
        print(ascii_json(json.dumps(spell_out(values), allow_nan=False)), flush=True)
        return
    at = "" if alert.step is None else f"step {alert.step:,}"
    parts = [units.moment(alert.time, "%d %b %H:%M:%S"), alert.level, new.run.run_id, at, alert.code, alert.message]
    print(clean("  ".join(filter(None, parts))), flush=True)
