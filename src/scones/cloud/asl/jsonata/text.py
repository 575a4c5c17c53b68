"""Values as text, in JavaScript's manner: numbers as its shortest decimals, documents as its JSON."""

import math
import re
from decimal import ROUND_HALF_UP, Context, Decimal
from json.encoder import encode_basestring
from typing import Any

from .errors import JsonataError
from .values import UNDEFINED, Closure, Lambda, Matcher, Native, is_function, keys_of

__all__ = ["number_text", "number_value", "quote", "rounded", "stringify"]

_SHORT = 10**15
_DIGITS = Context(prec=15, rounding=ROUND_HALF_UP)
_SURROGATE = re.compile("[\ud800-\udfff]")
_NUMBER = re.compile(r"[+-]?(?:Infinity|[0-9]+\.?[0-9]*(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)")


def number_text(value: float) -> str:
    """A number's shortest decimals that read back as the same number."""
    try:
        number = float(value)
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    if number != number:
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number.is_integer() and abs(number) < 1e15:
        return str(int(number))
    sign, figures, exponent = Decimal(repr(number)).normalize().as_tuple()
    digits = "".join(map(str, figures))
    assert isinstance(exponent, int)
    return "-" * sign + _placed(digits, len(digits) + exponent)


def _placed(digits: str, point: int) -> str:
    """The digits with the decimal point after `point` of them; an exponent where that is far away."""
    if len(digits) <= point <= 21:
        return digits + "0" * (point - len(digits))
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    power = point - 1
    mantissa = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if power >= 0 else '-'}{abs(power)}"


def number_value(text: str) -> float:
    """What JavaScript's parseFloat reads at the start of a text: NaN for none."""
    found = _NUMBER.match(text.lstrip())
    return float(found[0]) if found else math.nan


def rounded(value: float) -> float:
    """A finite number to 15 significant digits. Raises JsonataError D1001 for infinity."""
    if type(value) is int and abs(value) < 10**15:
        return value
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise JsonataError("D1001", value=value)
    return number if number != number else float(_DIGITS.create_decimal(Decimal(number)))


def stringify(value: Any, indent: int = 0, precise: bool = False) -> str:
    """JSON of a value, numbers to 15 digits unless `precise`; a function is an empty text.

    Raises JsonataError D1001 for infinity, unless `precise`.
    """
    return _write(value, " " * indent, "", precise)


def _write(value: Any, step: str, margin: str, precise: bool) -> str:
    kind = type(value)
    if kind is str:
        return _string(value)
    if kind is int and -_SHORT < value < _SHORT:
        return str(value)
    if value is None or value is UNDEFINED:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        text = number_text(value if precise else rounded(value))
        return "null" if text[-1] in "yN" else text
    inner = margin + step
    if isinstance(value, dict):
        kept = [key for key in keys_of(value) if value[key] is not UNDEFINED]
        colon = ": " if step else ":"
        return _joined(
            [_string(k) + colon + _write(value[k], step, inner, precise) for k in kept], "{}", inner, margin
        )
    if isinstance(value, list):
        return _joined([_write(item, step, inner, precise) for item in value], "[]", inner, margin)
    return '""'


def _joined(parts: list[str], brackets: str, inner: str, margin: str) -> str:
    if not parts or not inner:
        return brackets[0] + ",".join(parts) + brackets[1]
    lines = f",\n{inner}".join(parts)
    return f"{brackets[0]}\n{inner}{lines}\n{margin}{brackets[1]}"


def _string(value: str) -> str:
    text: str = encode_basestring(value)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def quote(value: Any) -> str:
    """How an error's text shows a value."""
    if value is UNDEFINED or isinstance(value, Closure | Matcher):
        return "undefined"
    if isinstance(value, Native):
        signature = (
            f',"signature":{{"definition":{_string(value.signature.text)}}}' if value.signature else ""
        )
        return f'{{"_jsonata_function":true{signature}}}'
    if isinstance(value, Lambda):
        return '{"_jsonata_lambda":true}'
    if not isinstance(value, dict | list | str | int | float | None):  # a regular expression's tree
        return "{}"
    return stringify(_without_functions(value), precise=True)


def _without_functions(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_functions(item) for key, item in value.items() if not is_function(item)}
    if isinstance(value, list):
        return [None if is_function(item) else _without_functions(item) for item in value]
    return value
