"""The function $formatNumber: decimal pictures as in XPath, with the reference's own reading of them.

Source: XPath and XQuery Functions and Operators 3.1, 4.7; what the reference implementation answers.
"""

import functools
import math
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from scones.cloud.asl.queryerrors import TIME, QueryError

from .errors import JsonataError
from .numbers import round_number
from .text import number_text
from .values import UNDEFINED

__all__ = ["format_number"]

_SYMBOLS = {
    "decimal-separator": ".", "grouping-separator": ",", "exponent-separator": "e", "infinity": "Infinity",
    "minus-sign": "-", "NaN": "NaN", "percent": "%", "per-mille": "\u2030", "zero-digit": "0", "digit": "#",
    "pattern-separator": ";",
}  # fmt: skip


class _Symbols:
    """What stands for what in a picture."""

    def __init__(self, options: Any) -> None:
        given = {} if options is UNDEFINED else {k: v for k, v in options.items() if isinstance(v, str)}
        symbols = {**_SYMBOLS, **given}
        self.point = symbols["decimal-separator"]
        self.group = symbols["grouping-separator"]
        self.exponent = symbols["exponent-separator"]
        self.minus = symbols["minus-sign"]
        self.percent = symbols["percent"]
        self.mille = symbols["per-mille"]
        self.optional = symbols["digit"]
        self.pattern = symbols["pattern-separator"]
        first = ord(symbols["zero-digit"][:1] or "0")
        self.digits = "".join(map(chr, range(first, first + 10)))
        self.active = {*self.digits, self.point, self.exponent, self.group, self.optional, self.pattern}

    def mandatory(self, part: str) -> int:
        return sum(character in self.digits for character in part)

    def all(self, part: str) -> int:
        return sum(character in self.digits or character == self.optional for character in part)


@dataclass(frozen=True, slots=True)
class _Parts:
    """A sub-picture taken apart."""

    picture: str
    prefix: str
    suffix: str
    active: str
    mantissa: str
    exponent: str | None
    integer: str
    fraction: str


@dataclass(frozen=True, slots=True)
class _Form:
    """How a number is written."""

    picture: str
    prefix: str
    suffix: str
    integer_groups: tuple[int, ...]
    regular: int
    fraction_groups: tuple[int, ...]
    integer_size: int
    scale: int
    fraction_sizes: tuple[int, int]
    exponent_size: int


def _taken_apart(picture: str, symbols: _Symbols) -> _Parts:
    marks = [n for n, c in enumerate(picture) if c in symbols.active and c != symbols.exponent]
    if not marks:  # the reference trips over it
        raise JsonataError("D3000", message="Cannot read properties of undefined (reading 'length')")
    prefix, suffix = picture[: marks[0]], picture[marks[-1] + 1 :]
    active = picture[marks[0] : marks[-1] + 1]
    at = picture.find(symbols.exponent, len(prefix))
    if at == -1 or at > len(picture) - len(suffix):
        mantissa, exponent = active, None
    else:
        mantissa, exponent = active[:at], active[at + 1 :]
    point = mantissa.find(symbols.point)
    integer, fraction = (mantissa, suffix) if point == -1 else (mantissa[:point], mantissa[point + 1 :])
    return _Parts(picture, prefix, suffix, active, mantissa, exponent, integer, fraction)


def _check(parts: _Parts, symbols: _Symbols) -> None:
    """Raises JsonataError for what is wrong with a sub-picture: the last thing, where there are several."""
    picture, exponent = parts.picture, parts.exponent
    point = picture.find(symbols.point)
    beside = (picture[max(point - 1, 0) : point], picture[point + 1 : point + 2]) if point != -1 else ()
    optional = parts.integer.find(symbols.optional)
    after = parts.fraction.rfind(symbols.optional)
    scaled = symbols.percent in picture or symbols.mille in picture
    problems = {
        "D3081": picture.count(symbols.point) > 1,
        "D3082": picture.count(symbols.percent) > 1,
        "D3083": picture.count(symbols.mille) > 1,
        "D3084": symbols.percent in picture and symbols.mille in picture,
        "D3085": not symbols.all(parts.mantissa),
        "D3086": any(character not in symbols.active for character in parts.active),
        "D3087": symbols.group in beside,
        "D3088": point == -1 and parts.integer[-1:] == symbols.group,
        "D3089": symbols.group * 2 in picture,
        "D3090": optional != -1 and symbols.mandatory(parts.integer[:optional]) > 0,
        "D3091": after != -1 and symbols.mandatory(parts.fraction[after:]) > 0,
        "D3092": bool(exponent) and scaled,
        "D3093": exponent is not None and (not exponent or symbols.mandatory(exponent) < len(exponent)),
    }
    wrong = [code for code, holds in problems.items() if holds]
    if wrong:
        raise JsonataError(wrong[-1])


