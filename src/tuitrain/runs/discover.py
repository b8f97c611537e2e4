"""Finding runs: all of a directory, or the one with a name."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from pathlib import Path

from tuitrain.files import expanded, near_path
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.settings import runs_dir_setting

DEFAULT_RUNS_DIR = Path("runs")
_STAMP = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}$")


class RunNotFoundError(LookupError):
    """No run, or more than one, has a name; the message lists the nearest."""


def runs_directory(flag: Path | None = None) -> Path:
    """Where runs lie: the flag, `TUITRAIN_RUNS_DIR`, `runs_dir` of the settings files, or ./runs."""
    variable = os.environ.get("TUITRAIN_RUNS_DIR")
    return flag or (Path(variable) if variable else runs_dir_setting() or DEFAULT_RUNS_DIR)


def command_for(command: str, run: RunDirectory) -> str:
    """`tuitrain watch ID` and the like, with the directory of the run unless it is the default one."""
    if run.log is not None and not _holds_run(run.path):
        return shlex.join(["tuitrain", command, str(run.log)])
    words = ["tuitrain", command, run.run_id]
    if run.path.parent.resolve() != runs_directory().resolve():
        words += ["--runs-dir", str(run.path.parent)]
    return shlex.join(words)


def list_runs(runs_dir: Path) -> list[RunDirectory]:
    """Every run under a directory, newest first by the time its directory was made.

    A directory that is not there holds none; RunNotFoundError when it is a file.
    """
    if runs_dir.is_file():
        raise RunNotFoundError(f"{runs_dir} is a file, not a directory of runs.")
    if not runs_dir.is_dir():
        return []
    runs = [RunDirectory(path) for path in runs_dir.iterdir() if path.is_dir() and _holds_run(path)]
    return sorted(runs, key=_created, reverse=True)


def _holds_run(path: Path) -> bool:
    return any((path / name).exists() for name in ("metrics.jsonl", "run.json", "config.toml"))


def _created(run: RunDirectory) -> tuple[float, str]:
    info = run.read_metadata()
    if info is not None:
        return info.created, run.run_id
    for path in (run.config, run.metrics, run.path):
        try:
            return path.stat().st_mtime, run.run_id
        except OSError:
            continue
    return 0.0, run.run_id


def find_run(name: str, runs_dir: Path) -> RunDirectory:
    """The run called `name`: its id, its name if unique, a unique prefix, `latest`, a run directory or a log file.

    Raises RunNotFoundError, with a message for the user.
    """
    if name == "latest":
        runs = list_runs(runs_dir)
        if not runs:
            raise RunNotFoundError(f"There are no runs in {runs_dir}. Start one with `tuitrain launch gpt2-tiny`.")
        return runs[0]
    path = expanded(name)
    if path.is_file():
        if path.name == "metrics.jsonl":
            return RunDirectory(path.parent.resolve(), path)
        return RunDirectory(path.resolve().with_suffix(""), path)
    if path.is_dir() and _holds_run(path):
        return RunDirectory(path.resolve())
    if "/" in name:
        near = near_path(path)
        hint = f" Did you mean {str(near)!r}?" if near else ""
        raise RunNotFoundError(f"{name} is neither a run directory nor a log file.{hint}")
    return _by_prefix(name, runs_dir)


def _by_prefix(name: str, runs_dir: Path) -> RunDirectory:
    runs = list_runs(runs_dir)
    matches = (
        [run for run in runs if run.run_id == name]
        or [run for run in runs if _STAMP.sub("", run.run_id) == name]
        or [run for run in runs if run.run_id.startswith(name)]
    )
    if len(matches) == 1:
        return matches[0]
    if matches:
        some = ", ".join(run.run_id for run in matches[:4])
        more = f" and {len(matches) - 4} more" if len(matches) > 4 else ""
        raise RunNotFoundError(f"{name!r} names {len(matches)} runs: {some}{more}. Give more of the id.")
    near = difflib.get_close_matches(name, [run.run_id for run in runs], n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else " `tuitrain ls` lists the runs."
    raise RunNotFoundError(f"No run in {runs_dir} is called {name!r}.{hint}")
