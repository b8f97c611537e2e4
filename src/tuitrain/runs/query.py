"""A small language to choose runs: `status:running qwen loss<2.5 -tag:old`.

A query is terms with blanks between them, all of which must hold:

    word            in the id, the name, the preset, a tag or a note
    key:a,b         status, tag, group: one of these; name, preset, model, host, strategy: contains one of these
    key<number      and <= > >= = !=; numbers may end in k, M, B, T or %, ages in s, m, h, d, w
    -term           the opposite of a term
    "…"             blanks and special characters as they are; \\" and \\\\ inside

Case does not matter. A number that a run does not have satisfies no comparison.
"""

from __future__ import annotations

import math
import operator
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tuitrain.runs.snapshot import RunSnapshot
from tuitrain.runs.status import Status

LIVE = "live"
"""Besides the statuses: any of those under which more records may come."""

_SCALES = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "g": 1e9, "t": 1e12}
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
    "=": lambda a, b: a == b or math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b)),
}  # fmt: skip
_COMPARE["!="] = lambda a, b: not _COMPARE["="](a, b)

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TERM = re.compile(rf'(?:{_QUOTED}|[^\s"])+', re.DOTALL)
_KEY = re.compile(r"([A-Za-z][\w/.]*)(:|<=|>=|!=|<|>|=)")
_VALUES = re.compile(rf'(?:{_QUOTED}|[^,"])+', re.DOTALL)
_PIECES = re.compile(rf'{_QUOTED}|[^"]+', re.DOTALL)
_NUMBER = re.compile(r"([+-]?(?:\d[\d_]*\.?\d*|\.\d+)(?:e[+-]?\d+)?|[+-]?inf|nan) ?([a-z%]*)", re.IGNORECASE)
Selects = Callable[[RunSnapshot, float], bool]
"""Whether a term holds for a run at a time, Unix seconds."""


class QueryError(ValueError):
    """A term that cannot be understood; the message names it and lists the valid ones."""


@dataclass(frozen=True)
class Term:
    """One term as it was written, and whether it holds for a run."""

    text: str
    holds: Selects = field(compare=False)


@dataclass(frozen=True)
class Query:
    """Terms that must all hold; none holds for every run. Its text reads back as an equal query."""

    terms: tuple[Term, ...] = ()

    def matches(self, run: RunSnapshot, now: float | None = None) -> bool:
        """Whether the query selects a run."""
        at = time.time() if now is None else now
        return all(term.holds(run, at) for term in self.terms)

    def chosen(self, runs: Iterable[RunSnapshot], now: float | None = None) -> list[RunSnapshot]:
        """The runs that match, in their order."""
        at = time.time() if now is None else now
        return [run for run in runs if self.matches(run, at)]

    def without_half_a_key(self) -> Query:
        """The query without a last word with which a key begins, as `los` on the way to `loss<2.5`."""
        last = self.terms[-1].text.lower() if self.terms else None
        if last is not None and any(key.startswith(last) for key in (*TEXTS, *NUMBERS, *_ALIASES)):
            return Query(self.terms[:-1])
        return self

    def __bool__(self) -> bool:
        return bool(self.terms)

    def __str__(self) -> str:
        return " ".join(term.text for term in self.terms)


def parse_query(text: str) -> Query:
    """The query that a text means. Raises QueryError, and nothing else, for one that means none."""
    terms, position = [], 0
    while position < len(text):
        if text[position].isspace():
            position += 1
            continue
        match = _TERM.match(text, position)
        if match is None or text[match.end() : match.end() + 1] == '"':
            raise QueryError(f"{text[position:]!r} opens a quotation and does not close it.")
        terms.append(_term(match.group()))
        position = match.end()
    return Query(tuple(terms))


def number_of(run: RunSnapshot, key: str, now: float) -> float | None:
    """A number of a run by its key (one of NUMBERS); None is unknown. Shares lie in 0–1, the age is in seconds."""
    if key == "age":
        return None if run.created is None else max(now - run.created, 0.0)
    value = _NUMBERS[key](run)
    return None if value is None else float(value)


def _term(text: str) -> Term:
    body = text.removeprefix("-")
    if not body:
        raise QueryError("'-' stands before what it negates, without a blank: -tag:old.")
    match = _KEY.match(body)
    if match is None:
        holds = _word(text, body)
    else:
        name, relation, rest = match[1], match[2], body[match.end() :]
        key = _ALIASES.get(name.lower(), name.lower())
        if key not in TEXTS and key not in NUMBERS:
            raise QueryError(
                f"{name!r} in {text} is no key; known: {', '.join(TEXTS)} with a colon, {', '.join(NUMBERS)} with a "
                "number. Text with such a sign goes in quotes."
            )
        holds = _property(text, key, relation, rest) if key in TEXTS else _comparison(text, key, relation, rest)
    return Term(text, (lambda run, now: not holds(run, now)) if text.startswith("-") else holds)


def _word(text: str, body: str) -> Selects:
    word = _unquoted(body).lower()
    if not word.strip():
        raise QueryError(f"{text} is an empty word.")
    return lambda run, now: word in "\n".join((run.directory.run_id, run.name, *_TEXTS["preset"](run), *run.tags,
                                               *run.notes)).lower()  # fmt: skip


