"""Console, commands and dashboard show the same remaining time while a run trains."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from tests.cli.conftest import cli, runs_dir  # noqa: F401
from tests.support import write_run
from tuitrain.events import Step, decode
from tuitrain_engine.report import Console, Terminal


@pytest.mark.parametrize("steps", [1, 30, 250])
def test_the_console_the_commands_and_the_dashboard_show_the_same_eta(cli, runs_dir: Path, steps: int) -> None:  # noqa: F811
    run = write_run(runs_dir, "one", steps=steps, status=None)
    records = [decode(line) for line in run.metrics.read_bytes().splitlines()]
    stream = io.StringIO()
    console = Console(300, Terminal(stream, False, None))
    for record in records:
        if isinstance(record, Step):
            console.show(record)
    eta = stream.getvalue().splitlines()[-1].split("ETA ")[1]
    assert eta != "n/a"
    assert f"  ETA {eta}  " in cli("status", "one").out
    assert f"  ETA {eta}  " in cli("show", "one").out
    assert f"ETA {eta}" in cli("watch", "one", "--once").out.splitlines()[0]
    seconds = cli("ls", "--json").json()[0]["eta_s"]
    assert cli("status", "one", "--json").json()["eta_s"] == seconds
    assert cli("show", "one", "--json").json()["eta_s"] == seconds
