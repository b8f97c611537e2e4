"""The console of OLMo and OLMo-core: a header `[step=5/200,epoch=0]`, then `    name=value` lines."""

from __future__ import annotations

import re

from tuitrain.readers.consoles.lines import NUMBER, BlockParser, console_format
from tuitrain.readers.model import Format, Probe

_METRICS = re.compile(
    r"\[step=\d+(?:/\d+)?(?:,[^\]]{0,300})?\]\s{0,300}\n(?:\d+:|\[\w+\]:)?\s{2,}[^\s=][^=\n]{0,300}=<?[-\d.n]"
)
_EVALUATED = re.compile(r"eval/([^/]+)/(CrossEntropyLoss|CE loss|Perplexity|PPL)$")


class OlmoParser(BlockParser):
    """Reads blocks of values. A block without a step, as of an evaluator, belongs to the last step before it."""

    header = re.compile(r"\[step=(\d+)(?:/(\d+))?[^\]]*\]\s*$")
    sign = "[step="
    value = re.compile(rf"(?:\d+:|\[\w+\]:)?\s{{2,}}([^\s=][^=]*)=<?({NUMBER})\s*$")

    def meaning(self, name: str) -> str:
        """The loss and the perplexity on a split."""
        match = _EVALUATED.match(name)
        return "" if match is None else f"eval/{match[1]}/{'loss' if 'oss' in match[2] else 'perplexity'}"


def _matches(probe: Probe) -> bool:
    return b"[step=" in probe.head and _METRICS.search(probe.text) is not None


FORMAT: Format = console_format("olmo-console", "OLMo's console", OlmoParser, _matches)
