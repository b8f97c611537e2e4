"""Text from outside cannot send control sequences to a terminal."""

from __future__ import annotations

import io
import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tuitrain.text import (
    TerminalStream,
    ascii_json,
    clean,
    clean_coloured,
    clean_lines,
    file_name,
    terminal_encoding,
)

PIECES = (
    "\x1b",
    "\x9b",
    "[",
    "]",
    "52;c;",
    "0;",
    "\x07",
    "\x1b\\",
    "\x9c",
    "31m",
    "P",
    "\x9d",
    "\x90",
    "\n",
    "\t",
    "\r",
    "a",
)
HOSTILE = st.one_of(
    st.text(), st.text(st.characters(codec=None)), st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
)
DIRECTING = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\ufeff\u2028\u2029")


def is_inert(text: str, allowed: str = "") -> bool:
    return all(
        character in allowed or (unicodedata.category(character) not in ("Cc", "Cs") and character not in DIRECTING)
        for character in text
    )


@given(HOSTILE)
@example("\x1b]52;c;aGk=\x07")
@example("\x1b\x1b[31m[2J")
@example("\x9d0;title\x9c")
def test_cleaned_text_is_inert(text: str) -> None:
    assert is_inert(clean(text))
    assert is_inert(clean_lines(text), "\n\t")
    assert clean(clean(text)) == clean(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[41mb", "ab"),
        ("a\x1b[2Jb\tc\x07\x9b", "ab  c␇ "),
        ("\x1b[2J\x1b[H\x1b[31mCUDA error\x1b]0;title\x07", "CUDA error"),
        ("\x1b]52;c;cm0gLXJm\x1b\\rm", "rm"),
        ("\x9b31mred", "red"),
        ("never ended \x1b]0;title and more", "never ended 0;title and more"),
        ("bell\x07 del\x7f nul\x00 nel\x85", "bell␇ del␡ nul␀ nel "),
        ("two\nlines", "two␊lines"),
        ("a\u202ereversed\u202c, zero\u200bwidth, isolate\u2066d", "areversed, zerowidth, isolated"),
        ("half \ud83d of a pair, byte \udcff", "half � of a pair, byte �"),
        ("Käse, 日本, 👩‍🔬, é", "Käse, 日本, 👩‍🔬, é"),
    ],
)
def test_cleaning_keeps_the_printable_text(text: str, shown: str) -> None:
    assert clean(text) == shown


def test_lines_and_tabs_of_a_block_stay_and_a_carriage_return_ends_a_line() -> None:
    assert clean_lines("a\tb\r\nc\n10 %\r20 %") == "a\tb\nc\n10 %\n20 %"


def test_only_colours_are_kept_in_coloured_text() -> None:
    assert clean_coloured("\x1b[1;31mred\x1b[0m\x1b[2J\x1b]0;x\x07\x1b[?25l") == "\x1b[1;31mred\x1b[0m"


@pytest.mark.parametrize("introducer", ["\x9d", "\x1b]", "\x1bP", "\x9b", "\x1b[", "\x1b"])
def test_the_time_is_linear_in_the_length_of_the_text(introducer: str) -> None:
    """In quadratic time, a million of them would exceed the suite's timeout."""
    assert is_inert(clean(introducer * 1_000_000))


@given(HOSTILE)
def test_json_is_plain_ascii_and_parses_to_the_same_value(text: str) -> None:
    written = ascii_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert written.isascii()
    assert written.isprintable()
    assert json.loads(written) == json.loads(json.dumps({text: [text]}))


@given(HOSTILE)
@example("../../etc/passwd")
@example("..")
@example("/")
@example("a" * 1000)
@example("日" * 1000)
def test_a_file_name_is_one_plain_component(text: str) -> None:
    name = file_name(text)
    assert name
    assert not set(name) & set('/\\:*?"<>| \t\n\0')
    assert not name.startswith((".", "-"))
    assert is_inert(name)
    assert len(name.encode()) <= 255


def written_by(text: str, encoding: str, coloured: bool = False) -> str:
    raw = io.BytesIO()
    stream = TerminalStream(io.TextIOWrapper(raw, encoding=encoding))
    if coloured:
        stream.write_coloured(text)
    else:
        print(text, end="", file=stream)
    stream.flush()
    return raw.getvalue().decode(encoding)


@given(HOSTILE, st.sampled_from(["ascii", "latin-1", "utf-8"]), st.booleans())
def test_a_stream_writes_any_text_in_any_encoding(text: str, encoding: str, coloured: bool) -> None:
    assert is_inert(written_by(text, encoding, coloured), "\n\t" + "\x1b" * coloured)


def test_characters_that_an_encoding_lacks_are_replaced_by_similar_ones() -> None:
    assert written_by("step 1 · loss… ╭─╮ ● µs é 日", "ascii") == "step 1 . loss... +-+ o us e ?"
    assert written_by("step 1 · loss… é", "latin-1") == "step 1 · loss... é"
    assert written_by("· … é 日", "utf-8") == "· … é 日"


@pytest.mark.parametrize(
    ("variables", "encoding"),
    [
        ({"LC_ALL": "C"}, "ascii"),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "ascii"),
        ({"LC_ALL": "C", "PYTHONIOENCODING": "utf-8"}, "utf-8"),
        ({"LC_ALL": "C.UTF-8"}, "utf-8"),
        ({"LANG": "en_US.UTF-8"}, "utf-8"),
        ({}, "utf-8"),
    ],
)
def test_the_locale_determines_the_encoding_of_the_terminal(
    variables: dict[str, str], encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PYTHONIOENCODING", "PYTHONUTF8"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal_encoding(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == encoding
