"""Datasets whose files have changed or are damaged: one sentence, before training and without retries."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.engine.data import hub

from tuitrain_engine.data import DataError, Dataset

Opened = Callable[..., Dataset]
KEYS = {"val_bytes": 40, "stall_timeout_s": 30}


def state_of(dataset: Dataset) -> dict[str, Any]:
    dataset.train.batch(0, 8)
    state: dict[str, Any] = json.loads(json.dumps(dataset.train.state_at(8)))
    return state


@pytest.mark.parametrize("how", ["other size", "other name"])
def test_a_resume_with_changed_files_is_refused_before_anything_is_read(
    opened: Opened, streamed: str, how: str
) -> None:
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


def test_modification_times_and_unrelated_files_are_not_a_change(opened: Opened, streamed: str) -> None:
    dataset = opened(streamed, **KEYS)
    state = state_of(dataset)
    directory = Path(streamed.removeprefix("hf:"))
    for file in directory.iterdir():
        os.utime(file, (1, 1))
    (directory / "README.md").write_text("About these files.\n")
    resumed = opened(streamed, **KEYS)
    resumed.train.restore(state, 8)
    assert resumed.train.batch(8, 4)[0].tolist() == dataset.train.batch(8, 4)[0].tolist()


def test_files_that_change_while_they_are_streamed_are_an_error_when_reopened(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = opened(streamed, **KEYS)
    dataset.train.batch(0, 1)
    hub.ReadFault(monkeypatch, at=0, times=1)
    file = sorted(Path(streamed.removeprefix("hf:")).iterdir())[0]
    file.rename(file.with_stem("part-0b"))
    with pytest.raises(DataError, match="has changed since this run began to read it"):
        dataset.train.batch(1, 600)


def test_a_state_without_fingerprints_is_accepted(opened: Opened, streamed: str) -> None:
    state = state_of(opened(streamed, **KEYS))
    del state["of"]["contents"]
    resumed = opened(streamed, **KEYS)
    resumed.train.restore(state, 8)
    resumed.train.batch(8, 60)
    assert resumed.train.state_at(68)["of"]["contents"].keys() == {"files"}


class Hub:
    """A stand-in for the Hub, without a network: a directory by a name, at a commit."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, directory: Path, commit: str) -> None:
        import datasets

        self.commit, self.revisions = commit, list[str | None]()
        original = datasets.load_dataset_builder

        def load_builder(path: str, config: str | None, revision: str | None = None) -> datasets.DatasetBuilder:
            assert path == "some/name"
            self.revisions.append(revision)
            builder = original(str(directory), config)
            builder.hash = revision or self.commit
            return builder

        monkeypatch.setattr(datasets, "load_dataset_builder", load_builder)


def test_a_resume_reads_the_commit_of_the_first_attempt(
    opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = "a" * 40, "b" * 40
    repository = Hub(monkeypatch, Path(streamed.removeprefix("hf:")), first)
    dataset = opened("hf:some/name", **KEYS)
    state = state_of(dataset)
    assert state["of"]["contents"] == {"revision": first}
    repository.commit = second
    repository.revisions.clear()
    resumed = opened("hf:some/name", **KEYS)
    resumed.train.restore(state, 8)
    hub.ReadFault(monkeypatch, at=20, times=1)
    resumed.train.batch(8, 60)
    assert repository.revisions == [first, first]
    assert resumed.train.state_at(68)["of"] == state["of"]
    assert state_of(opened("hf:some/name", **KEYS))["of"]["contents"] == {"revision": second}


def test_an_unknown_commit_is_left_out(opened: Opened, streamed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Hub(monkeypatch, Path(streamed.removeprefix("hf:")), "0123456789abcdef")
    state = state_of(opened("hf:some/name", **KEYS))
    assert state["of"]["contents"] == {}
    opened("hf:some/name", **KEYS).train.restore(state, 8)
    assert set(repository.revisions) == {None}


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def damage_pages(content: bytes) -> bytes:
    return content[:20] + bytes(40) + content[60:]


def damage_footer(content: bytes) -> bytes:
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
        (hub.parquet_dataset, damage_pages),
        (hub.parquet_dataset, damage_footer),
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
