"""Every kind of source yields its documents; every broken one raises one sentence."""

from __future__ import annotations

import errno
import gzip
import json
import os
import sys
import tracemalloc
import types
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.data import hub

from tuitrain.config.sections import DataConfig
from tuitrain_engine.data import DataError
from tuitrain_engine.data import files as files_module
from tuitrain_engine.data.sources import make_source

DOCUMENTS = ["first\nof them", "zweites, größer", "三番目 😀\r\n"]


def documents(source: object, downloads: Path = Path("/nonexistent"), **keys: str) -> list[str]:
    """The documents of a source, their pieces joined."""
    texts, current = [], ""
    for piece in make_source(DataConfig(source=str(source), **keys), downloads).pieces():
        current += piece.text
        if piece.last:
            texts.append(current)
            current = ""
    assert not current
    return texts


def compressed(path: Path, content: bytes) -> Path:
    if path.suffix == ".gz":
        content = gzip.compress(content, mtime=0)
    elif path.suffix == ".zst":
        content = zstandard.compress(content)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_text_file_is_one_document(tmp_path: Path, ending: str) -> None:
    path = compressed(tmp_path / f"book.txt{ending}", DOCUMENTS[2].encode())
    assert documents(path) == [DOCUMENTS[2]]


@pytest.mark.parametrize("ending", ["", ".gz", ".zst"])
def test_a_line_of_jsonl_is_a_document(tmp_path: Path, ending: str) -> None:
    lines = "\n".join(json.dumps({"id": 1, "body": text}) for text in DOCUMENTS) + "\n\n"
    path = compressed(tmp_path / f"rows.jsonl{ending}", lines.encode())
    assert documents(path, text_column="body") == DOCUMENTS


def test_a_row_of_parquet_is_a_document(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [*DOCUMENTS, None], "other": [1, 2, 3, 4]}), path, row_group_size=2)
    assert documents(path) == [*DOCUMENTS, ""]


def test_a_long_text_is_read_in_pieces_that_end_with_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "PIECE_CHARS", 100)
    text = "".join(f"line {number} with an umlaut ü\n" for number in range(50))
    path = tmp_path / "long.txt"
    path.write_text(text, encoding="utf-8")
    pieces = list(make_source(DataConfig(source=str(path)), tmp_path).pieces())
    assert len(pieces) > 5
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text.endswith("\n") for piece in pieces)
    assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert sum(piece.size for piece in pieces) == path.stat().st_size


def test_a_directory_yields_its_text_files_in_order(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("b")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.py").write_text("sub a")
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.txt").write_text("no")
    assert documents(tmp_path) == ["a", "b", "sub a"]


def test_a_glob_matches_files_in_subdirectories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "2.log").write_text("two")
    (tmp_path / "1.log").write_text("one")
    (tmp_path / "1.txt").write_text("no")
    assert documents(tmp_path / "**" / "*.log") == ["one", "two"]
    monkeypatch.chdir(tmp_path)
    assert documents("*.log") == ["one"]


def test_stdlib_is_python_source_without_tests() -> None:
    source = make_source(DataConfig(source="stdlib"), Path("/nonexistent"))
    assert source.size is not None and source.size > 2_000_000
    first = [piece for piece, _ in zip(source.pieces(), range(200), strict=False)]
    assert sum("import" in piece.text for piece in first) > 100
    again = make_source(DataConfig(source="stdlib"), Path("/nonexistent"))
    assert again.fingerprint == source.fingerprint


def test_surrogates_of_json_do_not_reach_the_tokenizer(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"text": "a\\ud800b"}\n')
    assert documents(path) == ["a?b"]


