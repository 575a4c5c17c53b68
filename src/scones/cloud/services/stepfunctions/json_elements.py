"""The elements of one array or object in a JSON document, built from the events of a parser."""

from collections.abc import AsyncIterator, Iterable, Iterator
from decimal import Decimal
from typing import Any

import ijson

from .read_limits import LARGEST_ITEM_BYTES, read_failed

__all__ = ["JsonElements", "json_elements"]

_NOT_ITERABLE = "Attempting to map over non-iterable node."
_FARTHEST_BYTES = 16 * 1024 * 1024
"""Where the array or object must have begun that an ItemsPointer leads to."""
_DEEPEST = 200
_ARRAY = object()
"""Stands for an array on the way to the place where the elements are."""

_Element = tuple[str | None, Any]
"""(name, value): the name is None in an array."""


async def json_elements(pieces: AsyncIterator[bytes], pointer: list[str]) -> AsyncIterator[_Element]:
    """The elements of the document's array, or of the array or object that the pointer leads to."""
    events, elements = ijson.sendable_list(), JsonElements(pointer)
    parser = ijson.basic_parse_coro(events)
    size = 0  # of what has been read since something was complete
    try:
        async for piece in pieces:
            parser.send(piece)
            size += len(piece)
            for element in elements.take(events):
                size = 0
                yield element
            if elements.over and events:
                size = 0
            _check_size(size, elements.found)
            events.clear()
        parser.close()
    except ijson.JSONError as problem:
        raise read_failed(f"The object is not valid JSON: {' '.join(str(problem).split())}") from None
    for element in elements.take(events):
        yield element
    if not elements.found:
        raise read_failed(_NOT_ITERABLE)


def _check_size(size: int, found: bool) -> None:
    if found and size > LARGEST_ITEM_BYTES:
        raise read_failed(f"An item of the object is longer than {LARGEST_ITEM_BYTES} bytes.")
    if size > _FARTHEST_BYTES:
        raise read_failed(f"The items do not begin within the first {_FARTHEST_BYTES} bytes of the object.")


class JsonElements:
    """Feed it ijson's basic events. Only the element at hand is in memory."""

    def __init__(self, pointer: list[str]) -> None:
        self._pointer = pointer
        self.found = False
        """Whether the array or object has been reached."""
        self.over = False
        """Whether it has been left."""
        self._place: list[Any] = []
        """The keys of the objects that are open around it."""
        self._open: list[Any] = []
        """The arrays and objects that are open inside the element."""
        self._keys: list[str | None] = []
        self._name: str | None = None
        """Of the element at hand, in an object."""

    def take(self, events: Iterable[tuple[str, Any]]) -> Iterator[_Element]:
        """The elements that these events complete. Raises StateError."""
        for event, value in events:
            if not self.found or self.over:
                self._look(event, value)
            elif self._open:
                if (whole := self._build(event, value)) and not self._open:
                    yield self._name, whole[0]
            elif event in ("end_array", "end_map"):
                self.over = True
            elif event == "map_key":
                self._name = value
            elif whole := self._build(event, value):
                yield self._name, whole[0]

    def _look(self, event: str, value: Any) -> None:
        """Outside: is this where it begins?"""
        if event == "map_key":
            self._place[-1] = value
        elif event in ("end_map", "end_array"):
            if self._place:  # the array or object itself has no place of its own
                self._place.pop()
        elif not self.found and self._place == self._pointer:
            # A whole document that is an object was refused when that was recorded.
            if event != "start_array" and not (event == "start_map" and self._pointer):
                raise read_failed(_NOT_ITERABLE)
            self.found = True
        elif event == "start_map":
            self._place.append(None)
        elif event == "start_array":
            self._place.append(_ARRAY)

    def _build(self, event: str, value: Any) -> tuple[Any] | None:
        """What the event completes."""
        if event == "map_key":
            self._keys[-1] = value
            return None
        if event in ("end_map", "end_array"):
            self._keys.pop()
            return self._put(self._open.pop())
        if event in ("start_map", "start_array"):
            if len(self._open) == _DEEPEST:
                raise read_failed("The object is nested too deeply.")
            self._open.append({} if event == "start_map" else [])
            self._keys.append(None)
            return None
        return self._put(float(value) if isinstance(value, Decimal) else value)

    def _put(self, value: Any) -> tuple[Any]:
        if self._open and isinstance(self._open[-1], list):
            self._open[-1].append(value)
        elif self._open:
            self._open[-1][self._keys[-1]] = value
        return (value,)
