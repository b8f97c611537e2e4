"""JSON Lines of any origin, lingua's, and LLaMA-Factory's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.reading import fed, format_of, inventory_of, points, reader_of
from tuitrain.readers.jsonl import JsonLinesParser


def read(*records: object) -> list[tuple[float, dict[str, float]]]:
    text = "".join(json.dumps(each) + "\n" for each in records)
    return points(fed(lambda: JsonLinesParser("a"), text.encode())[0])


def test_nested_names_are_joined_and_what_is_no_number_is_skipped() -> None:
    record = {
        "step": 3,
        "eval": {"ppl": {"web": 12.5}},
        "note": "x",
        "done": True,
        "none": None,
        "list": [1],
        "lr": "3e-4",
    }
    assert read(record) == [(3, {"eval.ppl.web": 12.5, "lr": 3e-4})]


@pytest.mark.parametrize("field", ["type", "split", "phase", "mode"])
@pytest.mark.parametrize("word", ["eval", "val", "test", "validation"])
def test_a_field_tells_evaluations_from_training(field: str, word: str) -> None:
    rows = read({field: "train", "step": 1, "loss": 2}, {field: word, "step": 1, "loss": 3, f"{word}_acc": 0.5})
    assert rows == [(1, {"loss": 2}), (1, {f"{word}/loss": 3, f"{word}_acc": 0.5})]


def test_a_record_for_each_value_has_it_under_its_name() -> None:
    lines = (
        b'{"step": 1, "tag": "loss", "value": 2.5}\n{"step": 1, "tag": "lr", "value": "0.5"}\n{"step": 2, "value": 3}\n'
    )
    items, _, _ = fed(lambda: JsonLinesParser("a"), lines)
    assert points(items) == [(1, {"loss": 2.5}), (1, {"lr": 0.5}), (2, {"value": 3})]


def test_the_first_records_may_be_the_configuration() -> None:
    text = b'{"config": {"lr": 0.1, "model": {"layers": 2}}}\n{"step": 1, "loss": 2}\n{"type": "args", "steps": 9}\n'
    items, _, parser = fed(lambda: JsonLinesParser("a"), text)
    assert points(items) == [(1, {"loss": 2})]
    assert parser.info.hyperparameters == {"lr": 0.1, "model.layers": 2, "steps": 9}


def test_records_without_a_step_are_counted_and_those_between_belong_to_the_last() -> None:
    assert read({"loss": 2}, {"loss": 1}) == [(0, {"loss": 2}), (1, {"loss": 1})]
    assert read({"step": 5, "loss": 2}, {"val_loss": 3}) == [(5, {"loss": 2}), (5, {"val_loss": 3})]


def test_the_step_may_stand_in_a_nested_record() -> None:
    assert read({"data": {"step": 5, "loss": 2}}) == [(5, {"data.loss": 2})]
    timed = {"loss": 2.0, "timing.step": 0.5}
    assert read({"loss": 2, "timing": {"step": 0.5}}) == [(0, timed)]


def test_bad_lines_are_counted_and_skipped() -> None:
    text = (
        b'{"step": 1, "loss": NaN}\n{"step": 2, "lo\n[1]\nTraceback\n\n{"step": 3, "loss": -Infinity}\n{"step": 4, "lo'
    )
    items, broken, _ = fed(lambda: JsonLinesParser("a"), text)
    assert repr(points(items)) == "[(1.0, {'loss': nan}), (3.0, {'loss': -inf})]"
    assert [line.number for line in broken] == [2, 3, 4]
    assert broken[1].reason == "it is not an object"


def test_times_of_records() -> None:
    items, _, _ = fed(lambda: JsonLinesParser("a"), b'{"step": 1, "loss": 2, "timestamp": 1780308000.5}\n')
    assert [(item.time, item.values) for item in items] == [(1780308000.5, {"loss": 2})]  # type: ignore[union-attr]


VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["1e3", "x", "nan", ""])
RECORDS = st.dictionaries(
    st.sampled_from(["step", "epoch", "loss", "lr", "type", "a/b"]),
    VALUES | st.sampled_from(["eval", "config"]) | st.dictionaries(st.sampled_from("ab"), VALUES, max_size=2),
    max_size=5,
)


@given(
    st.lists(RECORDS.map(json.dumps) | st.sampled_from(["", "x", "[1]", '{"step": 1', "\r"]), max_size=12), st.data()
)
def test_the_pieces_do_not_matter(lines: list[str], data: st.DataObject) -> None:
    content = "\n".join([*lines, ""]).encode()
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=5))
    at_once = fed(lambda: JsonLinesParser("a"), content)
    for places in (cuts, range(len(content))):
        pieces = fed(lambda: JsonLinesParser("a"), content, places)
        assert repr(pieces[:2]) == repr(at_once[:2])
        assert repr(pieces[2].info) == repr(at_once[2].info)


@pytest.mark.parametrize(
    "text",
    [
        '{"time": 1.5, "type": "run", "run_id": "a"}\n{"type": "step", "time": 2.5, "step": 1, "loss": 2}\n',
        '{"type": "step", "time": 2.5, "step": 1, "loss": 2}\n',
        '{"text": "a step was a loss", "id": 5}\n{"text": "b", "id": 6}\n',
        '{"messages": [{"role": "user", "content": "loss"}]}\n',
        '{"lr": 0.1, "batch_size": 8, "steps": 1000, "epochs": 3}\n',
        '{"name": "package", "version": 1}\n',
        '{"ph": "X", "ts": 1, "dur": 3, "name": "loss"}\n{"ph": "X", "ts": 1, "dur": 3, "name": "loss"}\n',
        "{\n",
        "{}\n{}\n",
        '{"step": "one"}\n',
    ],
)
def test_other_records_are_not_claimed(text: str) -> None:
    assert format_of(text) is None


def test_records_of_ours_are_not_claimed_in_any_order() -> None:
    sample = '{"type": "sample", "time": 1.5, "step": 9, "text": "a"}\n'
    assert format_of(sample + '{"type": "step", "time": 1.5, "step": 9, "loss": 2}\n' * 3) is None


def test_records_are_recognised() -> None:
    assert format_of('{"step": 1, "loss": 2}\n') == "jsonl"
    assert (
        format_of('{"type": "config", "lr": 0.1}\n{"iter": 1, "my number": 2}\n{"iter": 2, "my number": 2}\n')
        == "jsonl"
    )
    assert format_of('{"current_steps": 1, "total_steps": 9, "loss": 2}\n') == "llamafactory-jsonl"


def test_the_configuration_beside_a_log_says_when_it_is_complete(tmp_path: Path) -> None:
    log = tmp_path / "run/metrics.jsonl"
    log.parent.mkdir()
    log.write_text('{"global_step": 1, "acc_step": 0, "loss/out": 3}\n')
    (tmp_path / "run/config.yaml").write_text("name: run\nsteps: 2\noptim:\n  lr: 0.1\n")
    reader = reader_of(tmp_path)
    reader.poll()
    assert (reader.info.name, reader.info.hyperparameters["optim.lr"], reader.info.ending) == (
        "run",
        0.1,
        "interrupted",
    )
    with log.open("a") as file:
        file.write('{"global_step": 2, "acc_step": 0, "loss/out": 2}\n')
    assert points(reader.poll().items) == [(2, {"acc_step": 0, "loss/out": 2})]
    assert (reader.info.ending, reader.info.total) == ("completed", 2)


def test_a_resumed_llamafactory_run(tmp_path: Path) -> None:
    lines = [{"current_steps": step, "total_steps": 4, "loss": 5 - step, "percentage": 9} for step in (1, 2, 3, 2, 3)]
    log = tmp_path / "trainer_log.jsonl"
    log.write_text("".join(json.dumps(each) + "\n" for each in lines))
    inventory = inventory_of(tmp_path)
    assert (inventory.info.ending, inventory.info.total, inventory.metrics["loss"].points) == ("interrupted", 4, 3)
    assert set(inventory.metrics) == {"loss"}
