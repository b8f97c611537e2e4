"""Asking a live run for something at its next step boundary, and hearing what came of it."""

from __future__ import annotations

from tuitrain.analysis import units
from tuitrain.analysis.metrics import metric
from tuitrain.events import AnyRecord, Checkpoint, Control, End, Eval
from tuitrain.launch.errors import LaunchError
from tuitrain.runs import LogFollower, RunDirectory, Status, read_snapshot

STILL_GOOD = ("done", "begun")
"""How the result of a request begins that was met; anything else is told as it is."""


def ask_run(run: RunDirectory, request: str) -> str:
    """Leave a request (`checkpoint`, `eval`, `snapshot`); returns the sentence that says so.

    Raises LaunchError when the run is not live.
    """
    status = read_snapshot(run).status
    if not status.live:
        raise LaunchError(f"{run.run_id} is {status}: only a live run can be asked.", exit_code=1)
    run.request(request)
    return f"{run.run_id}: {request} asked for; it comes at the next step boundary."


class RequestMonitor:
    """Reads what a run writes to its log after this moment, to tell what came of a request."""

    def __init__(self, run: RunDirectory, request: str) -> None:
        self.run, self.request = run, request
        size = run.metrics.stat().st_size if run.metrics.exists() else 0
        self._follower = LogFollower(run.metrics, start=size)

    def poll(self) -> str | None:
        """A sentence once it is known what came of the request; None until then. Raises OSError."""
        for record in self._follower.poll().records:
            told = self._told(record)
            if told is not None:
                return f"{self.run.run_id}: {told}"
        return None

    def lost(self) -> str | None:
        """A sentence when the run is over without an answer; None while one may come."""
        status = read_snapshot(self.run).status
        if status.live:
            return None
        lost = "its process is gone" if status is Status.CRASHED else f"it is {status}"
        return f"{self.run.run_id}: {lost}; nothing came of the {self.request} request."

    def _told(self, record: AnyRecord) -> str | None:
        match record:
            case End():
                at = "" if record.step is None else f" at step {record.step:,}"
                return f"{record.status}{at}{f', {record.reason}' if record.reason else ''}."
            case Checkpoint() if self.request == "checkpoint":
                size = "" if record.bytes is None else f", {_size(record.bytes)}"
                took = "" if record.duration_ms is None else f" in {units.milliseconds(record.duration_ms)}"
                return f"saved {record.path}{size}{took}."
            case Eval() if self.request == "eval":
                loss = metric("val_loss").text(record.loss)
                return f"evaluated at step {record.step:,}: {record.split} loss {loss}."
            case Control() if record.request == self.request and not record.result.startswith(STILL_GOOD):
                return f"{record.request}: {record.result}."
        return None


def _size(count: int) -> str:
    """Bytes in the unit in which they are not zero."""
    return units.gigabytes(count / 1e9) if count >= 1e8 else f"{count / 1e6:.3g} MB"
