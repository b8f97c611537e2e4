"""Logs in UTF-16, and logs that gzip compressed."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from tests.readers.reading import Read, fed, inventory_of, points, read, reader_of
from tuitrain.readers.consoles.nanogpt import NanoGptParser

CONSOLE = "".join(f"iter {step}: loss {5 - step / 50:.4f}, time 100.00ms, mfu 40.00%\n" for step in range(200))
POINTS = points(fed(lambda: NanoGptParser("a"), CONSOLE.encode())[0])
UTF16_LE = codecs.BOM_UTF16_LE + CONSOLE.replace("\n", "\r\n").encode("utf-16-le")
UTF16_BE = codecs.BOM_UTF16_BE + CONSOLE.encode("utf-16-be")
GZIP = gzip.compress(CONSOLE.encode())
TWO_MEMBERS = gzip.compress(CONSOLE[:5000].encode()) + gzip.compress(CONSOLE[5000:].encode())


@pytest.mark.parametrize("data", [UTF16_LE, UTF16_BE, GZIP, TWO_MEMBERS], ids=["little", "big", "gzip", "two members"])
def test_a_log_is_read_as_its_text_is(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "train.log.gz").write_bytes(data)
    reader, log = read(tmp_path)
    assert (type(reader.info.name), points(log.items)) == (str, POINTS)
    assert points(reader_of(tmp_path / "train.log.gz").poll().items) == POINTS


@pytest.mark.parametrize("data", [UTF16_LE, TWO_MEMBERS], ids=["UTF-16", "gzip"])
def test_a_log_grows_in_pieces_of_any_size(data: bytes, tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(data)
    reader, whole = reader_of(log), Read()
    log.write_bytes(b"")
    for end in range(1, len(data) + 97, 97):
        with log.open("ab") as file:
            file.write(data[max(end - 97, 0) : end])
        whole.poll(reader)
    assert points(whole.items) == POINTS


def test_more_than_one_poll_gives_is_read_in_several(tmp_path: Path) -> None:
    rows = 400_000
    (tmp_path / "log.csv.gz").write_bytes(
        gzip.compress(b"step,loss\n" + b"".join(b"%d,1.5\n" % at for at in range(rows)))
    )
    assert inventory_of(tmp_path / "log.csv.gz").metrics["loss"].points == rows


def test_documents_may_be_compressed_too(tmp_path: Path) -> None:
    records = [{"step": step, "loss": 5 / (step + 1)} for step in range(9)]
    (tmp_path / "history.json.gz").write_bytes(gzip.compress(json.dumps(records).encode()))
    assert inventory_of(tmp_path).metrics["loss"].last == 5 / 9


def test_what_is_damaged_is_said(tmp_path: Path) -> None:
    log = tmp_path / "log.csv.gz"
    data = gzip.compress(b"".join([b"step,loss\n", *(b"%d,%r\n" % (at, at / 7) for at in range(20_000))]))
    log.write_bytes(data[:60_000] + b"\0" * 100 + data[60_100:])
    reader = reader_of(log)
    read = Read().poll(reader).poll(reader)
    assert [line.reason[:15] for line in read.broken] == ["it is damaged: "]
    assert len(read.points("loss")) > 1000
