"""Names with numbers in a line that nobody specified: `loss: 2.3 | lr 1e-4 | mem=41.6GiB (52%)`."""

from __future__ import annotations

import re
from functools import lru_cache

from tuitrain.readers.consoles.lines import NUMBER, value_of, with_unit
from tuitrain.readers.table import is_result

_WORD = r"[A-Za-z_][\w./@+-]{0,79}"
_REST = r"[\w./@+()%-]{0,39}[\w)%]"
_UNITS = r"ms|us|s|secs?|seconds|%|[KMGT]i?B|[kKMBGT]|it/s|s/it|[a-z]+/s(?:ec)?"
_END = r"(?![\w%]|[:./-]\d|/)"
_PAIR = re.compile(
    rf"""(?<![\w./@])['"]?({_WORD}(?: (?:{_REST}|[a-zA-Z(])){{0,5}}?)['"]?\s{{0,9}}[:=]\s{{0,9}}"""
    rf"""['"]?({NUMBER})(?: ?({_UNITS})(?!\s{{0,9}}[:=]))?{_END}""",
)
_NAME_FIRST = re.compile(rf"\W*({_WORD}(?: {_WORD}){{0,3}}) +({NUMBER}) ?({_UNITS})?(?: ?\([^()]*\))?\s*")
_BEFORE_NAMES = re.compile(r"\W*(?:[\d.]+%?[\])]\W*)?")
_OF_SEVERAL = re.compile(
    rf"({_WORD}(?: {_WORD})?) +({NUMBER})(?: ?({_UNITS})(?= +[A-Za-z_(]|\s*$))?(?: ?\([^()]*\))?(?: +|\s*$)"
)
"""A name with its number where only blanks separate it from the next one."""
_NUMBER_FIRST = re.compile(rf"\s*({NUMBER})([kKM]?) ?(ms|tok/s|tokens/s|s/step|s/iter|%) ?((?:\w+ )?MFU|)\s*")
_OF_CAPACITY = re.compile(r"(?<=\d) ?/ ?\d+(?:\.\d+)? ?(?=[MG]i?B\b)")
"""Memory in use by all there is: `mem 61.2/80.0 GB`."""
_LOCATION = re.compile(r"\b[\w.]{1,200}:[\w<>]{1,200}:\d+ - ")
"""Where in the code a line was printed, as loguru writes it: `__main__:train:42 - `."""
_WRAPPED = re.compile(
    rf"\b(?:(?:np|numpy|jnp)\.\w+|tensor|tf\.Tensor|Array)\(({NUMBER})(?:,(?:[^()]|\(\)){{0,200}})?\)"
)
"""A number as an array library prints it: `tensor(2.5, device='cuda:0')`, `np.float64(2.5)`."""
_SEGMENTS = re.compile(r"[|;\t]|,(?!\d{3}(?!\d))| - |(?<![:=\s]) {2,}(?![\d.+ -])")
_LEVELS = re.compile(r"^(?:(?:INFO|DEBUG|WARNING|WARN|ERROR|NOTICE|TRAIN)\b[\s:|-]*)+")
_FACTORS = {"k": 1e3, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12}
_SECONDS = frozenset({"sec", "secs", "seconds"})
_NO_METRICS = frozenset({
    "epoch", "epochs", "ep", "step", "steps", "iter", "iters", "iteration", "iterations", "it", "batch", "global_step",
    "global step", "num_updates", "update", "eta", "v_num", "rank", "local_rank", "pid", "seed", "port", "line",
    "version", "elapsed", "remaining", "dp", "tp", "pp", "cp",
})  # fmt: skip
_FUNCTION_WORDS = frozenset({
    "a", "an", "and", "another", "are", "as", "at", "be", "between", "but", "by", "for", "from", "has", "have", "if",
    "in", "into", "is", "its", "not", "of", "on", "only", "or", "our", "plus", "see", "since", "so", "some", "than",
    "that", "the", "their", "then", "there", "these", "this", "those", "to", "until", "use", "uses", "using", "via",
    "was", "we", "were", "when", "where", "which", "while", "will", "with", "within", "you", "your",
})  # fmt: skip
"""Words of sentences: a name neither begins nor ends with one."""
LONGEST_NAME = 80


def pairs(text: str) -> dict[str, float]:
    """The numbers of a line by their names, with the unit behind the name; counts of steps and the like are none."""
    values: dict[str, float] = {}
    if "(" in text:
        text = _WRAPPED.sub(r"\1", text)
    if "/" in text and "B" in text:
        text = _OF_CAPACITY.sub(" ", text)
    if not text.isascii():
        text = text.replace("│", "|").replace("┃", "|")
    for segment in _SEGMENTS.split(_LOCATION.sub("| ", text)):
        if not segment or segment.isspace():
            continue
        pairs = _PAIR.findall(segment)
        if pairs:
            for name, digits, unit in pairs:
                _add(values, name, digits, unit)
        elif (named := _NAME_FIRST.fullmatch(segment)) is not None:
            if _is_name(named[1]):
                _add(values, named[1], named[2], named[3] or "")
        elif (bare := _NUMBER_FIRST.fullmatch(segment)) is not None:
            unit = bare[3]
            name = {"ms": "time", "%": "mfu", "s/step": "step_time_s", "s/iter": "step_time_s"}.get(unit, unit)
            if unit != "%" or bare[4]:
                _add(values, name, bare[1], unit if unit in ("ms", "%") else bare[2])
        else:
            for name, digits, unit in _several(segment):
                _add(values, name, digits, unit)
    return values


def _several(segment: str) -> list[tuple[str, str, str]]:
    """Names with numbers and units of a text that is nothing else: `loss 1.5 lr 1e-3`. None of a sentence.

    One of the names is that of a result; else all are single words, and one number is no whole one.
    """
    named: list[tuple[str, str, str]] = []
    start = _BEFORE_NAMES.match(segment)
    at = start.end() if start is not None else 0
    while at < len(segment):
        match = _OF_SEVERAL.match(segment, at)
        if match is None or not _is_name(match[1]):
            return []
        named.append((match[1], match[2], match[3] or ""))
        at = match.end()
    names = [name for name, _, _ in named]
    if len(names) != len(set(names)):
        return []
    words = not any(" " in name for name in names) and not all(digits.isdecimal() for _, digits, _ in named)
    return named if words or any(map(is_result, names)) else []


def _is_name(name: str) -> bool:
    words = name.lower().split()
    return _FUNCTION_WORDS.isdisjoint((words[0], words[-1]))


def _add(values: dict[str, float], given: str, digits: str, unit: str) -> None:
    name, factor = _named(given, unit)
    value = value_of(digits) if name else None
    if value is not None:
        values[name] = value * factor


@lru_cache(4096)
def _named(given: str, unit: str) -> tuple[str, float]:
    """The name of a metric with its unit, and the factor that the unit is; no name of what is none."""
    name = _LEVELS.sub("", given).strip()
    if "(" in name and ")" not in name:
        # Words before a bracket are no part of the name: `completed (loss: 2.5)`.
        name = name.rpartition("(")[2]
    # `train.py:42` is where in the code a line was printed.
    if not name or name.lower() in _NO_METRICS or len(name) > LONGEST_NAME or name.endswith(".py"):
        return "", 1.0
    if unit in ("M", "G") and "mem" in name.lower():
        return with_unit(name, unit + "B"), 1.0
    if unit in _FACTORS:
        return name, _FACTORS[unit]
    if unit in _SECONDS:
        unit = "s"
    return (name if "/" in unit else with_unit(name, unit)), 1.0
