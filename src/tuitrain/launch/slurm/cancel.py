"""Stopping runs of Slurm: jobs that wait are cancelled, others end with their processes."""

from __future__ import annotations

import time
from collections.abc import Callable

from tuitrain.events import End, EventWriter
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.slurm.cluster import run_slurm
from tuitrain.runs import RunDirectory, RunSnapshot, Status, read_snapshot
from tuitrain.runs.editing import edited_metadata
from tuitrain.runs.slurm import ACTIVE, LAUNCHER, QUEUE, ask

POLL_S = 0.5
KILL_S = 120.0
"""Slurm kills what is left after its KillWait, by default 30 s."""


def cancel_if_queued(run: RunDirectory, snapshot: RunSnapshot) -> bool:
    """Cancel the job of a run that waits in the queue of Slurm, and end the run; returns whether it waited.

    Raises LaunchError, EditError or OSError.
    """
    job_id = _job_id(snapshot)
    if job_id is None or snapshot.status is not Status.QUEUED:
        return False
    if "_" in job_id:
        # What waits of an array is one job, which `scancel --state` cancels as a whole; one that is held is apart.
        ask("scontrol", "hold", job_id)
    scancel(job_id, "--state=PENDING")
    states = ask("squeue", "--noheader", "--array", "--states=all", f"--jobs={job_id}", "--format=%T") or ""
    QUEUE.forget()
    if not ACTIVE.isdisjoint(states.split()):
        if "_" in job_id:
            ask("scontrol", "release", job_id)
        return False
    with EventWriter(run.metrics) as log:
        log.write(End(status="stopped", reason="its job was cancelled while it waited"))
    with edited_metadata(run) as facts:
        facts["queued"] = None
    return True


def kill_job(run: RunDirectory, snapshot: RunSnapshot, report: Callable[[str], object]) -> bool:
    """Cancel the job of a run: SIGTERM, and SIGKILL after the time that the cluster grants; False where it has none.

    Raises LaunchError where Slurm refuses.
    """
    job_id = _job_id(snapshot)
    if job_id is None:
        return False
    scancel(job_id)
    report(f"{run.run_id}: job {job_id} is cancelled: SIGTERM, and SIGKILL after the KillWait of the cluster.")
    deadline = time.monotonic() + KILL_S
    while read_snapshot(run).status.live and time.monotonic() < deadline:
        time.sleep(POLL_S)
        QUEUE.forget()
    return True


def _job_id(snapshot: RunSnapshot) -> str | None:
    info = snapshot.info
    return info.job_id if info is not None and info.launcher == LAUNCHER and not snapshot.directory.remote else None


def scancel(job_id: str, *options: str) -> None:
    """Cancel a job. Raises LaunchError where Slurm refuses or does not answer."""
    done = run_slurm(["scancel", *options, job_id], "stop the run on a login node of the cluster")
    if done.returncode:
        raise LaunchError(f"scancel refused job {job_id}: {' '.join(done.stderr.split())}", exit_code=1)
