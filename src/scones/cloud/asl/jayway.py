"""JSONPath as Jayway's library reads it: what a path is made of, and what it finds.

Every step that finds nothing where several could be found gives nothing, never an error. A walk has a
budget, so that `$..*..*` cannot hold the loop for ever.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Every", "Filter", "Indices", "Names", "Scan", "Slice", "Step", "Walk", "WalkError", "read_steps"]

_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_EACH_QUOTED = re.compile(_QUOTED)
_ESCAPE = re.compile(r"\\(.)")
_NAME = re.compile(r"""[^\s.\[\]()*'",?<>=~!&|]+""")
_FREE_NAME = re.compile(r"""[^\s.\[\]()*'",?]+""")
_NAMES = re.compile(rf"\[\s*((?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))*)\s*\]")
_INDICES = re.compile(r"\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]")
_SLICE = re.compile(r"\[\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(?::\s*-?\d*\s*)?\]")
_FROM_END = re.compile(r"\[\s*\(\s*@\.(?:length|size)(?:\(\))?\s*-\s*(\d+)\s*\)\s*\]")
_EVERY = re.compile(r"\[\s*\*\s*\]")
_FILTER = re.compile(r"\[\s*\?\s*\(")
_FILTER_END = re.compile(r"\s*\)\s*\]")
_BUDGET = 400_000
_STEPS_OF_ONE = 4


class WalkError(Exception):
    """A path finds more, or takes more work, than anybody can need."""


@dataclass(frozen=True, slots=True)
class Names:
    """Properties; several at the end of a path make one object of those that are there."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indices:
    """Elements; negative ones count from the end."""

    indices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    start: int | None
    stop: int | None

    def of(self, length: int) -> Iterator[int]:
        """The indices. As there, those from a negative start to a positive stop go through the end."""
        if self.stop is None:
            start = self.start or 0
            return iter(range(max(start + length if start < 0 else start, 0), length))
        if self.start is None:
            return iter(range(min(self.stop + length if self.stop < 0 else self.stop, length)))
        between = range(self.start, min(self.stop, length))
        return (index + length if index < 0 else index for index in between)


@dataclass(frozen=True, slots=True)
class Every:
    """`*`."""


@dataclass(frozen=True, slots=True)
class Scan:
    """`..`: whatever lies below, itself first, where the next step applies to it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """test: (what is asked about, the root) -> whether it stays."""

    test: Callable[[Any, Any, "Walk"], bool]


Step = Names | Indices | Slice | Every | Scan | Filter
ReadFilter = Callable[[str, int], tuple[Callable[[Any, Any, "Walk"], bool], int]]


def read_steps(
    text: str, position: int, read_filter: ReadFilter, *, free: bool
) -> tuple[tuple[Step, ...], int]:
    """The steps from a position on, and where they end. Raises ValueError.

    free: names may hold the characters of operators, as they may outside of filters.
    """
    steps: list[Step] = []
    name = _FREE_NAME if free else _NAME
    while position < len(text) and text[position] in ".[":
        if text.startswith("..", position):
            steps.append(Scan())
            position += 2
        elif text[position] == ".":
            position += 1
        if text.startswith("[", position):
            step, position = _bracket(text, position, read_filter)
            steps.append(step)
        elif text.startswith("*", position):
            steps.append(Every())
            position += 1
        elif match := name.match(text, position):
            steps.append(Names((match[0],)))
            position = match.end()
        else:
            raise ValueError(f"a step was expected at {position}")
    return tuple(steps), position


def _bracket(text: str, position: int, read_filter: ReadFilter) -> tuple[Step, int]:
    if match := _NAMES.match(text, position):
        names = _EACH_QUOTED.findall(match[1])
        return Names(tuple(_ESCAPE.sub(r"\1", quoted[1:-1]) for quoted in names)), match.end()
    if match := _INDICES.match(text, position):
        return Indices(tuple(int(index) for index in match[1].split(","))), match.end()
    if (match := _SLICE.match(text, position)) and (match[1] or match[2]):
        start, stop = (int(part) if part else None for part in match.groups())
        return Slice(start, stop), match.end()
    if match := _FROM_END.match(text, position):
        return Indices((-int(match[1]),)), match.end()
    if match := _EVERY.match(text, position):
        return Every(), match.end()
    if match := _FILTER.match(text, position):
        test, position = read_filter(text, match.end())
        if match := _FILTER_END.match(text, position):
            return Filter(test), match.end()
        raise ValueError(f"the filter does not end at {position}")
    raise ValueError(f"names, indices, a slice, * or a filter were expected at {position}")


@dataclass(slots=True)
class Walk:
    """One look into one document."""

    root: Any
    left: int = field(default=_BUDGET)

    @property
    def work(self) -> int:
        """So far, in steps of JSONata: each takes as long as several of a walk."""
        return (_BUDGET - self.left) // _STEPS_OF_ONE

    def find(self, steps: Sequence[Step], value: Any) -> Iterator[Any]:
        """What the steps lead to from `value`. Raises WalkError."""
        self.left -= 1
        if self.left < 0:
            raise WalkError
        if not steps:
            yield value
            return
        step, rest = steps[0], steps[1:]
        if isinstance(step, Scan):
            yield from self._scan(rest, value)
        elif isinstance(step, Names) and len(step.names) > 1 and not rest:
            if isinstance(value, dict):
                yield {name: value[name] for name in step.names if name in value}
        else:
            for found in self._taken(step, value):
                yield from self.find(rest, found)

    def _taken(self, step: Step, value: Any) -> Iterator[Any]:
        """What one step takes of a value."""
        if isinstance(value, dict):
            if isinstance(step, Names):
                yield from (value[name] for name in step.names if name in value)
            elif isinstance(step, Every):
                yield from value.values()
            elif isinstance(step, Filter) and step.test(value, self.root, self):
                yield value
        elif isinstance(value, list):
            if isinstance(step, Indices):
                yield from (value[i] for i in step.indices if -len(value) <= i < len(value))
            elif isinstance(step, Slice):
                yield from (value[i] for i in step.of(len(value)) if 0 <= i < len(value))
            elif isinstance(step, Every):
                yield from value
            elif isinstance(step, Filter):
                yield from (item for item in value if step.test(item, self.root, self))

    def _scan(self, rest: Sequence[Step], value: Any) -> Iterator[Any]:
        pending = [value]
        while pending:
            node = pending.pop()
            if not isinstance(node, dict | list):
                continue
            self.left -= 1
            yield from self._scanned(rest, node)
            pending += reversed(node.values() if isinstance(node, dict) else node)

    def _scanned(self, rest: Sequence[Step], node: Any) -> Iterator[Any]:
        """What a scan finds at one node. In an array further steps go on from every element."""
        step = rest[0]
        if isinstance(node, dict):
            if not isinstance(step, Names) or len(rest) > 1 or set(step.names) <= node.keys():
                yield from self.find(rest, node)
        elif isinstance(step, Indices | Slice | Every):
            if len(rest) == 1:
                yield from self.find(rest, node)
            else:
                for item in node:
                    yield from self.find(rest[1:], item)
        elif isinstance(step, Filter) and step.test(node, self.root, self):
            yield from self.find(rest, node)
