"""What the batch script calls in the job: `python -m tuitrain.launch.slurm.job begin|end|resubmit RUN_DIR …`.

`begin` writes the attempt to run.json and prints the further arguments of the engine. `end` exits with 0 where the run
was interrupted and is to wait in the queue again: a signal stopped it, and neither did it end by itself, nor was it
stopped by `tuitrain stop`, nor was the job cancelled. Slurm requeues a job itself after preemption without a grace
period, and when a node fails.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import time
from pathlib import Path

import msgspec

from tuitrain.config import ConfigError, load_config
from tuitrain.events.checkpoints import complete_checkpoints
from tuitrain.events.layout import Exit
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import process_started, start_drawing
from tuitrain.launch.resume import RESUME_CONFIG
from tuitrain.launch.slurm.submit import resubmit
from tuitrain.runs import RunDirectory, Status, read_snapshot
from tuitrain.runs.crash import last_lines
from tuitrain.runs.editing import EditError, edited_metadata
from tuitrain.runs.log_ends import end_of_lines
from tuitrain.runs.slurm import ask, stopped_by_signal

REQUEUE, DONE = 0, 1
"""Exit codes of `end`."""


def main(arguments: list[str]) -> int:
    """Do one of the three; returns the exit code."""
    options = _parser().parse_args(arguments)
    # The script outlives SIGTERM, and so does what it calls.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    run = RunDirectory(options.run_dir)
    try:
        if options.what == "begin":
            return _begin(run, options.pid)
        if options.what == "end":
            return _end(run, options.code, options.final)
        resubmit(run)
    except (LaunchError, EditError, ConfigError, OSError) as error:
        print(f"{run.run_id}: {error}", file=sys.stderr)
        return DONE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuitrain.launch.slurm.job")
    commands = parser.add_subparsers(dest="what", required=True)
    commands.add_parser("begin").add_argument("run_dir", type=Path)
    commands.choices["begin"].add_argument("pid", type=int, help="of the batch script")
    commands.add_parser("end").add_argument("run_dir", type=Path)
    commands.choices["end"].add_argument("code", type=int, help="the exit code of srun")
    commands.choices["end"].add_argument("--final", action="store_true", help="the run does not go on")
    commands.add_parser("resubmit").add_argument("run_dir", type=Path)
    return parser


def _begin(run: RunDirectory, pid: int) -> int:
    snapshot = read_snapshot(run)
    if snapshot.status is Status.COMPLETED:
        raise LaunchError(f"it is {snapshot.status}, so there is nothing to do.")
    with edited_metadata(run) as facts:
        facts |= {
            "started": time.time(),
            "log_bytes": end_of_lines(run.metrics),
            "host": socket.gethostname(),
            "pid": pid,
            "pid_started": process_started(pid),
            "exit": None,
            "queued": None,
            # The script may have been submitted by hand.
            "job_id": _job_id(),
        }
    if not run.config.exists():
        return 0
    further = []
    if (run.path / RESUME_CONFIG).exists():
        further += ["--config", RESUME_CONFIG]
    if complete_checkpoints(run.path):
        further.append("--resume")
    print(*further)
    start_drawing(run, load_config(str(run.config)))
    return 0


def _job_id() -> str | None:
    """The id of this job as squeue has it, where it is one of an array: 123_4."""
    if "SLURM_ARRAY_JOB_ID" in os.environ:
        return f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ.get('SLURM_ARRAY_TASK_ID')}"
    return os.environ.get("SLURM_JOB_ID")


def _end(run: RunDirectory, code: int, final: bool) -> int:
    """Write down how the attempt ended; returns REQUEUE where the script is to requeue the job."""
    snapshot = read_snapshot(run)
    attempt = snapshot.info
    end = snapshot.end if attempt is None or attempt.log_bytes != end_of_lines(run.metrics) else None
    ours, by_slurm = (False, False) if final else _may_go_on()
    # One that was killed before it could write its end goes on where Slurm says so.
    interrupted = by_slurm if end is None else stopped_by_signal(end)
    with edited_metadata(run) as facts:
        if interrupted and (ours or by_slurm):
            facts |= {"queued": time.time(), "log_bytes": end_of_lines(run.metrics), "pid": None, "pid_started": None}
        else:
            facts["exit"] = msgspec.to_builtins(_exit_of(run, code))
    return REQUEUE if interrupted and ours else DONE


def _exit_of(run: RunDirectory, code: int) -> Exit:
    """srun exits with 128 and the number of the signal that ended a process."""
    name = signal.Signals(code - 128).name if code - 128 in list(signal.Signals) else None
    return Exit(
        time=time.time(), code=None if name else code, signal=name, out_of_memory=None,
        last_lines=last_lines(run.console) if code else [],
    )  # fmt: skip


def _may_go_on() -> tuple[bool, bool]:
    """Whether the script may requeue its job, and whether Slurm does so itself.

    A job that is being cancelled or requeued is completing; so is one whose time is over, which may be requeued.
    """
    text = ask("scontrol", "--oneliner", "show", "job", os.environ.get("SLURM_JOB_ID", ""))
    if text is None:
        return True, False
    facts = dict(word.split("=", 1) for word in text.split() if "=" in word)
    restarts = int(facts.get("Restarts", "0")) if facts.get("Restarts", "0").isdigit() else 0
    by_slurm = restarts > int(os.environ.get("SLURM_RESTART_COUNT", "0") or 0)
    running = facts.get("JobState") == "RUNNING" or facts.get("Reason") == "TimeLimit"
    return running and not by_slurm, by_slurm


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
