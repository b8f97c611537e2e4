"""Finding runs: all of a directory, or the one with a name."""

from __future__ import annotations

import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitrain.events import BrokenLineError, decode
from tuitrain.files import expanded, near_path
from tuitrain.readers.walk import Mark, walk
from tuitrain.remote.address import GROUP
from tuitrain.runs.layout import RunDirectory
from tuitrain.settings import runs_directory

if TYPE_CHECKING:
    from tuitrain.readers.discover import LookedAt, Search

PROBE_BYTES = 256 << 10
"""How much of a file is read to decide whether it is a log of ours."""
_STAMP = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}$")


class RunNotFoundError(LookupError):
    """No run, or more than one, has a name; the message lists the nearest."""


def command_for(command: str, run: RunDirectory) -> str:
    """`tuitrain watch ID` and the like, with the directory of the run unless it is the default one."""
    if run.remote:
        return shlex.join(["tuitrain", command, run.remote])
    if run.source is not None or (run.log is not None and not _holds_run(run.path)):
        which = f"#{run.source.name}" if run.source is not None and run.source.key else ""
        return shlex.join(["tuitrain", command, f"{run.log}{which}"])
    words = ["tuitrain", command, run.run_id]
    if run.path.parent.resolve() != runs_directory().resolve():
        words += ["--runs-dir", str(run.path.parent)]
    return shlex.join(words)


def list_runs(runs_dir: Path, unanswered: Callable[[Path], None] = lambda folder: None) -> list[RunDirectory]:
    """Every run under a directory, of any tool, newest first by the time its directory was made or its log written.

    A directory that is not there holds none; RunNotFoundError when it is a file. unanswered: takes the directories that
    are left out, as the file system they lie on did not answer in time.
    """
    if runs_dir.is_file():
        raise RunNotFoundError(f"{runs_dir} is a file, not a directory of runs.")
    return sorted(_runs_below(runs_dir, unanswered), key=_created, reverse=True) if runs_dir.is_dir() else []


def _runs_below(directory: Path, unanswered: Callable[[Path], None]) -> list[RunDirectory]:
    """The runs of ours and of other tools in a directory and its subdirectories."""
    runs: list[RunDirectory] = []
    search: Search | None = None

    def is_run(path: Path, names: set[str]) -> bool:
        if _OWN_FILES.isdisjoint(names) or not _holds_run(path):
            return False
        runs.append(RunDirectory(path))
        return True

    def look(file: str, mark: Mark, names: set[str]) -> LookedAt | None:
        nonlocal search
        if search is None:
            # The readers of all formats are imported only where something else lies in the directory.
            from tuitrain.readers.discover import Search

            search = Search(directory)
        return search.look(file, mark, names)

    others = walk(directory, is_run, look, unanswered)
    if search is not None:
        from tuitrain.runs.foreign import run_of

        runs += map(run_of, search.sources(others))
    return runs


_OWN_FILES = frozenset({"metrics.jsonl", "run.json", "config.toml"})
"""Of which at least one is in the directory of a run."""
_BEGINNING = b'{"type":'
"""That of a record; a document of another tool may be one line without an end, too."""


def _holds_run(path: Path) -> bool:
    """Whether a directory is one of a run of ours: other tools call their logs `metrics.jsonl` and `run.json` too."""
    log = path / "metrics.jsonl"
    if (path / "run.json").exists() and (log.exists() or (path / "config.toml").exists()):
        return True
    if log.is_file():
        return is_own_log(log)
    return any((path / name).exists() for name in _OWN_FILES)


def is_own_log(path: Path) -> bool:
    """Whether one of the first lines of a file is a record of ours, or none is complete and it may become one."""
    if not path.is_file():
        return True
    with path.open("rb") as file:
        *lines, rest = file.read(PROBE_BYTES).split(b"\n")
    for line in lines:
        try:
            decode(line)
        except BrokenLineError:
            continue
        return True
    beginning = rest.replace(b" ", b"").strip()[: len(_BEGINNING)]
    return not any(map(bytes.strip, lines)) and _BEGINNING.startswith(beginning)


def _created(run: RunDirectory) -> tuple[float, str]:
    info = run.read_metadata()
    if info is not None:
        return info.created, run.run_id
    for path in (run.config, run.metrics, run.path) if run.source is None else (run.metrics,):
        try:
            return path.stat().st_mtime, run.run_id
        except OSError:
            continue
    return 0.0, run.run_id


def find_run(name: str, runs_dir: Path) -> RunDirectory:
    """The one run called `name`, as `find_runs` finds it. Raises RunNotFoundError also where there are several."""
    return one_of(name, find_runs(name, runs_dir))


