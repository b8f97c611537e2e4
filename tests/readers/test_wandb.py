"""W&B's files, with records as wandb-core writes them, and written by wandb itself."""

from __future__ import annotations

import json
import math
import random
import shutil
import socket
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.reading import Read, read, readers_of
from tests.writers import WANDB, log_steps, writer
from tuitrain.events import System
from tuitrain.readers.discover import sources_of
from tuitrain.readers.model import Row
from tuitrain.readers.wandb import WandbParser

BLOCK = 32 << 10
MAGIC = b":W&B\xe1\xbe\x00"
CORPUS = Path(__file__).parents[1] / "data/corpus"


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def part(number: int, content: bytes | str | int) -> bytes:
    """A field of a message: text, a message, or a whole number."""
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    data = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(data)) + data


def item(path: str | tuple[str, ...], value: Any) -> bytes:
    names = part(1, path) if isinstance(path, str) else b"".join(part(2, name) for name in path)
    return names + part(16, value if isinstance(value, str) else json.dumps(value))


def history(step: int, *items: bytes) -> bytes:
    """A history record of W&B: the step and time come among the others."""
    own = [item(("_step",), step), item(("_timestamp",), 1.7e9 + step), item(("_runtime",), step)]
    every = [*items[:1], *own, *items[1:]]
    return part(1, step + 1) + part(2, b"".join(part(1, each) for each in every) + part(2, part(1, step)))


def run_record(name: str = "my-run", **config: Any) -> bytes:
    updates = b"".join(part(1, item(key, value)) for key, value in {"_wandb": {}, **config}.items())
    start = part(1, 1_700_000_000) + part(2, 500_000_000)
    return part(17, part(1, "abc123") + part(4, updates) + part(8, name) + part(13, "node1") + part(17, start))


def log(records: Iterable[bytes]) -> bytes:
    """A `.wandb` file of these records, in chunks."""
    data = bytearray(MAGIC)
    for record in records:
        first = True
        while True:
            room = BLOCK - len(data) % BLOCK
            if room < 7:
                data += bytes(room)
                continue
            piece, record = record[: room - 7], record[room - 7 :]
            kind = (1 if first else 4) if not record else (2 if first else 3)
            checked = bytes([kind]) + piece
            data += struct.pack("<IH", zlib.crc32(checked), len(piece)) + checked
            first = False
            if not record:
                break
    return bytes(data)


