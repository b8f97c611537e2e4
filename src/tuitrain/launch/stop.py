"""Stopping a run: by a request, or by signals with a grace period."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tuitrain.launch.errors import LaunchError
from tuitrain.launch.queue import leave_queue
from tuitrain.launch.slurm.cancel import cancel_if_queued, kill_job
from tuitrain.runs import RunDirectory, RunSnapshot, Status, lock_held, read_snapshot
from tuitrain.runs.editing import edited_metadata
from tuitrain.runs.status import is_wrapped, process_alive, supervisor_alive

POLL_S = 0.2
_END_S = 10.0
"""Time to write the end of a run whose program was killed."""
Report = Callable[[str], object]


def when_started(run: RunDirectory, timeout_s: float | None) -> RunSnapshot:
    """The snapshot of a run, read once no launcher is starting a process of it, or after timeout_s."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while lock_held(run.start_lock) and (deadline is None or time.monotonic() < deadline):
        time.sleep(POLL_S)
    return read_snapshot(run)


def stop_run(
    run: RunDirectory,
    *,
    wait: bool = True,
    timeout_s: float | None = None,
    report: Report = print,
    reason: str = "stopped by `tuitrain stop`",
) -> Status:
    """Request a checkpoint and the end of a run, also of one that is just being started, and wait for the end.

    reason: of its `end` record. Returns the status it ended with. Raises LaunchError when its process has died, or when
    timeout_s passes first.
    """
    if leave_queue(run, "taken out of the queue"):
        report(f"{run.run_id}: taken out of the queue.")
        return read_snapshot(run).status
    snapshot = when_started(run, timeout_s)
    if not _is_live(run, snapshot, report):
        return snapshot.status
    if cancel_if_queued(run, snapshot):
        report(f"{run.run_id}: its job was cancelled.")
        return read_snapshot(run).status
    end_retries(run)
    run.request("stop", reason)
    at = f" at step {snapshot.step.step:,}" if snapshot.step else ""
    if snapshot.info is not None and snapshot.info.launcher == "loop":
        how = "its loop has to look at run.should_stop; --now kills it"
    elif run.config.exists():
        how = "it writes a checkpoint first" if snapshot.step else "it has not trained yet"
    else:
        how = "its program gets SIGTERM, and SIGKILL after its grace period"
    report(f"{run.run_id}: stop requested{at}; {how}.")
    return _wait_for_end(run, timeout_s) if wait else snapshot.status


def kill_run(run: RunDirectory, *, grace_s: float = 10.0, report: Report = print) -> Status:
    """Send SIGTERM, and SIGKILL if a process still runs after grace_s seconds. Only on the machine it runs on.

    Where the launched process has died and the engine still trains, its processes are identified by their environment.
    Returns the status it ended with. Raises LaunchError when there is no process to kill.
    """
    if leave_queue(run, "taken out of the queue"):
        return read_snapshot(run).status
    snapshot = when_started(run, grace_s)
    if not _is_live(run, snapshot, report):
        return snapshot.status
    if cancel_if_queued(run, snapshot) or kill_job(run, snapshot, report):
        return read_snapshot(run).status
    info, alive = snapshot.info, process_alive(snapshot.info)
    if info is None or info.pid is None or alive is None:
        host = info.host if info and info.host else "another machine"
        raise LaunchError(f"{run.run_id} runs on {host}: kill it there, or omit --now to request a stop.")
    end_retries(run)
    _kill(run, info.pid if alive else None, grace_s, report)
    return read_snapshot(run).status


def end_retries(run: RunDirectory) -> None:
    """Whatever happens to the run from now on, it is not started again. Raises EditError."""
    info = run.read_metadata()
    if info is not None and info.retries:
        with edited_metadata(run) as facts:
            facts["retries"] = 0


def _kill(run: RunDirectory, pid: int | None, grace_s: float, report: Report) -> None:
    """Kill the process tree of `pid`; None: the processes that have the run in their environment."""
    processes = _processes_of(run) if pid is None else _process_tree(pid)
    numbers = ", ".join(str(process.pid) for process in processes)
    if pid is not None:
        report(f"{run.run_id}: SIGTERM to process {pid}; SIGKILL follows after {grace_s:g} s.")
        # torchrun forwards it to its workers, each of which has a session of its own.
        _signal_session(pid, signal.SIGTERM)
    elif processes:
        report(f"{run.run_id}: its launcher has died; SIGTERM to {numbers}; SIGKILL follows after {grace_s:g} s.")
        _signal_each(processes, signal.SIGTERM)
    else:
        raise LaunchError(f"{run.run_id} is still training, but none of its processes is on this machine.", exit_code=1)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    if not alive:
        return _wait_for_supervisor(run)
    report(f"{run.run_id}: still running: SIGKILL.")
    if pid is not None and is_wrapped(run.read_metadata()):
        # The first process writes the end of the run once the program and all it started have ended.
        _signal_each([each for each in {*alive, *_process_tree(pid)} if each.pid != pid], signal.SIGKILL)
        _, alive = psutil.wait_procs(processes, timeout=_END_S)
    if pid is not None and alive:
        alive += [process for process in _process_tree(pid) if process not in alive]
        _signal_session(pid, signal.SIGKILL)
    _signal_each(alive, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=grace_s)
    return _wait_for_supervisor(run)


def _wait_for_supervisor(run: RunDirectory) -> None:
    """Wait until the supervisor has written down how the engine ended."""
    deadline = time.monotonic() + _END_S
    while supervisor_alive(run.read_metadata()) and time.monotonic() < deadline:
        time.sleep(POLL_S / 10)


def _is_live(run: RunDirectory, snapshot: RunSnapshot, report: Report) -> bool:
    status = snapshot.status
    if status is Status.CRASHED:
        raise LaunchError(f"{run.run_id} is not running: {snapshot.reason}.", exit_code=1)
    if status is Status.UNKNOWN:
        raise LaunchError(f"{run.run_id} is silent, and from this machine its process cannot be checked.", exit_code=1)
    if not status.live:
        report(f"{run.run_id}: already {status}.")
    return status.live


def _wait_for_end(run: RunDirectory, timeout_s: float | None) -> Status:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while (status := read_snapshot(run).status).live:
        if deadline is not None and time.monotonic() > deadline:
            raise LaunchError(f"{run.run_id} is still {status} after {timeout_s:g} s; --now kills it.", exit_code=1)
        time.sleep(POLL_S)
    return status


def _process_tree(pid: int) -> list[psutil.Process]:
    """A process and its descendants; empty when it has ended."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _processes_of(run: RunDirectory) -> list[psutil.Process]:
    """The processes other than this one that have this run in their environment."""
    processes = []
    for process in psutil.process_iter(["environ"]):
        directory = (process.info["environ"] or {}).get("TUITRAIN_RUN_DIR")
        if directory and process.pid != os.getpid() and Path(directory).resolve() == run.path.resolve():
            processes.append(process)
    return processes


def _signal_each(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _signal_session(pid: int, number: signal.Signals) -> None:
    """Signal the session that the process leads, or the process alone where it leads none."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return
