"""JSONPath as Step Functions reads it: Jayway's dialect, `$$` for the context, `$name` for variables.

A definite path gives the value itself or PathError; an indefinite one (wildcard, slice, filter,
descent, several indices) always gives a list, empty where nothing matches. Several names at the end,
`['a', 'b']`, make one object of those that are there. Compiled paths are cached.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from .filters import read_filter
from .jayway import Indices, Names, Step, Walk, WalkError, read_steps
from .jsontext import dumps

__all__ = ["Path", "PathError", "compile_path", "insert"]

Source = Literal["input", "context", "variable"]

_VARIABLE = re.compile(r"\$([A-Za-z_À-￿][\w]*)")
_FUNCTION = re.compile(r"\.\w+\(\s*[^)]*\)\s*$")
_RESULT_LIMIT = 100_000
"""More results than fit into any output."""


class PathError(Exception):
    """A definite path leads nowhere; the text is the JSON path engine's reason."""


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path; `steps` is None where the path is indefinite."""

    text: str
    source: Source
    variable: str
    steps: tuple[str | int, ...] | None
    query: tuple[Step, ...] = ()
    """The steps of an indefinite path."""
    names: tuple[str, ...] = ()
    """The properties that a definite path keeps of the object it leads to."""
    fault: str = ""
    """Why nothing is ever found, where that is known of the path alone."""

    @property
    def whole(self) -> bool:
        return self.single and not self.steps

    @property
    def single(self) -> bool:
        """Whether it can identify one node only, as a reference path does."""
        return self.steps is not None and not self.names

    def find(self, root: Any, worked: Callable[[int], None] = lambda _steps: None) -> Any:
        """The value at this path below `root`. Raises PathError.

        worked: told how much work an indefinite path was.
        """
        if self.fault:
            raise PathError(self.fault)
        if self.steps is None:
            return self._several(root, worked)
        value = self._walk(self.steps, root)
        if not self.names:
            return value
        if not isinstance(value, dict):
            raise PathError(
                f"Expected to find an object with property {_listed(self.names)} in path"
                f" {_bracketed(self.steps)} but found another type."
            )
        return {name: value[name] for name in self.names if name in value}

    def _several(self, root: Any, worked: Callable[[int], None]) -> list[Any]:
        found, walk = [], Walk(root)
        try:
            for value in walk.find(self.query, root):
                found.append(value)
                if len(found) > _RESULT_LIMIT:
                    raise WalkError
        except WalkError:
            raise PathError(
                f"More than {_RESULT_LIMIT} results, or steps to find them: {self.text}"
            ) from None
        finally:
            worked(walk.work)
        return found

    def _walk(self, steps: tuple[str | int, ...], root: Any) -> Any:
        value = root
        for depth, step in enumerate(steps):
            if isinstance(step, str):
                if isinstance(value, dict) and step in value:
                    value = value[step]
                    continue
            elif isinstance(value, list) and -len(value) <= step < len(value):
                value = value[step]
                continue
            raise PathError(self._reason(value, depth))
        return value

    def _reason(self, value: Any, depth: int) -> str:
        assert self.steps is not None
        here = _bracketed(self.steps[: depth + 1])
        last = depth == len(self.steps) - 1
        step = self.steps[depth]
        if isinstance(step, int) and isinstance(value, list):
            return f"Index out of bounds when evaluating path {here}"
        if isinstance(step, int):
            shown = value if isinstance(value, str) else dumps(value)
            return f"Filter: [{step}] can only be applied to arrays. Current context is: {shown}"
        if isinstance(value, dict):
            return f"{'No results for path:' if last else 'Missing property in path'} {here}"
        parent = _bracketed(self.steps[:depth])
        return f"Expected to find an object with property ['{step}'] in path {parent} but found another type."


def _bracketed(steps: tuple[str | int, ...]) -> str:
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else f"['{s}']" for s in steps)


def _listed(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """Raises ValueError where `text` is no path."""
    source, variable, rest = _split(text)
    if _FUNCTION.search(rest):  # path functions are not evaluated
        return Path(text, source, variable, None, fault=f"No results for path: {text}")
    try:
        steps, end = read_steps(rest, 0, read_filter, free=True)
        if end < len(rest):
            raise ValueError(f"a step was expected at {end}")
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{text!r} is not a path: {problem}") from None
    return _known(text, source, variable, steps)


def _known(text: str, source: Source, variable: str, steps: tuple[Step, ...]) -> Path:
    """The path, as a definite one where it is."""
    walked: list[str | int] = []
    for number, step in enumerate(steps, start=1):
        if isinstance(step, Names) and len(step.names) == 1:
            walked.append(step.names[0])
        elif isinstance(step, Indices) and len(step.indices) == 1:
            walked.append(step.indices[0])
        elif isinstance(step, Names) and number == len(steps):
            return Path(text, source, variable, tuple(walked), names=step.names)
        else:
            return Path(text, source, variable, None, query=steps)
    return Path(text, source, variable, tuple(walked))


def _split(text: str) -> tuple[Source, str, str]:
    if text.startswith("$$"):
        return "context", "", text[2:]
    if match := _VARIABLE.match(text):
        return "variable", match[1], text[match.end() :]
    if text.startswith("$"):
        return "input", "", text[1:]
    raise ValueError(f"{text!r} is not a path")


def insert(root: Any, path: Path, value: Any) -> Any:
    """A copy of `root` with `value` at a reference path; only what lies on the way is copied.

    Missing objects are made. Raises PathError where the path runs through something else.
    """
    assert path.steps is not None
    return _insert(root, path.steps, value) if path.steps else value


def _insert(node: Any, steps: tuple[str | int, ...], value: Any) -> Any:
    step, rest = steps[0], steps[1:]
    if isinstance(step, str):
        if not isinstance(node, dict):
            raise PathError(step)
        child = _insert(node.get(step, {}), rest, value) if rest else value
        return {**node, step: child}
    if not isinstance(node, list) or not 0 <= step < len(node):
        raise PathError(str(step))
    copy = list(node)
    copy[step] = _insert(node[step], rest, value) if rest else value
    return copy
