"""Types of numbers in a configuration: counts such as `81.7B`, and `auto`."""

from __future__ import annotations

import math
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator

from tuitrain.config.errors import quoted

_MULTIPLIERS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9, "t": 10**12}


def parse_count(value: object) -> object:
    """Read `81.7B`, `300M` or `1_000` as an integer; leave anything else to the type check."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*([0-9][0-9_,]*(?:\.[0-9]+)?(?:e[0-9]+)?)\s*([kmbt]?)\s*", value.lower())
    if not match:
        return value
    count = float(match[1].replace("_", "").replace(",", "")) * _MULTIPLIERS[match[2]]
    return round(count) if math.isfinite(count) else value


def _in_one_sentence(value: object, check: ValidatorFunctionWrapHandler) -> object:
    """One error for both alternatives; pydantic reports one for the number and one for the word."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError(f"{quoted(value)} is neither auto nor a whole number of 1 or more") from None


Count = Annotated[int, BeforeValidator(parse_count)]
CountOrAuto = Annotated[Annotated[int, Field(ge=1)] | Literal["auto"], WrapValidator(_in_one_sentence)]
