"""`tuitrain watch`: its settings and what it says when it cannot do what was asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support import write_run
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


def test_without_textual_serve_it_says_what_to_install(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "textual_serve", None)
    monkeypatch.setitem(sys.modules, "textual_serve.server", None)
    monkeypatch.delitem(sys.modules, "tuitrain.tui.serve", raising=False)
    result = cli("watch", str(write_run(tmp_path).path), "--serve")
    assert result.code == 2
    assert "textual-serve is not installed: pip install 'tuitrain[serve]'" in " ".join(result.err.split())


def test_standard_input_cannot_be_served(cli: Cli) -> None:
    result = cli("watch", "-", "--serve")
    assert result.code == 2
    assert "standard input can be read once only" in result.err


def test_doctor_says_which_settings_files_are_read(cli: Cli, tmp_path: Path) -> None:
    def found() -> str:
        return next(finding["detail"] for finding in cli("doctor", "--json").json() if finding["name"] == "settings")

    assert found() == f"none; yours would be {tmp_path}/own-config/config.toml"
    (tmp_path / "tuitrain.toml").write_text("[tui]\nbell = false")
    assert found() == f"{tmp_path}/tuitrain.toml"
