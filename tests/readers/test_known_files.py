"""A search of a folder remembers what each file is, and sees what changed since."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tuitrain.readers import discover
from tuitrain.readers.discover import sources_of


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    folder = tmp_path / "logs"
    (folder / "a").mkdir(parents=True)
    for name in ("a/log.csv", "other.csv"):
        write(folder / name, "step,loss\n1,2\n2,1\n")
    write(folder / "code.py", "step = 1\nloss = 2\n")
    return folder


def write(path: Path, text: str, time: float = 1_700_000_000) -> None:
    path.write_text(text)
    os.utime(path, (time, time))


def found(folder: Path) -> list[str]:
    return [source.name for source in sources_of(folder)]


def test_only_what_changed_is_looked_at_again(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[str] = []
    read = discover._read_part
    monkeypatch.setattr(discover, "_read_part", lambda file: looked_at.append(Path(file).name) or read(file))
    first = sources_of(logs)
    assert [source.name for source in first] == ["a/log.csv", "other.csv"]
    assert sorted(looked_at) == ["code.py", "log.csv", "other.csv"]
    assert sources_of(logs) == first
    assert len(looked_at) == 3
    write(logs / "other.csv", "no log any more\n", 1_700_000_001)
    write(logs / "new.csv", "step,loss\n1,2\n")
    assert found(logs) == ["a/log.csv", "new.csv"]
    assert sorted(looked_at[3:]) == ["new.csv", "other.csv"]


@pytest.mark.parametrize(
    ("log", "text", "settings", "form"),
    [
        ("log.csv", "epoch,step,train\n0,2,1\n0,1,2\n", "hparams.yaml", "lightning-csv"),
        ("log.csv", "epoch,time,loss\n1,2,3\n2,3,4\n", "args.yaml", "csv-epochs"),
    ],
)
def test_settings_that_come_later_than_the_log_change_what_it_is(
    tmp_path: Path, log: str, text: str, settings: str, form: str
) -> None:
    folder = tmp_path / "later"
    folder.mkdir()
    write(folder / log, text)
    assert [source.format for source in sources_of(folder)] == ["csv"]
    write(folder / settings, "lr: 1\n")
    assert [source.format for source in sources_of(folder)] == [form]
    (folder / settings).unlink()
    assert [source.format for source in sources_of(folder)] == ["csv"]


def test_a_file_that_is_being_written_is_looked_at_each_time(logs: Path) -> None:
    (logs / "fresh.csv").write_text("step")
    assert found(logs) == ["a/log.csv", "other.csv"]
    before = (logs / "fresh.csv").stat()
    (logs / "fresh.csv").write_text("step,loss\n1,2\n")
    os.utime(logs / "fresh.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(logs) == ["a/log.csv", "fresh.csv", "other.csv"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x82\xa7readers\xa1x\xa5files\x80"])
def test_a_damaged_cache_is_as_none(logs: Path, cache: Path, content: bytes) -> None:
    expected = found(logs)
    for file in (cache / "searched").iterdir():
        file.write_bytes(content)
    assert found(logs) == expected


def test_a_cache_that_cannot_be_written_is_no_error(logs: Path, cache: Path) -> None:
    cache.write_text("a file")
    assert found(logs) == found(logs) == ["a/log.csv", "other.csv"]


def test_nothing_is_written_in_the_folder(logs: Path) -> None:
    before = sorted(path for path in logs.rglob("*"))
    found(logs)
    assert sorted(path for path in logs.rglob("*")) == before


def test_what_cannot_be_read_does_not_hide_the_rest(logs: Path) -> None:
    os.mkfifo(logs / "pipe.csv")
    (logs / "loop").symlink_to(logs)
    (logs / "gone.csv").symlink_to("nowhere")
    (logs / "closed").mkdir(mode=0)
    (logs / "secret.csv").touch(mode=0)
    assert found(logs) == ["a/log.csv", "other.csv"]
    (logs / "closed").chmod(0o700)
