"""The elements of one array in a JSON document, built from the events of a parser."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

from scones.cloud.asl.failures import StateError

__all__ = ["NOT_ITERABLE", "JsonElements", "read_failed"]

NOT_ITERABLE = "Attempting to map over non-iterable node."
_DEEPEST = 200
_ARRAY = object()
"""Stands for an array on the way to the place where the elements are."""


def read_failed(cause: str) -> StateError:
    return StateError("States.ItemReaderFailed", cause)


class JsonElements:
    """Feed it ijson's basic events. Only the element at hand is in memory."""

    def __init__(self, pointer: list[str]) -> None:
        self._pointer = pointer
        self.found = False
        """Whether the array has been reached."""
        self._over = False
        self._place: list[Any] = []
        """The keys of the objects that are open around the array."""
        self._open: list[Any] = []
        """The arrays and objects that are open inside the element."""
        self._keys: list[str | None] = []

    def take(self, events: Iterable[tuple[str, Any]]) -> Iterator[Any]:
        """The elements that these events complete. Raises StateError."""
        for event, value in events:
            if not self.found or self._over:
                self._look(event, value)
                continue
            if event == "end_array" and not self._open:
                self._over = True
                continue
            whole = self._build(event, value)
            if whole and not self._open:
                yield whole[0]

    def _look(self, event: str, value: Any) -> None:
        """Outside the array: is this where it begins?"""
        if event == "map_key":
            self._place[-1] = value
        elif event in ("end_map", "end_array"):
            if self._place:  # the array itself has no place of its own
                self._place.pop()
        elif not self.found and self._place == self._pointer:
            if event != "start_array":
                raise read_failed(NOT_ITERABLE)
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
