"""Logs of which not all can be read, or is what it seems: every command says so, and shows the right numbers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Cli
from tests.support import write_run
from tuitrain.runs import RunDirectory, RunMetadata, log_ends

Line = dict[str, Any]


def write_log(run: RunDirectory, *lines: Line | bytes) -> RunDirectory:
    run.path.mkdir(parents=True, exist_ok=True)
    encoded = (line if isinstance(line, bytes) else msgspec.json.encode(line) for line in lines)
    run.metrics.write_bytes(b"".join(line + b"\n" for line in encoded))
    return run


def steps(change: Callable[[int, Line], object] = lambda step, line: None) -> list[Line | bytes]:
    lines: list[Line | bytes] = [{"type": "run", "time": 1.0, "run_id": "a", "name": "a"}]
    for step in range(1, 101):
        line: Line = {"type": "step", "time": 1.0 + step, "step": step, "tokens": 10 * step, "loss": 4 - step / 100}
        change(step, line)
        lines.append(msgspec.json.encode(line).replace(b'"bare"', b"NaN"))
    return lines


@pytest.mark.parametrize("word", ["bare", "NaN", "nan"])
def test_a_run_that_diverges_is_shown_as_that_however_its_nan_is_written(cli: Cli, runs_dir: Path, word: str) -> None:
    write_log(RunDirectory(runs_dir / "a"), *steps(lambda step, line: step > 60 and line.update(loss=word)))
    assert "step 100  loss nan" in cli("show", "a").out
    assert cli("ls", "--json").json()[0]["loss"] == "nan"


@pytest.mark.parametrize("kind", [float, str])
def test_steps_that_are_written_as_floats_or_text_are_steps(
    cli: Cli, runs_dir: Path, kind: Callable[[int], object]
) -> None:
    write_log(RunDirectory(runs_dir / "a"), *steps(lambda step, line: line.update(step=kind(step))))
    facts = cli("status", "a", "--json").json()
    assert (facts["step"], facts["loss"], facts["broken_lines"], facts["every_line_read"]) == (100, 3.0, 0, True)


def test_lines_that_cannot_be_read_are_counted_in_every_command(cli: Cli, runs_dir: Path) -> None:
    bad = b'{"type":"step","step":"ten"}'
    write_log(RunDirectory(runs_dir / "a"), *steps(), bad, b"rubbish", bad)
    write_log(RunDirectory(runs_dir / "b"), *steps())
    said = "3 lines of the log cannot be read"
    for command in (("ls",), ("status", "a"), ("show", "a"), ("compare", "a", "b", "--format", "table")):
        assert said in cli(*command).out
    shown = cli("show", "a").out
    assert "line 102" in shown
    assert "rubbish" not in cli("ls").out
    for command in (("ls",), ("status", "b"), ("show", "b")):
        assert "b" in cli(*command).out
    assert "cannot be read" not in cli("status", "b").out
    assert cli("ls", "--json").json()[0].keys() >= {"broken_lines", "every_line_read", "problem"}
    assert cli("show", "a", "--json").json()["broken_lines"] == 3
    assert cli("compare", "a", "b", "--json").json()["broken_lines"] == {"a": 3, "b": 0}
    for command in (("export", "metrics", "a"), ("export", "comparison", "a"), ("compare", "a", "--format", "csv")):
        assert said in cli(*command).err


def two_splits(order: tuple[str, str]) -> list[Line | bytes]:
    lines = steps()
    for at in (50, 100):
        for split in order:
            loss = {"train": 4 - at / 50, "val": 4.2 - at / 60}[split]
            lines.append({"type": "eval", "time": 1.0, "step": at, "split": split, "loss": loss})
    return lines


def test_two_splits_are_kept_apart_in_any_order(cli: Cli, runs_dir: Path) -> None:
    for name, order in (("a", ("train", "val")), ("b", ("val", "train"))):
        write_log(RunDirectory(runs_dir / name), *two_splits((order[0], order[1])))
        shown = cli("show", name, "--json").json()
        losses = {shown["val_loss"], shown["summary"]["final_val_loss"], shown["summary"]["best_val_loss"]}
        assert {round(loss, 4) for loss in losses} == {2.5333}
        assert {split: round(each["final"], 4) for split, each in shown["evaluations"].items()} == {
            "val": 2.5333, "train": 2.0,
        }  # fmt: skip
        assert "val    2.5333 at step 100, best 2.5333 at step 100" in cli("show", name).out
        assert "val 2.533" in cli("watch", name, "--once").out
    assert [row["run_id"] for row in cli("ls", "val_loss<2.5", "--json").json()] == []
    rows = {row["key"]: row for row in cli("compare", "a", "b", "--json").json()["metrics"]}
    assert [round(value, 4) for value in rows["final_val_loss"]["values"].values()] == [2.5333, 2.5333]


def test_after_a_resume_from_an_earlier_checkpoint_every_command_names_the_evaluation_that_still_counts(
    cli: Cli, runs_dir: Path
) -> None:
    def evaluation(step: int, loss: float) -> Line:
        return {"type": "eval", "time": 1.0, "step": step, "loss": loss}

    reached = steps()[:96]
    for at, loss in ((90, 2.3163), (50, 2.7270)):
        reached.insert(at + 1, evaluation(at, loss))
    again = {"type": "run", "time": 0.0, "run_id": "a", "name": "a", "attempt": 2}
    write_log(RunDirectory(runs_dir / "a"), *reached, again, *steps()[51:54])
    shown = cli("show", "a", "--json").json()
    assert (shown["step"], shown["val_loss"], shown["summary"]["best_val_loss"]) == (53, 2.7270, 2.7270)
    for command in (("ls",), ("status", "a"), ("show", "a"), ("compare", "a", "--format", "table")):
        out = cli(*command).out
        assert "2.7270" in out
        assert "2.3163" not in out
    assert "val 2.727" in cli("watch", "a", "--once").out
    assert cli("ls", "val_loss<2.7", "--json").json() == []
    assert len(cli("ls", "val_loss<2.8", "--json").json()) == 1


def test_what_ls_does_not_look_for_in_a_very_long_log_show_knows(
    cli: Cli, runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_ends, "SEARCH_BYTES", 0)
    write_log(RunDirectory(runs_dir / "a"), *two_splits(("train", "val")), *([b" " * 1000] * 200))
    assert cli("ls", "--json").json()[0]["val_loss"] is None
    assert "step 100  loss 3.0000  val 2.5333" in cli("show", "a").out
    assert round(cli("show", "a", "--json").json()["val_loss"], 4) == 2.5333


def test_of_a_log_that_cannot_be_read_the_commands_say_that(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "a", info=RunMetadata(name="a", created=1.0, pid=2**22 + 1, host=os.uname().nodename))
    run.metrics.chmod(0)
    if os.access(run.metrics, os.R_OK):
        # Root reads all.
        run.metrics.unlink()
        run.metrics.mkdir()
    facts = cli("ls", "--json").json()[0]
    assert facts["status"] == "unknown"
    assert facts["problem"].startswith("cannot read the log: ")
    assert "cannot read the log" in cli("ls").out
    status = cli("status", "a")
    assert "cannot read the log" in status.out
    assert "crashed" not in status.out
    shown = cli("show", "a")
    assert shown.code != 0
    assert "metrics.jsonl" in shown.err