def _groups(part: str, parts: _Parts, symbols: _Symbols, to_left: bool) -> tuple[int, ...]:
    """How many digits are beyond each separator. After the first, separators of the integer part count."""
    positions = []
    at = part.find(symbols.group)
    while at != -1:
        positions.append(symbols.all(part[:at] if to_left else part[at:]))
        at = parts.integer.find(symbols.group, at + 1)
    return tuple(positions)


def regular_interval(positions: tuple[int, ...]) -> int:
    """The interval between separators where it is always the same, else 0."""
    if not positions:
        return 0
    factor = functools.reduce(math.gcd, positions)
    return factor if all(n * factor in positions for n in range(1, len(positions) + 1)) else 0


def _analysed(parts: _Parts, symbols: _Symbols) -> _Form:
    groups = _groups(parts.integer, parts, symbols, False)
    integer = scale = symbols.mandatory(parts.integer)
    least, most = symbols.mandatory(parts.fraction), symbols.all(parts.fraction)
    exponent = parts.exponent is not None
    if integer == 0 and most == 0:
        if exponent:
            least = most = 1
        else:
            integer = 1
    if exponent and integer == 0 and symbols.optional in parts.integer:
        integer = 1
    if integer == 0 and least == 0:
        least = 1
    return _Form(
        picture=parts.picture, prefix=parts.prefix, suffix=parts.suffix, integer_groups=groups,
        regular=regular_interval(groups), fraction_groups=_groups(parts.fraction, parts, symbols, True),
        integer_size=integer, scale=scale, fraction_sizes=(least, most),
        exponent_size=symbols.mandatory(parts.exponent or ""),
    )  # fmt: skip


def format_number(value: Any, picture: Any = UNDEFINED, options: Any = UNDEFINED) -> str:
    symbols = _Symbols(options)
    pictures = str(picture).split(symbols.pattern) if symbols.pattern else list(str(picture))
    if len(pictures) > 2:
        raise JsonataError("D3080")
    parts = [_taken_apart(each, symbols) for each in pictures]
    for each in parts:
        _check(each, symbols)
    forms = [_analysed(each, symbols) for each in parts]
    if len(forms) == 1:
        forms.append(replace(forms[0], prefix=symbols.minus + forms[0].prefix))
    form = forms[0] if value >= 0 else forms[1]
    number = value * (
        100 if symbols.percent in form.picture else 1000 if symbols.mille in form.picture else 1
    )
    mantissa, exponent = _scaled(number, form) if form.exponent_size else (number, None)
    written = _grouped(_padded(mantissa, form, symbols), form, symbols)
    if exponent is not None:
        figures = _figures(exponent, 0, symbols).rjust(form.exponent_size, symbols.digits[0])
        written += symbols.exponent + (symbols.minus if exponent < 0 else "") + figures
    return form.prefix + written + form.suffix


def _scaled(number: Any, form: _Form) -> tuple[Any, int]:
    largest, smallest = math.pow(10, form.scale), math.pow(10, form.scale - 1)
    mantissa, exponent = number, 0
    while mantissa < smallest and exponent > -400:
        mantissa *= 10
        exponent -= 1
    while mantissa > largest and exponent < 400:
        mantissa /= 10
        exponent += 1
    if not -400 < exponent < 400:  # of zero and of negative numbers the reference never finds one
        raise QueryError("", TIME)
    return mantissa, exponent


def _figures(number: Any, places: int, symbols: _Symbols) -> str:
    """The number without its sign, with so many decimals."""
    number = abs(number)
    if not math.isfinite(number) or number >= 1e21:
        text = number_text(number)
    else:
        text = f"{Decimal(number).quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"
    if symbols.digits[0] == "0":
        return text
    return "".join(symbols.digits[int(c)] if "0" <= c <= "9" else c for c in text)


def _padded(mantissa: Any, form: _Form, symbols: _Symbols) -> str:
    least, most = form.fraction_sizes
    zero = symbols.digits[0]
    text = _figures(round_number(mantissa, most), most, symbols)
    text = text.replace(".", symbols.point, 1) if "." in text else text + symbols.point
    text = text.lstrip(zero).rstrip(zero)
    point = text.find(symbols.point)
    text = zero * (form.integer_size - point) + text
    return text + zero * (least - (len(text) - text.find(symbols.point) - 1))


def _grouped(text: str, form: _Form, symbols: _Symbols) -> str:
    point = text.find(symbols.point)
    if form.regular > 0:
        for n in range(1, (point - 1) // form.regular + 1):
            text = _inserted(text, point - n * form.regular, symbols.group)
    else:
        for position in form.integer_groups:
            text = _inserted(text, point - position, symbols.group)
            point += 1
    point = text.find(symbols.point)
    for position in form.fraction_groups:
        text = _inserted(text, position + point + 1, symbols.group)
    point = text.find(symbols.point)
    return text[:-1] if symbols.point not in form.picture or point == len(text) - 1 else text


def _inserted(text: str, position: int, part: str) -> str:
    return text[:position] + part + text[position:]
