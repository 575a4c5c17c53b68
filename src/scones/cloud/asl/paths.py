"""JSONPath as Step Functions reads it: Jayway's dialect, `$$` for the context, `$name` for variables.

A definite path gives the value itself or PathError; an indefinite one (wildcard, slice, filter,
descent, union) always gives a list, empty where nothing matches. Definite paths, nearly all there are,
run here; the rest goes to python-jsonpath. Compiled paths are cached.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import jsonpath

__all__ = ["Path", "PathError", "compile_path", "insert"]

Step = str | int
Source = Literal["input", "context", "variable"]

_VARIABLE = re.compile(r"\$([A-Za-z_À-￿][\w]*)")
_STEP = re.compile(
    r"""\.([^\s.\[\]()*'",?]+)"""
    r"""|\[\s*'((?:[^'\\]|\\.)*)'\s*\]"""
    r"""|\[\s*"((?:[^"\\]|\\.)*)"\s*\]"""
    r"""|\[\s*(-?\d+)\s*\]"""
)
_ESCAPE = re.compile(r"\\(.)")
_FUNCTION = re.compile(r"\.\w+\(\s*[^)]*\)\s*$")
_ENVIRONMENT = jsonpath.JSONPathEnvironment()
_RESULT_LIMIT = 100_000
"""More results than fit into any output; a path like `$..*..*` must not hold the loop for ever."""


class PathError(Exception):
    """A definite path leads nowhere; the text is the JSON path engine's reason."""


@dataclass(frozen=True, slots=True)
class Path:
    """A compiled path; `steps` is None where the path is indefinite."""

    text: str
    source: Source
    variable: str
    steps: tuple[Step, ...] | None
    query: Any
    """The library's compiled query of an indefinite path."""

    @property
    def whole(self) -> bool:
        return self.steps == ()

    def find(self, root: Any) -> Any:
        """The value at this path below `root`. Raises PathError."""
        if self.steps is None:
            if self.query is None:
                raise PathError(f"No results for path: {self.text}")
            try:
                found = list(islice((match.obj for match in self.query.finditer(root)), _RESULT_LIMIT + 1))
            except jsonpath.JSONPathError as problem:
                raise PathError(str(problem)) from None
            if len(found) > _RESULT_LIMIT:
                raise PathError(f"More than {_RESULT_LIMIT} results for path: {self.text}")
            return found
        value = root
        for depth, step in enumerate(self.steps):
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
            return f"Filter: [{step}] can only be applied to arrays. Current context is: {value}"
        if isinstance(value, dict):
            return f"{'No results for path:' if last else 'Missing property in path'} {here}"
        parent = _bracketed(self.steps[:depth])
        return f"Expected to find an object with property ['{step}'] in path {parent} but found another type."


def _bracketed(steps: tuple[Step, ...]) -> str:
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else f"['{s}']" for s in steps)


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Path:
    """Raises ValueError where `text` is no path."""
    source, variable, rest = _split(text)
    steps: list[Step] = []
    position = 0
    while match := _STEP.match(rest, position):
        name, single, double, index = match.groups()
        if index is not None:
            steps.append(int(index))
        else:
            steps.append(name if name is not None else _ESCAPE.sub(r"\1", single or double or ""))
        position = match.end()
    if position == len(rest):
        return Path(text, source, variable, tuple(steps), None)
    if _FUNCTION.search(rest):  # path functions are not evaluated: nothing is ever found
        return Path(text, source, variable, None, None)
    return Path(text, source, variable, None, _compile_query(tuple(steps), rest[position:], text))


def _split(text: str) -> tuple[Source, str, str]:
    if text.startswith("$$"):
        return "context", "", text[2:]
    if match := _VARIABLE.match(text):
        return "variable", match[1], text[match.end() :]
    if text.startswith("$"):
        return "input", "", text[1:]
    raise ValueError(f"{text!r} is not a path")


def _compile_query(steps: tuple[Step, ...], rest: str, text: str) -> Any:
    """Definite steps go over in brackets, because the library takes no dash in a dotted name."""
    head = "".join(f"[{s}]" if isinstance(s, int) else f"[{_quoted(s)}]" for s in steps)
    try:
        return _ENVIRONMENT.compile(f"${head}{rest}")
    except (jsonpath.JSONPathError, RecursionError) as problem:
        raise ValueError(f"{text!r} is not a path: {problem}") from None


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def insert(root: Any, path: Path, value: Any) -> Any:
    """A copy of `root` with `value` at a reference path; only what lies on the way is copied.

    Missing objects are made. Raises PathError where the path runs through something else.
    """
    assert path.steps is not None
    return _insert(root, path.steps, value) if path.steps else value


def _insert(node: Any, steps: tuple[Step, ...], value: Any) -> Any:
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
