"""Runs on other machines: which files of them are mirrored, and the runs that the mirror holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path, PurePosixPath

from tuitrain.events.layout import RunMetadata
from tuitrain.readers.model import PROBE_BYTES
from tuitrain.remote.address import Address, is_address
from tuitrain.remote.connection import RemoteFile
from tuitrain.remote.hosts import has_path, host_address
from tuitrain.remote.mirrored_file import Want
from tuitrain.remote.sync import MirrorSync, Processes, Wants, opened, sync_of
from tuitrain.runs.discover import RunNotFoundError, find_runs, list_runs, runs_named
from tuitrain.runs.layout import RunDirectory
from tuitrain.runs.slurm import LAUNCHER

_OTHER_FILES = frozenset({
    ".pt", ".pth", ".bin", ".safetensors", ".ckpt", ".distcp", ".gguf", ".onnx", ".npy", ".npz", ".pkl", ".model",
    ".h5", ".arrow", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".svg", ".pdf", ".mp3", ".mp4", ".wav",
    ".gz", ".bz2", ".xz", ".zst", ".tar", ".tgz", ".whl", ".so", ".o", ".a", ".pyc", ".py", ".ipynb", ".sh", ".c",
    ".h", ".cpp", ".cu", ".html", ".css", ".js", ".ts", ".rs", ".go", ".lock",
})  # fmt: skip
"""Endings of files that are no logs, so that their beginnings are not read."""
_MOST_PROBED = 2_000
"""Files of a folder of which the beginning is read, the newest ones."""
_MOST_DOCUMENT_BYTES = 16 << 20
_MOST_SETTINGS_BYTES = 256 << 10
_DOCUMENTS = frozenset({".zip", ".json", ".yaml", ".yml", ".toml", ".db", ".sqlite", ".sqlite3", ".parquet"})
_LAST_BYTES = 16 << 10
"""Of a log, in which its last line begins."""
_SIGNS = frozenset({"ckpt.pt"})
"""Files that tell what a folder is by being there."""
_OWN = ("run.json", "config.toml", "metrics.jsonl")


@dataclass(frozen=True)
class Reading:
    """How much of a run is read. console: of its console; None: nothing. follow: whether it is read on.

    listing: whether a folder may hold no runs, and that of HOST: be missing.
    """

    log: Want
    console: Want | None = None
    follow: bool = False
    listing: bool = False


WHOLE = Reading(Want())
ENDS = Reading(Want(newest_first=True, fill=False))
LIST = replace(ENDS, listing=True)
REQUEST = replace(ENDS, follow=True)
FOLLOWED = Reading(Want(), follow=True)
CONSOLE = Reading(ENDS.log, Want(), follow=True)
DASHBOARD = Reading(Want(newest_first=True), Want(newest_first=True), follow=True)


def is_remote(name: str) -> bool:
    """Whether a RUN lies on another machine: it has the form HOST:PATH, is no group, and no file here is called so."""
    return is_address(name) and not Path(name.partition("#")[0]).exists() and not Path(name).exists()


def find_remote_runs(names: Sequence[str], reading: Reading, *, ask: bool = False) -> list[list[RunDirectory]]:
    """The runs at each of these addresses; HOST:PATH#NAME is one of several at PATH, HOST: the folder of runs there.

    Where nothing is at DIR/NAME, NAME is looked up among the runs in DIR as `find_runs` does, and that of HOST:NAME in
    the folder of runs. All hosts are asked at once.

    ask: whether `ssh` may ask questions on the terminal, for one address. Raises AddressError, RemoteError,
    RunNotFoundError, FileNotFoundError, SettingsError.
    """
    # All of them are checked before the first is asked.
    targets = [(_target(path), which) for path, _, which in (name.partition("#") for name in names)]
    ask = ask and len(targets) == 1
    with ThreadPoolExecutor(max(len(targets), 1)) as pool:
        return list(pool.map(lambda each: _find(each[0], each[1], reading, ask), targets))


def _target(text: str) -> tuple[Address, Address | None, str]:
    """The address, and where nothing is there the folder of runs and the name of one in it; None for HOST: and /."""
    address = host_address(text)
    folder, slash, name = address.path.rstrip("/").rpartition("/")
    if not has_path(text) or not name or (slash and not folder):
        return address, None, ""
    return address, replace(address, path=folder) if folder else host_address(str(replace(address, path=""))), name


def _find(target: tuple[Address, Address | None, str], which: str, reading: Reading, ask: bool) -> list[RunDirectory]:
    address, folder, name = target
    sync = opened(address, ask=ask)
    likely = {"run.json": Want(), "config.toml": Want(), "metrics.jsonl": reading.log}
    likely |= {"console.log": reading.console} if reading.console is not None else {}
    try:
        sync.open(likely | ({name: reading.log} if name else {}), folder)
    except FileNotFoundError:
        if reading.listing and folder is None:
            return []
        raise
    runs = runs_of(sync, reading, "" if sync.address == address else name)
    if which:
        runs = [run for run in runs if which in (run.run_id, run.source.name if run.source else "")]
    if not runs and not (reading.listing and not sync.name and not which):
        what = f"no run called {which!r}" if which else "no run in a format that tuitrain reads"
        raise RunNotFoundError(f"{address} holds {what}; docs/any-run.md lists the formats.")
    return runs


def runs_of(sync: MirrorSync, reading: Reading, name: str = "") -> list[RunDirectory]:
    """The runs of a place that is connected, read as far as is wanted, newest first. Raises RemoteError.

    name: only those that it means, of which alone the logs are read. Raises RunNotFoundError then.
    """
    sync.first_part(_first_wants(sync, Reading(Want(most=0)) if name else reading))
    runs = _runs_here(sync, name)
    wants = _wants(sync, reading, runs, alone=bool(name))
    if reading.log.newest_first and reading.log.fill:
        sync.first_part(wants)
    else:
        sync.catch_up(wants)
        # The dashboard does not wait for it.
        sync.ask_processes(_processes(runs))
    if reading.follow:
        sync.wants, sync.processes = wants, lambda: _processes(runs)
        if any(run.source is not None for run in runs):
            sync.on_list = lambda sync: _follow_new_files(sync, reading, runs, alone=bool(name))
        sync.start()
    return [_labelled(sync, run) for run in runs]


def _follow_new_files(sync: MirrorSync, reading: Reading, runs: Sequence[RunDirectory], *, alone: bool) -> None:
    sync.wants = _wants(sync, reading, runs, alone=alone)


def follow_runs(runs: Iterable[RunDirectory]) -> None:
    """Keep these runs current from now on, all of their logs, and no others of the places that they lie in."""
    wants: dict[MirrorSync, Wants] = {}
    for run in runs:
        sync = sync_of(run.metrics) if run.remote else None
        if sync is not None:
            wants.setdefault(sync, {}).update(_wants(sync, DASHBOARD, [run], alone=True))
    for sync, wanted in wants.items():
        sync.wants = wanted


def _runs_here(sync: MirrorSync, name: str) -> list[RunDirectory]:
    assert sync.mirror is not None
    sync.mirror.keep_only(sync.files)
    if name:
        return runs_named(name, sync.folder, str(sync.address))
    try:
        return find_runs(str(sync.folder / sync.name), sync.folder) if sync.name else _runs_in(sync.folder)
    except RunNotFoundError:
        return []


def _runs_in(folder: Path) -> list[RunDirectory]:
    try:
        return find_runs(str(folder), folder)
    except RunNotFoundError:
        return list_runs(folder)


def _processes(runs: Iterable[RunDirectory]) -> list[Processes]:
    """The processes of the runs that have not ended, as far as their metadata here say."""
    named = []
    for run in runs:
        info = None if run.source is not None else run.read_metadata()
        if info is not None and (info.retries or info.queued is not None or not _is_over(run, info)):
            named += [each for each in [run.processes(info)] if each is not None]
    return named


def _is_over(run: RunDirectory, info: RunMetadata) -> bool:
    """Whether the log says so, and no script of a job is still to decide."""
    return _has_ended(run.metrics) and (info.launcher != LAUNCHER or info.exit is not None)


def _has_ended(log: Path) -> bool:
    """Whether the last line of a log of ours is the end of the run."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, SEEK_END) - _LAST_BYTES))
            return b'"type":"end"' in file.read().rstrip(b"\n").rpartition(b"\n")[2]
    except OSError:
        return False


