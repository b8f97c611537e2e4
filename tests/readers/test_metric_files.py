"""Runs with a file for each metric: MLflow's file store and DVCLive; and Comet's archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.reading import format_of, points, reader_of
from tuitrain.readers.discover import sources_of
from tuitrain.readers.metric_files import MetricFiles, rows_of
from tuitrain.readers.mlflow import point_in
from tuitrain.readers.model import Row

META = """artifact_uri: file:///somewhere/mlruns/1/{run}/artifacts
end_time: null
experiment_id: '1'
lifecycle_stage: {stage}
run_id: {run}
run_name: {name}
start_time: 1777629600000
status: {status}
"""


def mlflow_run(
    folder: Path, metrics: dict[str, str], status: int = 1, name: str = "a run", stage: str = "active"
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta.yaml").write_text(META.format(run=folder.name, name=name, status=status, stage=stage))
    for metric, text in metrics.items():
        path = folder / "metrics" / metric
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_run_of_a_file_store_is_followed(tmp_path: Path) -> None:
    run = tmp_path / "mlruns/1/abc"
    mlflow_run(run, {"train/loss": "1777629600000 3.0 1\n1777629601000 nan 2\n17776296"})
    reader = reader_of(tmp_path)
    reading = reader.poll()
    assert repr(points(reading.items)) == "[(1.0, {'train/loss': 3.0}), (2.0, {'train/loss': nan})]"
    assert [item.time for item in reading.items if isinstance(item, Row)] == [1777629600, 1777629601]
    assert (reader.info.name, reader.info.ending, reader.info.started) == ("a run", "running", 1777629600)
    with (run / "metrics/train/loss").open("a") as file:
        file.write("02000 -inf 3\n")
    (run / "metrics/val").mkdir()
    (run / "metrics/val/loss").write_text("1777629602500 4 3\n")
    (run / "params/model").mkdir(parents=True)
    (run / "params/lr").write_text("1e-3")
    (run / "params/model/act").write_text("gelu")
    mlflow_run(run, {}, status=3)
    assert points(reader.poll().items) == [(3, {"train/loss": float("-inf"), "val/loss": 4})]
    assert (reader.info.ending, reader.info.hyperparameters) == ("completed", {"lr": 1e-3, "model/act": "gelu"})


def test_lines_of_all_versions_of_mlflow() -> None:
    assert point_in("a", b"5 2.5") == (5, "a", 0, 2.5, None)
    assert point_in("a", b"1777629600000 2.5 7") == (1777629600000, "a", 7, 2.5, 1777629600)
    assert point_in("a", b"5 Infinity 7 data digest") == (5, "a", 7, float("inf"), None)
    assert point_in("a", b"") is None
    for line in (b"5", b"5 x 7", b"5 1 2 3", b"5 1 x"):
        with pytest.raises(ValueError):
            point_in("a", line)


def test_bad_lines_are_counted_and_a_rewritten_file_is_read_anew(tmp_path: Path) -> None:
    run = tmp_path / "1/abc"
    mlflow_run(run, {"loss": "1 3.0 1\noops\n2 2.0 2\n", "lr": "1 0.5 1\n"})
    reader = reader_of(tmp_path)
    reading = reader.poll()
    assert points(reading.items) == [(1, {"loss": 3, "lr": 0.5}), (2, {"loss": 2})]
    assert [(line.number, line.file) for line in reading.broken] == [(2, "loss")]
    (run / "metrics/loss").write_text("1 9.0 1\n")
    reading = reader.poll()
    assert (points(reading.items), reading.reset) == ([(1, {"loss": 9, "lr": 0.5})], True)


def test_names_of_runs_in_older_stores_and_deleted_runs(tmp_path: Path) -> None:
    for run, name, stage in (("a", "''", "active"), ("b", "''", "active"), ("c", "gone", "deleted")):
        mlflow_run(tmp_path / "mlruns/0" / run, {"loss": "1 1 1\n"}, name=name, stage=stage)
    (tmp_path / "mlruns/0/a/tags").mkdir()
    (tmp_path / "mlruns/0/a/tags/mlflow.runName").write_text("tagged")
    experiment = "artifact_location: x\nexperiment_id: '0'\nlifecycle_stage: active\nname: Default\n"
    (tmp_path / "mlruns/0/meta.yaml").write_text(experiment)
    assert [source.name for source in sources_of(tmp_path)] == ["tagged", "b"]


def test_files_of_different_length_are_read_side_by_side(tmp_path: Path) -> None:
    """What a short file has at late steps comes when the long one has been read up to there."""
    steps = range(150_000)
    (tmp_path / "long").write_text("".join(f"{1000 + step} 0.123456789012345678901 {step}\n" for step in steps))
    (tmp_path / "short").write_text("".join(f"{1000 + step} 2 {step}\n" for step in steps[::1000]))
    files = MetricFiles(tmp_path, lambda: point_in)
    rows, readings, more = list[tuple[float, dict[str, float]]](), 0, True
    while more:
        reading = files.poll()
        rows += points(reading.items)
        readings, more = readings + 1, reading.more
    assert readings > 2
    assert [x for x, _ in rows] == list(steps)
    assert [x for x, values in rows if "short" in values] == list(steps[::1000])


POINTS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from("abc"), st.integers(0, 3), st.integers(0, 99), st.none()), max_size=20
)


@given(POINTS)
def test_rows_hold_every_point_in_the_order_of_times(found: list[tuple[int, str, int, int, None]]) -> None:
    rows = list(rows_of(found))  # type: ignore[arg-type]
    flat = [(row.x, name, value) for row in rows for name, value in row.values.items()]
    assert flat == [(x, name, value) for _, name, x, value, _ in sorted(found, key=lambda point: point[0])]


def dvclive_run(folder: Path, tables: dict[str, str]) -> None:
    for name, text in tables.items():
        path = folder / "plots/metrics" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_a_dvclive_folder_is_followed(tmp_path: Path) -> None:
    dvclive_run(tmp_path / "run", {"train/loss": "step\tloss\n0\t3.5\n1\t3.", "val/f1.5": "step\tf1.5\n0\tnan\n"})
    (tmp_path / "run/metrics.json").write_text('{"train": {"loss": 3.5}, "step": 0}')
    reader = reader_of(tmp_path)
    assert reader.info.name == "run"
    assert repr(points(reader.poll().items)) == "[(0.0, {'train/loss': 3.5, 'val/f1.5': nan})]"
    with (tmp_path / "run/plots/metrics/train/loss.tsv").open("a") as file:
        file.write("25\nstep\tloss\nx\t2\n2\t3.0\n")
    (tmp_path / "run/params.yaml").write_text("lr: 0.1\nmodel:\n  layers: 2\n")
    reading = reader.poll()
    assert points(reading.items) == [(1, {"train/loss": 3.25}), (2, {"train/loss": 3})]
    assert [(line.number, line.file) for line in reading.broken] == [(5, "train/loss")]
    assert reader.info.hyperparameters == {"lr": 0.1, "model.layers": 2}


def test_tables_of_dvclive_with_times_and_other_tables(tmp_path: Path) -> None:
    dvclive_run(tmp_path, {"loss": "timestamp\tstep\tloss\n1777629600000\t1\t2\n"})
    (row,) = reader_of(tmp_path / "plots/metrics/loss.tsv").poll().items
    assert isinstance(row, Row)
    assert (row.x, row.values, row.time) == (1, {"loss": 2}, 1777629600)
    assert format_of("step\tloss\n1\t2\n", tmp_path / "loss.tsv") == "tsv"
    assert format_of("step\tother\n1\t2\n", tmp_path / "plots/metrics/loss.tsv") != "dvclive"


def archive(path: Path, messages: list[object], **others: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, text in others.items():
            file.writestr(name, text)
        file.writestr("experiment.json", "{}")
        file.writestr("messages.json", "".join(f"{json.dumps(each)}\n" for each in messages))


def metric(name: str, value: object, step: int | None) -> dict[str, object]:
    message = {"metricName": name, "metricValue": value, "step": step, "epoch": 0}
    return {"type": "metric_msg", "payload": {"local_timestamp": 1777629600000, "metric": message}}


def parameter(name: str, value: object) -> dict[str, object]:
    return {"type": "parameter_msg", "payload": {"param": {"paramName": name, "paramValue": value}}}


def test_a_comet_archive(tmp_path: Path) -> None:
    messages = [
        parameter("lr", 0.1), parameter("curr_step", 5), metric("loss", 2, 5), metric("loss", "NaN", 6),
        metric("same step", 1, None), metric("text", "words", 7), [1], {"type": "metric_msg", "payload": {}},
        {"type": "log_other", "payload": {"key": "Name", "value": "mine"}},
    ]  # fmt: skip
    archive(tmp_path / "key.zip", messages, picture="x" * 50_000)
    reader = reader_of(tmp_path)
    assert reader.info.name == "key"
    reading = reader.poll()
    assert repr(points(reading.items)) == "[(5.0, {'loss': 2.0}), (6.0, {'loss': nan, 'same step': 1.0})]"
    assert [line.number for line in reading.broken] == [7, 8]
    info = reader.info
    assert (info.name, info.ending, info.hyperparameters) == ("mine", "completed", {"lr": 0.1})
    assert not reader.poll().items
    archive(tmp_path / "key.zip", [metric("loss", 1, 1)])
    reading = reader.poll()
    assert (points(reading.items), reading.reset) == ([(1, {"loss": 1})], True)


def test_an_archive_that_is_not_complete_or_of_something_else(tmp_path: Path) -> None:
    archive(tmp_path / "key.zip", [metric("loss", step, step) for step in range(200)])
    reader = reader_of(tmp_path)
    data = (tmp_path / "key.zip").read_bytes()
    (tmp_path / "key.zip").write_bytes(data[: len(data) // 2])
    assert [line.file for line in reader.poll().broken] == ["key.zip"]
    assert sources_of(tmp_path) == []
    with zipfile.ZipFile(tmp_path / "model.pt", "w") as file:
        file.writestr("archive/data.pkl", b"\0")
    assert sources_of(tmp_path) == []
