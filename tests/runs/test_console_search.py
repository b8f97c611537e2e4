"""Search in a console: which lines match, in what order, and while the file grows."""

from __future__ import annotations

from pathlib import Path

import pytest

from tuitrain.runs import console_search
from tuitrain.runs.console import ConsoleFile
from tuitrain.runs.console_search import Query, Search, matching_lines, query_of


def query(text: str) -> Query:
    """The query for a text that is not empty."""
    result = query_of(text)
    assert result is not None
    return result


def searched(path: Path, text: str) -> Search:
    """A search after it has read the whole file."""
    search = Search(ConsoleFile(path), query(text), path.stat().st_size)
    search.run()
    return search


def test_capitals_count_only_where_some_were_typed() -> None:
    assert query("error").matches("an ERROR") and query("error").matches("an error")
    assert query("Error").matches("KeyError") and not query("Error").matches("an error")
    assert query_of("") is None


def test_text_that_is_no_regular_expression_is_matched_as_it_is() -> None:
    assert not query("loss=2\\.[0-3]").literal and query("loss=2\\.[0-3]").matches("loss=2.1")
    assert query("f(x").literal and query("f(x").matches("y = f(x)")


def test_a_line_is_identified_by_its_first_byte() -> None:
    data = "é one\ntwo\n中 one\n".encode()
    assert matching_lines(data, 100, query("one")) == [100, 111]
    assert matching_lines(data, 0, query("two$")) == [7]
    assert matching_lines(data, 0, query("one\\s+two")) == []


def test_escape_sequences_and_overwritten_text_do_not_match() -> None:
    data = b"\x1b[31mer\x1b[0mror\nerror\rfine\n"
    assert matching_lines(data, 0, query("error")) == [0]
    assert matching_lines(data, 0, query("31m")) == []


@pytest.mark.parametrize("block", [100, 256 << 10])
def test_next_and_previous_matches_and_their_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(console_search, "BLOCK", block)
    path = tmp_path / "console.log"
    path.write_text("".join(f"{number:03d} {'hit' if number % 10 == 0 else ''}\n" for number in range(200)))
    search = searched(path, "hit")
    # A line is 4 bytes and its end, and three more where it has the word.
    positions = [number * 5 + 3 * (number // 10) for number in range(0, 200, 10)]
    assert len(search) == 20 and search.done
    assert search.after(-1) == positions[0] and search.before(10**6) == positions[-1]
    for index in range(1, 19):
        assert search.before(positions[index]) == positions[index - 1]
        assert search.after(positions[index]) == positions[index + 1]
        assert search.count_from(positions[index]) == 20 - index
    assert search.before(positions[0]) is None and search.after(positions[-1]) is None


def test_text_written_later_is_searched_by_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("a hit\nunfinished hi")
    search = searched(path, "hit")
    assert len(search) == 1
    with path.open("a") as file:
        file.write("t\nnothing\nhit again")
    search.run()
    assert len(search) == 3
    search.run()
    assert len(search) == 3
    with path.open("a") as file:
        file.write(" and on\n")
    search.run()
    assert len(search) == 3 and search.searched_bytes == path.stat().st_size


def test_a_cancelled_search_ends(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("hit\n" * 1000)
    search = Search(ConsoleFile(path), query("hit"), 4000)
    search.run(lambda: True)
    assert len(search) == 0 and not search.done


def test_a_missing_file_ends_the_search_with_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "console.log"
    path.write_text("hit\n")
    search = Search(ConsoleFile(path), query("hit"), 4)
    path.unlink()
    search.run()
    assert search.done and "cannot read the console" in search.problem
