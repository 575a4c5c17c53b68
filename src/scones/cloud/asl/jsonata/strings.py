"""The functions on texts."""

import base64
import binascii
import math
import re
import urllib.parse
from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .sequences import text_of
from .values import UNDEFINED, paired

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = [
    "after", "base64decode", "base64encode", "before", "decode_url", "encode_url", "join", "length",
    "pad", "string", "substring", "trim",
]  # fmt: skip

_SPACE = re.compile("[ \t\n\r]+")
_NOT_BASE64 = re.compile("[^A-Za-z0-9+/]")
_COMPONENT = "-_.!~*'()"
_RESERVED = ";/?:@&=+$,#"


def string(run: "Evaluation", value: Any, pretty: Any = UNDEFINED) -> Any:
    text = text_of(value, 2 if pretty is True else 0)
    run.charge(0 if isinstance(value, str) else 16 + len(text) // 32)
    return text


def whole(number: Any) -> int:
    """A number as a position: without its fraction, NaN as 0, infinity as the end."""
    if isinstance(number, float):
        if number != number:
            return 0
        if math.isinf(number):
            return 2**53 if number > 0 else -(2**53)
    return int(number)


def substring(text: str, start: Any, count: Any = UNDEFINED) -> str:
    first: Any = 0 if start is UNDEFINED or len(text) + start < 0 else start
    if count is UNDEFINED:
        return text[whole(first) :]
    if not count > 0:
        return ""
    end = first + count if first >= 0 else len(text) + first + count
    return text[whole(first) : whole(end)]


def before(text: str, part: Any = UNDEFINED) -> str:
    return text.partition(_searched(part))[0] if _searched(part) else ""


def after(text: str, part: Any = UNDEFINED) -> str:
    searched = _searched(part)
    head, found, tail = text.partition(searched) if searched else ("", True, text)
    return tail if found else head


def _searched(part: Any) -> str:
    return "undefined" if part is UNDEFINED else str(part)


def length(text: str) -> int:
    return len(text)


def trim(text: str) -> str:
    text = _SPACE.sub(" ", text)
    return text[text.startswith(" ") : len(text) - (text.endswith(" ") and len(text) > 1)]


def pad(text: str, width: Any = UNDEFINED, filling: Any = UNDEFINED) -> str:
    if filling is UNDEFINED or not filling:
        filling = " "
    missing = 0 if width is UNDEFINED else abs(width) - len(text)
    if missing <= 0:
        return text
    if missing != int(missing):
        raise JsonataError("D3000", message="Invalid array length")
    padding = (filling * (int(missing) // len(filling) + 1))[: int(missing)]
    return paired(text + padding if width > 0 else padding + text)


def join(texts: list[str], separator: Any = UNDEFINED) -> str:
    return paired(("" if separator is UNDEFINED else separator).join(texts))


def base64encode(text: str) -> str:
    """Of each UTF-16 code unit the lower byte."""
    units = text.encode("utf-16-le", "surrogatepass")
    return base64.b64encode(units[::2]).decode()


def base64decode(text: str) -> str:
    """The bytes as the characters of the same numbers. What is not Base64 is passed over."""
    kept = _NOT_BASE64.sub("", text.partition("=")[0].replace("-", "+").replace("_", "/"))
    kept = kept[: len(kept) - 1] if len(kept) % 4 == 1 else kept
    return binascii.a2b_base64(kept + "=" * (-len(kept) % 4)).decode("latin-1")


def encode_url(name: str, reserved: bool) -> Any:
    """The function `name`; reserved characters are kept where `reserved` says so."""
    safe = _COMPONENT + (_RESERVED if reserved else "")

    def encode(text: str) -> str:
        try:
            return urllib.parse.quote(text, safe)
        except UnicodeEncodeError:
            raise JsonataError("D3140", functionName=name, value=text) from None

    return encode


def decode_url(name: str, reserved: bool) -> Any:
    """The function `name`; escapes of reserved characters stay where `reserved` says so."""
    kept = {ord(character) for character in _RESERVED} if reserved else set()

    def decode(text: str) -> str:
        try:
            return _ESCAPES.sub(lambda found: _decoded(found[0], kept), text)
        except ValueError:
            raise JsonataError("D3140", functionName=name, value=text) from None

    return decode


_ESCAPES = re.compile("(?:%.{0,2})+", re.DOTALL)
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")


def _decoded(escapes: str, kept: set[int]) -> str:
    """Raises ValueError for what is no UTF-8 in percent signs."""
    parts = escapes.split("%")[1:]
    if not all(len(part) == 2 for part in parts):
        raise ValueError(escapes)
    written, pending = "", bytearray()
    for part in parts:
        if not _ESCAPE.fullmatch("%" + part):
            raise ValueError(escapes)
        byte = int(part, 16)
        if byte in kept:
            written += pending.decode() + "%" + part
            pending.clear()
        else:
            pending.append(byte)
    return written + pending.decode()
