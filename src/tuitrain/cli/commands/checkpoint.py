"""`tuitrain checkpoint`, `tuitrain eval` and `tuitrain snapshot`: requests to a live run."""

from __future__ import annotations

from pathlib import Path

from tuitrain.cli.lookup import find_one
from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json
from tuitrain.launch.requests import send_request


def checkpoint(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsDirOption = None) -> None:
    """\b
    Examples:
      tuitrain checkpoint latest

    Ask a live run for a checkpoint at its next step boundary.
    """
    _send(run, "checkpoint", as_json, runs_dir)


def evaluate(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsDirOption = None) -> None:
    """\b
    Examples:
      tuitrain eval latest

    Ask a live run for an evaluation at its next step boundary.
    """
    _send(run, "eval", as_json, runs_dir)


def snapshot(run: RunArgument, as_json: JsonOption = False, runs_dir: RunsDirOption = None) -> None:
    """\b
    Examples:
      tuitrain snapshot latest

    Ask a live run for a snapshot of its GPU memory, written to profile/ in the run directory.

    It opens in https://pytorch.org/memory_viz; with telemetry.memory_history it shows where memory was allocated.
    """
    _send(run, "snapshot", as_json, runs_dir)


def _send(name: str, request: str, as_json: bool, runs_dir: Path | None) -> None:
    run = find_one(name, runs_dir)
    sentence = send_request(run, request)
    if as_json:
        print_json({"run_id": run.run_id, "request": request})
    else:
        print(sentence)
