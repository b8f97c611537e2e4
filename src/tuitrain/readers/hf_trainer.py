"""Hugging Face's Trainer: the `trainer_state.json` of an output folder and of the checkpoints in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuitrain.events import BrokenLine
from tuitrain.readers.document import Growth, WholeFile, read_json
from tuitrain.readers.model import Format, Item, Probe, Reading, RunInfo, Source
from tuitrain.readers.settings import flattened, read_settings
from tuitrain.readers.table import Records, relative_name
from tuitrain.readers.tensorboard import EventFolder
from tuitrain.readers.text import as_float

_STATE = "trainer_state.json"
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")
_SETTINGS = ("max_steps", "num_train_epochs", "train_batch_size", "logging_steps", "eval_steps", "save_steps")
_BEST = ("best_metric", "best_global_step")
_MEANINGS = {"loss": "loss", "eval_loss": "val_loss", "learning_rate": "lr", "grad_norm": "grad_norm"}


class HfTrainerReader:
    """Follows an output folder: the newest state is that of the folder itself, else of its last checkpoint."""

    def __init__(self, folder: Path, name: str) -> None:
        self.info = RunInfo(name, meanings=_MEANINGS)
        self._folder = folder
        self._file = WholeFile(folder / _STATE)
        self._growth = Growth()

    def poll(self) -> Reading:
        """What a newer state holds that the one before did not."""
        reading = Reading()
        for path in self._states():
            if path != self._file.path:
                self._file = WholeFile(path)
            data = self._file.read()
            if data is None:
                if path.is_file():
                    return reading
                continue
            try:
                state = read_json(data)
            except ValueError as error:
                reading.broken.append(BrokenLine(1, str(error), str(path.relative_to(self._folder))))
                continue
            if isinstance(state, dict):
                new = self._take(state, path)
                new.broken = reading.broken
                return new
        return reading

    def _states(self) -> list[Path]:
        """The states that there are, the newest first: the one of the folder is written when the training ends."""
        try:
            names = [each.name for each in self._folder.iterdir()]
        except OSError:
            return []
        checkpoints = sorted(((int(m[1]), name) for name in names if (m := _CHECKPOINT.fullmatch(name))), reverse=True)
        states = [self._folder / name / _STATE for _, name in checkpoints]
        own = self._folder / _STATE
        newest = next((path for path in states if path.is_file()), None)
        # A run that began again in the same folder has the folder's state from before.
        if newest is not None and own.is_file() and own.stat().st_mtime < newest.stat().st_mtime - 1:
            return [*states, own]
        return [own, *states]

    def _take(self, state: Mapping[str, Any], path: Path) -> Reading:
        history = state.get("log_history")
        records = [each for each in history if isinstance(each, dict)] if isinstance(history, list) else []
        ended = any("train_runtime" in each for each in records[-2:])
        best = {name: state[name] for name in _BEST if isinstance(state.get(name), int | float)}
        results = next((each for each in reversed(records) if "train_runtime" in each), {})
        self.info.summary = best | {name: value for name, value in results.items() if name not in ("step", "epoch")}
        step, last = state.get("global_step"), state.get("max_steps")
        self.info.total = as_float(last) if isinstance(last, int) and last > 0 else None
        finished = isinstance(step, int) and isinstance(last, int) and step >= last > 0
        stopped = ended or (path.parent == self._folder and _should_stop(state))
        self.info.ending = "completed" if finished or stopped else "interrupted"
        settings = {name: state[name] for name in _SETTINGS if state.get(name) is not None}
        model = flattened(read_settings(path.with_name("config.json")) or self._model())
        arguments = {name: value for name, value in self._arguments().items() if name not in model}
        self.info.hyperparameters = (
            arguments | settings | {f"config.json:{name}": value for name, value in model.items()}
        )
        return self._growth.reading([_rows(records)])

    def _arguments(self) -> dict[str, Any]:
        """The arguments of the training, which only the newest TensorBoard file has as a text."""
        try:
            folders = [each for each in (self._folder / "runs").iterdir() if each.is_dir()]
        except OSError:
            return {}
        newest = max(folders, key=lambda each: each.stat().st_mtime, default=None)
        if newest is None:
            return {}
        events = EventFolder(Source("tensorboard", newest, "", ()))
        events.poll()
        return events.info.hyperparameters

    def _model(self) -> dict[str, Any]:
        """The configuration of the model in any checkpoint, where the newest state has none beside it."""
        for path in self._states():
            if model := read_settings(path.with_name("config.json")):
                return model
        return {}


def _should_stop(state: Mapping[str, Any]) -> bool:
    """Whether the training was to stop, as by an early stopping."""
    callbacks = state.get("stateful_callbacks")
    control = callbacks.get("TrainerControl") if isinstance(callbacks, dict) else None
    arguments = control.get("args") if isinstance(control, dict) else None
    return isinstance(arguments, dict) and arguments.get("should_training_stop") is True


def _rows(records: Sequence[Mapping[str, Any]]) -> list[Item]:
    """The rows of a history. What it says about the run as a whole is no point of a curve."""
    reader = Records(axis="step")
    return [row for record in records if "train_runtime" not in record for row in reader.rows(record)]


def _matches(probe: Probe) -> bool:
    return probe.first == b"{" and b'"log_history"' in probe.head and b'"global_step"' in probe.head


def _sources(root: Path, files: Sequence[Path]) -> Iterable[Source]:
    """Each output folder; that of a checkpoint, unless the checkpoint alone was opened."""
    folders: dict[Path, list[Path]] = {}
    for file in files:
        folder = file.parent
        if _CHECKPOINT.fullmatch(folder.name) and folder != root:
            folder = folder.parent
        folders.setdefault(folder, []).append(file)
    for folder, each in folders.items():
        yield Source("hf-trainer", folder, relative_name(root, folder), tuple(each))


FORMAT = Format(
    "hf-trainer", "Hugging Face Trainer: trainer_state.json", "tuitrain watch output_dir", _matches, _sources,
    lambda source: HfTrainerReader(source.path, source.name), covers=("tensorboard", "hf-console"),
)  # fmt: skip
