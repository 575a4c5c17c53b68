"""The models' regular expressions, written for Java, as Python's.

What cannot be said in Python is left out: an input is never refused by a rule we did not understand.
"""

import re
import warnings
from functools import cache

__all__ = ["compile_pattern"]

_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "ASCII": r"\x00-\x7f",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
    "Digit": "0-9",
    "Graph": r"\x21-\x7e",
    "Lower": "a-z",
    "Print": r"\x20-\x7e",
    "Punct": r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
    "Space": r"\s",
    "Upper": "A-Z",
    "XDigit": "0-9a-fA-F",
}
_BEYOND_ASCII = r"\x80-\U0010ffff"
_CATEGORIES = {
    "L": "a-zA-Z",
    "M": "",
    "N": "0-9",
    "P": r"!\x22#%&'()*,\-./:;?@\[\\\]_{}",
    "S": r"$+<=>\^`|~",
    "Z": r"\x20",
}
"""Unicode's categories within ASCII. Beyond it every character counts as a member: tables of a million
code points would buy nothing but refusals."""
_PROPERTY = re.compile(r"\\p\{(?:Is)?([A-Za-z_]+)\}")
_SURROGATES = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}(?:-\\u[dD][89a-fA-F][0-9a-fA-F]{2})?")
_BEYOND = "\U00010000-\U0010ffff"


@cache
def compile_pattern(java: str) -> re.Pattern[str] | None:
    """To be used with fullmatch, as AWS does; None where Python has no equal."""
    if re.search(r"\\[PGXR]|\[\^?\[|&&|\(\?<[A-Za-z]", java):
        return None
    if len(java) > 4000 or _explosive(java):
        return None
    text = _translate(java)
    if text is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # \d and \w are ASCII in Java.
            return re.compile(text, re.ASCII)
    except (re.error, RecursionError, OverflowError, Warning):
        return None


_REPEATED_REPEATS = re.compile(
    r"[*+]\)[*+]"  # (a+)*
    r"|[*+]\)\{\d+,\}"  # (a+){2,}
    r"|\][*+][^()]*\)\{\d+,\d+\}"  # ([a-z]*b){0,9}, but not (-*[a-z]){0,9}, which names are made of
)


def _explosive(java: str) -> bool:
    """A repeated group of repeated things may take exponential time in a backtracking matcher."""
    return _REPEATED_REPEATS.search(java) is not None


def _translate(java: str) -> str | None:
    # Pairs of surrogates stand for what lies beyond the basic plane, which is one character here.
    text = _SURROGATES.sub(_BEYOND, java).replace(r"\z", r"\Z").replace(r"\/", "/")
    text = text.replace(r"[\w-_", r"[\w\-_")
    pieces, position, inside = [], 0, False
    while position < len(text):
        found = _PROPERTY.match(text, position)
        if found:
            members = _members(found[1])
            if members is None:
                return None
            pieces.append(members if inside else f"[{members}]")
            position = found.end()
            continue
        character = text[position]
        if character == "\\":
            pieces.append(text[position : position + 2])
            position += 2
            continue
        inside = character == "[" or (inside and character != "]")
        pieces.append(character)
        position += 1
    return "".join(pieces)


def _members(name: str) -> str | None:
    """A class of characters as the inside of square brackets."""
    if name in _POSIX:
        return _POSIX[name]
    category = _CATEGORIES.get(name[:1])
    return None if category is None or len(name) > 2 else category + _BEYOND_ASCII
