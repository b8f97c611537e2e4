"""`metrics_history.json`, a list of records that is written anew every so often, and `text_samples.json` beside it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from tuitrain.events import Sample
from tuitrain.readers.document import DocumentReader, beginning_of
from tuitrain.readers.json_tables import rows_of
from tuitrain.readers.model import Format, Item, Probe, RunInfo, Source
from tuitrain.readers.table import Records, axis_among, folder_sources, numbers_of

_HISTORY, _SAMPLES = "metrics_history.json", "text_samples.json"
_TEXTS = ("prediction", "output", "generated", "generated_text", "completion", "text", "sample", "response")
_PROMPTS = ("input", "prompt", "context")


def _contents(trees: Sequence[Any], info: RunInfo) -> list[list[Item]]:
    history, samples = trees
    parts = rows_of(history, info) if history is not None else []
    info.axis = info.axis if parts else "step"
    texts = [_sample(each) for each in samples] if isinstance(samples, list) else []
    return [*(parts or [[]]), [each for each in texts if each is not None]]


def _sample(record: Any) -> Sample | None:
    """The text of a record; None of one without a text or a step."""
    if not isinstance(record, dict):
        return None
    numbers = numbers_of(record)
    axis = axis_among(numbers)
    text = next((record[key] for key in _TEXTS if isinstance(record.get(key), str)), None)
    prompt = next((record[key] for key in _PROMPTS if isinstance(record.get(key), str)), "")
    if text is None or axis is None or not 0 <= numbers[axis] < 2**63:
        return None
    sample = Sample(step=int(numbers[axis]), text=text, prompt=prompt)
    time = Records().row(record).time
    if time is not None:
        sample.time = time
    return sample


def _matches(probe: Probe) -> bool:
    if probe.first != b"[" or probe.path is None or probe.path.name not in (_HISTORY, _SAMPLES):
        return False
    tree = beginning_of(probe.text)
    records = [each for each in tree if isinstance(each, dict)] if isinstance(tree, list) else []
    if probe.path.name == _SAMPLES:
        return any(_sample(each) is not None for each in records)
    return any(rows_of(records, RunInfo("")))


def _open(source: Source) -> DocumentReader:
    return DocumentReader([source.path / _HISTORY, source.path / _SAMPLES], source.name, _contents)


FORMAT = Format(
    "metrics-history-json", "metrics_history.json with text_samples.json", "tuitrain watch training_viz", _matches,
    partial(folder_sources, "metrics-history-json", by_path=True), _open,
)  # fmt: skip
