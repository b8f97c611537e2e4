"""The commands on logs that other tools wrote."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.runs.test_stream import CONSOLE, JSON_LINES, TABLE, TEXT, UNKNOWN
from tests.support import write_run
from tuitrain.readers import walk

CORPUS = Path(__file__).parents[1] / "data/corpus"


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logs of three tools beside each other; the working directory; settings of its own."""
    for case in ("csv-plain", "lightning-csv-finished", "llamafactory-trainer-log"):
        shutil.copytree(CORPUS / case / "data", tmp_path / "logs" / case)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "settings"))
    return tmp_path / "logs"


def test_runs_of_other_tools_are_listed_by_their_own_names(cli: Cli) -> None:
    rows = json.loads(cli("ls", "logs", "--json").out)
    assert {row["name"]: row["status"] for row in rows}["llamafactory-trainer-log/saves"] == "completed"
    assert len(rows) == 3
    losses = {row["name"]: (row["loss"], row["val_loss"]) for row in rows}
    assert losses["csv-plain/log.csv"] == (1.81269, 1.93992)
    assert cli("ls", "logs", "loss<1.9", "-q").out.startswith("log.csv-")


def test_a_folder_that_does_not_answer_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(walk._stuck, "logs/csv-plain", threading.current_thread())
    result = cli("ls", "logs", "-q")
    assert len(result.out.splitlines()) == 2
    assert result.err == "logs/csv-plain did not answer: what lies in it is not listed.\n"


def test_every_command_takes_the_path_of_a_log(cli: Cli, logs: Path) -> None:
    log, folder = str(logs / "csv-plain/log.csv"), str(logs / "lightning-csv-finished")
    assert "step 198" in cli("status", log).out
    assert "validation loss  0.7716" in cli("show", folder).out
    assert "version_0" in cli("plot", log, folder).out
    assert "version_0" in cli("compare", log, folder).out
    assert "loss 1.813" in cli("watch", log, "--once").out
    cli("export", "plots", log, "--out", "figures")
    assert list(Path("figures").glob("*.png"))
    assert cli("export", "metrics", log, "--format", "csv").out.startswith("step,")


def test_what_a_script_says_of_its_run_survives_the_import(cli: Cli, logs: Path) -> None:
    log = logs / "runs.csv"
    shutil.copytree(CORPUS / "wandb-offline-finished/data", log)
    before = json.loads(cli("show", str(log), "--json").out)
    made = json.loads(cli("import", str(log), "--json").out)[0]["path"]
    after = json.loads(cli("show", made, "--json").out)
    assert before["x_axis_declared"] == {"train/*": "global_step", "val/*": "epoch"}
    assert after["x_axis_declared"]["val_loss"] == "epoch"
    assert before["logged_summary"] == after["logged_summary"]
    texts = [cli("plot", path, "-m", "val_loss").out for path in (str(log), made)]
    assert texts[0] == texts[1]
    assert "epoch" in texts[0].splitlines()[-1]


def test_a_folder_of_several_runs_is_an_array(cli: Cli) -> None:
    shown = json.loads(cli("show", "logs", "--json").out)
    assert sorted(run["format"] for run in shown) == ["csv", "lightning-csv", "llamafactory-jsonl"]
    one = cli("status", "logs")
    assert (one.code, "logs holds 3 runs: give one of them: " in one.err) == (3, True)
    assert "step 198" in cli("status", "logs#csv-plain/log.csv").out


def feed(monkeypatch: pytest.MonkeyPatch, path: Path, data: bytes) -> None:
    """Let the next command read these bytes on standard input."""
    path.write_bytes(data)
    monkeypatch.setattr(sys, "stdin", path.open())


