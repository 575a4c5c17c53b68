"""Event patterns: compiling a pattern's text, and whether an event is one of those it describes. Pure.

As in AWS's Event Ruler a field is known by its path, whose steps dots join, in keys too; arrays are
looked through; and no match takes two fields from different elements of one array.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from scones.cloud.services.events.matchers import OPERATORS, Matcher, Matchers
from scones.cloud.services.events.reading import Node, PatternError, read

__all__ = ["Pattern", "PatternError", "compile_pattern"]

_OR = "$or"
_BRANCH_LIMIT = 1000
_RESERVED = OPERATORS | {
    "=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case", "date-after",
    "date-on-or-after", "date-before", "date-on-or-before", "in-date-range", "ip-address-in-range",
    "ip-address-not-in-range",
}  # fmt: skip
"""Names that no field inside an $or may have."""

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a field may be: one of several values, or absent."""

    values: tuple[Matcher, ...]
    absent: bool


@dataclass(slots=True)
class _Tree:
    """The fields of a branch by the steps of their paths."""

    values: tuple[Matcher, ...] = ()
    below: dict[str, "_Tree"] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: dict[Path, _Wanted]) -> "_Tree":
        root = cls()
        for path, wanted in fields.items():
            node = root
            for step in path:
                node = node.below.setdefault(step, cls())
            node.values = wanted.values
        return root

    def fits(self, value: Any) -> bool:
        if isinstance(value, list):
            return any(self.fits(element) for element in _elements(value))
        if isinstance(value, dict):
            if self.values:
                return False
            members = _members(value)
            return all(step in members and tree.fits(members[step]) for step, tree in self.below.items())
        return not self.below and any(matcher(value) for matcher in self.values)


class _Branch:
    """Fields that must all fit: a pattern without $or has one branch."""

    def __init__(self, fields: dict[Path, _Wanted]) -> None:
        self._fields = fields
        self._absent = [path for path, wanted in fields.items() if wanted.absent]
        self._tree = _Tree.of(fields)

    def fits(self, event: dict[str, Any], present: "_Present") -> bool:
        if not self._absent:
            return self._tree.fits(event)
        fields = dict(self._fields)
        for path in self._absent:
            if ".".join(path) not in present.paths:
                del fields[path]
            elif not fields[path].values:
                return False
        return _Tree.of(fields).fits(event)


class _Present:
    """The paths of an event's leaves, found when first asked for."""

    def __init__(self, event: dict[str, Any]) -> None:
        self._event = event
        self._paths: set[str] | None = None

    @property
    def paths(self) -> set[str]:
        if self._paths is None:
            self._paths = set(_leaves(self._event))
        return self._paths


class Pattern:
    def __init__(self, branches: list[dict[Path, _Wanted]]) -> None:
        self._branches = [_Branch(fields) for fields in branches]

    def matches(self, event: dict[str, Any]) -> bool:
        """event: any JSON object, as Python's json reads it."""
        present = _Present(event)
        return any(branch.fits(event, present) for branch in self._branches)


# Events ---------------------------------------------------------------------------------------------


def _elements(array: list[Any]) -> Iterator[Any]:
    """What is in an array and in the arrays within it, which are looked through."""
    waiting = [iter(array)]
    while waiting:
        for element in waiting[-1]:
            if isinstance(element, list):
                waiting.append(iter(element))
                break
            yield element
        else:
            waiting.pop()


def _members(value: dict[str, Any]) -> dict[str, Any]:
    """An object's members by the first step of their names; of rivals each may fit."""
    if not any("." in name for name in value):
        return value
    members: dict[str, list[Any]] = {}
    for name, member in value.items():
        step, dot, rest = name.partition(".")
        members.setdefault(step, []).append({rest: member} if dot else member)
    return {step: _joined(rivals) for step, rivals in members.items()}


def _joined(rivals: list[Any]) -> Any:
    if len(rivals) == 1:
        return rivals[0]
    if all(isinstance(rival, dict) for rival in rivals):
        return {name: member for rival in rivals for name, member in rival.items()}
    return rivals


def _leaves(event: dict[str, Any]) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [("", event)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{path}.{name}" if path else name, member) for name, member in value.items()]
        elif isinstance(value, list):
            waiting += [(path, element) for element in value]
        else:
            yield path


# Patterns -------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def compile_pattern(text: str) -> Pattern:
    """Raises PatternError with Event Ruler's reason."""
    root = read(text)
    if root.kind != "object":
        raise Matchers(text).wrong("Filter is not an object", root.at)
    return Pattern(_Compiler(text).branches(root))


class _Compiler:
    def __init__(self, text: str) -> None:
        self._matchers = Matchers(text)

    def branches(self, root: Node) -> list[dict[Path, _Wanted]]:
        return self._object([{}], root, (), within_or=False)

    def _object(
        self, branches: list[dict[Path, _Wanted]], node: Node, path: Path, *, within_or: bool
    ) -> list[dict[Path, _Wanted]]:
        """The branches so far, with the fields of an object added to each."""
        if not node.fields:
            raise self._matchers.wrong("Empty objects are not allowed", node.end)
        for name, value in node.fields:
            if name == _OR:
                branches = self._or(branches, value, path)
                continue
            if within_or and name in _RESERVED:
                reason = f"{name} is Ruler reserved fieldName which cannot be used inside $or."
                raise self._matchers.wrong(reason, value.at)
            below = (*path, *name.split("."))
            if value.kind == "object":
                branches = self._object(branches, value, below, within_or=within_or)
            elif value.kind == "array":
                wanted = self._field(value)
                branches = [fields | {below: wanted} for fields in branches]
            else:
                raise self._matchers.wrong(f'"{name}" must be an object or an array', value.at)
        return branches

    def _or(self, branches: list[dict[Path, _Wanted]], node: Node, path: Path) -> list[dict[Path, _Wanted]]:
        if node.kind != "array":
            raise self._matchers.wrong("It must be an Array followed with $or.", node.at)
        forked: list[dict[Path, _Wanted]] = []
        for item in node.items:
            if item.kind != "object":
                reason = "Only JSON object is allowed in array of $or relationship."
                raise self._matchers.wrong(reason, item.at)
            forked += self._object(branches, item, path, within_or=True)
            if len(forked) > _BRANCH_LIMIT:
                raise PatternError(f"There are more than {_BRANCH_LIMIT} combinations in $or relationships")
        if len(node.items) < 2:
            reason = "There must have at least 2 Objects in $or relationship."
            raise self._matchers.wrong(reason, node.end)
        return forked

    def _field(self, node: Node) -> _Wanted:
        if not node.items:
            raise self._matchers.wrong("Empty arrays are not allowed", node.end)
        wanted = _Wanted((), False)
        for item in node.items:
            matcher, absent = self._matchers.read(item)
            if absent:
                wanted = replace(wanted, absent=True)
            else:
                wanted = replace(wanted, values=(*wanted.values, matcher))
        return wanted
