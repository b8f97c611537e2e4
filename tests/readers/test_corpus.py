"""Logs that other tools wrote are read to what their truth.json says: finished, and in pieces as they grow."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from tuitrain.readers.discover import sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.inventory import Inventory, take_inventory
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Source

CORPUS = Path(__file__).parents[1] / "data/corpus"
CASES = sorted(path.parent for path in CORPUS.glob("*/truth.json"))
APPENDED = {
    "tensorboard", "wandb", "keras-csv", "csv", "tsv", "jsonl", "csv-epochs", "llamafactory", "fairseq-json",
}  # fmt: skip
"""Formats whose files only grow, besides consoles."""


def truth_of(case: Path) -> dict[str, Any]:
    truth: dict[str, Any] = json.loads((case / "truth.json").read_text())
    return truth


def cases_of(appended: bool) -> list[Path]:
    formats = {case: truth_of(case)["format"] for case in CASES}
    return [
        case
        for case, form in formats.items()
        if form in BY_NAME and (not appended or form in APPENDED or form.endswith("-console"))
    ]


def inventory(source: Source) -> Inventory:
    return take_inventory(BY_NAME[source.format].open(source), NameMapping())


def check(runs: list[dict[str, Any]], read: list[tuple[Source, Inventory]], form: str) -> None:
    assert [source.format for source, _ in read] == [form] * len(runs)
    by_name = {inventory.info.name: inventory for _, inventory in read}
    assert sorted(by_name) == sorted(run["name"] for run in runs)
    for run in runs:
        inventory = by_name[run["name"]]
        info = inventory.info
        assert (info.axis, info.ending or "unknown") == (run["x"], run["status"])
        assert info.axes == run.get("x_axis_declared", {})
        # A truth names what must be found; more may be.
        assert {name: info.hyperparameters.get(name) for name in run["hyperparameters"]} == run["hyperparameters"]
        assert set(inventory.metrics) >= set(run["metrics"])
        for name, expected in run["metrics"].items():
            metric = inventory.metrics[name]
            for key in ("points", "first_x", "last_x", "first", "last", "min", "max", "non_finite"):
                assert same(getattr(metric, key), expected[key]), (
                    f"{name} {key}: {getattr(metric, key)}, {expected[key]}"
                )


def same(value: float | None, expected: Any) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    wanted = float(expected)
    return (math.isnan(value) and math.isnan(wanted)) or math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-12)


@pytest.mark.parametrize("case", cases_of(appended=False), ids=lambda case: case.name)
def test_a_log_is_read_to_its_truth(case: Path) -> None:
    truth = truth_of(case)
    sources = [source for each in truth["open"] for source in sources_of(case / each)]
    check(truth["runs"], [(source, inventory(source)) for source in sources], truth["format"])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", cases_of(appended=True), ids=lambda case: case.name)
def test_a_log_that_grows_in_pieces_is_read_to_its_truth(case: Path, seed: int, tmp_path: Path) -> None:
    """The files that a run was recognised by grow from nothing, piece by piece, with a poll after each."""
    truth, chance = truth_of(case), random.Random(seed)
    shutil.copytree(case, tmp_path / "case")
    sources = [source for each in truth["open"] for source in sources_of(tmp_path / "case" / each)]
    read = []
    for source in sources:
        contents = {path: path.read_bytes() for path in sorted(source.files)}
        for path in contents:
            path.write_bytes(b"")
        reader = BY_NAME[source.format].open(source)
        recorder = Recorder(reader)
        recorder.poll()
        for path, data in contents.items():
            cuts = sorted({chance.randrange(len(data) + 1) for _ in range(chance.choice([1, 7, 40]))} | {len(data)})
            for start, end in zip([0, *cuts[:-1]], cuts, strict=True):
                with path.open("ab") as file:
                    file.write(data[start:end])
                recorder.poll()
        read.append((source, take_inventory(recorder, NameMapping())))
    check(truth["runs"], read, truth["format"])


class Recorder:
    """A reader that gives again what another one read until now."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._items: list[Any] = []
        self._broken: list[Any] = []

    @property
    def info(self) -> Any:
        return self._reader.info

    def poll(self) -> Any:
        while True:
            reading = self._reader.poll()
            if reading.reset:
                self._items, self._broken = [], []
            self._items += reading.items
            self._broken += reading.broken
            if not reading.more:
                break
        reading.items, reading.broken, reading.reset = self._items, self._broken, False
        return reading