@pytest.mark.parametrize("data", [CONSOLE, TEXT + CONSOLE, TEXT + JSON_LINES, TABLE, TEXT + UNKNOWN])
def test_a_log_on_standard_input_is_read_to_its_end(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    feed(monkeypatch, tmp_path / "piped", data)
    shown = json.loads(cli("show", "-", "--json", "--set", "tokens_per_step=100").out)
    assert (shown["run_id"], shown["name"], shown["step"]) == ("standard-input", "standard input", 99)
    assert (shown["loss"], shown["tokens"]) == (3.01, 9900)
    for command, shown in (
        ("plot - --smooth 0", "loss 3.01"), ("status -", "step 99  loss 3.0100"), ("export metrics -", "99,"),
        ("logs - -n 1", "3.01"),
    ):  # fmt: skip
        feed(monkeypatch, tmp_path / "piped", data)
        result = cli(*command.split())
        if data == TABLE and command.startswith("logs"):
            assert result.err == (
                "tuitrain: standard input is a log of the format csv and no console: `tuitrain show` has its values.\n"
            )
        else:
            assert shown in result.out, command
    assert not (tmp_path / "settings").exists(), "nothing of it is kept"


def test_standard_input_may_be_a_log_of_ours_or_a_file_that_is_no_text(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, tmp_path / "piped", write_run(tmp_path, steps=40).metrics.read_bytes())
    shown = json.loads(cli("show", "-", "--json").out)
    assert (shown["name"], shown["step"], shown["status"], shown["format"]) == (
        "llama2-tiny",
        40,
        "completed",
        "tuitrain",
    )
    feed(monkeypatch, tmp_path / "piped", next(CORPUS.glob("tb-*/**/*tfevents*")).read_bytes())
    assert json.loads(cli("show", "-", "--json").out)["format"] == "tensorboard"


def test_standard_input_is_no_run_that_can_be_changed(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(monkeypatch, tmp_path / "piped", TABLE)
    for command in ("stop", "rm", "resume"):
        assert (cli(command, "-").code, "standard input holds no run" in cli(command, "-").err) == (2, True)
    feed(monkeypatch, tmp_path / "piped", b"\x00\x01 no log")
    assert "standard input is not a log in a format" in cli("show", "-").err


def test_values_that_json_lacks_are_spelled_as_tools_write_them(cli: Cli, logs: Path) -> None:
    (logs / "new.csv").write_text("step,loss\n1,nan\n2,inf\n3,-inf\n4,nan\n")
    loss = json.loads(cli("show", "logs/new.csv", "--json").out)["metrics"]["loss"]
    assert (loss["first"], loss["last"], loss["min"], loss["non_finite"]) == ("NaN", "NaN", "NaN", 4)
    (logs / "new.csv").write_text("step,loss\n1,inf\n2,3\n3,-inf\n")
    loss = json.loads(cli("show", "logs/new.csv", "--json").out)["metrics"]["loss"]
    assert (loss["first"], loss["last"], loss["max"]) == ("Infinity", "-Infinity", 3.0)


def test_a_log_without_a_record_yet_has_its_name(cli: Cli, logs: Path) -> None:
    (logs / "new.csv").write_text("step,loss\n")
    shown = json.loads(cli("show", "logs/new.csv", "--json").out)
    assert (shown["name"], shown["status"], shown["step"], shown["metrics"]) == ("new.csv", "unknown", None, {})
    assert "no data yet" in cli("watch", "logs/new.csv", "--once").out


def test_names_and_facts_that_the_user_gives_are_kept_outside_of_the_log(cli: Cli, logs: Path) -> None:
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    log = str(logs / "csv-plain/log.csv")
    shown = cli("show", log, "--mapping", "--map", "tokens_per_sec=", "--set", "gpu=H100 SXM", "--set", "params=1.2B",
                "--set", "tokens_per_step=4096")  # fmt: skip
    assert "tokens_per_sec  shown under its own name" in shown.out
    again = json.loads(cli("show", log, "--json").out)
    assert again["newest"]["tokens"] == 198 * 4096
    assert again["metrics"]["tokens_per_sec"]["key"] is None
    assert again["run"]["architecture"]["params_total"] == 1_200_000_000
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before


def test_a_metric_that_the_user_names_takes_the_place_of_a_guess(cli: Cli, logs: Path) -> None:
    (logs / "two.csv").write_text("step,loss,ce\n1,9.0,2.5\n2,8.0,2.25\n")
    log = str(logs / "two.csv")
    shown = cli("show", log, "--mapping", "--map", "ce=loss").out
    assert "loss  shown under its own name" in shown
    assert "ce    loss: --map says so for this log" in shown
    assert json.loads(cli("show", log, "--json").out)["newest"]["loss"] == 2.25


def test_names_of_the_settings_are_for_all_logs_and_give_way_to_a_log_without_them(cli: Cli, logs: Path) -> None:
    (logs / "own.csv").write_text("step,ce\n1,2.5\n")
    Path("tuitrain.toml").write_text('[map]\nce = "loss"\n')
    assert "ce  loss: the settings say so" in cli("show", str(logs / "own.csv"), "--mapping").out
    assert json.loads(cli("show", str(logs / "csv-plain/log.csv"), "--json").out)["newest"]["loss"] == 1.81269


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (["--map", "loss"], "--map: 'loss' should be NAME=OURS."),
        (["--map", "loss=loss*many"], "'many' is not a factor: after `*` there should be a number"),
        (["--map", "loss=mistake"], "mistake is not one of our metrics."),
        (["--map", "loss=late"], "late is not one of our metrics."),
        (["--set", "gpus=none"], "gpus = 'none' is not valid: it should be a number above 0, such as 1.8B."),
        (["--set", "gpu=Abacus"], "the peak of gpu = 'Abacus' is not known: give peak_tflops as well."),
        (["--set", "colour=red"], "colour is nothing that can be supplied."),
    ],
)
def test_a_wrong_name_or_fact_is_refused(cli: Cli, logs: Path, flags: list[str], sentence: str) -> None:
    result = cli("show", str(logs / "csv-plain/log.csv"), *flags)
    assert (result.code, result.out) == (2, "")
    assert sentence in result.err


