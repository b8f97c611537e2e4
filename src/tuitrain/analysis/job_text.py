"""A job of Slurm in words."""

from __future__ import annotations

import time

from tuitrain.analysis import units
from tuitrain.runs.slurm import Job
from tuitrain.text import clean


def job_text(job: Job) -> str:
    """Its id and state: `job 12 waits: Priority, starts about 14:30`; unknown is n/a."""
    state = "n/a" if job.state is None else job.state.lower().replace("_", " ") or "not in the queue"
    return clean(f"job {job.job_id} {f'waits: {waiting_text(job)}' if job.waits else state}")


def waiting_text(job: Job | None) -> str:
    """Why a job waits, and when Slurm expects to start it: `Priority, starts about 14:30`; empty for one that does not.

    Of a queued run whose job is unknown, as Slurm does not answer, n/a.
    """
    if job is None or not job.waits:
        return units.UNKNOWN if job is not None and job.state is None else ""
    return clean(", ".join(filter(None, [job.reason or units.UNKNOWN, start_text(job)])))


def start_text(job: Job) -> str:
    """When Slurm expects to start it; empty where it does not say."""
    if job.start is None:
        return ""
    today = time.localtime()[:3] == time.localtime(job.start)[:3]
    return f"starts about {units.moment(job.start, '%H:%M' if today else '%d %b %H:%M')}"