def _property(text: str, key: str, relation: str, rest: str) -> Selects:
    """Whether a text of a run is (status, tag, group), or contains, one of some values."""
    if relation != ":":
        raise QueryError(f"{text}: {key} is a text, so write {key}:VALUE, or -{key}:VALUE for all others.")
    values = [_unquoted(value).lower() for value in _VALUES.findall(rest)]
    if not values or rest.startswith(",") or rest.endswith(",") or not all(value.strip() for value in values):
        raise QueryError(f"{text} lacks a value after {key}:.")
    if key == "status":
        names = [LIVE, *Status]
        wrong = next((value for value in values if not any(name.startswith(value) for name in names)), None)
        if wrong is not None:
            raise QueryError(f"{wrong!r} in {text} is no status; known: {', '.join(names)}.")
    # A status by its beginning, a tag or a group as it is, other texts by a part of them.
    exact, first = key in ("tag", "group"), key == "status"

    def same(each: str, value: str) -> bool:
        return each == value if exact else each.startswith(value) if first else value in each

    return lambda run, now: any(same(each.lower(), value) for each in _TEXTS[key](run) for value in values)


def _comparison(text: str, key: str, relation: str, rest: str) -> Selects:
    """A number of a run against another. An unknown number has no relation to any other."""
    if relation == ":":
        raise QueryError(
            f"{text}: {key} is a number, so compare it with <, <=, >, >=, = or !=, as in {_EXAMPLES[key]}."
        )
    number, compare = _number(text, key, rest), _COMPARE[relation]
    return lambda run, now: (value := number_of(run, key, now)) is not None and compare(value, number)


def _number(text: str, key: str, rest: str) -> float:
    match = _NUMBER.fullmatch(_unquoted(rest).strip())
    if match is None:
        raise QueryError(f"{text} lacks a number after its sign, as in {_EXAMPLES[key]}.")
    value, unit = float(match[1].replace("_", "")), match[2].lower()
    value = math.nan if math.isnan(value) else value
    if key == "age":
        if unit not in _SECONDS:
            raise QueryError(f"{text} lacks a unit of time: s, m, h, d or w, as in {_EXAMPLES[key]}.")
        return value * _SECONDS[unit]
    if unit == "%" and key in SHARES:
        value /= 100
    elif unit in _SCALES:
        value *= _SCALES[unit]
    else:
        raise QueryError(f"{text} ends in a unit that {key} does not have: write it as in {_EXAMPLES[key]}.")
    if key in SHARES and abs(value) > 1:
        raise QueryError(
            f"{text} is more than all: {key} lies between 0 and 1, or 0% and 100%, as in {_EXAMPLES[key]}."
        )
    return value


def _unquoted(text: str) -> str:
    pieces = (
        re.sub(r"\\(.)", r"\1", piece[1:-1], flags=re.DOTALL) if piece.startswith('"') else piece
        for piece in _PIECES.findall(text)
    )
    return "".join(pieces)


def _config(run: RunSnapshot, key: str) -> list[str]:
    value = run.run.config.get(key) if run.run is not None else None
    return [value] if isinstance(value, str) else []


def _known(value: str | None) -> list[str]:
    return [] if value is None else [value]


_TEXTS: dict[str, Callable[[RunSnapshot], list[str]]] = {
    "status": lambda run: [str(run.status), *([LIVE] if run.status.live else [])],
    "tag": lambda run: run.tags,
    "name": lambda run: [run.name],
    "preset": lambda run: _config(run, "preset"),
    "model": lambda run: _known(run.run.architecture.name if run.run and run.run.architecture else None),
    "host": lambda run: _known(run.info.host if run.info else None),
    "strategy": lambda run: _known(run.run.parallel.strategy if run.run and run.run.parallel else None),
    "group": lambda run: _known(run.info.group if run.info else None),
}
_NUMBERS: dict[str, Callable[[RunSnapshot], float | None]] = {
    "loss": lambda run: run.loss,
    "val_loss": lambda run: run.val_loss,
    "bits_per_byte": lambda run: run.evaluation.bits_per_byte if run.evaluation is not None else None,
    "step": lambda run: run.step.step if run.step else None,
    "tokens": lambda run: run.step.tokens if run.step else None,
    "mfu": lambda run: run.step.mfu if run.step else None,
    "tokens_per_sec": lambda run: run.step.tokens_per_sec if run.step else None,
    "params": lambda run: run.params,
    "progress": lambda run: run.progress,
}
_ALIASES = {
    "tok/s": "tokens_per_sec",
    "tokens/s": "tokens_per_sec",
    "val": "val_loss",
    "bits/byte": "bits_per_byte",
    "tags": "tag",
}
_EXAMPLES = {
    "loss": "loss<2.5", "val_loss": "val_loss<2.5", "bits_per_byte": "bits/byte<1", "step": "step>=10k",
    "tokens": "tokens>1B", "mfu": "mfu<40%", "tokens_per_sec": "tok/s>400k", "params": "params>1B",
    "progress": "progress>50%", "age": "age<3d",
}  # fmt: skip

TEXTS: tuple[str, ...] = tuple(_TEXTS)
"""Keys with a colon."""
NUMBERS: tuple[str, ...] = (*_NUMBERS, "age")
"""Keys that are compared."""
SHARES = ("mfu", "progress")
"""Numbers in 0–1, which may be written in per cent."""
