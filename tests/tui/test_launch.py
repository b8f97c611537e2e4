"""The launch form: presets, keys, the plan, and starting a run from it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.support import TINY, write_run
from tests.tui.conftest import SIZES, resize, running, until
from tests.tui.screen import screen_lines, screen_text
from tuitrain.config import load_config
from tuitrain.launch.form import LaunchForm
from tuitrain.launch.request import PresetInfo
from tuitrain.runs import list_runs, load_history, read_snapshot
from tuitrain.tui.app import TuitrainApp
from tuitrain.tui.content.form import sentence_lines
from tuitrain.tui.screens.launch import LaunchScreen
from tuitrain.tui.settings import Settings
from tuitrain.tui.theme import DARK, LIGHT


@asynccontextmanager
async def form(
    runs_dir: Path, size: tuple[int, int] = (200, 50), theme: str = DARK, settings: Settings | None = None
) -> AsyncIterator[tuple[TuitrainApp, LaunchScreen, Pilot[None]]]:
    """The launch screen with the presets read and a preview of the first."""
    app = TuitrainApp("launch", [], runs_dir, settings=settings or Settings())
    app.theme = theme
    async with app.run_test(size=size) as pilot:
        screen = app.screen
        assert isinstance(screen, LaunchScreen)
        await previewed(pilot, screen)
        yield app, screen, pilot


async def previewed(pilot: Pilot[None], screen: LaunchScreen) -> None:
    await pilot.pause()
    await until(pilot, lambda: not screen.stale)
    await pilot.pause()


async def choose(pilot: Pilot[None], screen: LaunchScreen, preset: str = TINY) -> None:
    """Filter the presets and go to the form."""
    screen.query_one("#find", Input).value = preset
    await pilot.press("enter")
    await previewed(pilot, screen)
    assert form_of(screen).preset == preset


def key_of(letter: str) -> str:
    return {"-": "minus", ".": "full_stop", "=": "equals_sign", " ": "space", "_": "underscore",
            "?": "question_mark", ":": "colon", "/": "slash"}.get(letter, letter)  # fmt: skip


async def write(pilot: Pilot[None], text: str) -> None:
    await pilot.press(*map(key_of, text))


async def fill(pilot: Pilot[None], screen: LaunchScreen, key: str, value: str) -> None:
    """Fill a key in by `key=value`."""
    screen.query_one("#keys", Input).value = f"{key}={value}"
    await pilot.press("enter")
    await previewed(pilot, screen)


def head(screen: LaunchScreen) -> str:
    return "\n".join(screen_lines(screen.app)[:2])


def text(screen: LaunchScreen, name: str) -> str:
    """The visible text of a list or of the plan."""
    area = screen.query_one(f"#{name}").region
    rows = screen_lines(screen.app)[area.y : area.bottom]
    return "\n".join(row[area.x : area.right].rstrip() for row in rows).rstrip()


def form_of(screen: LaunchScreen) -> LaunchForm:
    assert screen.form is not None
    return screen.form


async def test_the_screen_is_there_before_the_presets(tmp_path: Path) -> None:
    app = TuitrainApp("launch", [], tmp_path)
    async with app.run_test(size=(200, 50)) as pilot:
        assert isinstance(app.screen, LaunchScreen)
        assert app.screen.form is None
        assert "reading the presets" in text(app.screen, "list")
        await until(pilot, lambda: app.screen.form is not None)  # type: ignore[attr-defined]


async def test_typing_finds_presets_by_name_title_and_parts(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        assert "gpt2-tiny" in text(screen, "list")
        for words, names in (("grouped tiny", ["llama3-tiny", "qwen3-tiny"]), ("qknorm 1.8", ["qwen3-1.8b"])):
            screen.query_one("#find", Input).value = ""
            await write(pilot, words)
            await previewed(pilot, screen)
            assert [line.split()[0] for line in text(screen, "list").split("\n")] == names
            assert form_of(screen).preset == names[0]
        await write(pilot, "zzz")
        await pilot.pause()
        assert "no preset matches" in text(screen, "list")
        assert form_of(screen).preset == "qwen3-1.8b"


async def test_it_begins_with_the_preset_of_the_run_in_focus(tmp_path: Path) -> None:
    run = write_run(tmp_path, preset="qwen3-tiny")
    async with running("watch", [run], tmp_path) as (app, pilot):
        await pilot.press("8")
        await until(pilot, lambda: isinstance(app.screen, LaunchScreen) and not app.screen.stale)
        assert form_of(app.screen).preset == "qwen3-tiny"  # type: ignore[arg-type]


async def test_it_begins_with_the_first_preset_that_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found(machine: object) -> list[PresetInfo]:
        return [PresetInfo(name, "", name, fits=name == "qwen3-tiny") for name in ("llama3-8b", "qwen3-tiny", TINY)]

    monkeypatch.setattr("tuitrain.launch.form.preset_infos", found)
    async with form(tmp_path) as (_, screen, _):
        assert form_of(screen).preset == "qwen3-tiny"


def test_a_text_that_does_not_fit_ends_in_one_ellipsis() -> None:
    for length in range(8, 40):
        *_, last = sentence_lines(f"one {'x' * length} " + "word " * 40, length + 10, 3)
        text = "".join(span.text for span in last)
        assert text.endswith("…")
        assert text.count("…") == 1


async def test_letters_in_a_field_do_nothing_else(tmp_path: Path) -> None:
    async with form(tmp_path) as (app, screen, pilot):
        await write(pilot, "qrt12?:/jkhlSKETNYx")
        assert app.screen is screen
        assert app.theme == DARK
        assert screen.query_one("#find", Input).value == "qrt12?:/jkhlSKETNYx"
        foot = screen_lines(app)[-1]
        assert "ctrl+c quit" in foot
        assert "ctrl+s start" in foot
        assert " q " not in foot


async def test_the_plan_follows_the_keys_and_the_errors_stand_at_them(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        await choose(pilot, screen)
        await fill(pilot, screen, "train.max_steps", "40")
        assert "40 steps" in text(screen, "plan")
        await fill(pilot, screen, "optim.lr", "fast")
        rows = text(screen, "form").split("\n")
        at = next(index for index, row in enumerate(rows) if row.startswith(" • lr"))
        assert "fast" in rows[at]
        assert "was" in rows[at]
        assert "optim.lr = 'fast' is not valid: it should be a number." in rows[at + 1]
        assert "1 key is wrong" in head(screen)
        await fill(pilot, screen, "optim.lr", "")
        assert "optim.lr" not in form_of(screen).changes
        assert "40 steps" in text(screen, "plan")


async def test_a_key_is_edited_in_place_and_escape_takes_it_back(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        await choose(pilot, screen)
        await write(pilot, "n_layers")
        await pilot.press("enter")
        edit = screen.query_one("#edit", Input)
        assert edit.has_focus
        assert edit.value == "4"
        row = screen_lines(screen.app)[edit.region.y]
        assert "n_layers" in row
        assert row[edit.region.x :].startswith("4 ")
        await pilot.press("x")
        assert not edit.is_valid
        await pilot.press("backspace")
        await pilot.press("8")
        await previewed(pilot, screen)
        assert "8L-" in text(screen, "plan")
        await pilot.press("escape")
        await previewed(pilot, screen)
        assert not edit.display
        assert "4L-" in text(screen, "plan")
        await pilot.press("enter", "6", "enter")
        await previewed(pilot, screen)
        assert form_of(screen).changes == {"model.n_layers": "6"}
        assert "model.n_layers=6" in head(screen)


async def test_the_arrows_go_on_editing_and_tab_takes_a_completion(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        await choose(pilot, screen)
        await write(pilot, "optim.")
        await pilot.press("enter", "m")
        await until(pilot, lambda: "muon" in text(screen, "form"))
        await pilot.press("tab")
        assert form_of(screen).changes["optim.name"] == "muon"
        await pilot.press("down", "1", "down")
        await previewed(pilot, screen)
        assert form_of(screen).changes == {"optim.name": "muon", "optim.lr": "1"}
        assert screen.field_key == "optim.weight_decay"


async def test_a_plan_for_another_machine(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        await choose(pilot, screen, "llama3-8b")
        await fill(pilot, screen, "gpu", "H100")
        await fill(pilot, screen, "gpus", "8")
        await fill(pilot, screen, "parallel.strategy", "fsdp")
        plan = text(screen, "plan")
        assert "8 × H100" in plan
        assert "dense TFLOP/s" in plan
        assert "at 40.0 % MFU" in plan
        assert "--gpus 8" in head(screen)
        assert "parallel.strategy=fsdp" in head(screen)
        await fill(pilot, screen, "gpu", "H10")
        assert "Did you mean 'H100'?" in text(screen, "form")


async def test_the_command_starts_the_same_run(tmp_path: Path) -> None:
    async with form(tmp_path) as (app, screen, pilot):
        await choose(pilot, screen)
        for key, value in (("train.max_steps", "7"), ("name", "mine"), ("tags", "a b"), ("note", "first try")):
            await fill(pilot, screen, key, value)
        wanted = "tuitrain launch llama2-tiny train.max_steps=7 --name mine --tag a --tag b --note 'first try'"
        assert wanted in head(screen)
        await pilot.press("ctrl+y")
        assert app.clipboard == f"{wanted} --runs-dir {tmp_path}"


async def test_every_part_can_be_reached_at_every_size(tmp_path: Path) -> None:
    """And in a light theme at one of them."""
    async with form(tmp_path) as (app, screen, pilot):
        for size, theme in (*((size, DARK) for size in SIZES), (SIZES[0], LIGHT)):
            app.theme = theme
            await resize(pilot, size)
            seen = []
            for _ in range(3):
                seen.append(screen_text(app))
                await pilot.press("tab")
                await pilot.pause()
            assert "llama2-tiny" in seen[0], (size, theme)
            assert "token_budget" in seen[1], (size, theme)
            assert "FLOPs per token" in seen[2], (size, theme)
            everything_at_once = "token_budget" in seen[0] and "FLOPs per token" in seen[0]
            assert everything_at_once == (size[0] >= 150), (size, theme)
            assert screen.part == "presets", (size, theme)


@pytest.mark.parametrize("size", [(80, 24), (120, 35)])
async def test_a_click_on_the_chosen_preset_shows_the_form(tmp_path: Path, size: tuple[int, int]) -> None:
    async with form(tmp_path, size) as (app, screen, pilot):
        rows = screen_text(app).splitlines()
        name = form_of(screen).preset
        row = next(number for number, each in enumerate(rows) if number > 2 and name in each)
        await pilot.click(offset=(5, row))
        await until(pilot, lambda: "token_budget" in screen_text(app))


async def test_the_chosen_preset_stays_in_sight_on_a_lower_terminal(tmp_path: Path) -> None:
    async with form(tmp_path) as (app, _, pilot):
        await pilot.press("end", *["pagedown"] * 3)
        await resize(pilot, (40, 10))
        await until(pilot, lambda: "slimpajama" in screen_text(app) and "gpt2-124m" not in screen_text(app))


async def test_each_preset_takes_one_row(tmp_path: Path) -> None:
    async with form(tmp_path, (80, 24)) as (app, _, _):
        rows = screen_text(app).splitlines()
        first = next(number for number, row in enumerate(rows) if "gpt2-tiny" in row)
        assert "hybrid-" in rows[first + 1]


async def test_any_size_survives(tmp_path: Path) -> None:
    async with form(tmp_path, (1, 1)) as (app, screen, pilot):
        for size in ((1, 1), (10, 3), (30, 8), (300, 12)):
            await resize(pilot, size)
            await pilot.press("down", "tab", "down", "enter", "1", "escape", "tab", "down")
            await resize(pilot, (120, 35))
            await previewed(pilot, screen)
            assert form_of(screen).preset, size
            assert "FLOPs per token" in screen_text(app), size
            await pilot.press("tab")


async def test_the_mouse_chooses_a_preset_and_a_key(tmp_path: Path) -> None:
    async with form(tmp_path) as (_, screen, pilot):
        await pilot.click("#list", offset=(4, 2))
        await previewed(pilot, screen)
        assert form_of(screen).preset == text(screen, "list").split("\n")[2].split()[0]
        row = (
            text(screen, "form")
            .split("\n")
            .index(next(each for each in text(screen, "form").split("\n") if each.split()[:1] == ["seed"]))
        )
        await pilot.click("#form", offset=(6, row))
        await pilot.pause()
        assert screen.query_one("#edit", Input).value == "1337"


async def test_escape_leads_out(tmp_path: Path) -> None:
    async with form(tmp_path) as (app, screen, pilot):
        await pilot.press("tab", "a", "escape", "escape")
        assert screen.part == "presets"
        await pilot.press("escape")
        await pilot.pause()
        assert app.screen is not screen


async def test_a_readonly_dashboard_starts_nothing(tmp_path: Path) -> None:
    async with form(tmp_path, settings=Settings(readonly=True)) as (app, screen, pilot):
        await choose(pilot, screen)
        assert "ctrl+s" not in head(screen)
        await pilot.press("ctrl+s")
        await screen.run_action("screen.start_run")
        await pilot.pause(0.1)
        assert app.screen is screen
        assert not list(tmp_path.glob("*/config.toml"))


async def test_without_an_engine_it_plans_and_reports_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitrain.launch.preflight.ENGINE_PACKAGES", ("tuitrain_engine", "no_such_torch"))
    async with form(tmp_path) as (app, screen, pilot):
        await choose(pilot, screen)
        assert "pip install 'tuitrain[engine]'" in " ".join(text(screen, "plan").split())
        assert "FLOPs per token" in text(screen, "plan")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: len(app._notifications) > 0)
        assert "no_such_torch is missing" in next(iter(app._notifications)).message
        assert app.screen is screen
        assert not list(tmp_path.glob("*/config.toml"))


async def test_a_file_is_a_preset_too(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(load_config(TINY, ["train.max_steps=33"]).to_toml())
    async with form(tmp_path / "runs") as (_, screen, pilot):
        screen.query_one("#find", Input).value = str(path)
        await previewed(pilot, screen)
        assert "33 steps" in text(screen, "plan")
        screen.query_one("#find", Input).value = str(tmp_path / "none.toml")
        await previewed(pilot, screen)
        assert "none.toml:nosuchfile" in "".join(text(screen, "plan").split())


def test_nothing_heavy_is_imported_before_the_form_is_asked_for() -> None:
    import subprocess

    code = "import sys, tuitrain.tui.screens.launch; print([m for m in ('pydantic', 'matplotlib') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_it_starts_a_run_that_trains_and_goes_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    corpus = tmp_path / "text.txt"
    corpus.write_text("def answer(question):\n    return 42\n" * 400)
    keys = {
        "data.source": str(corpus), "data.max_tokens": "none", "train.max_steps": "3", "train.compile": "false",
        "train.device": "cpu", "model.n_layers": "1", "model.seq_len": "32", "train.global_batch_size": "4",
        "train.micro_batch_size": "4", "eval.steps": "1", "sampling.interval": "0", "name": "from-the-form",
        "tags": "red blue", "note": "by hand",
    }  # fmt: skip
    async with form(tmp_path / "runs") as (app, screen, pilot):
        await choose(pilot, screen)
        for key, value in keys.items():
            screen.set_field(key, value)
        await previewed(pilot, screen)
        assert "✓ ready" in head(screen)
        await pilot.press("ctrl+s")
        await until(pilot, lambda: app.screen is not screen)
        assert app.state.run is not None
        await until(pilot, lambda: app.state.run is not None and app.state.run.history.end is not None, 90)
        assert app.state.run.history.end.status == "completed"
    (run,) = list_runs(tmp_path / "runs")
    info = read_snapshot(run).info
    assert info is not None
    assert (info.name, info.tags, info.notes) == ("from-the-form", ["red", "blue"], ["by hand"])
    assert load_history(run).step == 3
