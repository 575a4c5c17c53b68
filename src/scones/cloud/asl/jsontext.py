"""JSON as value and as text at once: a text nobody rewrote keeps its bytes, spaces included."""

import json
from typing import Any

import orjson

__all__ = ["EMPTY", "LIMIT_BYTES", "Json", "dumps", "java_order", "join", "loads", "too_large"]

_LIGHT = 4096
"""Characters up to which a document's value is kept beside its text."""

LIMIT_BYTES = 262_144
"""Largest input, output, parameters or result, in UTF-8 bytes."""

_DIGITS_ALIKE = bytes(ord("1") if chr(byte).isdigit() and byte < 128 else 0 for byte in range(256))
_LONG_NUMBER = b"1" * 19
_MISSING: Any = object()


def loads(text: str) -> Any:
    """The value of a JSON text; raises ValueError. Integers of any length stay exact."""
    try:
        value = orjson.loads(text)
        if _LONG_NUMBER in text.encode().translate(_DIGITS_ALIKE):  # orjson turned these into floats
            return json.loads(text)
        return value
    except RecursionError:
        raise ValueError("the document is nested too deeply") from None


def dumps(value: Any) -> str:
    """Compact JSON text; raises ValueError where the value is nested too deeply."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # integers beyond 64 bits, or deeper than orjson writes
        try:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except RecursionError:
            raise ValueError("the document is nested too deeply") from None


def too_large(text: str) -> bool:
    size = len(text)
    return size * 4 > LIMIT_BYTES and (size > LIMIT_BYTES or len(text.encode()) > LIMIT_BYTES)


class Json:
    """A JSON document; the missing side is made when first asked for. Values are never changed in place."""

    __slots__ = ("_text", "_value")

    def __init__(self, value: Any = _MISSING, text: str | None = None) -> None:
        self._value = value
        self._text = text

    @property
    def value(self) -> Any:
        if self._value is _MISSING:
            assert self._text is not None
            self._value = loads(self._text)
        return self._value

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = dumps(self._value)
        return self._text

    def lighten(self) -> None:
        """Let go of a large value that its text, several times smaller, can give again."""
        if self._text is not None and len(self._text) > _LIGHT:
            self._value = _MISSING


def join(items: list[Json]) -> Json:
    """The array of documents, each with its own text."""
    return Json(text=f"[{','.join(item.text for item in items)}]")


EMPTY = Json(value={}, text="{}")


def java_order(keys: list[str]) -> list[str]:
    """The order of a Java HashMap, which AWS's texts show wherever the service built the object."""
    buckets = 16
    while len(keys) > buckets * 3 // 4:
        buckets *= 2

    def bucket(key: str) -> int:
        units = memoryview(key.encode("utf-16-le")).cast("H")
        code = 0
        for unit in units:
            code = (31 * code + unit) & 0xFFFFFFFF
        return (code ^ (code >> 16)) & (buckets - 1)

    return sorted(keys, key=bucket)
