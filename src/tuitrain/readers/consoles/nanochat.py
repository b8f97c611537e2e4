"""The console of nanochat's scripts: `step 00019/00040 (47.50%) | loss: 5.66 | dt: 47.53ms | tok/sec: 5,385 | …`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from tuitrain.readers.consoles.lines import NUMBER, UNIT, ConsoleParser, console_format, literal, values_of
from tuitrain.readers.model import Format, Probe, Row
from tuitrain.readers.settings import flattened, read_settings

_LINE = re.compile(r"[Ss]tep (\d+)(?:/(\d+))?(?: \([\d.]+%\))? \| (.*)")
_FIELD = re.compile(rf"(?:^|\| ?)([A-Za-z][\w /.@()-]{{0,80}}): ({NUMBER})({UNIT}|m)?(?= ?(?:\||$))")
_NO_METRICS = frozenset({"epoch", "total time", "eta"})
_SETTINGS = (
    re.compile(r"(?:Using user-provided|Calculated) number of iterations[^:]*: (?P<num_iterations>[\d,]+)"),
    re.compile(r"Tokens / micro-batch / rank: (?P<device_batch_size>\d+) x (?P<max_seq_len>\d+)"),
    re.compile(r"Total batch size (?P<total_batch_size>[\d,]+)"),
)
_METRICS = re.compile(rb"[Ss]tep \d{5,}(?:/\d{5,})?(?: \([\d.]+%\))? \| (?:loss|Training loss|Validation \w+): ")
_SAVED = re.compile(r"Saved metadata to: .{0,300}?([\w.-]+)/([\w.-]+)/(meta_\d+\.json)\s*$")
_END_MARKS = ("Minimum validation ", "Total training time:")


class NanochatParser(ConsoleParser):
    """Reads step and evaluation lines; what is printed of the model and the batch is the hyperparameters."""

    meanings: ClassVar = {"bf16_mfu": "mfu*0.01", "mfu": "mfu*0.01", "Validation bpb": ""}

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._model: list[str] | None = None
        """The lines of the model's configuration that is being printed."""
        self.log: Path | None = None

    def items(self, line: str) -> Iterator[Row]:
        """A row of a step or evaluation line."""
        at = line.find("tep ")
        match = _LINE.match(line, at - 1) if at > 0 else None
        if match is None:
            self._read_setting(line)
            return
        if match[2] is not None:
            self.info.total = float(match[2])
        values = {name: value for name, value in values_of(_FIELD.findall(match[3])).items() if name not in _NO_METRICS}
        if values:
            if match[2] is not None:
                self.info.ending = "interrupted"
            yield Row(float(match[1]), values)

    def _read_setting(self, line: str) -> None:
        if self._model is not None:
            self._read_model(line)
        elif line.startswith("Model config:"):
            self._model = []
        elif line.startswith(_END_MARKS):
            self.info.ending = "completed"
        elif (saved := _SAVED.search(line)) is not None:
            self._read_metadata(*saved.groups())
        else:
            for pattern in _SETTINGS:
                if (match := pattern.match(line)) is not None:
                    for name, text in match.groupdict().items():
                        if text:
                            self.info.hyperparameters[name] = literal(text.strip().replace(",", "").lstrip("0") or "0")

    def _read_model(self, line: str) -> None:
        assert self._model is not None
        self._model.append(line)
        if line.startswith("}") or len(self._model) > 100:
            lines, self._model = self._model, None
            try:
                settings: Any = json.loads("".join(lines))
            except (ValueError, RecursionError):
                return
            if isinstance(settings, dict):
                self.info.hyperparameters |= flattened(settings)

    def _read_metadata(self, folder: str, tag: str, file: str) -> None:
        """Take the settings of the checkpoint that the log names from its file, where that lies beside the log."""
        if self.log is not None and ".." not in (folder, tag):
            saved = read_settings(self.log.parent / folder / tag / file)
            settings = {name: value for name, value in saved.items() if not isinstance(value, dict)}
            settings.pop("step", None)
            settings.pop("val_bpb", None)
            user = saved.get("user_config")
            model = saved.get("model_config")
            for each in (model, user, settings):
                if isinstance(each, dict):
                    self.info.hyperparameters |= flattened(each)


def _matches(probe: Probe) -> bool:
    head = probe.head
    return b"tep " in head and b" | " in head and _METRICS.search(head) is not None


def _prepare(parser: NanochatParser, log: Path) -> None:
    parser.log = log


FORMAT: Format = console_format("nanochat-console", "nanochat's console", NanochatParser, _matches, prepare=_prepare)
