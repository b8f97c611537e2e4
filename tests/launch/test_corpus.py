"""Unusable data is refused before a run directory is created; usable data is accepted."""

from __future__ import annotations

import errno
import gzip
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tuitrain.config import load_config
from tuitrain.launch import LaunchError, corpus
from tuitrain.launch.corpus import check_data, check_tokenizer
from tuitrain_engine.data import DataError, open_dataset

TEXT = "some words of a text\n" * 4000


@pytest.fixture(autouse=True)
def working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))


def refusal(*overrides: str) -> tuple[str, int]:
    with pytest.raises(LaunchError) as caught:
        check_data(load_config("gpt2-tiny", overrides))
    assert "\n" not in str(caught.value)
    assert "data.source" in str(caught.value) or "data.mixture" in str(caught.value)
    return str(caught.value), caught.value.exit_code


def write(name: str, content: bytes | str) -> None:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize(
    ("make", "overrides", "words", "code"),
    [
        (lambda: write("a.txt", ""), ["data.source=a.txt"], "is empty", 2),
        (lambda: write("a.txt", b"\x7fELF\0\0"), ["data.source=a.txt"], "a.txt is not UTF-8 text", 2),
        (lambda: write("a.txt", TEXT.encode() + b"\xe9t\xe9"), ["data.source=a.txt"], "byte 0xe9 at 84,000", 2),
        (lambda: write("a.txt.gz", "not gzip"), ["data.source=a.txt.gz"], "a.txt.gz is not a .gz file", 2),
        (lambda: write("a.txt.zst", "not zstd"), ["data.source=a.txt.zst"], "a.txt.zst is not a .zst file", 2),
        (lambda: write("a.jsonl", "[1]\n" * 999), ["data.source=a.jsonl"], "a.jsonl:1 is not a JSON object", 2),
        (lambda: write("a.jsonl", '{"body": "x"}\n' * 999), ["data.source=a.jsonl"], "text_column to one of body", 2),
        (lambda: write("a.parquet", b"PAR1 cut"), ["data.source=a.parquet"], "a.parquet is damaged or cut", 2),
        (lambda: write("d/a.png", "x"), ["data.source=d"], "no file below that directory is of a known kind", 2),
        (lambda: write("d/.hidden/a.txt", TEXT), ["data.source=d"], "no file below that directory", 2),
        (lambda: write("d/a.txt", ""), ["data.source=d"], "is empty", 2),
        (lambda: None, ["data.source=d/*.txt"], "no file matches it", 3),
        (lambda: None, ["data.source=a**b/*"], "is not a usable pattern", 2),
        (lambda: os.mkfifo("pipe.txt"), ["data.source=pipe.txt"], "is neither a file nor a directory", 2),
        (lambda: Path("loop").symlink_to("loop"), ["data.source=loop"], "Too many levels of symbolic links", 2),
        (lambda: None, ["data.source=" + "x" * 5000], "File name too long", 2),
        (lambda: None, ["data.source=~nobody-here/x"], "there is no such home directory", 2),
        (lambda: write("b/other", "x"), ["data.source=bin:b"], "train.bin does not exist", 3),
        (lambda: write("b/train.bin", "xyz"), ["data.source=bin:b"], "is not a file of uint16 ids", 2),
        (lambda: None, ["data.source=bin:b"], "no such directory", 3),
        (lambda: write("b", "x"), ["data.source=bin:b"], "is a file, not a directory", 2),
        (lambda: write("b/train.bin", bytes(4000)), ["data.source=bin:b"], "the held-out split has 100 tokens", 2),
        (lambda: None, ["data.source=hf:"], "is not a name on the Hub", 2),
        (lambda: None, ["data.source=hf:a b"], "is not a name on the Hub", 2),
        (lambda: None, ["data.source=hf:a/b/c"], "is not a name on the Hub", 2),
        (lambda: None, ["data.source=hf:./nowhere"], "no such directory", 3),
        (lambda: Path("d").mkdir(), ["data.source=hf:./d"], "the directory is empty", 2),
        (lambda: write("a.txt", TEXT), ["data.source=a.txt", "model.seq_len=5000"], "held-out split has at most 4,", 2),
        (lambda: write("a.txt", TEXT), ["data.source=a.txt", "model.seq_len=90000"], "training split has at most 7", 2),
        (lambda: None, ["data.source=shakespeare", "model.seq_len=60000"], "the held-out split has at most 55,", 2),
        (lambda: write("a.txt", TEXT), ["data.source=a.txt", "data.max_tokens=50"], "training split has at most 48", 2),
        (
            lambda: write("a.jsonl", '{"text": "x"}\n' * 40),
            ["data.source=a.jsonl", "model.seq_len=1024"],
            "training split has at most 560 tokens",
            2,
        ),
        (
            lambda: write("a.txt", ""),
            ["data.source=mixture", 'data.mixture={"stdlib"=1,"a.txt"=2}'],
            "data.mixture: 'a.txt' is empty",
            2,
        ),
    ],
)  # fmt: skip
def test_unusable_data_is_refused_before_the_launch(
    make: Callable[[], object], overrides: list[str], words: str, code: int
) -> None:
    make()
    message, exit_code = refusal("model.seq_len=128", *overrides)
    assert words in message
    assert exit_code == code
    assert len(message) < 700


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_an_unreadable_file_is_one_sentence_with_its_name(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    write("a.txt", TEXT)

    def refuse(path: Path) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(corpus, "open_regular", refuse)
    message, code = refusal("data.source=a.txt")
    assert code == 2
    assert "a.txt" in message
    assert os.strerror(number) in message


def test_usable_data_is_accepted() -> None:
    write("a.txt", TEXT)
    write("a.txt.gz", gzip.compress(TEXT.encode()))
    write("rows.jsonl", '\ufeff{"text": "x", "id": ' + "9" * 5000 + "}\n" + '{"text": "some text"}\n' * 900)
    write("d/sub/a.py", TEXT)
    write("b/train.bin", bytes(40_000))
    pq.write_table(pa.table({"text": [TEXT] * 9}), "rows.parquet")
    for source in ("a.txt", "a.txt.gz", "*.txt", "rows.jsonl", "d", "bin:b", "rows.parquet", "stdlib", "hf:a/b:c d"):
        if source != "hf:a/b:c d":
            check_data(load_config("gpt2-tiny", ["model.seq_len=128", f"data.source={source}"]))
    for source in ("hf:HuggingFaceFW/fineweb-edu:sample-10BT", "hf:allenai/c4:en.noclean", "hf:squad"):
        check_data(load_config("gpt2-tiny", [f"data.source={source}"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 400), min_size=1, max_size=12),
    rows=st.booleans(),
    seq_len=st.sampled_from([8, 16, 64]),
    val_fraction=st.sampled_from([0.01, 0.1, 0.3, 0.49]),
    max_tokens=st.sampled_from([None, 50, 300]),
)
def test_data_that_the_engine_accepts_is_not_refused(
    tmp_path: Path, sizes: list[int], rows: bool, seq_len: int, val_fraction: float, max_tokens: int | None
) -> None:
    directory = Path(tempfile.mkdtemp(dir=tmp_path))
    if rows:
        (directory / "rows.jsonl").write_text("".join(f'{{"text":"{"x" * size}"}}\n' for size in sizes))
    else:
        for number, size in enumerate(sizes):
            (directory / f"{number:02}.txt").write_text("x" * size)
    overrides = [f"data.source={directory}", f"model.seq_len={seq_len}", f"data.val_fraction={val_fraction}"]
    config = load_config("gpt2-tiny", [*overrides, f"data.max_tokens={max_tokens or 'none'}"])
    try:
        open_dataset(config.data, seq_len=seq_len, seed=1, vocab_size=None)
    except DataError:
        return
    check_data(config)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.model", b"", "is empty"),
        ("tokenizer.json", b"", "is not a Hugging Face tokenizer.json"),
        ("tokenizer.json", b"\xff\xfe\0binary", "is not a Hugging Face tokenizer.json"),
        ("tokenizer.json", b"[" * 100_000, "is not a Hugging Face tokenizer.json"),
        ("tokenizer.json", b'{"other": 1}', "is not a Hugging Face tokenizer.json"),
    ],
)
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(LaunchError, match=words) as caught:
        check_tokenizer(f"./{name}")
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["hf:", "hf:a b", "~nobody-here/t.json", "x" * 5000, "./" + "x" * 5000 + ".json"])
def test_an_invalid_tokenizer_name_is_one_sentence(name: str) -> None:
    with pytest.raises(LaunchError, match=r"^data\.tokenizer = ") as caught:
        check_tokenizer(name)
    assert len(str(caught.value)) < 700
