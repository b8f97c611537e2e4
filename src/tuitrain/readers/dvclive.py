"""DVCLive: a folder with a table for each metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tuitrain.readers.metric_files import LineParser, MetricFiles, Point
from tuitrain.readers.model import Format, Probe, Reading, Row, RunInfo, Source
from tuitrain.readers.settings import SettingsFile, flattened
from tuitrain.readers.table import relative_name
from tuitrain.readers.text import number, unix_time

_TABLES = ("plots", "metrics")
"""The folders, one in the other, that have the tables."""


class DvcliveReader:
    """Follows a folder of tables; their columns are `step`, the metric and, where it was asked for, a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self.info = RunInfo(name)
        self._parameters = SettingsFile(folder / "params.yaml")
        self._results = SettingsFile(folder / "metrics.json")
        self._newest: dict[str, float] = {}
        self._metrics = MetricFiles(folder.joinpath(*_TABLES), _line_parser, ".tsv")

    def poll(self) -> Reading:
        """What was appended to the tables."""
        if parameters := self._parameters.changed():
            self.info.hyperparameters = flattened(parameters)
        reading = self._metrics.poll()
        rows = [item for item in reading.items if isinstance(item, Row)]
        for row in rows:
            self._newest |= {name.replace("/", "."): value for name, value in row.values.items()}
        if results := self._results.changed():
            # What was set in `live.summary` is beside the newest values of the metrics.
            self.info.summary = {
                name: value for name, value in flattened(results).items() if name not in ("step", *self._newest)
            }
        return reading


def _line_parser() -> LineParser:
    header: list[str] = []

    def parse(name: str, line: bytes) -> Point | None:
        cells = line.decode("utf-8", "replace").split("\t")
        if not header or cells == header:
            header[:] = cells
            return None
        if cells == [""]:
            return None
        if len(cells) != len(header):
            raise ValueError(f"it has {len(cells)} cells instead of {len(header)}")
        by_name = dict(zip(header, cells, strict=True))
        step, value = number(by_name.get("step", "")), number(cells[-1])
        if step is None or value is None:
            raise ValueError("its step or its value is not a number")
        return step, name, step, value, unix_time(by_name.get("timestamp", ""))

    return parse


def _matches(probe: Probe) -> bool:
    """Whether it is a table `[timestamp] step NAME` where DVCLive puts the one of this name."""
    head = probe.head
    if not head.startswith((b"step\t", b"timestamp\tstep\t")) or probe.path is None:
        return False
    return _folder(probe.path) is not None and probe.lines[0].split("\t")[-1] == probe.path.stem


def _folder(table: Path) -> Path | None:
    """The folder of the run that a table is of."""
    inner = next((each for each in table.parents if (each.parent.name, each.name) == _TABLES), None)
    return inner.parent.parent if inner is not None else None


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    runs: dict[Path, list[Path]] = {}
    for file in files:
        if (folder := _folder(file)) is not None:
            runs.setdefault(folder, []).append(file)
    for folder, tables in runs.items():
        name = relative_name(root, folder) if folder.is_relative_to(root) else folder.resolve().name
        yield Source("dvclive", folder, name, tuple(tables))


FORMAT = Format(
    "dvclive", "DVCLive", "tuitrain watch dvclive", _matches, _sources,
    lambda source: DvcliveReader(source.path, source.name), covers=("tsv", "csv", "json"),
)  # fmt: skip
