"""The console of OLMo and OLMo-core: a header `[step=5/200,epoch=0]`, then `    name=value` lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tuitrain.readers.consoles.lines import NUMBER, ConsoleParser, console_format, time_of, values_of
from tuitrain.readers.model import Format, Probe, Row

_HEADER = re.compile(r"\[step=(\d+)(?:/(\d+))?[^\]]*\]\s*$")
_VALUE = re.compile(rf"(?:\d+:|\[\w+\]:)?\s{{2,}}([^\s=][^=]*)=<?({NUMBER})()\s*$")
_METRICS = re.compile(
    r"\[step=\d+(?:/\d+)?(?:,[^\]]{0,300})?\]\s{0,300}\n(?:\d+:|\[\w+\]:)?\s{2,}[^\s=][^=\n]{0,300}=<?[-\d.n]"
)
_EVALUATED = re.compile(r"eval/([^/]+)/(CrossEntropyLoss|CE loss|Perplexity|PPL)$")


class OlmoParser(ConsoleParser):
    """Reads blocks of values. A block without a step, as of an evaluator, belongs to the last step before it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._step: float | None = None
        self._time: float | None = None
        self._values: dict[str, float] = {}

    def items(self, line: str) -> Iterator[Row]:
        """The row of a block, once another line follows it."""
        match = _VALUE.match(line) if "=" in line and self._step is not None else None
        if match is not None:
            self._values |= values_of([(match[1], match[2], "")])
            if match[1] not in self.info.meanings and (evaluated := _EVALUATED.match(match[1])) is not None:
                field = "loss" if "oss" in evaluated[2] else "perplexity"
                self.info.meanings[match[1]] = f"eval/{evaluated[1]}/{field}"
            return
        yield from self.pending()
        header = _HEADER.search(line) if "[step=" in line else None
        if header is not None:
            self._step = float(header[1])
            self._time = time_of(line)
            if header[2] is not None:
                self.info.total = float(header[2])
                self.reached(self._step)

    def pending(self) -> Iterator[Row]:
        """The values that the current block has so far."""
        if self._values and self._step is not None:
            values, self._values = self._values, {}
            yield Row(self._step, values, self._time)


def _matches(probe: Probe) -> bool:
    return b"[step=" in probe.head and _METRICS.search(probe.text) is not None


FORMAT: Format = console_format("olmo-console", "OLMo's console", OlmoParser, _matches)
