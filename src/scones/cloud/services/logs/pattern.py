"""Filter patterns of unstructured text: terms and quoted phrases. Pure.

Source: CloudWatch Logs User Guide, "Filter pattern syntax for unstructured log events".
"""

import re
from collections.abc import Callable

from scones.cloud.errors import ServiceError

__all__ = ["matcher"]

_TERM = re.compile(r'\s*([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_WORD = re.compile(r"\w+")
_FOREIGN = {"{": "JSON", "[": "space-delimited", "%": "regular-expression"}


def matcher(pattern: str) -> Callable[[str], bool]:
    """A predicate over messages. Terms are case-sensitive substrings and all must be there;
    `-term` must not be; of `?term`s one suffices, and other terms are then ignored, as on AWS.

    Raises InvalidParameterException for a term that needs quotes and for the other kinds of pattern.
    """
    pattern = pattern.strip()
    if kind := _FOREIGN.get(pattern[:1]):
        raise _invalid(f"{kind} filter patterns are not supported here: use terms and quoted phrases")
    wanted: list[str] = []
    unwanted: list[str] = []
    any_of: list[str] = []
    position = 0
    while position < len(pattern):
        found = _TERM.match(pattern, position)
        assert found is not None  # `pattern` is stripped, so a non-blank is left
        position = found.end()
        sign, phrase, word = found.groups()
        if word is not None and not _WORD.fullmatch(word):
            raise _invalid(f"Invalid character(s) in term '{word}'")
        term = word if phrase is None else re.sub(r"\\(.)", r"\1", phrase)
        {"": wanted, "-": unwanted, "?": any_of}[sign].append(term)
    if any_of:
        return lambda message: any(t in message for t in any_of)
    return lambda message: all(t in message for t in wanted) and not any(t in message for t in unwanted)


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)
