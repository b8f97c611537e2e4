"""Ending a run: asked gracefully, or killed after a grace period."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from tuitrain.launch.errors import LaunchError
from tuitrain.runs import RunDirectory, RunSnapshot, Status, lock_held, read_snapshot
from tuitrain.runs.status import process_alive

POLL_S = 0.2


def when_started(run: RunDirectory, timeout_s: float | None) -> RunSnapshot:
    """The run once nobody is about to start it: a stop is meant for that process too."""
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while lock_held(run.start_lock) and (deadline is None or time.monotonic() < deadline):
        time.sleep(POLL_S)
    return read_snapshot(run)


def stop_run(
    run: RunDirectory, *, wait: bool = True, timeout_s: float | None = None, tell: Callable[[str], object] = print
) -> Status:
    """Ask a run for a checkpoint and its end, and wait until it is over. One that is just being started is asked too.

    Returns the status it ended with. Raises LaunchError when its process is gone, or when timeout_s passes first.
    """
    now = when_started(run, timeout_s)
    if not _is_live(run, now, tell):
        return now.status
    run.request("stop")
    at = f" at step {now.step.step:,}" if now.step else ""
    how = "it writes a checkpoint first" if run.config.exists() else "its program gets SIGTERM"
    tell(f"{run.run_id}: asked to stop{at}; {how}.")
    if not wait:
        return now.status
    return _await_end(run, timeout_s)


def kill_run(run: RunDirectory, *, grace_s: float = 10.0, tell: Callable[[str], object] = print) -> Status:
    """SIGTERM, and SIGKILL if the process still lives after grace_s seconds. Only on the machine it runs on.

    Where the process that was started is gone and the engine trains on, its processes are known by their environment.
    """
    now = when_started(run, grace_s)
    if not _is_live(run, now, tell):
        return now.status
    info = now.info
    alive = process_alive(info)
    if info is None or info.pid is None or alive is None:
        host = info.host if info and info.host else "another machine"
        raise LaunchError(f"{run.run_id} runs on {host}: kill it there, or leave out --now to ask it to stop.")
    if alive:
        _kill_launched(run, info.pid, grace_s, tell)
    else:
        _kill_orphans(run, grace_s, tell)
    return read_snapshot(run).status


def _kill_launched(run: RunDirectory, pid: int, grace_s: float, tell: Callable[[str], object]) -> None:
    tree = _process_tree(pid)
    tell(f"{run.run_id}: SIGTERM to process {pid}; SIGKILL follows after {grace_s:g} s.")
    # torchrun passes it on to its workers, each of which is in a session of its own.
    _signal_group(pid, signal.SIGTERM)
    _, alive = psutil.wait_procs(tree, timeout=grace_s)
    if alive:
        tell(f"{run.run_id}: still there, SIGKILL.")
        alive += [process for process in _process_tree(pid) if process not in alive]
        _signal_group(pid, signal.SIGKILL)
        _signal_each(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=grace_s)


def _kill_orphans(run: RunDirectory, grace_s: float, tell: Callable[[str], object]) -> None:
    processes = _processes_of(run)
    if not processes:
        raise LaunchError(f"{run.run_id} is still training, but its processes cannot be found from here.", exit_code=1)
    numbers = ", ".join(str(process.pid) for process in processes)
    tell(f"{run.run_id}: its launcher is gone; SIGTERM to {numbers}; SIGKILL follows after {grace_s:g} s.")
    _signal_each(processes, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    if alive:
        tell(f"{run.run_id}: still there, SIGKILL.")
        _signal_each(alive, signal.SIGKILL)
        psutil.wait_procs(alive, timeout=grace_s)


def _is_live(run: RunDirectory, now: RunSnapshot, tell: Callable[[str], object]) -> bool:
    if now.status is Status.CRASHED:
        pid = now.info.pid if now.info else None
        raise LaunchError(f"{run.run_id} is not running: its process {pid} is gone without an end record.", exit_code=1)
    if now.status is Status.UNKNOWN:
        raise LaunchError(f"{run.run_id} is silent and its process cannot be asked from here.", exit_code=1)
    if not now.status.live:
        tell(f"{run.run_id}: already {now.status}.")
    return now.status.live


def _await_end(run: RunDirectory, timeout_s: float | None) -> Status:
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        status = read_snapshot(run).status
        if not status.live:
            return status
        if deadline is not None and time.monotonic() > deadline:
            raise LaunchError(f"{run.run_id} is still {status} after {timeout_s:g} s; --now kills it.", exit_code=1)
        time.sleep(POLL_S)


def _process_tree(pid: int) -> list[psutil.Process]:
    """A process and all that came from it; empty when it is gone."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _processes_of(run: RunDirectory) -> list[psutil.Process]:
    """The processes that were started with this run in their environment, other than this one."""
    found = []
    for process in psutil.process_iter(["environ"]):
        directory = (process.info["environ"] or {}).get("TUITRAIN_RUN_DIR")
        if directory and process.pid != os.getpid() and Path(directory).resolve() == run.path.resolve():
            found.append(process)
    return found


def _signal_each(processes: Sequence[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue


def _signal_group(pid: int, number: signal.Signals) -> None:
    """Signal the run's whole session, where it has one."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        else:
            os.kill(pid, number)
    except ProcessLookupError:
        return
