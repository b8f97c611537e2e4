"""`tuitrain plot`, and the charts above the tables of `show` and `compare`."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.conftest import Cli
from tests.support import write_run
from tests.terminal import Terminal

BRAILLE = range(0x2801, 0x2900)


def braille(text: str) -> int:
    return sum(ord(sign) in BRAILLE for sign in text)


def test_into_a_pipe_a_chart_is_plain_and_80_columns_wide(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    done = cli("plot", "first")
    assert done.code == 0
    assert done.out.startswith("loss ")
    assert "\x1b" not in done.out
    assert done.out.count("\n") == 18
    assert max(map(cell_len, done.out.splitlines())) == 80
    assert braille(done.out) > 20


def test_charts_have_the_size_that_was_asked_for(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    charts = cli("plot", "first", "-m", "loss", "-m", "lr", "--width", "50", "--height", "9").out.split("\n\n")
    assert [chart.split()[0] for chart in charts] == ["loss", "learning"]
    assert all(len(chart.splitlines()) == 9 and max(map(cell_len, chart.splitlines())) <= 50 for chart in charts)
    assert cli("plot", "first", "--width", "5").code == 2


def test_a_metric_is_named_by_its_key_declared_or_not(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    for name, title in (
        ("grad_norm", "gradient norm"), ("mfu_causal", "MFU (causal)"), ("duration_ms", "duration_ms"),
        ("val_loss", "validation loss"), ("step_time", "step time"), ("update_ratio", "update"),
    ):  # fmt: skip
        done = cli("plot", "first", "-m", name)
        assert done.code == 0, done.err
        assert done.out.startswith(title)


def test_a_metric_that_no_log_has_is_refused_with_what_there_is(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    done = cli("plot", "first", "-m", "grad_nrom")
    assert done.code == 2
    assert done.out == ""
    assert "-m: there is no metric 'grad_nrom'. Did you mean 'grad_norm'?" in done.err
    assert "This log has loss, " in done.err
    assert "panels are loss, " in done.err
    assert cli("plot", "nowhere").code == 3


def test_several_runs_share_a_chart_and_have_glyphs(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    write_run(runs_dir, "second", preset="gpt2-tiny", floor=3.0)
    done = cli("plot", "first", "second", "first", "--x", "tokens", "--log")
    first, *rest = done.out.splitlines()
    assert "● llama2-tiny" in first
    assert "▲ gpt2-tiny" in first
    assert "tokens" in rest[-1]
    assert sum(line.count("▲") for line in rest) >= 2


def test_the_newest_steps_alone(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first", steps=200)
    axis = cli("plot", "first", "--last", "50").out.splitlines()[-2]
    assert next(int(word) for word in axis.split()) >= 150
    assert cli("plot", "first", "--last", "5000").code == 0
    assert cli("plot", "first", "--last", "0").code == 2


def test_smoothing_is_that_of_the_flag(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    assert "smooth 0.5" in cli("plot", "first", "--smooth", "0.5").out
    assert "smooth" not in cli("plot", "first", "--smooth", "0").out
    assert cli("plot", "first", "--smooth", "1").code == 2


def test_a_run_without_data_says_so(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "empty", steps=0, status=None)
    run.metrics.write_text(run.metrics.read_text().splitlines(keepends=True)[0])
    done = cli("plot", "empty")
    assert done.code == 0
    assert done.out.startswith("loss\n")
    assert not braille(done.out)
    # The log does not have to be there yet, either.
    run.metrics.unlink()
    assert cli("plot", "empty").code in (0, 3)


def test_a_live_run_is_drawn_as_far_as_it_is(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "live", steps=60, status=None, start=time.time() - 60)
    assert braille(cli("plot", "live").out) > 20


def test_numbers_that_cannot_be_drawn_are_marked(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "first")
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    for record in records:
        if record["type"] == "step" and record["step"] in (30, 60):
            record["loss"] = "nan" if record["step"] == 30 else "inf"
    run.metrics.write_text("".join(json.dumps(record) + "\n" for record in records))
    drawn = cli("plot", "first", "--smooth", "0").out
    assert "×" in drawn
    assert "↑" in drawn


def test_a_name_of_a_log_cannot_write_to_the_terminal(cli: Cli, runs_dir: Path) -> None:
    for run_id in ("first", "second"):
        run = write_run(runs_dir, run_id)
        text = run.metrics.read_text()
        run.metrics.write_text(text.replace('"name":"llama2-tiny"', f'"name":"損失\\u001b[2J{run_id}"', 1))
    drawn = cli("plot", "first", "second").out
    assert "\x1b" not in drawn
    assert "損失first" in drawn
    assert max(map(cell_len, drawn.splitlines())) <= 80


def test_ascii_has_no_braille(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    assert cli("plot", "first", "--ascii").out.isascii()


def test_on_a_terminal_a_chart_has_colours_and_its_width(runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    environment = {"TERM": "xterm-256color", "TUITRAIN_RUNS_DIR": str(runs_dir)}
    with Terminal.of("plot", "first", environment=environment) as terminal:
        terminal.see("loss", "smooth 0.9", "raw", "step")
        terminal.wait_for(lambda screen: "└" in screen)
        assert b"\x1b[36m" in terminal.raw
        assert max(len(line.rstrip()) for line in terminal.screen.splitlines()) > 100
    for variables in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with Terminal.of("plot", "first", environment=environment | variables) as terminal:
            terminal.see("loss", "smooth 0.9", "step")
            assert b"\x1b" not in terminal.raw


@pytest.mark.parametrize(
    "command", [("show", "first"), ("compare", "first", "second", "--format", "table")], ids=["show", "compare"]
)
def test_tables_have_a_small_chart_on_a_terminal_alone(command: tuple[str, ...], cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "first")
    write_run(runs_dir, "second", preset="gpt2-tiny")
    assert not braille(cli(*command).out)
    for options in ((), ("--no-plot",)):
        environment = {"TERM": "xterm-256color", "TUITRAIN_RUNS_DIR": str(runs_dir), "LINES": "35"}
        with Terminal.of(*command, *options, environment=environment) as terminal:
            terminal.child.expect(r"training time")
            before = (terminal.raw + terminal.child.before).decode(errors="replace")
            assert (braille(before) > 20) is (not options)
