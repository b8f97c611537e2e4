"""Requests to a live run, which it handles at its next step boundary, and the answers in its log."""

from __future__ import annotations

from tuitrain.accounting import size_text
from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.events import AnyRecord, Checkpoint, Control, End, Eval
from tuitrain.events.requests import is_requested
from tuitrain.launch.errors import LaunchError
from tuitrain.readers.blocks import one_by_one
from tuitrain.runs import LogFollower, RunDirectory, Status, read_snapshot

ACCEPTED = ("done", "begun")
"""First words of the result of a request that was accepted."""


def send_request(run: RunDirectory, request: str) -> str:
    """Write a request, one of `events.requests.REQUESTS`; returns a sentence that confirms it.

    Raises LaunchError when the run is not live, or cannot be paused or continued.
    """
    status = read_snapshot(run).status
    if not status.live:
        raise LaunchError(f"{run.run_id} is {status}: only a live run reads requests.", exit_code=1)
    if status is Status.QUEUED:
        raise LaunchError(f"{run.run_id} is queued: it reads requests when it trains.", exit_code=1)
    if request == "continue" and status is not Status.PAUSED and not is_requested(run.path, "pause"):
        raise LaunchError(f"{run.run_id} is {status}, not paused.", exit_code=1)
    if request == "pause" and status is Status.PAUSED:
        raise LaunchError(f"{run.run_id} is paused already; `tuitrain continue` lets it go on.", exit_code=1)
    if request == "pause" and not run.config.exists():
        raise LaunchError(f"{run.run_id} is not of this engine: only the engine can pause between two steps.")
    run.request(request)
    if request == "continue":
        return f"{run.run_id} goes on."
    return f"{run.run_id}: {request} requested; the run handles it at its next step boundary."


class RequestMonitor:
    """Reads what a run appends to its log from now on, for the answer to a request."""

    def __init__(self, run: RunDirectory, request: str) -> None:
        self.run, self.request = run, request
        size = run.metrics.stat().st_size if run.metrics.exists() else 0
        self._follower = LogFollower(run.metrics, start=size)

    def poll(self) -> str | None:
        """A sentence with the answer once it is in the log; None until then. Raises OSError."""
        answers = map(self._answer, one_by_one(self._follower.poll().records))
        return next((f"{self.run.run_id}: {answer}" for answer in answers if answer is not None), None)

    def poll_status(self) -> str | None:
        """A sentence when the run has ended, so that no answer will follow; None while one may."""
        status = read_snapshot(self.run).status
        if status.live:
            return None
        reason = "its process has died" if status is Status.CRASHED else f"it is {status}"
        return f"{self.run.run_id}: {reason}; it did not handle the {self.request} request."

    def _answer(self, record: AnyRecord) -> str | None:
        match record:
            case End():
                at = "" if record.step is None else f" at step {record.step:,}"
                reason = (record.reason or "").removeprefix(f"{record.status} ")
                return f"{record.status}{at}{f', {reason}' if reason else ''}."
            case Checkpoint() if self.request == "checkpoint":
                size = "" if record.bytes is None else f", {size_text(record.bytes)}"
                duration = "" if record.duration_ms is None else f" in {units.milliseconds(record.duration_ms)}"
                return f"saved {record.path}{size}{duration}."
            case Eval() if self.request == "eval":
                loss = metric("val_loss").text(record.loss)
                return f"evaluated at step {record.step:,}: {record.split} loss {loss}."
            case Control() if record.request == self.request and not record.result.startswith(ACCEPTED):
                return f"{record.request}: {record.result}."
        return None