@pytest.mark.parametrize("ending", ["", ".zst"])
def test_text_that_is_not_utf8_is_refused_with_its_offset(tmp_path: Path, ending: str) -> None:
    good = "größe \ufffd\n".encode() * 60_000
    path = compressed(tmp_path / f"latin.txt{ending}", good + b"caf\xe9 cr\xe8me")
    with pytest.raises(DataError) as caught:
        documents(path)
    assert str(caught.value) == (
        f"{path} is not UTF-8 text, line 60,001, byte 0xe9 at {len(good) + 3:,}: convert it (iconv -t utf-8)."
    )
    # A character that is cut at the end of the file.
    path = compressed(tmp_path / f"cut.txt{ending}", good + "ö".encode()[:1])
    with pytest.raises(DataError, match=f"byte 0xc3 at {len(good):,}"):
        documents(path)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("bad.jsonl", b'{"text": "ok"}\n{"text": \n', "bad.jsonl:2 is not valid JSON"),
        ("list.jsonl", b"[1]\n", "list.jsonl:1 is not valid JSON: it is not an object"),
        ("key.jsonl", b'{"body": "x"}\n', "key.jsonl:1 has no 'text': set data.text_column to one of body"),
        ("int.jsonl", b'{"text": 3}\n', "int.jsonl:1: 'text' holds int, not text"),
        ("binary.txt", b"\x7fELF\0\0\0", "binary.txt is not UTF-8 text"),
        ("broken.txt.gz", b"not gzip at all", "broken.txt.gz cannot be read"),
        ("broken.txt.zst", b"not zstd at all", "broken.txt.zst cannot be read"),
        ("empty.txt.zst", b"", "empty.txt.zst cannot be read"),
        ("empty.txt.gz", b"", "empty.txt.gz cannot be read"),
        (
            "latin.jsonl",
            b'{"text": "ok"}\n{"text": "caf\xe9"}\n',
            "latin.jsonl:2 is not UTF-8 text (byte 0xe9 at 13",
        ),
        ("torn.jsonl", b'{"text": "ok"}\n{"text": "and th', "torn.jsonl:2 is not valid JSON"),
        (
            "deep.jsonl",
            b'{"text": "ok"}\n{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}\n",
            "deep.jsonl:2 is not valid JSON: it is nested too deeply",
        ),
        ("broken.parquet", b"not parquet at all", "broken.parquet cannot be read"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        documents(tmp_path / name)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert ("seems truncated" in str(caught.value)) == (name == "torn.jsonl")


def zstandard_frames(rows: bytes) -> bytes:
    return b"".join(zstandard.compress(row) for row in rows.splitlines(keepends=True))


def gzip_members(rows: bytes) -> bytes:
    return b"".join(gzip.compress(row, mtime=0) for row in rows.splitlines(keepends=True))


ROWS = b"".join(json.dumps({"text": f"row {number} of some"}).encode() + b"\n" for number in range(40))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("ending", "frames"), [(".zst", zstandard_frames), (".gz", gzip_members)])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:3],
        lambda content: content + b"what follows is no frame",
        lambda content: content[:800] + bytes(40) + content[840:],
    ],
    ids=["half", "last byte", "header", "trailing garbage", "zeroed"],
)
def test_a_compressed_file_that_is_cut_or_damaged_is_refused(
    tmp_path: Path,
    offline: None,
    streamed: bool,
    ending: str,
    frames: Callable[[bytes], bytes],
    spoil: Callable[[bytes], bytes],
) -> None:
    (tmp_path / "rows").mkdir()
    path = tmp_path / "rows" / f"part.jsonl{ending}"
    source = f"hf:{path.parent}" if streamed else path
    path.write_bytes(frames(ROWS))
    assert len([text for text in documents(source) if text]) == 40
    path.write_bytes(spoil(frames(ROWS)))
    with pytest.raises(DataError) as caught:
        documents(source)
    # What cannot even be opened by `datasets` is named by its directory.
    assert str(path.parent if streamed else path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_parquet_file_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"text": [f"row {number}" for number in range(1000)]}), path, row_group_size=100)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read, it is damaged or cut"):
        documents(path)


def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "book.txt"
    path.write_text("a line\n" * 200_000)
    pieces = make_source(DataConfig(source=str(path)), tmp_path).pieces()
    next(pieces)
    os.truncate(path, 700_000)
    with pytest.raises(DataError, match=r"book\.txt became shorter while it was read"):
        list(pieces)


def test_an_oversized_row_is_refused_before_it_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MAX_ROW_BYTES", 1 << 20)
    long = "x" * (64 << 20)
    path = compressed(tmp_path / "bomb.jsonl.gz", json.dumps({"text": long}).encode())
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with pytest.raises(DataError, match=r"bomb\.jsonl\.gz:1 is longer than 1 MiB"):
        documents(path)
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    pq.write_table(pa.table({"text": ["short", long]}), tmp_path / "bomb.parquet", compression="zstd")
    with pytest.raises(DataError, match=r"bomb\.parquet.* is longer than 1 MiB"):
        documents(tmp_path / "bomb.parquet")


