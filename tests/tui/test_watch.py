"""The dashboard of a finished run, at every size and in both themes, and what its keys do."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from textual.command import CommandList

from tests.support import PINNED, run_record, step_record, write_run
from tests.tui.conftest import SIZES, chart, chart_of, charts_in_sight, header, resize, running, until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.analysis.summary import summarize
from tuitrain.config import difference, load_config
from tuitrain.events import End, EventWriter
from tuitrain.runs import RunDirectory, RunMetadata, load_history
from tuitrain.tui.content.headline import header as headline
from tuitrain.tui.frame import render_frame, view_of
from tuitrain.tui.screens.watch import WatchScreen
from tuitrain.tui.text import plain
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.view_state import ViewState
from tuitrain.tui.widgets.chart_tabs import ChartTabs


async def test_the_numbers_of_the_run_are_there(run: RunDirectory) -> None:
    """At every size, and in a light theme at one of them."""
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[0], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            top = header(app)
            words = "completed", "llama2-tiny", "step 100 of 300", "33.3 %", "loss", "val", "MFU", "tok/s", "GB"
            for word in words:
                assert word in top, (word, size, theme)
            assert all(len(row) <= size[0] for row in top.split("\n")), (size, theme)
            assert "★" in chart(app, "loss"), (size, theme)
            await until(pilot, lambda: "quit" in screen_text(app))


async def test_all_panels_at_200_columns(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent, (200, 50)) as (app, _):
        assert charts_in_sight(app) == ["loss", "mfu", "throughput", "memory", "grad_norm", "lr"]
        assert "validation" in chart(app, "loss")
        assert "mean" in chart(app, "mfu")
        assert "mean" in chart(app, "throughput")
        assert "capacity 85.9" in chart(app, "memory")
        assert "allocated" in chart(app, "memory")
        assert "clip 1" in chart(app, "grad_norm")
        assert "● now" in chart(app, "lr")
        text = screen_text(app)
        assert "all steps done" in text
        assert "A100-SXM4-80GB single bf16 flash compiled" in text
        assert "return 100" in text


async def test_two_columns_at_120_and_one_chart_at_80(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent, (120, 35)) as (app, pilot):
        assert len(charts_in_sight(app)) == 6
        await resize(pilot, (80, 24))
        assert charts_in_sight(app) == ["loss"]
        await pilot.press("right")
        assert charts_in_sight(app) == ["mfu"]
        await pilot.press("tab")
        assert charts_in_sight(app) == ["throughput"]
        await pilot.press("left", "shift+tab", "up")
        assert charts_in_sight(app) == ["lr"]


async def test_x_goes_through_all_axes_and_back(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        seen = []
        for _ in range(6):
            seen.append(chart(app, "lr").split("\n")[-1].split()[1])
            await pilot.press("x")
        assert seen == ["step", "tokens", "training", "clock", "compute,", "step"]


async def test_s_goes_through_the_smoothings_and_names_them(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        seen = []
        for _ in range(5):
            seen.append(chart(app, "loss").split("\n")[0])
            await pilot.press("s")
        assert [title.partition("smooth ")[2].split()[0] for title in seen if "smooth" in title] == [
            "0.9",
            "0.97",
            "0.99",
            "0.6",
        ]
        assert sum("smooth" not in title and "raw" not in title for title in seen) == 1


async def test_y_makes_the_axis_logarithmic_and_back(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        before = chart(app, "loss")
        await pilot.press("y")
        assert " log " in chart(app, "loss").split("\n")[0]
        assert chart(app, "loss").split("\n")[1:-1] != before.split("\n")[1:-1]
        await pilot.press("y")
        assert chart(app, "loss") == before


async def test_zoom_fills_the_screen_with_the_panel_in_focus(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("right", "down")
        for key in ("z", "enter"):
            await pilot.press(key)
            await pilot.pause()
            assert charts_in_sight(app) == ["grad_norm"], key
            assert len(chart(app, "grad_norm").split("\n")) == 50 - 5, key
            await pilot.press(key)
            await pilot.pause()
            assert len(charts_in_sight(app)) == 6, key


@pytest.mark.parametrize("size", [(200, 50), (80, 24)])
async def test_l_goes_through_the_tabs(run: RunDirectory, size: tuple[int, int]) -> None:
    async with running("watch", [run], run.path.parent, size) as (app, pilot):
        texts = []
        for _ in range(5):
            texts.append(screen_text(app))
            await pilot.press("b")
            await pilot.pause()
        assert any("step 100" in text and "def main(self):" in text for text in texts)
        assert any("tuitrain engine" in text for text in texts)
        assert any("MFU fell by 30 %." in text for text in texts)
        assert any("n_layers" in text and "preset llama2-tiny" in text for text in texts)


async def test_what_differs_from_the_preset_is_marked(tmp_path: Path) -> None:
    run = write_run(tmp_path, overrides=("optim.lr=0.0017", "train.max_steps=120"))
    async with running("watch", [run], tmp_path, (200, 100)) as (app, pilot):
        await pilot.press("b", "b", "b")
        await pilot.pause()
        head, *marked = re.findall(r"● (\w+) ", screen_text(app).partition(" Config ")[2])
        differing = difference(load_config("llama2-tiny"), load_config(str(run.config)))
        assert {"optim.lr", "train.max_steps"} <= set(differing)
        assert int(head) == len(differing)
        assert sorted(marked) == sorted(key.split(".")[1] for key in differing)


async def test_t_changes_the_colours_and_the_text_stays(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await until(pilot, lambda: "Alerts 1  Config" in screen_text(app))
        before, palette = screen_text(app), app.palette
        await pilot.press("t")
        await pilot.pause()
        assert app.palette["run0"] != palette["run0"]
        assert screen_text(app) == before


async def test_help_lists_the_keys_and_any_of_its_keys_closes_it(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for key in ("escape", "q", "question_mark"):
            await pilot.press("question_mark")
            await pilot.pause()
            assert "Smoothing of the curves" in screen_text(app)
            await pilot.press(key)
            await pilot.pause()
            assert isinstance(app.screen, WatchScreen)


async def test_the_command_palette_finds_an_action(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.press("colon")
        await pilot.pause()
        await pilot.press(*"logarithmic", "space", *"vertical")
        hits = app.screen.query_one(CommandList)
        await until(pilot, lambda: "ogarithmic" in str(hits.options[0].prompt) if hits.options else False)
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.state.log)


async def test_the_lowest_lines_show_the_screens_and_the_keys_that_fit(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        for size in SIZES:
            await resize(pilot, size)
            *_, screens, keys = screen_lines(app)
            assert screens.split()[:4] == ["1", "Watch", "2", "Runs"] or size[1] < 30, size
            assert keys.removeprefix(" ≡").split()[:6] == ["q", "quit", "?", "help", "x", "axis"], size
            assert keys.split()[-1] in ("layout", "run", "command"), f"no word is cut at {size}"
            assert all(key in keys for key in ("s smooth", "z zoom", "L layout")), size


async def test_a_click_on_the_footer_and_on_a_tab(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.click(offset=(screen_lines(app)[-1].index("x axis"), 49))
        await pilot.pause()
        assert app.state.x == "tokens"
        await pilot.click(ChartTabs, offset=(10, 0))
        await pilot.pause()
        assert "tuitrain engine" in screen_text(app)


async def test_a_double_click_zooms(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent) as (app, pilot):
        await pilot.click(chart_of(app, "memory"), times=2)
        await pilot.pause()
        assert charts_in_sight(app) == ["memory"]


async def test_n_opens_the_next_run_and_q_leaves(two_runs: list[RunDirectory]) -> None:
    async with running("watch", two_runs[:1], two_runs[0].path.parent) as (app, pilot):
        await pilot.press("n")
        await until(pilot, lambda: "gpt2-tiny" in header(app))
        await pilot.press("q")
    assert app.return_code in (0, None)


async def test_several_runs_share_the_charts(two_runs: list[RunDirectory]) -> None:
    async with running("watch", two_runs, two_runs[0].path.parent) as (app, pilot):
        title = chart(app, "throughput").split("\n")[0]
        assert "● llama2-tiny" in title
        assert "▲ gpt2-tiny" in title
        assert "●" in "".join(chart(app, "loss").split("\n")[1:])
        assert "▲" in "".join(chart(app, "loss").split("\n")[1:])
        assert "1 of 2" in header(app)
        await pilot.press("n")
        assert "gpt2-tiny" in header(app)
        assert "2 of 2" in header(app)
        await pilot.press("p")
        assert "1 of 2" in header(app)


async def test_a_nan_is_seen(tmp_path: Path) -> None:
    run = write_run(tmp_path, steps=20, status=None)
    config = load_config("llama2-tiny", PINNED)
    with EventWriter(run.metrics) as log:
        for step in range(21, 31):
            record = step_record(config, step, at=0.0)
            record.loss = math.nan
            log.write(record)
    async with running("watch", [run], tmp_path) as (app, _):
        assert "loss nan" in header(app)
        assert "×" in chart(app, "loss")


async def test_an_unknown_peak_says_what_to_do(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    config = load_config("llama2-tiny", PINNED)
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run.run_id, at=0.0, peak=None))
        for step in range(1, 4):
            record = step_record(config, step, at=float(step))
            record.mfu = record.mem_peak_gb = record.mem_allocated_gb = None
            log.write(record)
    async with running("watch", [run], tmp_path) as (app, _):
        assert "achieved" in chart(app, "mfu").split("\n")[0]
        assert "TFLOP/s" in chart(app, "mfu").split("\n")[0]
        assert "set hardware.peak_tflops" in chart(app, "mfu").split("\n")[1]
        assert "MFU n/a" in header(app)
        assert "memory n/a" in header(app)
        assert "n/a" in chart(app, "memory")


async def test_a_failed_run_says_why(tmp_path: Path) -> None:
    run = write_run(tmp_path, status="failed")
    async with running("watch", [run], tmp_path) as (app, _):
        assert "✗ failed" in header(app)
        assert "all steps done" in header(app)
        assert "took 1 m 41 s" in header(app)


async def test_before_the_first_step_it_says_what_the_run_does(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    run.path.mkdir()
    run.write_metadata(RunMetadata(name="a", created=0.0))
    run.console.write_text("reading the corpus\n\x1b[32mtokenizing\x1b[0m  10 %\rtokenizing  70 %\n")
    async with running("watch", [run], tmp_path) as (app, _):
        assert "tokenizing  70 %" in header(app)
        assert "no data yet" in chart(app, "loss")
        assert "\x1b" not in screen_text(app)


async def test_any_size_survives(run: RunDirectory) -> None:
    async with running("watch", [run], run.path.parent, (1, 1)) as (app, pilot):
        for size in ((1, 1), (10, 3), (30, 8), (300, 12), (40, 100)):
            await resize(pilot, size)
            await pilot.press("b", "z", "x", "right", "z", "b", "question_mark", "escape", "y")
            await resize(pilot, (120, 35))
            assert "completed" in header(app), size
            await resize(pilot, (200, 50))
            assert len(charts_in_sight(app)) == 6, size


def _log(tmp_path: Path, *steps: dict[str, float], name: str = "a", peak: float | None = 312.0) -> RunDirectory:
    """A run with one step for each set of values."""
    run = RunDirectory(tmp_path / f"{name}-20260101-000000-0000")
    config = load_config("llama2-tiny", PINNED)
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run.run_id, at=0.0, peak=peak))
        for step, values in enumerate(steps, start=1):
            record = step_record(config, step, at=float(step))
            for key, value in values.items():
                setattr(record, key, value)
            log.write(record)
    return run


async def test_the_means_are_those_of_the_tables(tmp_path: Path) -> None:
    # One step takes nine times as long as the other: the mean is over the time, not over the records.
    slow = {"step_time_ms": 9000.0, "tokens": 1000, "tokens_per_sec": 1000 / 9, "mfu": 0.1}
    fast = {"step_time_ms": 1000.0, "tokens": 2000, "tokens_per_sec": 1000.0, "mfu": 0.9}
    run = _log(tmp_path, slow, fast)
    summary = summarize(load_history(run))
    assert summary.mean_tokens_per_sec == pytest.approx(200)
    assert summary.mean_mfu == pytest.approx(0.18)
    async with running("watch", [run], tmp_path) as (app, _):
        assert "mean 200" in chart(app, "throughput")
        assert "mean 18" in chart(app, "mfu")


async def test_without_peak_and_rate_the_mfu_panel_says_what_to_do(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "a-20260101-000000-0000")
    config = load_config("llama2-tiny", PINNED)
    with EventWriter(run.metrics) as log:
        log.write(run_record(config, run.run_id, at=0.0, peak=None))
        record = step_record(config, 1, at=1.0)
        record.mfu = record.tflops = None
        log.write(record)
    async with running("watch", [run], tmp_path) as (app, _):
        assert "set hardware.peak_tflops" in " ".join(chart(app, "mfu").replace("│", "").split())


def test_an_mfu_above_100_per_cent_stands_out(tmp_path: Path) -> None:
    def role(run: RunDirectory, text: str) -> str:
        spans = [span for row in headline(ViewState([view_of(run, 0)]), 200) for span in row]
        return next(span.role for span in spans if span.text == text)

    assert role(_log(tmp_path, {"mfu": 1.2}), "120.0 %") == "warn"
    assert role(_log(tmp_path, {"mfu": 0.4}, name="b"), "40.0 %") == "value"


def test_the_learning_rate_is_written_in_one_way(tmp_path: Path) -> None:
    text = render_frame([_log(tmp_path, {"lr": 3e-4})], 200, 50, color=False)
    assert "lr 3.00e-4" in text
    assert "learning rate 3.00e-4" in text


def test_a_reason_of_several_lines_keeps_the_header_at_two(tmp_path: Path) -> None:
    run = _log(tmp_path)
    with EventWriter(run.metrics) as log:
        log.write(End(time=1.0, status="failed", reason="out of memory\nTraceback", step=0))
    rows = [plain(row) for row in headline(ViewState([view_of(run, 0)]), 120)]
    assert len(rows) == 2
    assert "out of memory" in rows[1]
    assert "\n" not in rows[1]
