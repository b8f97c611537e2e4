"""The console of Megatron-LM and its descendants: ` [time] iteration  20/ 500 | … | lm loss: 7.16E+00 | …`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import ClassVar

from tuitrain.readers.consoles.lines import ConsoleParser, console_format, literal, time_of
from tuitrain.readers.model import Format, Probe, Row
from tuitrain.readers.text import number

_LINE = re.compile(r"iteration +(\d+)/ *(\d+) \|")
_VALIDATION = re.compile(r"(validation|test) (?:loss|results) at (?:iteration (\d+))?([^|]*)\|")
_ARGUMENT = re.compile(r"\s*(?:\d+:|\[\w+\]:)?\s+([A-Za-z_]\w*) \.* ?(.*)")
_METRICS = re.compile(rb"iteration +\d+/ *\d+ \|[^\n]{0,500}(?:elapsed time per iteration|consumed samples)")


class MegatronParser(ConsoleParser):
    """Reads iteration lines, validation blocks and the dump of arguments.

    A field is left out of a line where it is not known: the loss where it was NaN.
    """

    axis = "iteration"
    meanings: ClassVar = {
        "lm loss": "loss", "lm loss validation": "val_loss", "lm loss validation ppl": "val_perplexity",
        "lm loss test": "eval/test/loss", "lm loss test ppl": "eval/test/perplexity",
        "lm_loss validation ppl": "val_perplexity", "lm_loss test ppl": "eval/test/perplexity",
        "throughput per GPU (TFLOP/s/GPU)": "tflops", "TFLOPs": "tflops", "approx flops per GPU": "tflops",
        "elapsed time per iteration (ms)": "step_time_ms", "elapsed time per iteration (s)": "step_time_ms*1000",
        "learning rate": "lr", "grad norm": "grad_norm",
        "consumed tokens": "tokens", "tokens per second": "tokens_per_sec",
    }  # fmt: skip

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._in_arguments = False
        self._iteration = 0.0

    def items(self, line: str) -> Iterator[Row]:
        """A row of an iteration line or of a validation."""
        if "|" in line:
            match = _LINE.search(line, 0, 200)
            if match is not None:
                self._iteration = float(match[1])
                self.info.total = float(match[2])
                self.reached(self._iteration)
                before = line[: match.start()].rpartition("|")[0]
                if values := _fields(f"{before}|{line[match.end() :]}"):
                    yield Row(self._iteration, values, time_of(line))
            elif (match := _VALIDATION.search(line, 0, 200)) is not None:
                yield from self._validation(match, line)
        else:
            self._read_other(line)

    def _validation(self, match: re.Match[str], line: str) -> Iterator[Row]:
        """`lm loss value` and `lm loss PPL` under the names that Megatron gives them in TensorBoard."""
        split = "test" if "test" in (match[1], *match[3].split()) else "validation"
        values = {}
        for name, value in _fields(line[match.end() :]).items():
            if name.endswith("_ppl value"):
                values[f"{name.removesuffix('_ppl value')} {split} ppl"] = value
            elif name.endswith(" value"):
                values[f"{name.removesuffix(' value')} {split}"] = value
            elif name.endswith(" PPL"):
                values[f"{name.removesuffix(' PPL')} {split} ppl"] = value
        if values:
            yield Row(float(match[2]) if match[2] else self._iteration, values)

    def _read_other(self, line: str) -> None:
        if "--- arguments ---" in line:
            self._in_arguments = True
        elif "--- end of arguments ---" in line:
            self._in_arguments = False
        elif self._in_arguments:
            if (match := _ARGUMENT.match(line)) is not None:
                self.info.hyperparameters[match[1]] = literal(match[2])
        elif "[after training is done]" in line:
            self.info.ending = "completed"
        elif "exiting program" in line:
            self.info.ending, self.info.reason = "stopped", line.strip()
        elif "[before the start of training step]" in line and self.info.started is None:
            self.info.started = time_of(line)


def _fields(text: str) -> dict[str, float]:
    """The values of `name: value | name: value |`."""
    values = {}
    for field in text.split("|"):
        name, colon, value = field.rpartition(":")
        if colon and (parsed := number(value.removesuffix("TFLOPS "))) is not None:
            values[name.strip()] = parsed
    return values


def _matches(probe: Probe) -> bool:
    head = probe.head
    return b"iteration " in head and _METRICS.search(head) is not None


FORMAT: Format = console_format("megatron-console", "Megatron-LM's console", MegatronParser, _matches)