def _labelled(sync: MirrorSync, run: RunDirectory) -> RunDirectory:
    """The run with its address there."""
    at = run.source.path if run.source is not None else run.path
    address = sync.address
    if not sync.name and at != sync.folder and at.is_relative_to(sync.folder):
        address = address.joined(str(at.relative_to(sync.folder)))
    return replace(run, remote=f"{address}{f'#{run.source.name}' if run.source and run.source.key else ''}")


def _first_wants(sync: MirrorSync, reading: Reading) -> Wants:
    """What runs of ours hold, and the beginnings of what may be logs of other tools."""
    if sync.name:
        return _wants_of_file(sync, reading)
    files = sync.files
    wants: Wants = {}
    own = _own_folders(files)
    for folder in own:
        wants |= _wants_of_own(files, folder, reading)
    for name in _probed(files, own):
        whole = PurePosixPath(name).suffix.lower() in _DOCUMENTS and files[name].size <= _MOST_DOCUMENT_BYTES
        wants.setdefault(name, Want() if whole else Want(most=PROBE_BYTES))
    return wants | {name: Want(most=0) for name in files if PurePosixPath(name).name in _SIGNS}


def _wants_of_file(sync: MirrorSync, reading: Reading) -> Wants:
    """One log, and the settings beside it."""
    beside = [name for name, file in sync.files.items() if name in _OWN or _is_settings(name, file)]
    wants: Wants = dict.fromkeys(beside, Want())
    if sync.name == "metrics.jsonl" and reading.console is not None:
        wants |= {name: reading.console for name in sync.files if _is_console(name)}
    return wants | {sync.name: reading.log}


