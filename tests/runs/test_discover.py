from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import write_run
from tuitrain.runs import (
    RunDirectory,
    RunMetadata,
    RunNotFoundError,
    command_for,
    create_run_directory,
    find_run,
    list_runs,
    load_history,
    new_run_id,
    runs_directory,
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    runs_dir = tmp_path / "runs"
    for number, run_id in enumerate(["gpt2-tiny-20260101-100000-aaaa", "gpt2-tiny-20260101-110000-bbbb", "llama-1"]):
        write_run(runs_dir, run_id, steps=2, info=RunMetadata(name=run_id, created=1000.0 + number))
    return runs_dir


def failure(name: str, runs: Path) -> str:
    with pytest.raises(RunNotFoundError) as caught:
        find_run(name, runs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("gpt2-tiny-20260101-100000-aaaa", "gpt2-tiny-20260101-100000-aaaa"),
        ("gpt2-tiny-20260101-11", "gpt2-tiny-20260101-110000-bbbb"),
        ("lla", "llama-1"),
        ("latest", "llama-1"),
    ],
)
def test_a_run_is_named_by_its_id_a_unique_prefix_or_latest(runs: Path, name: str, run_id: str) -> None:
    assert find_run(name, runs).run_id == run_id


def test_runs_that_are_linked_are_listed(runs: Path, tmp_path: Path) -> None:
    linked = write_run(tmp_path / "elsewhere", "far-1", steps=1)
    (runs / "far-1").symlink_to(linked.path)
    (runs / "below").mkdir()
    (runs / "below" / "far-2").symlink_to(linked.path)
    (runs / "loop").symlink_to(runs)
    (runs / "gone").symlink_to("nowhere")
    assert {run.path.name for run in list_runs(runs)} >= {"far-1", "llama-1"}
    assert len(list_runs(runs)) == 4


def test_a_whole_id_wins_over_longer_ones_that_begin_with_it(runs: Path) -> None:
    write_run(runs, "llama-10", steps=1)
    assert find_run("llama-1", runs).run_id == "llama-1"


def test_a_run_is_named_by_its_directory_or_its_log(runs: Path) -> None:
    assert find_run(str(runs / "llama-1"), Path("elsewhere")).run_id == "llama-1"
    assert find_run(str(runs / "llama-1" / "metrics.jsonl"), Path("elsewhere")).run_id == "llama-1"


def test_a_log_may_have_any_path(runs: Path, tmp_path: Path) -> None:
    log = tmp_path / "mine.jsonl"
    log.write_bytes((runs / "llama-1" / "metrics.jsonl").read_bytes())
    run = find_run(str(log), runs)
    assert (run.run_id, run.metrics) == ("mine", log)
    assert load_history(run).step == 2


def test_a_run_without_a_log_is_a_run(tmp_path: Path) -> None:
    run = create_run_directory(tmp_path, "new")
    run.write_metadata(RunMetadata(name="new", created=1.0))
    assert list_runs(tmp_path) == [run]
    assert find_run(str(run.path), Path("elsewhere")).path == run.path


def test_a_prefix_of_several_runs_is_ambiguous_and_lists_them(runs: Path) -> None:
    message = failure("gpt2", runs)
    assert "names 2 runs" in message
    assert "aaaa" in message
    assert "bbbb" in message


def test_the_error_for_an_unknown_name_lists_the_nearest(runs: Path) -> None:
    assert "Did you mean 'llama-1'?" in failure("lama-1", runs)
    assert "`tuitrain ls`" in failure("zzzzzz", runs)


def test_the_error_for_a_path_without_a_run_names_the_path(runs: Path) -> None:
    assert "neither a run directory nor a log file" in failure(f"{runs}/nothing", runs)


def test_latest_without_runs_states_how_to_start_one(tmp_path: Path) -> None:
    assert "tuitrain launch" in failure("latest", tmp_path)


def test_runs_are_listed_newest_first_without_other_directories(runs: Path) -> None:
    (runs / "notes").mkdir()
    (runs / "file.txt").write_text("x")
    assert [run.run_id for run in list_runs(runs)] == [
        "llama-1", "gpt2-tiny-20260101-110000-bbbb", "gpt2-tiny-20260101-100000-aaaa",
    ]  # fmt: skip
    assert list_runs(runs / "none") == []


def test_unreadable_metadata_does_not_hide_a_run(runs: Path) -> None:
    broken = runs / "broken"
    broken.mkdir()
    (broken / "run.json").write_text("{")
    assert "broken" in [run.run_id for run in list_runs(runs)]
    assert RunDirectory(broken).read_metadata() is None


def test_the_runs_directory_is_the_flag_the_environment_or_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUITRAIN_RUNS_DIR", raising=False)
    assert runs_directory() == Path("runs")
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", "elsewhere")
    assert runs_directory() == Path("elsewhere")
    assert runs_directory(Path("flag")) == Path("flag")


@pytest.mark.parametrize("name", ["plain", "a b/c", "..", "-x-", "é" * 5, "x" * 200])
def test_a_run_id_is_safe_as_a_file_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}-\d{8}-\d{6}-[0-9a-f]{4}", new_run_id(name))


def test_directories_created_in_the_same_second_differ(tmp_path: Path) -> None:
    made = [create_run_directory(tmp_path, "a") for _ in range(5)]
    assert len({run.path for run in made}) == 5
    assert all(run.control.is_dir() for run in made)


def test_a_request_is_an_empty_file_and_an_unknown_one_an_error(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)
    run.request("stop")
    assert [path.name for path in run.control.iterdir()] == ["stop"]
    with pytest.raises(ValueError, match="known: stop, checkpoint, eval"):
        run.request("explode")


def test_metadata_survives_writing_and_reading(tmp_path: Path) -> None:
    run, facts = RunDirectory(tmp_path), RunMetadata(name="a", created=1.5, pid=3, tags=["x"], notes=["y"])
    run.write_metadata(facts)
    assert run.read_metadata() == facts
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


def test_an_exact_name_wins_over_longer_names(runs: Path) -> None:
    for run_id in ("a-20260101-100000-aaaa", "again-20260101-100000-bbbb", "a-b-20260101-100000-cccc"):
        write_run(runs, run_id, steps=1)
    assert find_run("a", runs).run_id == "a-20260101-100000-aaaa"
    assert find_run("again", runs).run_id == "again-20260101-100000-bbbb"
    write_run(runs, "a-20260102-100000-dddd", steps=1)
    message = failure("a", runs)
    assert "names 2 runs" in message
    assert "again" not in message
    assert "Give more of the id" in message


def test_a_file_as_the_runs_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunNotFoundError, match="is a file"):
        list_runs(tmp_path / "file")


def test_the_printed_command_shows_its_run(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = find_run("llama-1", runs)
    monkeypatch.delenv("TUITRAIN_RUNS_DIR", raising=False)
    monkeypatch.chdir(runs.parent)
    assert command_for("watch", run) == "tuitrain watch llama-1"
    monkeypatch.chdir(runs)
    assert command_for("stop", run) == f"tuitrain stop llama-1 --runs-dir {runs}"
    monkeypatch.setenv("TUITRAIN_RUNS_DIR", str(runs))
    assert command_for("watch", run) == "tuitrain watch llama-1"
    bare = tmp_path / "my log.jsonl"
    bare.touch()
    assert command_for("watch", find_run(str(bare), runs)) == f"tuitrain watch '{bare}'"
