"""Beginning a run: its directory, its metadata, its lock and its first record."""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

import tuitrain
from tuitrain import events
from tuitrain.events.layout import RunFiles, RunMetadata, create_run_files
from tuitrain.events.lock import LockedError, acquire, no_locks_sentence
from tuitrain.files import os_error_text
from tuitrain.own_loop.exits import EXITS
from tuitrain.own_loop.run import Run
from tuitrain.own_loop.values import plain, settings_of, step_number
from tuitrain.text import file_name

if TYPE_CHECKING:
    from tuitrain.readers.supplied import Supplied

LOCK_TIMEOUT_S = 1.0
LAUNCHER = "loop"
"""In run.json: the loop itself made the run."""

_newest: Run | None = None
_launched_taken = False
_logger = logging.getLogger("tuitrain")


class InitError(RuntimeError):
    """A run that cannot begin; the message says why and what to do."""


def newest_run() -> Run | None:
    """The run of the newest `init` of this process, finished or not."""
    return _newest


def init(
    project: str | None = None,
    *,
    name: str | None = None,
    config: Any = None,
    total_steps: int | None = None,
    tags: Iterable[str] | str | None = None,
    notes: str | None = None,
    group: str | None = None,
    job_type: str | None = None,
    id: str | None = None,
    mode: str | None = None,
    runs_dir: str | os.PathLike[str] | None = None,
    system: bool = True,
    system_interval_s: float = 5.0,
    params: int | None = None,
    flops_per_token: float | None = None,
    tokens_per_step: int | None = None,
    token_budget: int | None = None,
    gpu: str | None = None,
    gpus: int | None = None,
    peak_tflops: float | None = None,
    **ignored: Any,
) -> Run:
    """Begin a run and return it; `tuitrain.log` and `tuitrain.finish` mean the newest.

    name: by default the project or the name of the script. config: a dict or a namespace. id: continues the run with
    this id, or gives a new one this id. mode: "disabled" writes nothing. runs_dir: by default as for every command.
    system: whether to log readings of the machine, every system_interval_s seconds. params or flops_per_token, with
    tokens_per_step or logged tokens, give MFU, where the GPU or its peak_tflops (dense, of one) is known. group and
    job_type become tags. Other arguments that W&B knows are accepted and have no effect.

    Of several processes under torchrun only rank 0 writes. Raises InitError (a RuntimeError) or ValueError.
    """
    global _newest
    facts = {
        "params": params, "flops_per_token": flops_per_token, "tokens_per_step": tokens_per_step,
        "token_budget": token_budget, "gpu": gpu, "gpus": gpus, "peak_tflops": peak_tflops,
    }  # fmt: skip
    supplied = _supplied({key: value for key, value in facts.items() if value is not None})
    settings = _settings(config)
    total = None if total_steps is None else step_number(total_steps)
    if total_steps is not None and total is None:
        raise ValueError(f"total_steps = {total_steps!r} is not valid: it should be a whole number from 0.")
    given = name or project
    launched = _launched_directory()
    if mode == "disabled" or os.environ.get("RANK", "0") not in ("", "0"):
        run = Run(given or _script_name(), "", None)
        run.config.record(settings)
        EXITS.add(run)
    else:
        labels = [*([tags] if isinstance(tags, str) else tags or ()), *(word for word in (group, job_type) if word)]
        try:
            run = _begin(launched, given, id, runs_dir, labels, notes, settings, total, supplied)
        except OSError as error:
            raise InitError(f"The run cannot begin: {os_error_text(error) or error}") from error
        if run.path is not None and system:
            run.monitor(max(0.1, float(system_interval_s)))
    if launched is not None:
        EXITS.handle_sigterm()
    _newest = run
    return run


def _begin(
    launched: Path | None,
    name: str | None,
    run_id: str | None,
    runs_dir: str | os.PathLike[str] | None,
    labels: Iterable[str],
    notes: str | None,
    settings: dict[str, Any],
    total_steps: int | None,
    supplied: Supplied | None,
) -> Run:
    global _launched_taken
    files = _files(launched, name or _script_name(), run_id, runs_dir)
    try:
        lock_file = acquire(files.lock, LOCK_TIMEOUT_S)
    except LockedError:
        sentence = f"Another process writes the log of {files.path}"
        if launched is None:
            raise InitError(f"{sentence}: finish that one first, or give another id.") from None
        _logger.warning("tuitrain: %s; what this one logs is not kept.", sentence)
        return Run(name or _script_name(), files.run_id, None)
    if (unknown := no_locks_sentence(files.lock)) is not None:
        _logger.warning("tuitrain: %s", unknown)
    try:
        metadata = files.read_metadata()
        name = name or (metadata.name if metadata is not None else _script_name())
        attempts, begun = _attempts(files, metadata if launched is not None else None)
        if launched is None:
            _write_metadata(files, metadata, name, labels, notes)
        run = Run(name, files.run_id, files.path, supplied)
    except BaseException:
        os.close(lock_file)
        raise
    run.config.record(settings)
    values = {"total_steps": total_steps, **(supplied.of_run() if supplied is not None else {})}
    record = events.Run(
        run_id=files.run_id, name=name, attempt=attempts if begun else attempts + 1, config=plain(settings),
        software=_software(), update=begun or UNSET, **values,
    )  # fmt: skip
    run.begin(record, lock_file)
    EXITS.add(run)
    if launched is not None:
        _launched_taken = True
    else:
        _logger.info("tuitrain: %s", files.path)
    return run