def _wants(sync: MirrorSync, reading: Reading, runs: Iterable[RunDirectory], *, alone: bool = False) -> Wants:
    """All that the runs are read from; not alone: and the beginnings of what else lies there."""
    wants = {} if alone else _first_wants(sync, reading)
    for run in runs:
        if run.source is None:
            if run.metrics.name == "metrics.jsonl" and not sync.name:
                wants |= _wants_of_own(sync.files, _relative(sync, run.path), reading)
            continue
        names = {_relative(sync, path) for path in run.source.files}
        folder = _relative(sync, run.source.path)
        names |= {name for name in sync.files if _is_below(name, folder) and _may_be_log(name)}
        beside = PurePosixPath(folder).parent
        names |= {name for name, file in sync.files.items()
                  if PurePosixPath(name).parent == beside and _is_settings(name, file)}  # fmt: skip
        names |= {f"{name}-wal" for name in names if f"{name}-wal" in sync.files}
        console = reading.console if run.source.format.endswith("console") and reading.console else reading.log
        wants |= {name: console for name in names if name in sync.files}
    return wants


def _wants_of_own(files: dict[str, RemoteFile], folder: str, reading: Reading) -> Wants:
    prefix = f"{folder}/" if folder not in ("", ".") else ""
    wants: Wants = {prefix + name: Want() for name in _OWN if prefix + name in files}
    wants[f"{prefix}metrics.jsonl"] = reading.log
    if reading.console is not None:
        wants[f"{prefix}console.log"] = reading.console
        wants |= {name: reading.console for name in files
                  if name.startswith(prefix) and _is_console(name.removeprefix(prefix))}  # fmt: skip
    return wants


def _own_folders(files: dict[str, RemoteFile]) -> list[str]:
    """The folders that look like runs of ours; what else lies in them is not searched."""
    folders: dict[str, set[str]] = {}
    for name in files:
        path = PurePosixPath(name)
        if path.name in _OWN:
            folders.setdefault(str(path.parent), set()).add(path.name)
    return [folder for folder, names in folders.items() if len(names) > 1]


def _probed(files: dict[str, RemoteFile], own: Sequence[str]) -> list[str]:
    inside = set(own)
    names = [
        name for name in files if _may_be_log(name) and not inside.intersection(map(str, PurePosixPath(name).parents))
    ]
    return sorted(names, key=lambda name: files[name].mtime, reverse=True)[:_MOST_PROBED]


def _may_be_log(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() not in _OTHER_FILES


def _is_settings(name: str, file: RemoteFile) -> bool:
    return PurePosixPath(name).suffix.lower() in (".json", ".yaml", ".yml") and file.size <= _MOST_SETTINGS_BYTES


def _is_console(name: str) -> bool:
    return "/" not in name and name.startswith("console.") and name.endswith(".log")


def _is_below(name: str, folder: str) -> bool:
    return folder in ("", ".") or name.startswith(f"{folder}/")


def _relative(sync: MirrorSync, path: Path) -> str:
    try:
        return str(path.resolve().relative_to(sync.folder))
    except ValueError:
        return path.name
