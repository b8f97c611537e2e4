"""Exporting a panel or a figure from the dashboard."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from tests.tui.conftest import notifications, running, until, wait_for_dialog, wait_for_notification
from tuitrain.runs import RunDirectory
from tuitrain.tui.screens.dialogs import Choice


@pytest.mark.parametrize("kind", ["svg", "png", "csv"])
async def test_the_panel_in_focus_is_exported_to_a_file(run: RunDirectory, kind: str) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("e")
        await wait_for_dialog(app, pilot, Choice)
        await pilot.press(kind[0])
        out = run.path / "exports" / f"loss-step-100.{kind}"
        await wait_for_notification(app, pilot, f"wrote {out}")
    assert out.stat().st_size > 1000
    if kind == "csv":
        with out.open(newline="") as file:
            rows = list(csv.reader(file))
        assert rows[0][0] == "step"
        assert {"1", "50", "100"} <= {row[0] for row in rows[1:]}
        assert sum(bool(row[1]) for row in rows[1:]) >= 100


async def test_several_runs_are_exported_into_the_working_directory_with_their_names(
    two_runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    working_directory = tmp_path / "working_directory"
    working_directory.mkdir()
    monkeypatch.chdir(working_directory)
    async with running("compare", two_runs, two_runs[0].path.parent) as (app, pilot):
        await pilot.press("x", "e")
        await wait_for_dialog(app, pilot, Choice)
        await pilot.press("down", "down", "enter")
        await wait_for_notification(app, pilot, "wrote ")
    with (working_directory / "tuitrain-loss-tokens.csv").open(newline="") as file:
        head, *body = list(csv.reader(file))
    assert head[0] == "tokens"
    assert {"loss llama2-tiny", "loss gpt2-tiny"} <= set(head)
    assert len(body) >= 100


async def test_without_a_display_the_figure_is_written_and_its_path_copied(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.1 1 10.0.0.2 22")
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("O")
        path = run.path / "figures" / f"{run.run_id}-analysis.png"
        await until(pilot, lambda: app.clipboard == str(path), 60)
        await wait_for_notification(app, pilot, "no display here")
    assert path.exists()


async def test_with_a_display_the_figure_is_opened(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    opener = tmp_path / "bin" / "xdg-open"
    opener.parent.mkdir()
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path / "opened"}\n')
    opener.chmod(0o755)
    opener.with_name("open").symlink_to(opener)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{opener.parent}{os.pathsep}{os.environ['PATH']}")
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("O")
        await until(pilot, lambda: "opened " in notifications(app), 60)
    assert (tmp_path / "opened").read_text().strip().endswith("-analysis.png")
