"""`tuitrain watch`: its settings and what it says when it cannot do what was asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.events import End, EventWriter, Stage
from tuitrain.tui.registry import ACTIONS
from tuitrain.tui.settings import Settings


def test_commands_end_with_exit_code_2_at_a_bad_file(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "tuitrain.toml").write_text("[tui]\nsmoothing = 2")
    run = write_run(tmp_path / "runs")
    result = cli("watch", run.run_id, "--once")
    assert (result.code, result.out) == (2, "")
    assert (
        result.err == f"tuitrain: {tmp_path}/tuitrain.toml: tui.smoothing = 2 is not valid: it should be a number "
        "from 0 to below 1.\n"
    )
    assert cli("ls").code == 0, "the list needs nothing of the screens"


def test_schema_describes_every_setting_and_action(cli: Cli) -> None:
    table = cli("schema", "settings").json()["properties"]["tui"]["properties"]
    assert set(table) == set(Settings.__struct_fields__)
    assert set(table["keys"]["properties"]) == {action.id for action in ACTIONS}
    assert all(value["description"] for value in table.values())


def test_x_of_a_settings_file_holds_for_a_frame_of_text(cli: Cli, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    by_step, by_tokens = (cli("watch", run.run_id, "--once", "--x", x).out for x in ("step", "tokens"))
    assert by_step != by_tokens
    (tmp_path / "tuitrain.toml").write_text('[tui]\nx = "tokens"')
    assert cli("watch", run.run_id, "--once").out == by_tokens
    assert cli("watch", run.run_id, "--once", "--x", "step").out == by_step


def test_a_frame_of_text_has_the_layout_and_the_smoothing_of_the_settings(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "runs")
    overview = cli("watch", run.run_id, "--once").out
    assert "smooth 0.9" in overview
    assert "step time" not in overview
    performance = cli("watch", run.run_id, "--once", "--layout", "performance").out
    assert "╭ step time" in performance and "╭ loss" not in performance
    (tmp_path / "tuitrain.toml").write_text('[tui]\nlayout = "mine"\n[tui.layouts]\nmine = ["perplexity:2"]')
    mine = cli("watch", run.run_id, "--once").out
    assert "╭ perplexity" in mine and "╭ loss" not in mine
    monkeypatch.setenv("TUITRAIN_SMOOTHING", "0")
    assert "smooth" not in cli("watch", run.run_id, "--once", "--layout", "overview").out


def test_one_frame_is_not_served(cli: Cli, tmp_path: Path) -> None:
    result = cli("watch", write_run(tmp_path / "runs").run_id, "--once", "--serve")
    assert (result.code, result.out) == (2, "")
    assert "--once prints one frame of text, --serve shows pages: give one of them." in result.err


@pytest.mark.parametrize("text", ["import sys\nprint(3)\n", "no newline", '[1]\n{"a": 2}\n', "\x00\x01\n\x02"])
@pytest.mark.parametrize("flags", [["--once"], ["--serve"], []])
def test_a_file_without_a_record_is_no_log(cli: Cli, tmp_path: Path, text: str, flags: list[str]) -> None:
    file = tmp_path / "some.py"
    file.write_text(text)
    result = cli("watch", str(file), *flags)
    assert (result.code, result.out) == (3, "")
    assert result.err == (
        f"tuitrain: {file} is not a log in a format that tuitrain reads; docs/any-run.md lists them.\n"
    )


def test_a_document_of_one_line_without_an_end_is_of_another_tool(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_text('{"loss": [3.0, 2.0], "val_loss": [3.5, 2.5]}')
    assert "loss 2.000  val 2.500" in cli("watch", str(file), "--once").out
    file.write_text('{"lr": 0.1}')
    assert cli("watch", str(file), "--once").code == 3


@pytest.mark.parametrize("text", ["", "\n", '{"type": "run", "ti', '{"type": "of tomorrow", "time": 1}\n'])
def test_a_log_that_only_begins_is_watched(cli: Cli, tmp_path: Path, text: str) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(text)
    result = cli("watch", str(file), "--once")
    assert result.code == 0
    assert "no data yet" in result.out


def test_a_log_may_have_lines_that_are_none_before_its_records(cli: Cli, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"reading the corpus\n" + run.metrics.read_bytes())
    assert "step 100 of 300" in cli("watch", str(file), "--once").out


@pytest.mark.parametrize("command", [["ls"], ["watch"], ["watch", "--once"], ["watch", "--serve"]])
def test_a_directory_of_runs_that_is_named_must_be_there(
    cli: Cli, tmp_path: Path, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = cli(*command, "--runs-dir", str(tmp_path / "nowhere"))
    assert (result.code, result.out) == (3, "")
    assert result.err == f"tuitrain: --runs-dir: there is no directory {tmp_path}/nowhere.\n"
    if "--serve" not in command:
        assert cli(*command).code == 0, "that of a variable may come to be"
        monkeypatch.delenv("TUITRAIN_RUNS_DIR")
        assert cli(*command).code == 0, "and the default one"


def test_without_textual_serve_it_says_what_to_install(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    monkeypatch.delitem(sys.modules, "tuitrain.cli.serve", raising=False)
    result = cli("watch", str(write_run(tmp_path).path), "--serve")
    assert result.code == 2
    assert "textual-serve is not installed: pip install 'tuitrain[serve]'" in " ".join(result.err.split())


def test_standard_input_cannot_be_served(cli: Cli) -> None:
    result = cli("watch", "-", "--serve")
    assert result.code == 2
    assert "standard input can be read once only" in result.err


def test_doctor_says_which_settings_files_are_read(cli: Cli, tmp_path: Path) -> None:
    def found() -> str:
        return next(
            finding["detail"] for finding in cli("doctor", "--quick", "--json").json() if finding["name"] == "settings"
        )

    assert found() == f"none; yours would be {tmp_path}/own-config/config.toml"
    (tmp_path / "tuitrain.toml").write_text("[tui]\nbell = false")
    assert found() == f"{tmp_path}/tuitrain.toml"


def test_a_run_before_its_first_step_says_what_it_does(cli: Cli, tmp_path: Path) -> None:
    run = write_run(tmp_path / "runs")
    before = run.metrics.read_bytes()
    with EventWriter(run.metrics) as log:
        log.write(Stage(stage="loading the checkpoint"))
    # A resume: what the attempts before left is still there.
    assert cli("status", run.run_id).out.startswith(f"starting  {run.run_id}  loading the checkpoint  step 100")
    frame = cli("watch", run.run_id, "--once").out
    assert "starting" in frame and "loading the checkpoint" in frame
    run.metrics.write_bytes(before)
    with EventWriter(run.metrics) as log:
        log.write(Stage(stage="tokenizing corpus.txt", done=0.5))
        log.write(End(status="stopped"))
    assert "tokenizing" not in cli("status", run.run_id).out
    assert cli("status", run.run_id).out.startswith("stopped")
