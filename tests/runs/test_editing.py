"""Tags and notes after the fact."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.runs import RunDirectory, RunInfo, glance, list_runs
from tuitrain.runs.editing import EditError, add_note, change_tags, normal_tags, set_tags


def test_tags_have_no_blanks_and_come_once() -> None:
    assert normal_tags([" a ", "big  batch", "", "a", "\t", "b"]) == ["a", "big-batch", "b"]


def test_tags_are_set_added_and_taken_away(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert set_tags(run, ["x", "two words"]) == ["x", "two-words"]
    assert change_tags(run, add=["y", "x"], remove=["two words"]) == ["x", "y"]
    assert glance(run).tags == ["x", "y"]


def test_notes_are_added_below_one_another(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert add_note(run, " first ") == ["first"]
    assert add_note(run, "  ") == ["first"]
    assert add_note(run, "second") == ["first", "second"]
    assert glance(run).notes == ["first", "second"]


def test_all_other_facts_stay_also_those_of_a_newer_version(tmp_path: Path) -> None:
    run = write_run(tmp_path, info=RunInfo(name="a", created=1.0, pid=7, host="node1", command=["x"]))
    facts = json.loads(run.info.read_bytes()) | {"color": "blue"}
    run.info.write_text(json.dumps(facts), encoding="utf-8")
    set_tags(run, ["t"])
    assert json.loads(run.info.read_bytes()) == facts | {"tags": ["t"]}
    assert not list(run.path.glob(".run.json*"))


def test_a_launcher_that_writes_at_the_same_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, resumed = write_run(tmp_path), False
    plain = Path.write_bytes

    def meanwhile(path: Path, data: bytes) -> int:
        nonlocal resumed
        written = plain(path, data)
        if path.parent == run.path and not resumed:
            resumed = True
            plain(run.info, json.dumps(json.loads(run.info.read_bytes()) | {"pid": 4711}).encode())
        return written

    monkeypatch.setattr(Path, "write_bytes", meanwhile)
    set_tags(run, ["t"])
    info = run.read_info()
    assert info is not None
    assert (info.pid, info.tags) == (4711, ["t"])


def test_a_log_without_a_directory_has_no_place_for_tags(tmp_path: Path) -> None:
    log = tmp_path / "copied.jsonl"
    log.write_bytes(write_run(tmp_path / "runs").metrics.read_bytes())
    with pytest.raises(EditError, match=r"^.*copied.jsonl is no run directory, so tags and notes have no place.*$"):
        set_tags(RunDirectory(tmp_path / "copied", log), ["t"])
    assert not (tmp_path / "copied").exists()


def test_a_directory_without_facts_gets_them_from_its_log(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.info.unlink()
    add_note(run, "found")
    info = run.read_info()
    assert info is not None
    assert (info.name, info.notes) == ("llama2-tiny", ["found"])
    assert list_runs(tmp_path) == [run]


def test_facts_that_cannot_be_read_are_not_overwritten(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.info.write_text("{ not json", encoding="utf-8")
    with pytest.raises(EditError, match=r"run.json cannot be read"):
        set_tags(run, ["t"])
    assert run.info.read_text(encoding="utf-8") == "{ not json"
