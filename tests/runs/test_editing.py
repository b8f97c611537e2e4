"""Changing tags and notes of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runs.lock_holder import held
from tests.support import file_permissions, write_run
from tuitrain.launch.local import start
from tuitrain.runs import RunDirectory, RunMetadata, editing, list_runs, read_snapshot
from tuitrain.runs.editing import EditError, add_note, change_tags, normal_tags, remove_notes, set_tags


def test_tags_have_no_blanks_and_no_duplicates() -> None:
    assert normal_tags([" a ", "big  batch", "", "a", "\t", "b"]) == ["a", "big-batch", "b"]


def test_tags_are_set_added_and_removed(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert set_tags(run, ["x", "two words"]) == ["x", "two-words"]
    assert change_tags(run, add=["y", "x"], remove=["two words"]) == ["x", "y"]
    assert read_snapshot(run).tags == ["x", "y"]


def test_notes_are_appended_as_lines(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    assert add_note(run, " first ") == ["first"]
    assert add_note(run, "  ") == ["first"]
    assert add_note(run, "second") == ["first", "second"]
    assert read_snapshot(run).notes == ["first", "second"]


def test_other_metadata_is_kept_including_keys_of_newer_versions(tmp_path: Path) -> None:
    run = write_run(tmp_path, info=RunMetadata(name="a", created=1.0, pid=7, host="node1", command=["x"]))
    facts = json.loads(run.info.read_bytes()) | {"color": "blue"}
    run.info.write_text(json.dumps(facts), encoding="utf-8")
    set_tags(run, ["t"])
    assert json.loads(run.info.read_bytes()) == facts | {"tags": ["t"]}
    assert list(run.path.glob(".run.json*")) == [run.info_lock]


EDIT = """
import sys
from pathlib import Path
from tuitrain.runs import RunDirectory
from tuitrain.runs.editing import add_note, change_tags
run, who = RunDirectory(Path(sys.argv[1])), sys.argv[2]
sys.stdin.read()
for number in range(25):
    change_tags(run, add=[f"{who}-{number}"])
    add_note(run, f"{who}-{number}")
"""


def test_changes_of_several_processes_are_all_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    editors = [
        subprocess.Popen([sys.executable, "-c", EDIT, str(run.path), who], stdin=subprocess.PIPE) for who in "abcd"
    ]
    for editor in editors:
        # All start after their imports.
        assert editor.stdin is not None
        editor.stdin.close()
    resumed = start(run, [sys.executable, "-c", ""], None)
    assert [process.wait() for process in [resumed, *editors]] == [0] * 5
    expected = {f"{who}-{number}" for who in "abcd" for number in range(25)}
    info = run.read_metadata()
    assert info is not None
    assert set(info.tags) == {*expected, "test"}
    assert sorted(info.notes) == sorted(expected)
    assert info.pid == resumed.pid


def test_a_process_that_dies_during_a_change_releases_the_lock_and_changes_nothing(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    before = run.info.read_bytes()
    script = (
        "import os, sys; from pathlib import Path; from tuitrain.runs import RunDirectory\n"
        "from tuitrain.runs.editing import edited_metadata\n"
        "with edited_metadata(RunDirectory(Path(sys.argv[1]))) as facts: facts['tags'] = ['half']; os._exit(7)"
    )
    assert subprocess.run([sys.executable, "-c", script, str(run.path)]).returncode == 7
    assert run.info.read_bytes() == before
    assert change_tags(run, add=["whole"]) == ["test", "whole"]


def test_a_run_that_another_process_holds_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path)
    monkeypatch.setattr(editing, "PATIENCE_S", 0.0)
    with held(run.info_lock), pytest.raises(EditError, match=r"run.json is being changed by another process"):
        add_note(run, "late")


def test_a_read_only_directory_is_an_error_and_nothing_changes(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    before = run.info.read_bytes()
    run.path.chmod(0o555)
    with file_permissions(), pytest.raises(EditError) as caught:
        set_tags(run, ["t"])
    assert str(caught.value) == f"{run.info} cannot be written: Permission denied."
    assert run.info.read_bytes() == before


def test_notes_are_removed_by_number(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    for text in ("one", "two", "three"):
        add_note(run, text)
    with pytest.raises(EditError, match=r"has 3 notes, and none with the number 4"):
        remove_notes(run, [1, 4])
    assert remove_notes(run, [1, 3]) == ["two"]


def test_a_log_without_a_directory_stores_no_tags(tmp_path: Path) -> None:
    log = tmp_path / "copied.jsonl"
    log.write_bytes(write_run(tmp_path / "runs").metrics.read_bytes())
    with pytest.raises(EditError, match=r"^.*copied.jsonl is no run directory, so tags and notes cannot be stored.*$"):
        set_tags(RunDirectory(tmp_path / "copied", log), ["t"])
    assert not (tmp_path / "copied").exists()


def test_a_directory_without_metadata_takes_it_from_its_log(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.info.unlink()
    add_note(run, "found")
    info = run.read_metadata()
    assert info is not None
    assert (info.name, info.notes) == ("llama2-tiny", ["found"])
    assert list_runs(tmp_path) == [run]


def test_unreadable_metadata_is_not_overwritten(tmp_path: Path) -> None:
    run = write_run(tmp_path)
    run.info.write_text("{ not json", encoding="utf-8")
    with pytest.raises(EditError, match=r"run.json cannot be read"):
        set_tags(run, ["t"])
    assert run.info.read_text(encoding="utf-8") == "{ not json"