def write(folder: Path, *records: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "run-abc123.wandb"
    file.write_bytes(log(records))
    return file


def test_a_run_says_what_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "wandb/run-20240101_000000-abc123"
    config = part(5, part(1, item(("model", "act"), '"relu"')) + part(1, item("seed", 3)) + part(2, item("lr", 0)))
    metric = part(12, part(2, "train/*") + part(4, "global_step"))
    write(folder, run_record(lr=0.1, model={"n_layer": 2, "act": "gelu"}), config, metric, history(0, item("a", 1)))
    reader, _ = read(tmp_path)
    info = reader.info
    assert (info.name, info.started, info.ending) == ("my-run", 1_700_000_000.5, "interrupted")
    assert info.hyperparameters == {"model.n_layer": 2, "model.act": "relu", "seed": 3}
    assert info.axes == {"train/*": "global_step"}


@pytest.mark.parametrize(
    ("metric", "counter", "steps"),
    [
        ("*", "train/global_step", [10, 10, 20, 20, 20]), ("train/*", "global_step", [10, 10, 20, 20, 20]),
        ("val/*", "global_step", [None] * 5), ("*", "epoch", [None] * 5), ("*", "trainer/global_step", [None] * 5),
    ],
)  # fmt: skip
def test_a_counter_of_steps_that_is_declared_places_the_rows(
    tmp_path: Path, metric: str, counter: str, steps: list[int | None]
) -> None:
    counters = ("train/global_step", "global_step", "epoch")
    rows = [
        history(0, item(("train/loss",), 3), *(item((name,), 10) for name in counters)),
        history(1, item(("val/loss",), 4)),
        history(2, item(("train/loss",), 2), *(item((name,), 20) for name in counters)),
        history(3, item(("train/loss",), 1), *(item((name,), "NaN") for name in counters)),
        history(4, item(("train/loss",), 1), *(item((name,), 20.5) for name in counters)),
    ]
    write(tmp_path, run_record(), part(12, part(2, metric) + part(4, counter)), *rows)
    reader, got = read(tmp_path)
    assert [(row.x, row.step) for row in got.of(Row)] == list(enumerate(steps))
    assert (reader.info.axis, reader.info.axes) == ("step", {metric: counter})


def test_the_summary_has_what_is_no_newest_value(tmp_path: Path) -> None:
    def set_by_script(**values: Any) -> bytes:
        return part(1, 9) + part(3, b"".join(part(1, item((name,), value)) for name, value in values.items()))

    def of_history(value: object) -> bytes:
        return part(1, 9) + part(3, part(1, item(("_runtime",), 1)) + part(1, item(("loss",), value)))

    rows = [
        set_by_script(best=1, loss=0.5, lr=0.1, gone=2, table={"_type": "table-file"}, nested={"a": 1, "b": "x"}),
        history(0, item(("loss",), 3), item(("lr",), 0.1)),
        set_by_script(lr=0.1, best=2, acc=0.75, note='"' + "x" * 5000 + '"'),
        part(1, 9) + part(3, part(2, part(2, "gone"))),
        of_history({"min": 2.5}),
    ]
    goal = part(12, part(1, "loss") + part(7, part(1, 1)))
    write(tmp_path / "without", run_record(), *rows)
    write(tmp_path / "with", run_record(), goal, *rows)
    without, reached = (read(tmp_path / name)[0].info.summary for name in ("without", "with"))
    assert without.pop("note") == reached.pop("note") == "x" * 499 + "…" + "x" * 500
    assert without == {"best": 2, "nested.a": 1, "nested.b": "x", "acc": 0.75}
    assert reached == without | {"loss.min": 2.5}


@pytest.mark.parametrize(("code", "ending"), [(0, "completed"), (1, "failed"), (255, "failed")])
def test_the_exit_code_says_how_it_ended(tmp_path: Path, code: int, ending: str) -> None:
    write(tmp_path, run_record(), part(18, part(1, code) if code else b""))
    reader, _ = read(tmp_path)
    assert (reader.info.ending, reader.info.reason) == (ending, f"exit code {code}" if code else "")


def test_values_of_any_kind(tmp_path: Path) -> None:
    items = [
        item(("loss",), 0.5), item(("deep", "a", "0"), 1), item(("a.b/c",), 2), item("flat", 3), item(("nan",), "NaN"),
        item(("inf",), "-Infinity"), item(("word",), '"Infinity"'), item(("flag",), True), item(("none",), None),
        item(("text",), "\"some text \\u0082\\u0001\""), item(("list",), [1, 2]), item(("table",), {"a": {"b": 4}}),
        item(("hist",), {"_type": "histogram", "values": [1], "bins": 5}), item(("loss/ü ₂",), 6),
        item(("x" * 200,), 7),
        item(("big",), 10**400), item(("_wandb", "own"), 1),
    ]  # fmt: skip
    write(tmp_path, run_record(), *(history(step, *items) for step in (0, 5, 300)))
    _, got = read(tmp_path)
    rows = got.of(Row)
    assert [(row.x, row.time) for row in rows] == [(0, 1.7e9), (5, 1.7e9 + 5), (300, 1.7e9 + 300)]
    for row in rows:
        assert math.isnan(row.values.pop("nan"))
        assert row.values == {
            "loss": 0.5, "deep.a.0": 1, "a.b/c": 2, "flat": 3, "inf": -math.inf, "word": math.inf, "flag": 1,
            "table.a.b": 4, "loss/ü ₂": 6, "x" * 200: 7, "big": math.inf,
        }  # fmt: skip


def test_a_step_that_no_item_has_is_that_of_the_record(tmp_path: Path) -> None:
    write(tmp_path, part(2, part(1, item("a", 1)) + part(2, part(1, 42))))
    _, got = read(tmp_path)
    assert got.points("a") == [(42, 1)]


def test_readings_of_the_machine(tmp_path: Path) -> None:
    gpu = part(24, part(1, "NVIDIA H100") + part(2, 80_000_000_000))
    environment = part(26, part(12, "node7") + part(21, part(1, 64_000_000_000)) + gpu)
    values = {
        "memory_percent": 25.0, "cpu": 12.5, "gpu.0.gpu": 97, "gpu.0.memoryAllocatedBytes": 41e9, "gpu.0.temp": 61,
        "gpu.0.powerWatts": 640.5, "disk./.usageGB": 10, "disk./.usagePercent": 50, "gpu.process.0.gpu": 3,
    }  # fmt: skip
    items = b"".join(part(3, part(1, key) + part(16, json.dumps(value))) for key, value in values.items())
    write(tmp_path, run_record(), environment, part(7, part(2, part(1, 1_700_000_001)) + items))
    _, got = read(tmp_path)
    (system,) = got.of(System)
    assert (system.time, system.host, system.cpu_percent) == (1_700_000_001, "node7", 12.5)
    assert (system.ram_used_gb, system.ram_total_gb) == (16, 64)
    assert system.disk_used_gb == pytest.approx(10.737, abs=1e-3)
    assert system.disk_total_gb == pytest.approx(21.475, abs=1e-3)
    (reading,) = system.gpus
    assert (reading.name, reading.util_percent, reading.mem_used_gb, reading.mem_total_gb) == (
        "NVIDIA H100",
        97,
        41,
        80,
    )
    assert (reading.temp_c, reading.power_w) == (61, 640.5)


def test_a_chunk_with_a_wrong_checksum_is_counted_and_skipped(tmp_path: Path) -> None:
    file = write(tmp_path, run_record(), *(history(step, item("loss", step)) for step in range(5)))
    data = bytearray(file.read_bytes())
    data[len(log([run_record(), history(0, item("loss", 0))])) + 20] ^= 1
    file.write_bytes(data)
    _, got = read(tmp_path)
    assert [x for x, _ in got.points("loss")] == [0, 2, 3, 4]
    assert [line.number for line in got.broken] == [3]


def test_a_block_that_is_lost_costs_what_is_in_it(tmp_path: Path) -> None:
    file = write(tmp_path, run_record(), *(history(step, item("loss", step)) for step in range(3000)))
    data = bytearray(file.read_bytes())
    data[2 * BLOCK : 2 * BLOCK + 7] = b"\xff" * 7
    file.write_bytes(data)
    _, got = read(tmp_path)
    steps = [x for x, _ in got.points("loss")]
    assert steps[0] == 0
    assert steps[-1] == 2999
    assert 3000 * (1 - 2 * BLOCK / len(data)) < len(steps) < 3000
    assert len(got.broken) == 1


def test_a_record_that_is_no_message_is_counted(tmp_path: Path) -> None:
    write(tmp_path, run_record(), b"\xff\xff\xff", history(1, item("loss", 1)))
    _, got = read(tmp_path)
    assert (got.points("loss"), [line.number for line in got.broken]) == ([(1, 1)], [2])


def test_a_link_or_copy_of_the_latest_run_is_no_second_run(tmp_path: Path) -> None:
    folder = tmp_path / "wandb/offline-run-20240101_000000-abc123"
    write(folder, run_record(), history(0, item("a", 1)))
    (tmp_path / "wandb/latest-run").symlink_to(folder.name)
    assert [source.path for source in sources_of(tmp_path)] == [folder]
    (tmp_path / "wandb/latest-run").unlink()
    shutil.copytree(folder, tmp_path / "wandb/latest-run")
    assert [source.path for source in sources_of(tmp_path)] == [folder]
    assert [source.name for source in sources_of(tmp_path / "wandb/latest-run")] == ["latest-run"]


def test_files_that_lie_together_are_several_runs(tmp_path: Path) -> None:
    write(tmp_path, run_record(), history(0, item("a", 1)))
    shutil.copy(tmp_path / "run-abc123.wandb", tmp_path / "run-def456.wandb")
    assert set(readers_of(tmp_path)) == {"run-abc123", "run-def456"}


def test_a_file_with_its_header_only_is_waited_for(tmp_path: Path) -> None:
    file = write(tmp_path)
    reader, got = read(tmp_path)
    assert (got.items, got.broken, reader.info.ending) == ([], [], None)
    file.write_bytes(log([run_record(), history(0, item("a", 1))]))
    assert got.poll(reader).points("a") == [(0, 1)]


_NAMES = st.sampled_from(["loss", "train/lr", "ä\u0082\u0001 b", "k" * 130, "0"])
_VALUES = st.one_of(
    st.floats().map(lambda value: json.dumps(value)),
    st.integers(-(10**20), 10**20).map(str),
    st.text(max_size=40).map(json.dumps),
    st.sampled_from(["true", "null", "[1]", '{"a": 1}', '"NaN"']),
)


@given(st.lists(st.dictionaries(_NAMES, _VALUES, max_size=5), max_size=20), st.integers(0, 2**32))
def test_in_pieces_it_gives_what_it_gives_at_once(rows: list[dict[str, str]], seed: int) -> None:
    chance = random.Random(seed)
    records = [history(step, *(item((name,), value) for name, value in row.items())) for step, row in enumerate(rows)]
    data = log([run_record(), *records, part(18, part(1, 1))])
    whole, pieces = Read(), Read()
    parser = WandbParser("at once")
    whole.add(parser.feed(data))
    divided = WandbParser("in pieces")
    start = 0
    while start < len(data):
        end = start + chance.choice([1, 1, 3, 50])
        pieces.add(divided.feed(data[start:end]))
        start = end
    assert repr(pieces.items) == repr(whole.items)
    assert (pieces.broken, divided.info) == (whole.broken, parser.info)
    for step, row in enumerate(rows):
        numbers = {name: json.loads(value) for name, value in row.items()}
        expected = {name: float(value) for name, value in numbers.items() if isinstance(value, bool | int | float)}
        found = {name: dict(whole.points(name)).get(step) for name in expected}
        assert repr(found) == repr(expected)


@given(st.integers(0, 2**32))
def test_spoiled_bytes_never_break_the_reading(seed: int) -> None:
    chance = random.Random(seed)
    records = [history(step, item(("loss",), step), item(("grad", "norm"), 1.5)) for step in range(100)]
    data = bytearray(log([run_record(lr=1), *records]))
    for _ in range(chance.choice([1, 10, 1000])):
        data[chance.randrange(7, len(data))] = chance.randrange(256)
    got = Read()
    got.add(WandbParser("spoiled").feed(bytes(data)))
    assert len(got.of(Row)) <= 100


def test_wandb_itself_is_followed(tmp_path: Path) -> None:
    got = Read()
    with writer(WANDB, tmp_path) as process:
        log_steps(process, 1, 20)
        (reader,) = readers_of(tmp_path / "logs").values()
        step = 20
        while not got.of(System):
            step += 1
            log_steps(process, step, step)
            got.poll(reader)
        assert reader.info.ending == "interrupted"
    got.poll(reader)
    steps = range(1, step + 1)
    assert got.points("train/loss") == [(step, 5 / step) for step in steps]
    assert got.points("reward.mean") == [(step, step / 10) for step in steps]
    assert got.points("reward.by.0") == [(step, step) for step in steps]
    assert got.points("val/loss") == [(step, 6 / step) for step in steps if step % 10 == 0]
    assert got.names == {"train/loss", "reward.mean", "reward.by.0", "epoch", "val/loss"}
    assert got.broken == []
    info = reader.info
    assert (info.name, info.ending, info.reason) == ("exp1", "failed", "exit code 3")
    assert (info.hyperparameters, info.axes) == ({"model.layers": 2}, {"val/*": "epoch"})
    assert {name: value[:1] for name, value in info.summary.items()} == {"text": "x"}
    system = got.of(System)[-1]
    assert system.host == socket.gethostname()
    assert system.ram_total_gb == pytest.approx(psutil.virtual_memory().total / 1e9)
