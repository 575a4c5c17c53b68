"""The JSONPath of DataProcessing filters: the few operators that SageMaker documents. Pure.

`$`, `.name`, `.*`, `['name','other']`, `[*]` and `[0,2,4:]`. A path that can match one value only
gives that value; names in one bracket give an object of these names; all else gives an array.
Source: SageMaker Developer Guide, "Associate Prediction Results with Input Records".
"""

import re
from dataclasses import dataclass
from typing import Any

__all__ = ["PathError", "Selection"]

_STEP = re.compile(
    r"\.(?P<name>[^.\[\]*'\"\s]+)"
    r"|(?P<all>\.\*|\[\*\])"
    r"|\.?\[(?P<names>\s*(?:'[^']*'|\"[^\"]*\")(?:\s*,\s*(?:'[^']*'|\"[^\"]*\"))*\s*)\]"
    r"|\[(?P<places>\s*-?\d*(?::-?\d*)?(?:\s*,\s*-?\d*(?::-?\d*)?)*\s*)\]"
)
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


class PathError(ValueError):
    """The path is none of ours, or finds nothing; the message says which."""


@dataclass(frozen=True, slots=True)
class _Names:
    names: tuple[str, ...]

    @property
    def one(self) -> bool:
        return True  # several names give one object

    def __call__(self, value: Any) -> list[Any]:
        if not isinstance(value, dict):
            raise PathError(f"no object holds {', '.join(self.names)}")
        missing = [name for name in self.names if name not in value]
        if missing:
            raise PathError(f"there is no attribute {missing[0]!r}")
        if len(self.names) == 1:
            return [value[self.names[0]]]
        return [{name: value[name] for name in self.names}]


@dataclass(frozen=True, slots=True)
class _Places:
    places: tuple[int | slice, ...]

    @property
    def one(self) -> bool:
        return len(self.places) == 1 and isinstance(self.places[0], int)

    def __call__(self, value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise PathError("no array is indexed")
        found: list[Any] = []
        for place in self.places:
            if isinstance(place, slice):
                found += value[place]
            elif -len(value) <= place < len(value):
                found.append(value[place])
            else:
                raise PathError(f"the index {place} is outside an array of {len(value)}")
        return found


@dataclass(frozen=True, slots=True)
class _All:
    @property
    def one(self) -> bool:
        return False

    def __call__(self, value: Any) -> list[Any]:
        if isinstance(value, dict):
            return list(value.values())
        if isinstance(value, list):
            return value
        raise PathError("* needs an object or an array")


_Step = _Names | _Places | _All


@dataclass(frozen=True, slots=True)
class Selection:
    """A parsed path."""

    text: str
    steps: tuple[_Step, ...]

    @property
    def everything(self) -> bool:
        return not self.steps

    @classmethod
    def parse(cls, text: str) -> "Selection":
        """Raises PathError for what is no path of this kind."""
        if not text.startswith("$"):
            raise PathError(f'"{text}" does not begin with $')
        steps, at = [], 1
        while at < len(text):
            match = _STEP.match(text, at)
            if not match:
                raise PathError(f'"{text}" has no supported operator at "{text[at:]}"')
            steps.append(_step(match))
            at = match.end()
        return cls(text, tuple(steps))

    def select(self, value: Any) -> Any:
        """Raises PathError where the path finds nothing."""
        found = [value]
        for step in self.steps:
            found = [match for item in found for match in step(item)]
        return found[0] if all(step.one for step in self.steps) else found


def _step(match: re.Match[str]) -> _Step:
    if match["all"]:
        return _All()
    if match["name"]:
        return _Names((match["name"],))
    if match["names"]:
        return _Names(tuple(single or double for single, double in _QUOTED.findall(match["names"])))
    return _Places(tuple(_place(part.strip()) for part in match["places"].split(",")))


def _place(text: str) -> int | slice:
    start, colon, end = text.partition(":")
    try:
        if colon:
            return slice(int(start) if start else None, int(end) if end else None)
        return int(start)
    except ValueError:
        raise PathError(f'"{text}" is no index') from None
