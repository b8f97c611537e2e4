"""`tuitrain checkpoint`, `eval`, `snapshot`, `pause` and `continue`: requests to a live run."""

from __future__ import annotations

from pathlib import Path

from tuitrain.cli import options
from tuitrain.cli.lookup import find_own_one
from tuitrain.cli.output import print_json


def checkpoint(run: options.Run, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain checkpoint latest

    Request a checkpoint from a live run; it is written at the next step boundary.
    """
    _request("checkpoint", run, as_json, runs_dir)


def evaluate(run: options.Run, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain eval latest

    Request an evaluation from a live run; it begins at the next step boundary.
    """
    _request("eval", run, as_json, runs_dir)


def snapshot(run: options.Run, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain snapshot latest

    Request a snapshot of the GPU memory from a live run; it is written to profile/ in the run directory.

    It opens in https://pytorch.org/memory_viz; with telemetry.memory_history it shows where memory was allocated.
    """
    _request("snapshot", run, as_json, runs_dir)


def pause(run: options.Run, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain pause latest
      tuitrain continue latest

    Let a run of the engine wait after its next step, with all it holds in memory, until `continue`.

    While it waits, `checkpoint`, `eval` and `stop` work. The pause is in no step's time.
    """
    _request("pause", run, as_json, runs_dir)


def continue_(run: options.Run, as_json: options.Json = False, runs_dir: options.RunsDir = None) -> None:
    """\b
    Examples:
      tuitrain continue latest

    Let a run that `tuitrain pause` has stopped between two steps go on.
    """
    _request("continue", run, as_json, runs_dir)


def _request(request: str, name: str, as_json: bool, runs_dir: Path | None) -> None:
    # Imported here: `--help` does without.
    from tuitrain.launch.requests import send_request

    run = find_own_one(name, runs_dir, requests=True)
    sentence = send_request(run, request)
    if as_json:
        print_json({"run_id": run.run_id, "request": request})
    else:
        print(sentence)