def test_numbers_of_thousands_of_digits_beside_the_text_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "digits.jsonl"
    path.write_text('{"text": "a", "id": ' + "9" * 5000 + "}\n")
    assert documents(path) == ["a"]


def test_an_unreadable_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "a.txt").write_text("a")
    (tmp_path / "closed").mkdir()
    look = os.scandir

    def scandir(path: object) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"cannot be read: .*closed: Permission denied"):
        documents(tmp_path)


@pytest.mark.parametrize(
    ("source", "sentence"),
    [("~nobody-here/x", "no such home directory"), ("/tmp/" + "x" * 5000, "File name too long"), ("a**b/*", "pattern")],
)
def test_an_invalid_file_name_is_one_sentence(tmp_path: Path, source: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        documents(source)


def test_a_parquet_file_without_the_column_lists_its_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"title": ["x"], "body": ["y"]}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"has no 'text': set data\.text_column to one of title, body"):
        documents(tmp_path / "t.parquet")


def test_an_unknown_source_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file or directory; other.*Did you mean 'shakespeare'\?"):
        documents("shakespear")
    with pytest.raises(DataError, match="no file matches"):
        documents(tmp_path / "*.txt")
    with pytest.raises(DataError, match="no file below that directory"):
        documents(tmp_path)


def test_shakespeare_offline_states_how_to_pass_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(DataError, match=r"no route to host.*data\.source=PATH"):
        documents("shakespeare", tmp_path)


def test_shakespeare_is_verified_by_its_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(types.SimpleNamespace):
        def __enter__(self) -> Answer:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def read(self, _: int) -> bytes:
            return b"<html>log in to the network</html>"

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Answer())
    with pytest.raises(DataError, match="not the tiny Shakespeare text"):
        documents("shakespeare", tmp_path)
    # A damaged copy is downloaded again without an error.
    (tmp_path / "tinyshakespeare.txt").write_text("damaged")
    with pytest.raises(DataError, match=r"What https.* returned is not"):
        documents("shakespeare", tmp_path)


def test_a_dataset_is_read_in_its_own_order(streamed: str) -> None:
    assert [text for text in documents(streamed) if text] == hub.texts()


def test_a_configuration_and_a_split_are_passed_on(tmp_path: Path, offline: None) -> None:
    """A directory with a card that names configurations, as datasets of the Hub have."""
    card = "configs:\n- config_name: big\n  data_files: big.jsonl\n- config_name: small\n  data_files:\n"
    splits = "  - split: train\n    path: a.jsonl\n  - split: validation\n    path: b.jsonl\n"
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "README.md").write_text(f"---\n{card}{splits}---\n")
    for name in ("big", "a", "b"):
        (tmp_path / "set" / f"{name}.jsonl").write_text(json.dumps({"content": f"text of {name}"}))
    texts = documents(f"hf:{tmp_path / 'set'}:small", text_column="content", split="validation")
    assert texts == ["text of b"]


def test_the_hub_without_its_package_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match="pip install datasets"):
        documents("hf:org/set")


def test_a_row_cannot_end_its_document(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text(json.dumps({"text": "a\0b"}) + "\n")
    assert documents(path) == ["a\ufffdb"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([b'{"text": ', b'"a"', b"}", b"\n", b"[", b"\xff", b"\x00", b"1e999", b"\xef\xbb\xbf"])
        ).map(b"".join),
    ),
    st.sampled_from([".txt", ".jsonl", ".parquet"]),
    st.sampled_from(["", ".gz", ".zst"]),
    st.booleans(),
)
def test_any_file_content_is_text_or_one_sentence_with_its_name(
    tmp_path: Path, content: bytes, suffix: str, ending: str, packed: bool
) -> None:
    path = tmp_path / f"any{suffix}{ending}"
    path.write_bytes(content)
    if packed:
        compressed(path, content)
    try:
        texts = documents(path)
    except DataError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert "\0" not in "".join(texts)
