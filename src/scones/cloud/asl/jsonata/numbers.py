"""The functions on numbers."""

import math
import re
from typing import Any

from .errors import JsonataError
from .operators import exact
from .text import number_text
from .values import UNDEFINED

__all__ = [
    "absolute", "average", "ceil", "floor", "format_base", "maximum", "minimum", "number", "power", "root",
    "round_number", "total",
]  # fmt: skip

_DECIMAL = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[Ee][-+]?[0-9]+)?")
_OTHER_BASE = re.compile(r"\A0[xX][0-9A-Fa-f]+|0[oO][0-7]+|0[bB][01]+\Z")
_BASES = {"x": (16, "[0-9A-Fa-f]+"), "o": (8, "[0-7]+"), "b": (2, "[01]+")}
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def number(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if not isinstance(value, str):
        return value
    if _DECIMAL.fullmatch(value) and math.isfinite(float(value)):
        return exact(float(value))
    if _OTHER_BASE.search(value):
        return _based(value.strip())
    raise JsonataError("D3030", value=value)


def _based(text: str) -> Any:
    base, digits = _BASES.get(text[1:2].lower(), (0, ""))
    if not base or text[0] != "0" or not re.fullmatch(digits, text[2:]):
        return math.nan
    return exact(int(text[2:], base))


def total(values: list[Any]) -> Any:
    result: Any = 0
    for value in values:
        result = exact(result + value)
    return result


def average(values: list[Any]) -> Any:
    return exact(total(values) / len(values)) if values else UNDEFINED


def maximum(values: list[Any]) -> Any:
    return max(values) if values else UNDEFINED


def minimum(values: list[Any]) -> Any:
    return min(values) if values else UNDEFINED


def absolute(value: Any) -> Any:
    return abs(value)


def floor(value: Any) -> Any:
    return exact(float(math.floor(value))) if math.isfinite(value) else value


def ceil(value: Any) -> Any:
    return exact(float(math.ceil(value))) if math.isfinite(value) else value


def round_number(value: Any, precision: Any = UNDEFINED) -> Any:
    """To so many decimals, a half to the even neighbour."""
    places = 0 if precision is UNDEFINED else precision
    shifted = _shifted(value, places) if places else float(value)
    if not math.isfinite(shifted):
        return shifted
    below = math.floor(shifted)
    rest = shifted - below
    nearest = below + (rest > 0.5 or (rest == 0.5 and below % 2 != 0))
    return exact(_shifted(exact(float(nearest)), -places) if places else float(nearest))


def _shifted(value: Any, places: Any) -> float:
    """The value with its decimal point moved, in its decimals."""
    if places != int(places):
        return math.nan
    mantissa, _, power = number_text(value).partition("e")
    if mantissa.lstrip("-") in ("Infinity", "NaN"):
        return math.nan
    return float(f"{mantissa}e{int(power or 0) + int(places)}")


def root(value: Any) -> Any:
    if value < 0:
        raise JsonataError("D3060", value=value)
    return exact(math.sqrt(value))


def power(value: Any, exponent: Any = UNDEFINED) -> Any:
    try:
        result = math.nan if exponent is UNDEFINED else math.pow(value, exponent)
    except (ValueError, OverflowError, TypeError):
        result = math.nan
    if not math.isfinite(result) or (exponent != exponent):
        raise JsonataError("D3061", value=value, exp=exponent)
    return exact(result)


def format_base(value: Any, radix: Any = UNDEFINED) -> str:
    base = 10 if radix is UNDEFINED else round_number(radix)
    if base < 2 or base > 36:
        raise JsonataError("D3100", value=base)
    whole = round_number(value)
    if base == 10 or not math.isfinite(whole):
        return number_text(whole)
    rest, digits = abs(int(whole)), ""
    while rest:
        rest, digit = divmod(rest, base)
        digits = _DIGITS[digit] + digits
    return ("-" if whole < 0 else "") + (digits or "0")
