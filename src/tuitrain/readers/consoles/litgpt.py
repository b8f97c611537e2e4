"""The console of LitGPT: `Epoch 1 | iter 4 step 2 | loss train: 4.361, val: n/a | iter time: 19.96 ms (step)`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, at_word, console_format, values_of
from tuitrain.readers.model import Format, Probe, Row

_TRAIN = re.compile(rf"iter (\d+) step (\d+)(?::| \|) loss(?: train:)? ({NUMBER}).*?iter time: ({NUMBER}) ?ms")
_VALIDATION = re.compile(rf"(?:iter|step) (\d+): val loss ({NUMBER})(?:, val time: ({NUMBER}) ?ms)?")
_FINAL = re.compile(rf"Final evaluation \| val loss: ({NUMBER})")
_METRICS = re.compile(rb"iter \d+ step \d+(?:: loss | \| loss train: )")


class LitgptParser(ConsoleParser):
    """Reads the lines of training iterations, which are micro-batches, and of evaluations."""

    axis = "iter"
    meanings: ClassVar = {
        "loss train": "loss", "val loss": "val_loss", "iter time_ms": "", "val time_ms": "", "optimizer step": "",
    }  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._iteration = 0.0

    def items(self, line: str) -> Iterator[Row]:
        """A row of a line of an iteration or an evaluation."""
        at = at_word(line, "iter ")
        if at < 0:
            at = at_word(line, "step ")
        if at < 0:
            if (match := _FINAL.search(line)) is not None:
                yield Row(self._iteration, values_of([("val loss", match[1], "")]))
            elif "Training time: " in line or "Training Time " in line:
                self.info.ending = "completed"
        elif (match := _TRAIN.match(line, at)) is not None:
            self._iteration = float(match[1])
            self.info.ending = "interrupted"
            named = [("loss train", match[3], ""), ("iter time", match[4], "ms"), ("optimizer step", match[2], "")]
            yield Row(self._iteration, values_of(named))
        elif (match := _VALIDATION.match(line, at)) is not None:
            yield Row(float(match[1]), values_of([("val loss", match[2], ""), ("val time", match[3] or "", "ms")]))


def _matches(probe: Probe) -> bool:
    return probe.names_loss and b"iter " in probe.head and _METRICS.search(probe.head) is not None


FORMAT: Format = console_format("litgpt-console", "LitGPT's console", LitgptParser, _matches)
