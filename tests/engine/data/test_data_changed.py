"""Datasets whose files have changed or are damaged: said in one sentence, before training and without retries."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from tests.engine.data import hub

from tuitrain_engine.data import DataError, Dataset

Opened = Callable[..., Dataset]
KEYS = {"val_tokens": 40, "stall_timeout_s": 30}


def state_of(dataset: Dataset) -> dict[str, Any]:
    dataset.train.batch(0, 8)
    state: dict[str, Any] = json.loads(json.dumps(dataset.train.state_at(8)))
    return state


@pytest.mark.parametrize("how", ["other size", "other name"])
def test_a_resume_in_changed_files_is_refused_before_anything_is_read(opened: Opened, streamed: str, how: str) -> None:
    state = state_of(opened(streamed, **KEYS))
    file = sorted(Path(streamed.removeprefix("hf:")).iterdir())[3]
    if how == "other name":
        file.rename(file.with_stem("part-3b"))
    elif file.suffix == ".jsonl":
        file.write_text(file.read_text().replace("abcdefghij", "other"))
    else:
        file.write_bytes(file.with_stem("part-1").read_bytes())
    with pytest.raises(DataError, match=r"hf:.*rows has changed since this run began.*names or sizes.*a new run\."):
        opened(streamed, **KEYS).train.restore(state, 8)


def test_files_with_other_times_and_other_files_beside_them_are_no_change(opened: Opened, streamed: str) -> None:
    dataset = opened(streamed, **KEYS)
    state = state_of(dataset)
    directory = Path(streamed.removeprefix("hf:"))
    for file in directory.iterdir():
        os.utime(file, (1, 1))
    (directory / "README.md").write_text("About these files.\n")
    resumed = opened(streamed, **KEYS)
    resumed.train.restore(state, 8)
    assert resumed.train.batch(8, 4)[0].tolist() == dataset.train.batch(8, 4)[0].tolist()


def test_files_that_change_while_they_are_streamed_are_noticed_when_they_are_opened_again(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = opened(streamed, **KEYS)
    dataset.train.batch(0, 1)
    hub.Trouble(monkeypatch, at=0, times=1)
    file = sorted(Path(streamed.removeprefix("hf:")).iterdir())[0]
    file.rename(file.with_stem("part-0b"))
    with pytest.raises(DataError, match="has changed since this run began to read it"):
        dataset.train.batch(1, 600)


def test_a_state_without_contents_is_taken_as_it_is(opened: Opened, streamed: str) -> None:
    state = state_of(opened(streamed, **KEYS))
    del state["of"]["contents"]
    resumed = opened(streamed, **KEYS)
    resumed.train.restore(state, 8)
    resumed.train.batch(8, 60)
    assert resumed.train.state_at(68)["of"]["contents"].keys() == {"files"}


class Hub:
    """Stands for the Hub, as no network is to be had: a directory by a name, at a commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, commit: str) -> None:
        self.commit, self.asked = commit, list[str | None]()
        original = datasets.load_dataset_builder

        def builder(path: str, config: str | None, revision: str | None = None) -> datasets.DatasetBuilder:
            assert path == "some/name"
            self.asked.append(revision)
            found = original(str(directory), config)
            found.hash = revision or self.commit
            return found

        monkeypatch.setattr(datasets, "load_dataset_builder", builder)


def test_a_resume_reads_the_commit_that_the_run_began_with(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "a" * 40, "b" * 40
    there = Hub(monkeypatch, Path(streamed.removeprefix("hf:")), first)
    dataset = opened("hf:some/name", **KEYS)
    state = state_of(dataset)
    assert state["of"]["contents"] == {"revision": first}
    there.commit = second
    there.asked.clear()
    resumed = opened("hf:some/name", **KEYS)
    resumed.train.restore(state, 8)
    hub.Trouble(monkeypatch, at=20, times=1)
    resumed.train.batch(8, 60)
    assert there.asked == [first, first]
    assert resumed.train.state_at(68)["of"] == state["of"]
    assert state_of(opened("hf:some/name", **KEYS))["of"]["contents"] == {"revision": second}


def test_where_the_commit_is_not_known_it_is_left_out(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Hub(monkeypatch, Path(streamed.removeprefix("hf:")), "0123456789abcdef")
    state = state_of(opened("hf:some/name", **KEYS))
    assert state["of"]["contents"] == {}
    opened("hf:some/name", **KEYS).train.restore(state, 8)
    assert set(there.asked) == {None}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def spoil_pages(content: bytes) -> bytes:
    return content[:20] + bytes(40) + content[60:]


def spoil_footer(content: bytes) -> bytes:
    return content[:-40] + content[-20:]


def break_line(content: bytes) -> bytes:
    lines = content.splitlines(keepends=True)
    return b"".join([*lines[:7], b'{"text": "no end}\n', *lines[7:]])


def not_utf8(content: bytes) -> bytes:
    return content.replace(b"abc", b"\xff\xfe\xff")


@pytest.mark.parametrize(
    ("make", "spoil"),
    [
        (hub.parquet_dataset, cut),
        (hub.parquet_dataset, spoil_pages),
        (hub.parquet_dataset, spoil_footer),
        (hub.jsonl_dataset, break_line),
        (hub.jsonl_dataset, cut),
        (hub.jsonl_dataset, not_utf8),
    ],
)
def test_a_damaged_file_is_named_at_once(
    opened: Opened,
    offline: None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    spoil: Callable[[bytes], bytes],
) -> None:
    directory = make(tmp_path / "rows")
    dataset = opened(f"hf:{directory}", **KEYS)
    file = sorted(directory.iterdir())[3]
    file.write_bytes(spoil(file.read_bytes()))
    with pytest.raises(DataError) as caught:
        dataset.train.batch(0, 600)
    message = str(caught.value)
    assert message.startswith(f"{file} cannot be read, it seems damaged: ")
    assert "\n" not in message
    assert "retry" not in message + capsys.readouterr().err


def test_a_compressed_file_that_is_cut_is_named_at_once(
    opened: Opened, offline: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = hub.jsonl_dataset(tmp_path / "rows")
    for file in list(directory.iterdir()):
        content = gzip.compress(file.read_bytes())
        file.with_suffix(".jsonl.gz").write_bytes(cut(content) if file.stem == "part-3" else content)
        file.unlink()
    dataset = opened(f"hf:{directory}", **KEYS)
    with pytest.raises(DataError, match=r"part-3\.jsonl\.gz cannot be read, it seems damaged: Compressed file ended"):
        dataset.train.batch(0, 600)
    assert "retry" not in capsys.readouterr().err
