"""`tag`, `note` and `rm`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.conftest import Cli
from tests.runs.lock_holder import held
from tests.support import write_run
from tuitrain.runs import RunDirectory


def test_tags_are_added_taken_away_and_listed(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=2)
    assert cli("tag", "one", "two words", "b").out.split() == ["test", "two-words", "b"]
    assert cli("ls", "tag:two-words", "-q").out == "one\n"
    result = cli("tag", "one", "b", "nothere", "--remove", "--json")
    assert result.json() == {"run_id": "one", "tags": ["test", "two-words"]}
    assert result.err == "one has no tag nothere.\n"
    assert cli("tag", "one").out.split() == ["test", "two-words"]
    assert (cli("tag", "one", " ").code, cli("tag", "one", "--remove").code) == (2, 2)


def test_notes_are_added_taken_away_and_listed(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "one", steps=2)
    assert cli("note", "one").out == ""
    cli("note", "one", "lr", "halved")
    assert cli("note", "one", "second note").out == "1  lr halved\n2  second note\n"
    assert cli("note", "one", "--remove", "1", "--json").json() == {"run_id": "one", "notes": ["second note"]}
    result = cli("note", "one", "--remove", "7")
    assert (result.code, result.err) == (1, "tuitrain: one has one note, and none with the number 7.\n")
    assert (cli("note", "one", " ").code, cli("note", "one", "x", "--remove", "1").code) == (2, 2)


def test_without_a_terminal_nothing_is_removed_without_yes(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "one", steps=2)
    result = cli("rm", "one")
    assert result.code == 2
    assert f"{run.path}  completed, step 2, " in result.err
    assert "tuitrain: --yes: without a terminal it is required to remove one (" in result.err
    assert run.path.is_dir()


def test_several_runs_are_removed_with_all_that_is_in_them(cli: Cli, runs_dir: Path) -> None:
    runs = [write_run(runs_dir, name, steps=2) for name in ("one", "two", "three")]
    (runs[0].checkpoints / "step-00000002").mkdir(parents=True)
    (runs[0].checkpoints / "step-00000002" / "weights").write_bytes(bytes(5000))
    result = cli("rm", "one", "two", str(runs[0].path), "--yes", "--json")
    assert [(each["run_id"], each["path"]) for each in result.json()] == [(r.run_id, str(r.path)) for r in runs[:2]]
    assert result.json()[0]["bytes"] > 5000
    assert [path.name for path in runs_dir.iterdir()] == ["three"]


def elsewhere(runs_dir: Path, run: RunDirectory) -> str:
    return str(write_run(runs_dir.parent / "other", "theirs", steps=2).path)


def a_log(runs_dir: Path, run: RunDirectory) -> str:
    return str(run.metrics)


def a_link(runs_dir: Path, run: RunDirectory) -> str:
    (runs_dir / "link").symlink_to(elsewhere(runs_dir, run), target_is_directory=True)
    return "link"


def no_run(runs_dir: Path, run: RunDirectory) -> str:
    (runs_dir / "project").mkdir()
    (runs_dir / "project" / "config.toml").write_text("x = 1", encoding="utf-8")
    return "project"


def live(runs_dir: Path, run: RunDirectory) -> str:
    write_run(runs_dir, "live", steps=2, status=None)
    return "live"


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (elsewhere, "does not lie in"),
        (a_log, "is a log"),
        (a_link, "is a link"),
        (no_run, "no directory of a run"),
        (live, "is running: stop it first"),
    ],
)
def test_what_is_no_run_that_is_over_is_refused_before_any_is_removed(
    cli: Cli, runs_dir: Path, other: object, words: str
) -> None:
    run = write_run(runs_dir, "one", steps=2)
    assert callable(other)
    name = other(runs_dir, run)
    before = sorted(runs_dir.parent.rglob("*"))
    result = cli("rm", "one", name, "--yes")
    assert result.code == 1
    assert words in result.err and result.err.count("\n") == 1
    assert sorted(runs_dir.parent.rglob("*")) == before


def test_a_run_whose_engine_holds_its_lock_is_refused(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "one", steps=2)
    with held(run.lock):
        assert "stop it first" in cli("rm", "one", "--yes").err
    assert cli("rm", "one", "--yes").code == 0
    assert not run.path.exists()


def test_on_a_terminal_it_asks(runs_dir: Path) -> None:
    run = write_run(runs_dir, "one", steps=2)
    for answer, there in (("n", True), ("y", False)):
        child = pexpect.spawn(
            sys.executable, ["-m", "tuitrain.cli", "rm", "one"], encoding="utf-8", timeout=60,
            env={**os.environ, "TUITRAIN_RUNS_DIR": str(runs_dir)},
        )  # fmt: skip
        child.expect(r"Remove one permanently \(.*\)\?")
        child.sendline(answer)
        child.expect(pexpect.EOF)
        child.close()
        assert (run.path.exists(), child.exitstatus) == (there, 1 if there else 0)
