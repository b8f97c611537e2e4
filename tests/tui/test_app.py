"""Starting and leaving the dashboard."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.tui import app as app_module
from tuitrain.tui.app import TuitrainApp, run_app


def test_leaving_a_live_run_prints_how_to_watch_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(tmp_path, status=None)
    done = write_run(tmp_path, "gpt2-tiny-20260101-120000-0000", preset="gpt2-tiny")

    def leave_immediately(app: TuitrainApp) -> None:
        from tuitrain.runs import read_snapshot

        for view in app.state.runs:
            assert view.directory is not None
            view.status = read_snapshot(view.directory).status

    monkeypatch.setattr(app_module.TuitrainApp, "run", leave_immediately)
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(tmp_path))
    assert run_app("watch", [run, done], tmp_path) == 0
    assert capsys.readouterr().out == f"training goes on: tuitrain watch {run.run_id}\n"
    monkeypatch.delenv("TUITRAIN_RUNS_DIR")
    run_app("watch", [run], tmp_path)
    assert capsys.readouterr().out == f"training goes on: tuitrain watch {run.run_id} --runs-dir {tmp_path}\n"


def test_the_dashboard_imports_no_heavy_package() -> None:
    code = "import sys, tuitrain.tui.app, tuitrain.tui.screens.watch; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    for heavy in ("torch", "matplotlib", "pydantic", "pyarrow", "plotext", "tuitrain.tui.screens.runs"):
        assert heavy not in modules
