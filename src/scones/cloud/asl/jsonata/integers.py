"""Whole numbers as figures, letters, Roman numerals and English words, by picture, and back.

Source: XPath and XQuery Functions and Operators 3.1, 4.6; what the reference implementation answers.
"""

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scones.cloud.asl.queryerrors import MEMORY, QueryError

from .errors import JsonataError
from .formatting import regular_interval
from .operators import exact
from .sequences import LONGEST_TEXT
from .text import number_text, number_value
from .values import UNDEFINED

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = [
    "WORDS",
    "IntegerPicture",
    "format_integer",
    "number_prefix",
    "parse_integer",
    "parsed_integer",
    "read_integer",
    "read_picture",
    "write_integer",
]

_ONES = [
    "Zero",
    "One",
    "Two",
    "Three",
    "Four",
    "Five",
    "Six",
    "Seven",
    "Eight",
    "Nine",
    "Ten",
    "Eleven",
    "Twelve",
    "Thirteen",
    "Fourteen",
    "Fifteen",
    "Sixteen",
    "Seventeen",
    "Eighteen",
    "Nineteen",
]
_ORDINALS = [
    "Zeroth",
    "First",
    "Second",
    "Third",
    "Fourth",
    "Fifth",
    "Sixth",
    "Seventh",
    "Eighth",
    "Ninth",
    "Tenth",
    "Eleventh",
    "Twelfth",
    "Thirteenth",
    "Fourteenth",
    "Fifteenth",
    "Sixteenth",
    "Seventeenth",
    "Eighteenth",
    "Nineteenth",
]
_TENS = ["Twenty", "Thirty", "Forty", "Fifty", "Sixty", "Seventy", "Eighty", "Ninety"]
_POWERS = ["Thousand", "Million", "Billion", "Trillion"]
_ROMAN = (
    (1000, "m"), (900, "cm"), (500, "d"), (400, "cd"), (100, "c"), (90, "xc"), (50, "l"), (40, "xl"),
    (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"),
)  # fmt: skip
_ROMAN_VALUES = {letter.upper(): value for value, letter in _ROMAN if len(letter) == 1}
_ZEROS = (
    0x30, 0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50,
    0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
)  # fmt: skip
_STYLES = {
    "A": ("letters", "upper"), "a": ("letters", "lower"), "I": ("roman", "upper"), "i": ("roman", "lower"),
    "W": ("words", "upper"), "w": ("words", "lower"), "Ww": ("words", "title"),
}  # fmt: skip


def _word_values() -> dict[str, int]:
    values = {word.lower(): n for words in (_ONES, _ORDINALS) for n, word in enumerate(words)}
    for n, word in enumerate([*_TENS, "Hundred"], 2):
        values[word.lower()] = values[word.lower()[:-1] + "ieth"] = n * 10
    values["hundredth"] = 100
    for n, word in enumerate(_POWERS, 1):
        values[word.lower()] = values[word.lower() + "th"] = 1000**n
    return values


WORDS = _word_values()


@dataclass(slots=True)
class IntegerPicture:
    style: str
    case: str = "lower"
    ordinal: bool = False
    zero: int = 0x30
    mandatory: int | None = None
    """How many digits there are at least; None for other styles than decimal."""
    optional: int | None = None
    separators: tuple[tuple[int, str], ...] = ()
    """How many digits are to the right of each, from the left."""
    interval: int = 0
    """Of separators at equal distances."""
    token: str = ""


def read_picture(picture: str) -> IntegerPicture:
    """Raises JsonataError D3131."""
    head, semicolon, modifier = picture.rpartition(";")
    primary = head if semicolon else picture
    ordinal = bool(semicolon) and modifier[:1] == "o"
    if primary in _STYLES:
        style, case = _STYLES[primary]
        return IntegerPicture(style, case, ordinal)
    zero, mandatory, optional, separators = None, 0, 0, []
    for character in reversed(primary):
        group = next((first for first in _ZEROS if first <= ord(character) <= first + 9), None)
        if group is not None:
            if zero not in (None, group):
                raise JsonataError("D3131")
            zero = group
            mandatory += 1
        elif character == "#":
            optional += 1
        else:
            separators.append((mandatory + optional, character))
    if zero is None:
        return IntegerPicture("sequence", ordinal=ordinal, token=primary)
    alike = len({character for _, character in separators}) == 1
    interval = regular_interval(tuple(position for position, _ in separators)) if alike else 0
    return IntegerPicture(
        "decimal", "lower", ordinal, zero, mandatory, optional, tuple(reversed(separators)), interval
    )  # fmt: skip


def format_integer(run: "Evaluation", value: Any, picture: Any = UNDEFINED) -> str:
    number = math.floor(value) if math.isfinite(value) else value
    analysed = read_picture(str(picture))
    if analysed.style == "roman" and math.isfinite(number):
        run.charge(abs(number) // 1000)
    return write_integer(number, analysed)


def write_integer(number: Any, picture: IntegerPicture) -> str:
    """Raises JsonataError D3130."""
    sign, number = "-" if number < 0 else "", exact(abs(number))
    if picture.style == "sequence":
        raise JsonataError("D3130", value=picture.token)
    if picture.style == "decimal" or not math.isfinite(number):
        return sign + _decimal(number_text(number), picture)
    if picture.style == "letters":
        text = _letters(number)
    elif picture.style == "roman":
        text = _roman(number)
    else:
        text = _words(number, "", picture.ordinal)
    if picture.case == "title":
        return sign + text
    return sign + (text.upper() if picture.case == "upper" else text.lower())


def _decimal(text: str, picture: IntegerPicture) -> str:
    if (picture.mandatory or 0) > LONGEST_TEXT:
        raise QueryError("", MEMORY)
    text = text.rjust(picture.mandatory or 0, "0")
    if picture.zero != 0x30:
        text = "".join(chr(ord(character) + picture.zero - 0x30) for character in text)
    if picture.interval:
        separator = picture.separators[0][1]
        for n in range((len(text) - 1) // picture.interval, 0, -1):
            at = len(text) - n * picture.interval
            text = text[:at] + separator + text[at:]
    else:
        for position, separator in picture.separators:
            at = len(text) - position
            text = text[: max(at, 0)] + separator + text[at:]
    if picture.ordinal:
        teens = len(text) > 1 and text[-2] == "1"
        text += "th" if teens else {"1": "st", "2": "nd", "3": "rd"}.get(text[-1], "th")
    return text


def _letters(number: Any) -> str:
    text = ""
    while number > 0:
        text = chr(int(math.fmod(number - 1, 26)) + ord("A")) + text
        number = exact(float(math.floor((number - 1) / 26)))
    return text


def _roman(number: Any) -> str:
    text = ""
    for value, letters in _ROMAN:
        times, number = divmod(number, value)
        text += letters * int(times)
    return text


def _words(number: Any, joint: str, ordinal: bool) -> str:
    """The number in words, with `joint` before it, ` and ` in place of a comma before small ones."""
    joint = " and " if joint and number < 100 else joint
    if number <= 19:
        small: list[str] = _ORDINALS if ordinal else _ONES
        return joint + small[int(number)]
    if number < 100:
        tens, rest = divmod(int(number), 10)
        word: str = joint + _TENS[tens - 2]
        if rest:
            return word + "-" + _words(rest, "", ordinal)
        return word[:-1] + "ieth" if ordinal else word
    if number < 1000:
        head, rest = divmod(int(number), 100)
        text: str = joint + _ONES[head] + " Hundred"
    else:
        power = min(math.floor(math.log10(number) / 3), len(_POWERS))
        head = exact(float(math.floor(number / 1000.0**power)))
        rest = exact(number - head * 1000.0**power)
        text = joint + _words(head, "", False) + " " + _POWERS[power - 1]
    return text + (_words(rest, ", ", ordinal) if rest else "th" if ordinal else "")


def parse_integer(text: str, picture: Any = UNDEFINED) -> Any:
    return read_integer(text, read_picture(str(picture)))


def read_integer(text: str, picture: IntegerPicture) -> Any:
    """The number, or NaN. Raises JsonataError D3130."""
    if picture.style == "sequence":
        raise JsonataError("D3130", value=picture.token)
    if picture.style == "letters":
        first = ord("A" if picture.case == "upper" else "a")
        return exact(sum((ord(c) - first + 1) * 26**n for n, c in enumerate(reversed(text[-200:]))))
    if picture.style == "roman":
        return _roman_value(text if picture.case == "upper" else text.upper())
    if picture.style == "words":
        return _words_value(text.lower())
    digits = text[:-2] if picture.ordinal else text
    for separator in "," if picture.interval else [each for _, each in picture.separators]:
        digits = digits.replace(separator, "")
    if picture.zero != 0x30:
        moved = (ord(character) - picture.zero + 0x30 for character in digits)
        digits = "".join(chr(code) if code >= 0 else "x" for code in moved)
    return parsed_integer(digits)


def parsed_integer(text: str) -> Any:
    """What JavaScript's parseInt reads at the start of a text: NaN for none."""
    found = re.match(r"\s*[+-]?(0[xX][0-9a-fA-F]+|(?!0[xX])[0-9]+)", text)
    if not found:
        return math.nan
    if found[1][:2] in ("0x", "0X"):
        return exact(int(found[0].strip(), 16))
    return exact(number_value(found[0].strip()))


def number_prefix(text: str) -> int | None:
    """The whole number that a text begins with, without a sign."""
    found = re.match(r"\s*([0-9]+)", text)
    return int(found[1]) if found and len(found[1]) < 16 else None


def _roman_value(text: str) -> Any:
    total: Any = 0
    largest: Any = 1
    for letter in reversed(text):
        value: Any = _ROMAN_VALUES.get(letter, math.nan)
        if value < largest:
            total -= value
        else:
            largest = value
            total += value
    return total


def _words_value(text: str) -> Any:
    segments: list[Any] = [0]
    for word in re.split(r",\s|\sand\s|[\s\\-]", text):
        value: Any = WORDS.get(word, math.nan)
        if not value < 100:
            segments.append(segments.pop() * value)
            continue
        top = segments.pop()
        if top >= 1000:
            segments.append(top)
            top = 0
        segments.append(top + value)
    return exact(sum(segments))
