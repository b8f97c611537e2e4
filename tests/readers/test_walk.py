"""Walking through folders: what is no regular file is passed over, and what does not answer holds nothing up."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tuitrain.readers import discover, walk
from tuitrain.readers.discover import sources_of

TABLE = "step,loss\n1,2\n2,1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a", "mount", "z"):
        (tmp_path / "logs" / name / "below").mkdir(parents=True)
        (tmp_path / "logs" / name / "below" / "log.csv").write_text(TABLE)
    return tmp_path / "logs"


@contextmanager
def no_answer(monkeypatch: pytest.MonkeyPatch, module: object, name: str, path: Path) -> Iterator[None]:
    """Until the end of the block a function of the system does not return for a path, as below a mount that is gone."""
    answers = threading.Event()
    function = getattr(module, name)

    def waits(asked: str, *rest: int) -> object:
        if str(asked) == str(path):
            answers.wait()
        return function(asked, *rest)

    monkeypatch.setattr(module, name, waits)
    monkeypatch.setattr(walk, "ANSWER_S", 0.2)
    try:
        yield
    finally:
        answers.set()
        for thread in [each for each in threading.enumerate() if each.name == "walk"]:
            thread.join()


@pytest.mark.parametrize("function", ["scandir", "open"])
def test_a_folder_that_does_not_answer_is_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    hangs = folder / "mount" / "below"
    with no_answer(monkeypatch, os, function, hangs if function == "scandir" else hangs / "log.csv"):
        left_out: list[Path] = []
        names = [source.name for source in sources_of(folder, unanswered=left_out.append)]
        assert (names, left_out) == (["a/below/log.csv", "z/below/log.csv"], [hangs])
        # While one thread waits no other one does.
        monkeypatch.setattr(walk, "ANSWER_S", 60.0)
        assert [source.name for source in sources_of(folder, unanswered=left_out.append)] == names
        assert left_out == [hangs, hangs]
    assert len(sources_of(folder)) == 3


def test_a_folder_that_may_be_a_run_and_does_not_answer_hides_none_beside_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_out: list[Path] = []
    with no_answer(monkeypatch, Path, "exists", folder / "mount"):
        found = sources_of(folder, lambda path, names: not path.exists(), left_out.append)
        names = [source.name for source in found]
        assert names == ["a/below/log.csv", "z/below/log.csv"]
        assert left_out == [folder / "mount"]


def test_what_a_reader_raises_is_no_silence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discover, "recognised", lambda probe: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        sources_of(folder)


def test_pipes_sockets_and_devices_are_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "a" / "log.csv")
    os.mkfifo(folder / "a" / "metrics.jsonl")
    os.mkfifo(folder / "a" / "hparams.yaml")
    (folder / "a" / "console.log").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        # The path of a socket is short.
        monkeypatch.chdir(folder)
        listener.bind("z/train.log")
        assert [source.path.parent.parent.name for source in sources_of(folder)] == ["a", "mount", "z"]