def _supplied(facts: dict[str, Any]) -> Supplied | None:
    """The facts of the run that MFU takes; the GPU is that of this machine where nothing is said about it."""
    if not facts:
        return None
    from tuitrain.readers.supplied import supplied_of

    if ("params" in facts or "flops_per_token" in facts) and not facts.keys() & {"gpu", "peak_tflops"}:
        from tuitrain.accounting import find_gpu
        from tuitrain.monitor import GpuReader

        names = {reading.name for reading in GpuReader().read()}
        only = names.pop() if len(names) == 1 else None
        if only is not None and find_gpu(only) is not None:
            facts = {**facts, "gpu": only}
    world_size = os.environ.get("WORLD_SIZE", "")
    return supplied_of({"gpus": int(world_size) if world_size.isdigit() and int(world_size) else 1, **facts})


def _settings(config: Any) -> dict[str, Any]:
    try:
        return settings_of(config)
    except TypeError as error:
        raise ValueError(str(error)) from None


def _launched_directory() -> Path | None:
    """The run directory that a launcher made for this program, unless it has a run already."""
    given = os.environ.get("TUITRAIN_RUN_DIR")
    if not given or _launched_taken:
        return None
    if not Path(given).is_dir():
        raise InitError(f"TUITRAIN_RUN_DIR is {given}, which is no directory: unset it, or launch the program again.")
    return Path(given)


def _files(launched: Path | None, name: str, run_id: str | None, runs_dir: str | os.PathLike[str] | None) -> RunFiles:
    if launched is not None:
        return RunFiles(launched)
    if runs_dir is None and (beside := os.environ.get("TUITRAIN_RUN_DIR")):
        runs_dir = Path(beside).parent
    if runs_dir is None:
        from tuitrain.settings import runs_directory

        runs_dir = runs_directory()
    directory = Path(runs_dir).absolute()
    if run_id is None:
        return create_run_files(directory, name)
    files = RunFiles(directory / file_name(run_id))
    files.control.mkdir(parents=True, exist_ok=True)
    return files


def _attempts(files: RunFiles, launched: RunMetadata | None) -> tuple[int, bool]:
    """How many attempts the log has, and whether the newest is that of this launch.

    launched: the metadata of the launcher, which say how long the log was then.
    """
    before = 0 if launched is None else launched.log_bytes or 0
    attempts, begun, at = 0, False, 0
    if not files.metrics.exists():
        return 0, False
    with files.metrics.open("rb") as lines:
        for line in lines:
            at += len(line)
            if b'"type":"run"' not in line[:200]:
                continue
            try:
                record = events.decode(line)
            except events.BrokenLineError:
                continue
            if isinstance(record, events.Run) and record.update is not True:
                attempts += 1
                begun = launched is not None and at > before
    return attempts, begun


def _write_metadata(
    files: RunFiles, before: RunMetadata | None, name: str, labels: Iterable[str], notes: str | None
) -> None:
    import psutil

    now = time.time()
    files.write_metadata(
        RunMetadata(
            name=name,
            created=before.created if before is not None else now,
            started=now,
            pid=os.getpid(),
            pid_started=psutil.Process().create_time(),
            host=socket.gethostname(),
            command=[sys.executable, *sys.argv],
            launcher=LAUNCHER,
            tags=list(dict.fromkeys("-".join(str(label).split()) for label in labels)),
            notes=[str(notes)] if notes else [],
        )
    )


def _script_name() -> str:
    script = Path(sys.argv[0] if sys.argv else "").stem
    return script if script not in ("", "-c", "-m", "__main__") else "run"


def _software() -> events.Software:
    """Versions; torch is asked only where the loop has imported it."""
    torch = sys.modules.get("torch")
    return events.Software(
        tuitrain=tuitrain.__version__,
        python=platform.python_version(),
        torch=str(getattr(torch, "__version__", "")) or None,
        cuda=getattr(getattr(torch, "version", None), "cuda", None),
    )
