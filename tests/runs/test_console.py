"""A console of any size is read in pieces, forwards and backwards, without loss or overlap."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuitrain.runs import console as module
from tuitrain.runs.console import ConsoleFile

LINES = [f"line {number} {'é中' * (number % 7)}" for number in range(300)]


@pytest.fixture(params=[64, 1000, 64 << 10])
def console(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConsoleFile:
    """300 lines, read in small blocks and in one."""
    monkeypatch.setattr(module, "BLOCK", request.param)
    path = tmp_path / "console.log"
    path.write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return ConsoleFile(path)


def test_all_lines_are_read_forwards_and_backwards(console: ConsoleFile) -> None:
    mark = console.mark()
    assert mark is not None
    assert [each.text for each in console.lines_from(0, 1000)] == LINES
    assert [each.text for each in console.lines_before(mark.size, 1000)] == LINES


def test_the_lines_before_and_after_a_line_are_read_from_its_mark(console: ConsoleFile) -> None:
    middle = console.lines_from(0, 151)[-1]
    assert [each.text for each in console.lines_from(middle.start, 3)] == LINES[150:153]
    assert [each.text for each in console.lines_before(middle.start, 3)] == LINES[147:150]
    assert [each.text for each in console.lines_from(middle.end, 1)] == LINES[151:152]


def test_nothing_is_read_before_the_first_line_and_after_the_last(console: ConsoleFile) -> None:
    mark = console.mark()
    assert mark is not None
    assert console.lines_before(0, 5) == [] and console.lines_from(mark.size, 5) == []


def test_a_block_holds_complete_lines(console: ConsoleFile) -> None:
    mark = console.mark()
    assert mark is not None
    end, content = mark.size, b""
    while end:
        end, data = console.block_before(end, 500)
        assert data.endswith(b"\n")
        content = data + content
    assert content.decode() == "\n".join(LINES) + "\n"


def test_an_unterminated_line_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"one\ntwo")
    file = ConsoleFile(path)
    assert [each.text for each in file.lines_before(7, 5)] == ["one", "two"]
    assert file.last_line_start(7) == 4
    path.write_bytes(b"one\ntwo\n")
    assert file.last_line_start(8) == 8


def test_the_last_state_of_a_progress_bar_is_read(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"10 %\r50 %\r100 %\r\nnext\r\n")
    assert [each.text for each in ConsoleFile(path).lines_from(0, 5)] == ["100 %", "next"]


def test_an_endless_line_is_cut_and_a_truncated_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_bytes(b"x" * (3 * module.BLOCK + 5))
    file = ConsoleFile(path)
    assert [len(each.raw) for each in file.lines_from(0, 9)] == [module.BLOCK] * 3 + [5]
    assert sum(len(each.raw) for each in file.lines_before(3 * module.BLOCK + 5, 9)) == 3 * module.BLOCK + 5
    path.write_bytes(b"")
    assert file.lines_before(1000, 3) == []


def test_a_missing_file_has_no_mark(tmp_path: Path) -> None:
    file = ConsoleFile(tmp_path / "console.log")
    assert file.mark() is None
    with pytest.raises(FileNotFoundError):
        file.lines_from(0, 1)