def test_a_run_of_another_tool_cannot_be_stopped(cli: Cli, logs: Path) -> None:
    log = str(logs / "csv-plain/log.csv")
    for command in ("stop", "checkpoint", "eval", "resume"):
        result = cli(command, log)
        assert (result.code, result.out) == (2, ""), command
        assert f"{log} is the log of another tool, which tuitrain only reads." in result.err


def test_a_run_of_another_tool_has_tags_and_notes(cli: Cli, logs: Path) -> None:
    log = str(logs / "csv-plain/log.csv")
    assert cli("tag", log, "baseline").code == 0
    cli("note", log, "from the old cluster")
    assert [row["notes"] for row in json.loads(cli("ls", "logs", "tag:baseline", "--json").out)] == [
        ["from the old cluster"]
    ]


def test_logs_are_imported_as_runs_of_ours(cli: Cli, logs: Path) -> None:
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    assert cli("import", "logs", "--map", "perplexity=").code == 0
    rows = {row["name"]: row for row in json.loads(cli("ls", "--json").out)}
    assert rows["llamafactory-trainer-log/saves"]["status"] == "completed"
    shown = json.loads(cli("show", rows["csv-plain/log.csv"]["run_id"], "--json").out)
    assert (shown["loss"], shown["val_loss"], shown["format"]) == (1.81269, 1.93992, "tuitrain")
    assert shown["notes"] == [f"imported from {logs}/csv-plain/log.csv (csv)"]
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before


def test_an_import_names_the_run_and_lists_what_could_not_be_read(cli: Cli, logs: Path, runs_dir: Path) -> None:
    (logs / "own.jsonl").write_text('{"step": 1, "loss": 2}\n{"step": 2, "lo\n{"step": 3, "loss": 1}\n')
    result = cli("import", "logs/own.jsonl", "--name", "mine")
    assert f"{logs}/own.jsonl:2: " in result.err
    (row,) = json.loads(cli("ls", "--json").out)
    assert (row["name"], row["step"], row["loss"]) == ("mine", 3, 1)
    records = [json.loads(line) for line in (runs_dir / row["run_id"] / "metrics.jsonl").read_text().splitlines()]
    assert (records[0]["type"], records[0]["run_id"], records[0]["name"]) == ("run", row["run_id"], "mine")


def test_what_cannot_be_imported(cli: Cli, logs: Path, runs_dir: Path) -> None:
    assert "--name" in cli("import", "logs", "--name", "all").err
    (logs / "new.csv").write_text("step,loss\n")
    result = cli("import", "logs/new.csv")
    assert (result.code, "new.csv holds no metric yet" in result.err) == (3, True)
    assert cli("import", "nothing/here").code == 3
    assert not runs_dir.exists() or not list(runs_dir.iterdir())


def test_a_log_that_was_written_long_ago_is_not_running(cli: Cli, logs: Path) -> None:
    log = logs / "old.csv"
    log.write_text("step,loss\n1,2.5\n2,2.25")
    os.utime(log, (1.7e9, 1.7e9))
    assert json.loads(cli("show", str(log), "--json").out)["status"] == "unknown"
    assert "○ unknown" in cli("watch", str(log), "--once").out


def test_a_command_that_is_killed_leaves_no_copy_of_its_standard_input(tmp_path: Path) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "tuitrain.cli", "show", "-"], stdin=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(copies)},
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(TABLE * 10_000)
    process.stdin.flush()
    wait_for(lambda: any(path.stat().st_size for path in copies.glob("*/*")))
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.stdin.close()
    wait_for(lambda: not list(copies.iterdir()))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
