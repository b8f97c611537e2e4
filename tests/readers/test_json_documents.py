"""JSON documents and Parquet files, which are written anew as a whole."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.reading import format_of, inventory_of, points, reader_of
from tuitrain.events import Sample
from tuitrain.readers.discover import sources_of
from tuitrain.readers.document import Growth, beginning_of
from tuitrain.readers.model import Row


@pytest.mark.parametrize(
    "tree, axis, rows",
    [
        ([{"step": 1, "loss": 2}, {"step": 2, "loss": 1}], "step", [(1, {"loss": 2}), (2, {"loss": 1})]),
        ([{"loss": 2}, {"loss": 1}], "index", [(0, {"loss": 2}), (1, {"loss": 1})]),
        ({"loss": [2, 1], "val_loss": [3]}, "index", [(0, {"loss": 2, "val_loss": 3}), (1, {"loss": 1})]),
        ({"epoch": [1, 2], "loss": [2, None], "acc": [0, 1]}, "epoch", [(1, {"loss": 2, "acc": 0}), (2, {"acc": 1})]),
        ({"config": {"lr": 1}, "history": [{"step": 1, "loss": 2}]}, "step", [(1, {"loss": 2})]),
        ({"train": {"loss": [2]}, "val": {"loss": [3]}}, "index", [(0, {"loss": 2}), (0, {"val.loss": 3})]),
        ({"train": [{"step": 1, "loss": 2}], "val": [{"step": 1, "loss": 3}]}, "step",
         [(1, {"loss": 2}), (1, {"val/loss": 3})]),
        ({"loss": [[5, 2], [10, 1]]}, "index", [(5, {"loss": 2}), (10, {"loss": 1})]),
        ({"train_losses": [[5, 2]], "val_losses": [[5, 3]]}, "index",
         [(5, {"train_losses": 2}), (5, {"val_losses": 3})]),
        ([{"train": {"loss": 2}}, {"train": {"loss": 1}}], "index", [(0, {"train.loss": 2}), (1, {"train.loss": 1})]),
        ({"loss": [2, float("nan")]}, "index", [(0, {"loss": 2}), (1, {"loss": float("nan")})]),
    ],
)  # fmt: skip
def test_shapes_of_documents(tree: Any, axis: str, rows: list[Any], tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text(json.dumps(tree))
    reader = reader_of(tmp_path / "history.json")
    expected = [(float(x), {name: float(value) for name, value in values.items()}) for x, values in rows]
    assert repr(points(reader.poll().items)) == repr(expected)
    assert reader.info.axis == axis


@pytest.mark.parametrize(
    "tree",
    [
        {"name": "app", "lockfileVersion": 3, "packages": {"a": {"version": "1.0", "step": 1}}},
        {"lr": 0.1, "steps": 1000, "loss_weight": 2.0, "layers": [1, 2, 3]},
        {"version": "1.0", "model": {"type": "BPE", "vocab": {"loss": 1, "step": 2, "epoch": 3}}, "merges": ["a b"]},
        [{"text": "a loss", "label": 1}, {"text": "a step", "label": 0}],
        {"epoch": 3.0, "train_loss": 2.5, "eval_loss": 3.5},
        {"cells": [{"cell_type": "code", "execution_count": 1, "source": ["loss.step()"]}]},
        {"step": [1, 2, 3]},
        {"loss_weights": [0.1, 0.2, 0.7], "betas": [0.9, 0.95]},
        {"runs": [{"name": "a", "metrics": {"loss": {"points": 3, "last": 1.5}}}] * 2},
        {"runs": [{"name": "a", "final": {"loss": 1.5}}]},
        [1, 2, 3],
        {},
    ],
)
def test_other_documents_are_not_claimed(tree: Any) -> None:
    for indent in (None, 1):
        assert format_of(json.dumps(tree, indent=indent)) is None


def test_a_document_that_grows_is_read_on_and_one_that_changes_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    records = [{"step": step, "loss": 9.0 - step} for step in range(3)]
    path.write_text(json.dumps(records[:2]))
    reader = reader_of(path)
    assert points(reader.poll().items) == [(0, {"loss": 9}), (1, {"loss": 8})]
    assert not reader.poll().items
    path.write_text(json.dumps(records)[:-4])
    assert not reader.poll().items
    path.write_text(json.dumps(records))
    reading = reader.poll()
    assert (points(reading.items), reading.reset, reading.broken) == ([(2, {"loss": 7})], False, [])
    path.write_text(json.dumps(records[1:]))
    reading = reader.poll()
    assert (points(reading.items), reading.reset) == ([(1, {"loss": 8}), (2, {"loss": 7})], True)


def test_a_document_that_stays_unreadable_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('[{"step": 1, "loss": 2}, {"step": 2, "lo')
    os.utime(path, (1_700_000_000, 1_700_000_000))
    reader = reader_of(path)
    reading = reader.poll()
    assert [line.file for line in reading.broken] == ["log.json"]
    assert points(reading.items) == [(1, {"loss": 2})]
    assert not reader.poll().broken


def test_a_document_that_was_first_seen_half_written_goes_on_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('[{"step": 1, "loss": 2}, {"step": 2, "loss": 1.')
    reader = reader_of(path)
    assert points(reader.poll().items) == [(1, {"loss": 2})]
    path.write_text('[{"step": 1, "loss": 2}, {"step": 2, "loss": 1.5}, {"step": 3, "loss": 1}]')
    reading = reader.poll()
    assert (points(reading.items), reading.reset) == ([(2, {"loss": 1.5}), (3, {"loss": 1})], False)
    path.write_text('[{"step": 1, "loss": 2}, {"step": 2, "lo')
    assert not reader.poll().items


ROWS = st.builds(Row, st.integers(0, 9).map(float), st.dictionaries(st.sampled_from("ab"), st.floats(), min_size=1))


@given(st.lists(st.lists(ROWS, max_size=6), min_size=1, max_size=4))
def test_what_is_new_adds_up_to_the_newest_version(versions: list[list[Row]]) -> None:
    growth, kept = Growth(), list[Row]()
    for version in versions:
        reading = growth.reading([version])
        new = [item for item in reading.items if isinstance(item, Row)]
        kept = new if reading.reset else kept + new
        # The last row may have come again with more values.
        assert repr(kept[-1:]) == repr(version[-1:])
        assert {repr(row) for row in version} <= {repr(row) for row in kept}


TREES = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda x: st.lists(x) | st.dictionaries(st.text(max_size=5), x)
)


@given(TREES, st.floats(0, 1))
def test_the_beginning_of_a_document_is_some_value_or_none(tree: Any, part: float) -> None:
    text = json.dumps(tree)
    assert beginning_of(text) == tree
    beginning_of(text[: int(len(text) * part)])


def test_the_beginning_has_what_is_finished() -> None:
    assert beginning_of('{"a": [{"b": 1}, {"b": 2}, {"b": ') == {"a": [{"b": 1}, {"b": 2}]}
    assert beginning_of('{"a": "x, y", "b": "un, finished') == {"a": "x, y"}


def test_a_run_json_that_is_not_at_its_end(tmp_path: Path) -> None:
    record = {"iter": 5, "loss": 2, "mfu": {"mfu_percent": 40}}
    tree = {"startup_info": {"config": {"max_iters": 9}}, "training_iterations": [record]}
    path = tmp_path / "run.json"
    path.write_text(json.dumps(tree))
    reader = reader_of(path)
    assert points(reader.poll().items) == [(5, {"loss": 2, "mfu.mfu_percent": 40})]
    assert (reader.info.ending, reader.info.total) == ("interrupted", 9)
    path.write_text(json.dumps({**tree, "eval_results": [{"iter": 5, "val_loss": 3}], "summary": {"final_loss": 2}}))
    assert points(reader.poll().items) == [(5, {"eval_results.val_loss": 3})]
    assert reader.info.ending == "completed"


def test_runs_without_the_names_of_a_comparison_are_none(tmp_path: Path) -> None:
    tree = {"runs": [{"name": "a", "hyperparameters": {}, "final": {"final_iteration": 5, "run_name": "b"}}]}
    (tmp_path / "truth.json").write_text(json.dumps(tree))
    assert not sources_of(tmp_path)


def test_final_metrics_alone_are_one_point_and_the_adapter_has_the_settings(tmp_path: Path) -> None:
    final = {"final_iteration": 1600, "final_train_loss": 1.2, "final_val_loss": 1.4, "peak_memory_gb": 8.5}
    (tmp_path / "metrics.json").write_text(json.dumps({"run4": final}))
    (tmp_path / "run4").mkdir()
    (tmp_path / "run4/adapter_config.json").write_text('{"iters": 1600, "lora_parameters": {"rank": 8}}')
    inventory = inventory_of(tmp_path / "metrics.json")
    assert inventory.info.hyperparameters == {"iters": 1600, "lora_parameters.rank": 8}
    assert (inventory.info.name, inventory.info.ending, inventory.info.axis) == ("run4", "completed", "iterations")
    assert {name: (metric.last_x, metric.last) for name, metric in inventory.metrics.items()} == {
        "final_train_loss": (1600, 1.2), "final_val_loss": (1600, 1.4), "peak_memory_gb": (1600, 8.5),
    }  # fmt: skip


def test_texts_that_a_model_wrote_are_samples(tmp_path: Path) -> None:
    history, texts = tmp_path / "metrics_history.json", tmp_path / "text_samples.json"
    history.write_text(json.dumps([{"step": 1, "loss": 2}]))
    texts.write_text(json.dumps([{"step": 1, "input": "once", "prediction": "upon"}]))
    reader = reader_of(tmp_path)
    items = reader.poll().items
    assert [(item.step, item.prompt, item.text) for item in items if isinstance(item, Sample)] == [(1, "once", "upon")]
    history.write_text(json.dumps([{"step": 1, "loss": 2}, {"step": 2, "loss": 1}]))
    assert points(reader.poll().items) == [(2, {"loss": 1})]


def test_parquet_with_a_column_for_steps(tmp_path: Path) -> None:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table({"step": [1, 2], "train/loss": [2.0, None], "note": ["a", "b"]}), path)
    reader = reader_of(path)
    assert points(reader.poll().items) == [(1, {"train/loss": 2})]
    pq.write_table(pa.table({"step": [1, 2], "train/loss": [2.0, 1.0], "note": ["a", "b"]}), path)
    assert points(reader.poll().items)[-1] == (2, {"train/loss": 1})
    pq.write_table(pa.table({"text": ["a loss"], "label": [1]}), tmp_path / "data.parquet")
    assert format_of((tmp_path / "data.parquet").read_bytes(), tmp_path / "data.parquet") is None
