"""TensorBoard's event files, written by torch's SummaryWriter and by TensorBoard's own messages."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, tensor_shape_pb2
from tensorboard.compat.tensorflow_stub import pywrap_tensorflow

from tests.readers.reading import Read, read, readers_of
from tuitrain.events import Sample
from tuitrain.readers.crc32c import masked_crc32c
from tuitrain.readers.discover import sources_of
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Restart, Row
from tuitrain.readers.records import RecordReader
from tuitrain.runs.history import RunHistory

FILE = "events.out.tfevents.1700000000.host.1.0"


def frame(data: bytes) -> bytes:
    """A TFRecord."""
    header = struct.pack("<Q", len(data))
    return b"".join([header, crc(header), data, crc(data)])


def crc(data: bytes) -> bytes:
    return struct.pack("<I", pywrap_tensorflow.masked_crc32c(data))


def event(step: int = 0, time: float = 1.7e9, **fields: Any) -> bytes:
    return frame(event_pb2.Event(wall_time=time, step=step, **fields).SerializeToString())


def scalar(tag: str, value: float, step: int = 0, time: float = 1.7e9) -> bytes:
    return event(
        step, time, summary=summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=tag, simple_value=value)])
    )


def tensor(tag: str, step: int, plugin: str = "scalars", **fields: Any) -> bytes:
    metadata = summary_pb2.SummaryMetadata(plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin))
    value = summary_pb2.Summary.Value(
        tag=tag, tensor=tensor_pb2.TensorProto(**fields), metadata=metadata if plugin else None
    )
    return event(step, summary=summary_pb2.Summary(value=[value]))


def write(folder: Path, *events: bytes, name: str = FILE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"".join([event(file_version="brain.Event:2"), *events]))
    return folder / name


@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 8, 255, 256, 257, 4095, 4096, 4099, 9000])
def test_checksums_are_those_of_tensorboard(length: int) -> None:
    rows = np.random.default_rng(length).integers(0, 256, (5, length), dtype=np.uint8)
    rows[:, : length // 2] = 7
    expected = [pywrap_tensorflow.masked_crc32c(row.tobytes()) for row in rows]
    assert masked_crc32c(rows).tolist() == expected


def test_values_of_a_step_make_one_row_with_its_time(tmp_path: Path) -> None:
    file = write(
        tmp_path / "run",
        *(
            scalar(tag, step + add, step, 1.7e9 + step)
            for step in range(200)
            for tag, add in (("a/x", 0), ("b/y", 0.5))
        ),
    )
    _, got = read(file)
    rows = got.of(Row)
    assert [(row.x, row.values, row.time) for row in rows] == [
        (step, {"a/x": step, "b/y": step + 0.5}, 1.7e9 + step) for step in range(200)
    ]


def test_tags_written_one_after_the_other_make_rows_in_the_order_of_steps(tmp_path: Path) -> None:
    write(tmp_path, *(scalar(tag, step, step) for tag in ("loss", "lr") for step in range(50)))
    _, got = read(tmp_path)
    assert [row.x for row in got.of(Row)] == list(range(50))


def test_a_restart_without_a_word_goes_back(tmp_path: Path) -> None:
    write(tmp_path, *(scalar(tag, 1.0, step) for step in range(10) for tag in ("loss", "lr")), name=FILE)
    write(tmp_path, *(scalar(tag, 2.0, step) for step in range(6, 12) for tag in ("loss", "lr")), name=FILE + "1")
    _, got = read(tmp_path)
    assert [row.x for row in got.of(Row)] == [*range(10), *range(6, 12)]
    assert len(got.of(Row)[12].values) == 2


def test_a_restart_within_one_file_goes_back_once(tmp_path: Path) -> None:
    steps = [*range(10), *range(6, 12)]
    write(tmp_path, *(scalar(tag, at, step) for at, step in enumerate(steps) for tag in ("loss", "lr")))
    _, got = read(tmp_path)
    assert [row.x for row in got.of(Row)] == steps


def test_a_session_that_starts_makes_what_it_does_again_void(tmp_path: Path) -> None:
    start = event(5, session_log=event_pb2.SessionLog(status=event_pb2.SessionLog.START))
    write(tmp_path, start, *(scalar("loss", 1, step) for step in range(10)))
    write(tmp_path, start, scalar("loss", 2, 20), name=FILE + "1")
    _, got = read(tmp_path)
    assert [item.x for item in got.of(Restart)] == [5]
    assert [x for x, _ in got.points("loss")] == [0, 1, 2, 3, 4, 20]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"dtype": 1, "float_val": [1.5]}, 1.5),
        ({"dtype": 1, "tensor_content": struct.pack("<f", -2.5)}, -2.5),
        ({"dtype": 2, "double_val": [0.1]}, 0.1),
        ({"dtype": 2, "tensor_content": struct.pack("<d", 0.1)}, 0.1),
        ({"dtype": 3, "int_val": [-7]}, -7),
        ({"dtype": 9, "int64_val": [3_000_000_000]}, 3e9),
        ({"dtype": 9, "tensor_content": struct.pack("<q", -5)}, -5),
        ({"dtype": 10, "bool_val": [True]}, 1),
        ({"dtype": 14, "half_val": [0x3FC0]}, 1.5),
        ({"dtype": 14, "tensor_content": struct.pack("<H", 0x3FC0)}, 1.5),
        ({"dtype": 19, "half_val": [0x3E00]}, 1.5),
        ({"dtype": 19, "tensor_content": struct.pack("<e", 1.5)}, 1.5),
        ({"dtype": 23, "uint64_val": [2**63]}, 2.0**63),
        ({"dtype": 1}, 0),
        ({"dtype": 1, "float_val": [math.nan]}, math.nan),
    ],
)
def test_scalars_may_be_tensors_of_any_numeric_type(tmp_path: Path, fields: dict[str, Any], expected: float) -> None:
    write(tmp_path, tensor("loss", 3, **fields), tensor("loss", 4, **fields), tensor("loss", 300, plugin="", **fields))
    _, got = read(tmp_path)
    assert [x for x, _ in got.points("loss")] == [3, 4, 300]
    assert all(np.isclose(value, expected, equal_nan=True) for _, value in got.points("loss"))


def test_what_is_no_scalar_is_no_metric(tmp_path: Path) -> None:
    shape = tensor_shape_pb2.TensorShapeProto(dim=[tensor_shape_pb2.TensorShapeProto.Dim(size=2)])
    write(
        tmp_path,
        tensor("vector", 1, dtype=1, float_val=[1, 2], tensor_shape=shape),
        tensor("other", 1, plugin="pr_curves", dtype=1, float_val=[1]),
        tensor("other", 2, plugin="", dtype=1, float_val=[1]),
        scalar("hp_metric", -1, 1),
        scalar("loss", 1, 1),
    )
    _, got = read(tmp_path)
    assert got.names == {"loss"}


def test_an_event_may_hold_several_values(tmp_path: Path) -> None:
    values = [summary_pb2.Summary.Value(tag=tag, simple_value=2) for tag in ("a", "bb", "ccc")]
    write(tmp_path, *(event(step, summary=summary_pb2.Summary(value=values)) for step in (1, 2, 3)))
    _, got = read(tmp_path)
    assert [(row.x, sorted(row.values)) for row in got.of(Row)] == [(step, ["a", "bb", "ccc"]) for step in (1, 2, 3)]


def test_without_steps_x_is_the_time_and_rows_are_counted(tmp_path: Path) -> None:
    write(tmp_path, *(scalar(tag, at, 0, 1.7e9 + at) for at in range(5) for tag in ("loss", "lr")))
    reader, got = read(tmp_path)
    assert reader.info.axis == "time"
    assert got.points("loss") == [(1.7e9 + at, at) for at in range(5)]
    assert [row.step for row in got.of(Row) if "lr" in row.values] == [0, 1, 2, 3, 4]


def test_steps_that_come_after_all_are_the_axis(tmp_path: Path) -> None:
    file = write(tmp_path, scalar("loss", 1), scalar("loss", 2))
    reader, got = read(tmp_path)
    assert reader.info.axis == "time"
    for step in (1, 2):
        with file.open("ab") as stream:
            stream.write(scalar("loss", 3, step))
        got.poll(reader)
    assert (reader.info.axis, got.points("loss")[-2:]) == ("step", [(1, 3), (2, 3)])
    assert {x for x, _ in got.points("loss")} == {0, 1, 2}


def test_the_run_of_the_opened_folder_is_called_as_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "mine", scalar("loss", 1, 1))
    write(tmp_path / "mine/sub/deeper", scalar("loss", 1, 1))
    assert set(readers_of(tmp_path / "mine")) == {"mine", "sub/deeper"}
    assert set(readers_of(tmp_path / "mine" / FILE)) == {"mine"}


def test_a_file_that_comes_later_belongs_to_the_run(tmp_path: Path) -> None:
    write(tmp_path, scalar("loss", 1, 1))
    (tmp_path / "notes.txt").write_text("no events " * 100)
    reader, got = read(tmp_path)
    (tmp_path / (FILE + ".later")).write_bytes(b"")
    got.poll(reader)
    write(tmp_path, scalar("loss", 2, 2), name=FILE + ".later")
    assert got.poll(reader).points("loss") == [(1, 1), (2, 2)]


def test_a_file_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    write(tmp_path, scalar("loss", 1, 1), scalar("loss", 1, 2))
    reader, got = read(tmp_path)
    write(tmp_path, scalar("loss", 7, 1))
    assert got.poll(reader).points("loss") == [(1, 7)]


def test_a_record_with_a_wrong_checksum_is_counted_and_skipped(tmp_path: Path) -> None:
    records = [scalar("loss", step, step) for step in range(1, 20)]
    broken = bytearray(records[4])
    broken[-6] ^= 1
    file = write(tmp_path, *records[:4], bytes(broken), *records[5:])
    _, got = read(tmp_path)
    assert [x for x, _ in got.points("loss")] == [1, 2, 3, 4, *range(6, 20)]
    assert [(line.number, line.file) for line in got.broken] == [(6, file.name)]


def test_reading_goes_on_after_a_wrong_length(tmp_path: Path) -> None:
    records = [scalar("loss", step, step) for step in range(1, 20)]
    broken = bytearray(records[4])
    broken[1] ^= 0x40
    write(tmp_path, *records[:4], bytes(broken), *records[5:])
    _, got = read(tmp_path)
    assert [x for x, _ in got.points("loss")] == [1, 2, 3, 4, *range(6, 20)]
    assert [line.number for line in got.broken] == [6]


def test_zeros_at_the_end_are_waited_for(tmp_path: Path) -> None:
    """As a network file system shows a file whose end has not arrived."""
    file = write(tmp_path, scalar("loss", 1, 1))
    whole = file.read_bytes()
    file.write_bytes(whole + bytes(len(scalar("loss", 2, 2))))
    reader, got = read(tmp_path)
    assert (got.points("loss"), got.broken) == ([(1, 1)], [])
    file.write_bytes(whole + scalar("loss", 2, 2))
    assert got.poll(reader).points("loss") == [(1, 1), (2, 2)]


def test_what_is_no_event_file_is_not_taken_for_one(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x00" * 500)
    (tmp_path / "examples.tfrecord").write_bytes(frame(b"\n\x05hello") * 10)
    (tmp_path / "prose.txt").write_bytes(b"\x00 about brain.Event:2 of TensorBoard")
    assert sources_of(tmp_path) == []


def test_hyperparameters_of_the_plugin_and_of_transformers(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_hparams({"lr": 0.1, "layers": 12, "act": "gelu", "bias": False}, {"final": 1.0}, run_name="trial")
        writer.add_text("args", '{"learning_rate": 0.001, "nested": {"a": [1, 2]}}')
        writer.add_text("note", "# a title\nand words", 7)
    readers = readers_of(tmp_path)
    main, trial = readers["run"], readers["run/trial"]
    got, tried = Read().poll(main), Read().poll(trial)
    assert trial.info.hyperparameters == {"lr": 0.1, "layers": 12, "act": "gelu", "bias": False}
    assert tried.points("final") == [(0, 1.0)]
    assert main.info.hyperparameters == {"learning_rate": 0.001, "nested.a": [1, 2]}
    assert [(sample.step, sample.prompt, sample.text) for sample in got.of(Sample)] == [
        (7, "note", "# a title\nand words")
    ]


def test_the_writer_of_torch_is_followed_while_it_writes(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run")) as writer:
        writer.add_scalar("train/loss", 3.0, 0)
        writer.flush()
        reader, got = read(tmp_path)
        for step in range(1, 40):
            writer.add_scalar("train/loss", 3.0 - step / 40, step)
            writer.add_histogram("grads", np.arange(20.0), step)
            writer.add_scalars("both", {"a": step, "b": -step}, step)
            writer.flush()
            assert got.poll(reader).points("train/loss")[-1][0] == step
    assert {"run", "run/both_a", "run/both_b"} == set(readers_of(tmp_path))
    assert got.names == {"train/loss"}


@given(st.integers(0, 2**32), st.booleans())
def test_in_pieces_it_gives_what_it_gives_at_once(seed: int, spoil: bool) -> None:
    with TemporaryDirectory() as folder:
        compare_in_pieces(Path(folder), random.Random(seed), spoil)


def compare_in_pieces(folder: Path, chance: random.Random, spoil: bool) -> None:
    data = b"".join([event(file_version="brain.Event:2"), *_some_events(chance)])
    if spoil:
        at = chance.randrange(100, len(data))
        data = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
    (folder / FILE).write_bytes(data)
    _, whole = read(folder)
    (reader,) = readers_of(folder).values()
    (folder / FILE).write_bytes(b"")
    got, start = Read(), 0
    got.poll(reader)
    while start < len(data):
        end = min(len(data), start + chance.choice([1, 1, 5, 40, 300]))
        with (folder / FILE).open("ab") as stream:
            stream.write(data[start:end])
        start = end
        got.poll(reader)
    assert {name: dict(got.points(name)) for name in got.names} == {
        name: dict(whole.points(name)) for name in whole.names
    }
    assert [line.number for line in got.broken] == [line.number for line in whole.broken]


def _some_events(chance: random.Random) -> Iterable[bytes]:
    for step in range(60):
        yield scalar("loss", chance.random(), step * 7)
        if chance.random() < 0.5:
            yield scalar(chance.choice(["lr", "grad"]), chance.random(), step * 7)
        if chance.random() < 0.2:
            yield tensor("new/loss", step * 7, dtype=2, double_val=[chance.random()])
        if chance.random() < 0.1:
            yield tensor("text", step * 7, plugin="text", dtype=7, string_val=[b"words"])


def test_a_run_of_torch_becomes_a_history(tmp_path: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(tmp_path / "run")) as writer:
        for step in range(100):
            writer.add_scalar("train/loss", 3.0 - step / 40, step)
            if step % 10 == 0:
                writer.add_scalar("val/loss", 3.1 - step / 40, step)
    (reader,) = readers_of(tmp_path).values()
    history = RunHistory()
    records = RecordReader(reader, "id", NameMapping()).poll()
    history.absorb(records.records, records.broken)
    assert history.steps.count("loss") == 100
    assert [evaluation.step for evaluation in history.evaluations_of("val")] == list(range(0, 100, 10))


def test_hyperparameters_of_lightning_lie_beside_the_events(tmp_path: Path) -> None:
    write(tmp_path, scalar("loss", 1, 1))
    (tmp_path / "hparams.yaml").write_text("optim:\n  lr: 0.1\nlayers: [1, 2]\n")
    reader, _ = read(tmp_path)
    assert reader.info.hyperparameters == {"optim.lr": 0.1, "layers": [1, 2]}
