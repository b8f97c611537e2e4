"""The screens about one run: its machine, its samples, its configuration, and what all have in common."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.theme import Theme

from tests.support import run_record, write_run
from tests.tui.conftest import SIZES, resize, running, shown, until
from tests.tui.screen import screen_text
from tuitrain.config import load_config
from tuitrain.events import EventWriter, Gpu, Parallel, Sample, Software, System
from tuitrain.plots.terminal import STYLES
from tuitrain.runs import RunDirectory, RunHistory, RunMetadata, Status
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.content.machine import machine_page
from tuitrain.tui.content.samples import continued, sample_lines, strip
from tuitrain.tui.screens import config as config_screen
from tuitrain.tui.text import Line, plain, width
from tuitrain.tui.theme import DARK, LIGHT
from tuitrain.tui.view_state import RunView

TINY_SIZES = [(10, 3), (30, 8)]


def gpu(index: int, **values: object) -> Gpu:
    """A GPU at work."""
    known: dict[str, object] = {
        "name": "NVIDIA H100 80GB HBM3", "util_percent": 97.0, "mem_used_gb": 66.0, "mem_total_gb": 85.9,
        "power_w": 651.0, "power_limit_w": 700.0, "temp_c": 61.0, "sm_clock_mhz": 1755.0, "mem_clock_mhz": 2619.0,
        "throttle": [],
    }  # fmt: skip
    return Gpu(index=index, **(known | values))  # type: ignore[arg-type]


def reading(at: float, gpus: list[Gpu], **values: object) -> System:
    """Readings of a machine at work."""
    known: dict[str, object] = {
        "cpu_percent": 12.0, "ram_used_gb": 220.0, "ram_total_gb": 1024.0, "disk_used_gb": 812.0,
        "disk_total_gb": 3840.0, "disk_read_mb_s": 33.0, "disk_write_mb_s": 1500.0, "net_sent_mb_s": 12.0,
        "net_recv_mb_s": 0.5,
    }  # fmt: skip
    return System(time=at, host="node7", gpus=gpus, **(known | values))  # type: ignore[arg-type]


def view_of(*records: System, status: Status = Status.RUNNING, world: int = 1) -> RunView:
    """A run that has these readings."""
    run = run_record(load_config("llama2-tiny"), "x", at=0.0)
    run.parallel = Parallel(strategy="ddp", world_size=world)
    view = RunView(0)
    view.history.absorb([run, *records])
    view.status = status
    return view


def page(view: RunView | None, cells: int, rows: int, now: float | None = None) -> list[str]:
    """The rows of the page about the machine."""
    console = Console(width=cells, theme=Theme(STYLES), file=io.StringIO())
    with console.capture() as capture:
        console.print(machine_page(view, cells, rows, now))
    return capture.get().splitlines()


def texts(lines: list[Line]) -> str:
    """Lines as text."""
    return "\n".join(plain(each) for each in lines)


@pytest.mark.parametrize("cells", [79, 119, 199])
def test_all_readings_of_eight_gpus_fit(cells: int) -> None:
    gpus = [gpu(index) for index in range(7)] + [gpu(7, throttle=["hw_thermal", "sw_power_cap"], temp_c=91.0)]
    rows = {79: 21, 119: 31, 199: 46}[cells]
    lines = page(view_of(reading(100.0, gpus)), cells, rows, now=105.0)
    text = "\n".join(lines)
    assert all(cell_len(each) <= cells for each in lines) and len(lines) <= rows
    for word in ("node7", "8 × H100 80GB HBM3", "97 %", "651", "91 °C", "1755", "220 of 1024 GB"):
        assert word in text, word
    for word in ("812 of 3840 GB", "read 33 MB/s", "write 1.5 GB/s", "out 12 MB/s", "in 500 kB/s", "hw thermal"):
        assert word in text, word
    assert "ago" not in text and "read at" in text and ("651 of 700 W" in text) == (cells > 79)
    assert all("▇" in each for each in lines if "97 %" in each)


def test_one_gpu_has_room_for_its_past() -> None:
    past = [reading(float(10 * index), [gpu(0, power_w=500.0 + 100 * math.sin(index))]) for index in range(100)]
    lines = page(view_of(*past), 119, 31, now=1000.0)
    assert 25 <= len(lines) <= 31
    assert any("\u2800" < character <= "\u28ff" for character in "".join(lines))
    assert "the last 16 m 30 s" in "".join(lines)


def test_a_few_readings_fill_the_width_and_a_few_bytes_are_no_peak() -> None:
    past = [
        System(time=940.0 + 2 * at, host="node1", cpu_percent=90.0, net_recv_mb_s=0.0002 if at == 18 else 0.0,
               net_sent_mb_s=0.0, disk_read_mb_s=0.0, disk_write_mb_s=5.0)
        for at in range(21)
    ]  # fmt: skip
    lines = page(view_of(*past), 119, 46, now=985.0)
    at = {name: next(n for n, row in enumerate(lines) if row.startswith(name)) for name in ("CPU", "network")}
    cpu = max((row.strip() for row in lines[at["CPU"] + 1 : at["network"]]), key=len)
    assert len(cpu) > 75, "the curve of 40 seconds goes from one edge of the graph to the other"
    assert "up to 1.0 MB/s" in lines[at["network"] + 1]
    assert not "".join(lines[at["network"] + 2 : -1]).strip(), "200 bytes a second stay on the ground"


def test_gpus_stay_together_however_many_rows_there_are() -> None:
    past = [reading(float(10 * index), [gpu(0), gpu(1)]) for index in range(100)]
    lines = page(view_of(*past), 199, 46, now=1000.0)
    first, second = (next(row for row, each in enumerate(lines) if each.split()[:1] == [name]) for name in "01")
    assert second - first <= 6


def test_without_a_capacity_there_is_no_empty_bar() -> None:
    unlimited = gpu(0, mem_total_gb=None, power_limit_w=None)
    row = next(each for each in page(view_of(reading(100.0, [unlimited])), 199, 46, now=105.0) if "66.0 GB" in each)
    assert row.count("▇") > 20
    assert "▁" not in row[row.index("%") :]


def test_what_is_not_known_is_not_available() -> None:
    bare = System(time=100.0, host="node7", gpus=[Gpu(index=0)])
    text = "\n".join(page(view_of(bare), 119, 31, now=100.0))
    assert text.count("n/a") >= 9 and "None" not in text


@pytest.mark.parametrize(("status", "now", "says"), [
    (Status.COMPLETED, 110.0, "as of 10 s ago"),
    (Status.COMPLETED, 100.0 + 3 * 3600, "as of 3 h ago"),
    (Status.STALLED, 100.0 + 3 * 3600, "as of 3 h ago"),
])  # fmt: skip
def test_readings_that_are_not_of_now_say_so(status: Status, now: float, says: str) -> None:
    assert says in "".join(page(view_of(reading(100.0, []), status=status), 119, 31, now=now))


def test_the_process_that_the_others_wait_for_stands_out() -> None:
    timed = reading(100.0, [], rank_step_ms=[1000.0] * 4, rank_busy_ms=[700.0, 990.0, 710.0, 400.0])
    lines = page(view_of(timed, reading(110.0, []), world=4), 119, 40, now=110.0)
    (slowest,) = (each for each in lines if "slowest" in each and "1.00 s" in each)
    assert slowest.split()[0] == "1"
    text = "\n".join(lines)
    assert "waits 300 ms" in text and "waits 600 ms" in text


def test_processes_that_keep_step_are_all_alike() -> None:
    timed = reading(100.0, [], rank_step_ms=[1000.0] * 2, rank_busy_ms=[900.0, 910.0])
    text = "\n".join(page(view_of(timed, world=2), 119, 40, now=100.0))
    assert "slowest" not in text and "waits 90.0 ms" in text


def test_several_processes_without_times_say_so() -> None:
    assert "No step times by process yet" in "".join(page(view_of(reading(100.0, []), world=2), 119, 40))


@pytest.fixture
def trained(tmp_path: Path) -> RunDirectory:
    """A completed run of two processes with eight GPUs and many samples."""
    info = RunMetadata(name="tiny", created=0.0, host="node7", command=["tuitrain", "launch", "tiny"], processes=2)
    run = write_run(tmp_path, overrides=("optim.lr=0.01", "model.norm=layernorm"), info=info)
    with EventWriter(run.metrics) as log:
        log.write(reading(time.time(), [gpu(index) for index in range(8)]))
        for step in range(110, 200, 10):
            log.write(Sample(step=step, prompt="def f(", text=f"x):\n    return {step}\n"))
    return run


async def test_the_machine_at_every_size(trained: RunDirectory) -> None:
    """And in a light theme at one of them."""
    async with running("system", [trained], trained.path.parent) as (app, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[0], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            for word in ("node7", "8 × H100", "97 %", "651", "CPU", "RAM", "disk", "network", "quit"):
                await until(pilot, lambda word=word: word in screen_text(app))  # type: ignore[misc]


async def test_the_machine_fills_the_screen_from_the_first_frame_on(run: RunDirectory) -> None:
    async with running("system", [run], run.path.parent, (120, 35)) as (app, pilot):
        await until(pilot, lambda: "network" in screen_text(app))


async def test_a_long_page_scrolls_by_key(trained: RunDirectory) -> None:
    async with running("system", [trained], trained.path.parent, (80, 10)) as (app, pilot):
        pane = app.screen.query_one("#pane")
        await until(pilot, lambda: pane.max_scroll_y > 5)
        await pilot.press("j", "j")
        await until(pilot, lambda: pane.scroll_offset.y == 2)
        await pilot.press("G")
        await until(pilot, lambda: pane.scroll_offset.y == pane.max_scroll_y)
        await pilot.press("g")
        await until(pilot, lambda: pane.scroll_offset.y == 0)


def heads(app: TuitrainApp) -> tuple[str, str]:
    """The steps of both sides, with their losses."""
    sides = [app.screen.query_one(f"#{side}-head") for side in ("left", "right")]
    return tuple(side.text.strip() for side in sides)  # type: ignore[return-value, attr-defined]


async def test_samples_of_two_steps_stand_together(trained: RunDirectory) -> None:
    async with running("samples", [trained], trained.path.parent) as (app, pilot):
        for size in SIZES:
            await resize(pilot, size)
            await until(pilot, lambda: "step 190" in heads(app)[0])
            assert "step 180" in heads(app)[1] and "loss" in heads(app)[0], size
            assert "return 190" in shown(app) and "return 180" in shown(app), size
        await pilot.press("h", "h")
        await until(pilot, lambda: "step 170" in heads(app)[0])
        assert "step 160" in heads(app)[1]
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: "step 150" in heads(app)[1])
        await pilot.press("l")
        await until(pilot, lambda: "step 180" in heads(app)[0])
        assert "step 150" in heads(app)[1], "what was chosen to compare with stays"
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: "step 160" in heads(app)[1])


async def test_the_loss_of_a_step_stands_beside_its_sample(run: RunDirectory) -> None:
    async with running("samples", [run], run.path.parent) as (app, pilot):
        await until(pilot, lambda: "step 100" in heads(app)[0])
        assert "val" in heads(app)[0] and "loss" in heads(app)[1] and "step 50" in heads(app)[1]


async def test_the_newest_sample_is_followed_until_another_is_chosen(trained: RunDirectory) -> None:
    async with running("samples", [trained], trained.path.parent) as (app, pilot):
        await until(pilot, lambda: "step 190" in heads(app)[0])
        with EventWriter(trained.metrics) as log:
            log.write(Sample(step=250, prompt="a", text="b"))
        await until(pilot, lambda: "step 250" in heads(app)[0])
        await pilot.press("left")
        with EventWriter(trained.metrics) as log:
            log.write(Sample(step=300, prompt="a", text="b"))
        await until(pilot, lambda: "300" in app.screen.query_one("#strip").text)  # type: ignore[attr-defined]
        assert "step 190" in heads(app)[0]


def test_several_prompts_at_one_step_come_in_their_order() -> None:
    samples = [
        Sample(step=5, prompt="one ", text="1"),
        Sample(step=5, prompt="two ", text="2"),
        Sample(step=6, text="3"),
    ]
    text = texts(sample_lines(samples, 5, 40))
    assert text.index("one 1") < text.index("two 2") and "2 of 2" in text and "3" not in text


def test_the_prompt_is_set_off_and_wide_characters_wrap() -> None:
    lines = continued("中文 prompt", " continues 中文中文中文中文 and on", 16)
    assert all(width(each) <= 16 for each in lines)
    quiet = "".join(span.text for each in lines for span in each if span.role == "quiet")
    assert quiet.replace(" ", "") == "中文prompt"
    told = "".join(span.text for each in lines for span in each if span.role == "text")
    assert told.replace(" ", "") == "continues中文中文中文中文andon"


def test_the_strip_keeps_the_chosen_step_in_sight() -> None:
    steps = list(range(0, 10_000, 10))
    found = strip(steps, 5000, 4990, 60)
    assert width(found) <= 60 and "◆●" in plain(found) and "‹" in plain(found) and "›" in plain(found)
    assert {span.action for span in found if span.text == "●"} == {"screen.choose_step(5000)"}


async def test_the_configuration_with_what_was_changed(trained: RunDirectory) -> None:
    async with running("config", [trained], trained.path.parent) as (app, pilot):
        for size in ((80, 200), (120, 90), (200, 80)):
            await resize(pilot, size)
            await until(pilot, lambda: "d_model" in screen_text(app))
            text = screen_text(app)
            assert "rmsnorm → layernorm" in text and "changed from the preset llama2-tiny" in text, size
            assert "4,000,000" in text, size  # val_bytes
            for word in ("architecture", "without embeddings", "FLOPs per token", "MFLOP with", "estimate"):
                assert word in text, (word, size)
            for word in ("measured peak", "attention", "single, 1 process", "torch", "2.13.0", "git commit", "node7"):
                assert word in text, (word, size)
            assert "tuitrain launch tiny" in text, size
            await pilot.press("a")
            await until(pilot, lambda: "d_model" not in screen_text(app))
            assert "rmsnorm → layernorm" in screen_text(app), size
            await pilot.press("a")


async def test_the_configuration_looks_the_same_after_a_visit_to_the_samples(trained: RunDirectory) -> None:
    async with running("config", [trained], trained.path.parent) as (app, pilot):
        # The keys come after the text.
        await until(pilot, lambda: all(word in screen_text(app) for word in ("architecture", "quit")))
        before = screen_text(app)
        await pilot.press("5")
        await until(pilot, lambda: "d_model" not in screen_text(app))
        await pilot.press("7")
        await until(pilot, lambda: screen_text(app) == before)


async def test_keys_are_filtered_as_one_types(trained: RunDirectory) -> None:
    async with running("config", [trained], trained.path.parent) as (app, pilot):
        await until(pilot, lambda: "d_model" in screen_text(app))
        await pilot.press("slash", "w", "a", "r", "m")
        await until(pilot, lambda: "d_model" not in screen_text(app))
        assert "warmup_steps" in screen_text(app)
        await pilot.press("escape")
        await until(pilot, lambda: "d_model" in screen_text(app))


async def test_attempts_tell_what_was_changed_for_them(trained: RunDirectory) -> None:
    config = load_config("llama2-tiny", ("optim.lr=0.02", "model.norm=layernorm", "train.max_steps=300"))
    with EventWriter(trained.metrics) as log:
        again = run_record(config, trained.run_id, at=time.time(), attempt=2)
        again.software = Software(torch="2.14.0", git_commit="abc1234")
        log.write(again)
    async with running("config", [trained], trained.path.parent, (200, 90)) as (app, pilot):
        await until(pilot, lambda: "optim.lr 0.01 → 0.02" in screen_text(app))
        assert "abc1234" in screen_text(app)


async def test_a_configuration_that_this_version_does_not_know_is_shown_as_it_is(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "strange")
    run.path.mkdir()
    record = run_record(load_config("llama2-tiny"), "strange", at=time.time())
    record.config = {"model": {"flux": [1, 2]}, "preset": "unheard-of"}
    with EventWriter(run.metrics) as log:
        log.write(record)
    async with running("config", [run], tmp_path) as (app, pilot):
        await until(pilot, lambda: "flux" in screen_text(app))
        assert "the preset unheard-of is not known here" in screen_text(app) and "1, 2" in screen_text(app)


async def test_a_description_that_fails_leaves_a_sentence(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("'int' object is not iterable")

    monkeypatch.setattr(config_screen, "describe", broken)
    async with running("config", [run], run.path.parent) as (app, pilot):
        await until(pilot, lambda: "cannot be read (TypeError" in screen_text(app))


@pytest.mark.parametrize("screen", ["system", "samples", "logs", "config"])
async def test_a_run_without_anything_says_so_in_one_sentence(tmp_path: Path, screen: str) -> None:
    run = RunDirectory(tmp_path / "bare")
    run.path.mkdir()
    run.metrics.write_text('{"type":"step","time":1.0,"step":1,"loss":2.0}\n')
    says = {
        "system": "holds no readings", "samples": "No samples yet", "logs": "no console output",
        "config": "holds no configuration",
    }[screen]  # fmt: skip
    async with running(screen, [run], tmp_path, (80, 24)) as (app, pilot):
        await until(pilot, lambda: says in screen_text(app))


@pytest.mark.parametrize("screen", ["system", "samples", "logs", "config"])
async def test_no_run_at_all(tmp_path: Path, screen: str) -> None:
    async with running(screen, [], tmp_path, (80, 24)) as (app, pilot):
        await until(pilot, lambda: "no run" in shown(app))
        await pilot.press("j", "k", "pagedown", "G", "g")


@pytest.mark.parametrize("screen", ["system", "samples", "logs", "config"])
async def test_the_smallest_terminals_are_survived(trained: RunDirectory, screen: str) -> None:
    async with running(screen, [trained], trained.path.parent, TINY_SIZES[0]) as (app, pilot):
        for size in TINY_SIZES:
            await resize(pilot, size)
            await pilot.press("j", "pagedown", "G", "g", "h", "l", "left_square_bracket", "right_square_bracket")
            await resize(pilot, (200, 50))
            await until(pilot, lambda: "quit" in screen_text(app))
            await resize(pilot, size)
            assert app.screen.query_one("#header").size.width == size[0], size


def test_an_empty_history_has_no_machine() -> None:
    view = RunView(0)
    assert isinstance(view.history, RunHistory)
    assert "holds no readings" in page(view, 80, 20)[0]
    assert "holds no readings" in page(None, 80, 20)[0]
