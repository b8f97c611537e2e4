"""LLaMA-Factory's `trainer_log.jsonl`."""

from __future__ import annotations

from functools import partial
from typing import Any

from tuitrain.readers.jsonl import JsonLinesParser, probed
from tuitrain.readers.model import Format, Probe, Reading
from tuitrain.readers.table import folder_sources
from tuitrain.readers.tail import TailReader
from tuitrain.readers.text import as_float

_PROGRESS = ("total_steps", "percentage", "elapsed_time", "remaining_time")


class LlamaFactoryParser(JsonLinesParser):
    """Parses the records of training and evaluation; the last record of a run repeats its step without a loss."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.info.axis = "current_steps"
        self.info.meanings = {"throughput": "tokens_per_sec", "total_tokens": "tokens"}

    def add(self, record: dict[str, Any], reading: Reading) -> None:
        """Take a record."""
        step, total = record.get("current_steps"), record.get("total_steps")
        if isinstance(total, int) and isinstance(step, int):
            self.info.total = as_float(total)
            self.info.ending = "completed" if step >= total else "interrupted"
        super().add({name: value for name, value in record.items() if name not in _PROGRESS}, reading)


def _matches(probe: Probe) -> bool:
    if probe.first != b"{" or b'"current_steps"' not in probe.head[:4096]:
        return False
    return any({"current_steps", "total_steps"} <= record.keys() for record in probed(probe))


FORMAT = Format(
    "llamafactory-jsonl", "LLaMA-Factory's trainer_log.jsonl", "tuitrain watch saves/llama3-8b/lora/sft", _matches,
    partial(folder_sources, "llamafactory-jsonl", by_path=True),
    lambda source: TailReader(source.files[0], partial(LlamaFactoryParser, source.name)), LlamaFactoryParser,
    covers=("hf-trainer", "tensorboard", "hf-console"),
)  # fmt: skip