def one_of(name: str, runs: list[RunDirectory]) -> RunDirectory:
    """The only one of the runs called `name`. Raises RunNotFoundError where there are several."""
    if len(runs) == 1:
        return runs[0]
    if re.search(rf"(^|[:/]){GROUP}", name):
        one = runs[0].remote or runs[0].run_id
        raise RunNotFoundError(f"{name} has {len(runs)} runs: give the id of one of them, such as {one}.")
    some = ", ".join(f"{name}#{_source_name(run)}" for run in runs[:4])
    raise RunNotFoundError(f"{name} holds {len(runs)} runs: give one of them: {some}{', …' if len(runs) > 4 else ''}.")


def find_runs(name: str, runs_dir: Path) -> list[RunDirectory]:
    """The runs called `name`: an id, a name if unique, a unique prefix, `latest`, a run directory, a log file.

    Also `group:NAME`, all runs of a sweep in their order, and a file or folder of another tool, with all the runs in
    it; `PATH#NAME` is one of them. Raises RunNotFoundError,
    with a message for the user.
    """
    if name == "latest" or name.startswith(GROUP):
        return runs_named(name, runs_dir)
    path = expanded(name)
    if path.is_file() and is_own_log(path):
        if path.name == "metrics.jsonl":
            return [RunDirectory(path.parent.resolve(), path)]
        return [RunDirectory(path.resolve().with_suffix(""), path)]
    if path.is_dir() and _holds_run(path):
        return [RunDirectory(path.resolve())]
    if path.is_dir() or path.is_file():
        return _other_runs(path)
    where, _, which = name.rpartition("#")
    if where and (path := expanded(where)).exists():
        runs = [run for run in _other_runs(path) if which in (_source_name(run), run.run_id)]
        if not runs:
            raise RunNotFoundError(f"{where} holds no run called {which!r}. `tuitrain ls {where}` lists them.")
        return runs
    if "/" in name:
        near = near_path(path)
        hint = f" Did you mean {str(near)!r}?" if near else ""
        raise RunNotFoundError(f"{name} is neither a run directory nor a log file.{hint}")
    return runs_named(name, runs_dir)


def runs_named(name: str, runs_dir: Path, where: str = "") -> list[RunDirectory]:
    """The runs below a directory that `latest`, `group:NAME`, an id, a name or a unique prefix means.

    where: the address of the directory where that is a copy. Raises RunNotFoundError.
    """
    runs, folder = list_runs(runs_dir), where or str(runs_dir)
    if name == "latest":
        if not runs:
            raise RunNotFoundError(f"There are no runs in {folder}. Start one with `tuitrain launch gpt2-tiny`.")
        return runs[:1]
    if name.startswith(GROUP):
        return _of_group(name.removeprefix(GROUP), runs, folder)
    return [_by_prefix(name, runs, folder, f"`tuitrain ls{f' {where}' if where else ''}`")]


def _of_group(group: str, every: Iterable[RunDirectory], folder: str) -> list[RunDirectory]:
    infos = ((run, run.read_metadata()) for run in every)
    runs = [(info.created, run.run_id, run) for run, info in infos if info is not None and info.group == group]
    if not runs:
        raise RunNotFoundError(f"No run in {folder} is of the group {group!r}.")
    return [run for *_, run in sorted(runs, key=lambda each: each[:2])]


def _other_runs(path: Path) -> list[RunDirectory]:
    """The runs in a file or folder of any tool. Raises RunNotFoundError where there are none."""
    if path.is_dir():
        runs = list_runs(path)
        if not runs:
            raise RunNotFoundError(f"{path} holds no run in a format that tuitrain reads; docs/any-run.md lists them.")
        return runs
    # The readers of all formats are imported only for a log of another tool.
    from tuitrain.readers.discover import sources_of
    from tuitrain.runs.foreign import run_of

    runs = [run_of(source) for source in sources_of(path)]
    if not runs:
        raise RunNotFoundError(f"{path} is not a log in a format that tuitrain reads; docs/any-run.md lists them.")
    return runs


def _source_name(run: RunDirectory) -> str:
    return run.source.name if run.source is not None else run.run_id


def _by_prefix(name: str, runs: Sequence[RunDirectory], folder: str, ls: str) -> RunDirectory:
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
    hint = f" Did you mean {near[0]!r}?" if near else f" {ls} lists the runs."
    raise RunNotFoundError(f"No run in {folder} is called {name!r}.{hint}")
