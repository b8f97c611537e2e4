"""The state of jobs in the queue of Slurm, from `squeue`: asked for in a thread, and kept for a while.

A run that was submitted has the id of its job in run.json. One question gets all jobs of the user to whom a run
belongs. Nobody waits for the answer longer than asked to; without one the state is unknown.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace

from tuitrain.events import End
from tuitrain.events.layout import RunMetadata
from tuitrain.runs.layout import RunDirectory

LAUNCHER = "slurm"
"""`launcher` of such a run in run.json."""
TTL_S = 30.0
"""Age up to which an answer counts: squeue is a burden for the controller of a large cluster."""
ANSWER_S = 20.0
"""Time for squeue to answer."""
PATIENCE_S = 1.5
"""How long a command that prints the state waits for the first answer."""
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "REQUEUE_FED"})
ACTIVE = frozenset(
    {"RUNNING", "CONFIGURING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"}
)
_FORMAT = "%i|%T|%S|%r"


@dataclass(frozen=True)
class Job:
    """A job in the queue. state: Slurm's word, empty for one that is no longer there; unknown is None.

    start: Unix seconds when it started or, of one that waits, is expected to. asked: Unix seconds of the question.
    """

    job_id: str
    state: str | None = None
    reason: str | None = None
    start: float | None = None
    asked: float = field(default=0.0, compare=False)

    @property
    def waits(self) -> bool:
        """Whether it waits for its turn."""
        return self.state in WAITING

    @property
    def active(self) -> bool:
        """Whether it has nodes."""
        return self.state in ACTIVE

    @property
    def over(self) -> bool:
        """Whether it will not start or go on."""
        return self.state is not None and not self.waits and not self.active


@dataclass
class _Answer:
    """asked: monotonic seconds, at: Unix seconds; jobs: None while there is none, or where Slurm did not answer."""

    asked: float
    at: float
    jobs: Mapping[str, Job] | None = None
    done: threading.Event = field(default_factory=threading.Event)


class JobQueue:
    """The jobs of Slurm by user. Threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answers: dict[int, _Answer] = {}

    def job(self, user: int, job_id: str, wait_s: float = 0.0) -> Job:
        """The job as far as known. wait_s: how long to wait for an answer where there was none yet."""
        with self._lock:
            newest = self._answers.get(user)
            asking = newest is not None and not newest.done.is_set()
            if newest is None or (not asking and time.monotonic() - newest.asked > TTL_S):
                before = newest.jobs if newest is not None else None
                newest = self._answers[user] = _Answer(time.monotonic(), time.time(), before)
                threading.Thread(target=_ask, args=(user, newest), daemon=True, name="squeue").start()
        if newest.jobs is None and wait_s:
            newest.done.wait(max(0.0, wait_s - (time.monotonic() - newest.asked)))
        jobs = newest.jobs
        if jobs is None:
            return Job(job_id)
        # A cluster may hide the jobs of others.
        gone = Job(job_id, state="" if user == os.getuid() else None)
        return replace(jobs.get(job_id) or gone, asked=newest.at)

    def forget(self) -> None:
        """Ask again at the next call: a job was submitted or cancelled."""
        with self._lock:
            self._answers.clear()


def _ask(user: int, answer: _Answer) -> None:
    try:
        answer.jobs = _jobs_of(user)
    finally:
        answer.done.set()


def _jobs_of(user: int) -> dict[str, Job] | None:
    """All jobs of a user, also those that ended minutes ago; None where Slurm does not answer."""
    text = ask("squeue", "--noheader", "--array", "--states=all", f"--user={user}", f"--format={_FORMAT}")
    return None if text is None else parse_jobs(text)


def ask(*command: str, timeout_s: float = ANSWER_S) -> str | None:
    """What a command of Slurm prints, times as Unix seconds; None where it is not installed, fails, or is too late."""
    if shutil.which(command[0]) is None:
        return None
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            command, env=slurm_environment() | {"SLURM_TIME_FORMAT": "%s"}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout_s, check=True,
        )  # fmt: skip
        return done.stdout
    return None


def slurm_environment() -> dict[str, str]:
    """The environment for commands of Slurm: without what a job around this process, or the user's own habits, set.

    In an interactive job SLURM_* describe that job, and a batch job that inherits them starts its steps by them.
    """
    kept = ("SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT")
    dropped = ("SLURM_", "SQUEUE_", "SINFO_")
    return {key: value for key, value in os.environ.items() if key in kept or not key.startswith(dropped)}


def parse_jobs(text: str) -> dict[str, Job]:
    """The lines of squeue in the format above, by the id of the job."""
    jobs = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|", 3)]
        if len(parts) == 4:
            job_id, state, start, reason = parts
            known = reason not in ("", "None", "(null)")
            jobs[job_id] = Job(job_id, state, reason if known else None, _unix(start))
    return jobs


def _unix(text: str) -> float | None:
    """Of Unix seconds as text; None for `N/A`."""
    return float(text) if text.isdigit() and len(text) < 19 else None


QUEUE = JobQueue()


def stopped_by_signal(end: End) -> bool:
    """Whether a signal stopped the attempt, and not a request in `control/`: then a job may go on with the run."""
    return end.status == "stopped" and (end.reason or "").startswith(("stopped by SIG", "stop requested (SIG"))


def is_undecided(info: RunMetadata | None, end: End) -> bool:
    """Whether the script of the job is still to decide if the run goes on."""
    return info is not None and info.launcher == LAUNCHER and info.exit is None and stopped_by_signal(end)


def job_of_run(
    run: RunDirectory, info: RunMetadata | None, end: End | None, log_bytes: int | None, wait_s: float = 0.0
) -> Job | None:
    """The job of a run that Slurm may start or go on with; None for any other.

    end: of the newest attempt in the log, which ends at log_bytes. Raises nothing: what is unknown is None.
    """
    if info is None or info.launcher != LAUNCHER or info.job_id is None:
        return None
    if end is not None and info.queued is None and log_bytes != info.log_bytes and not is_undecided(info, end):
        return None
    if run.remote:
        at, line = run.job_there(info) or (0.0, None)
        gone = Job(info.job_id, state=None if line is None else "")
        return replace(parse_jobs(line or "").get(info.job_id, gone), asked=at)
    try:
        owner = run.info.stat().st_uid
    except OSError:
        return None
    return QUEUE.job(owner, info.job_id, wait_s)
