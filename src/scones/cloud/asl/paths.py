"""JSONPath as Step Functions reads it: Jayway's dialect, `$$` for the context, `$name` for variables.

A definite path gives the value itself or PathError; an indefinite one (wildcard, slice, filter,
descent, several indices) always gives a list, empty where nothing matches. Several names at the end,
`['a', 'b']`, make one object of those that are there. Definite paths, nearly all there are, run here;
the rest goes to python-jsonpath. Compiled paths are cached.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import jsonpath

from .jsontext import dumps

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
_QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_NAME = re.compile(_QUOTED)
_NAMES = re.compile(rf"\[\s*(?:{_QUOTED})(?:\s*,\s*(?:{_QUOTED}))+\s*\]")
_LAST_NAMES = re.compile(f"{_NAMES.pattern}$")
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
    """The library's compiled query of an indefinite path; None where there is none to ask."""
    names: tuple[str, ...] = ()
    """The properties that are kept of what the rest of the path finds."""
    fault: str = ""
    """Why nothing is ever found, where that is known of the path alone."""

    @property
    def whole(self) -> bool:
        return self.single and not self.steps

    @property
    def single(self) -> bool:
        """Whether it can identify one node only, as a reference path does."""
        return self.steps is not None and not self.names

    def find(self, root: Any) -> Any:
        """The value at this path below `root`. Raises PathError."""
        if self.fault:
            raise PathError(self.fault)
        if self.steps is None:
            found = self._query(root)
            return [self._kept(item) for item in found if isinstance(item, dict)] if self.names else found
        value = self._walk(self.steps, root)
        if not self.names:
            return value
        if not isinstance(value, dict):
            raise PathError(
                f"Expected to find an object with property {_listed(self.names)} in path"
                f" {_bracketed(self.steps)} but found another type."
            )
        return self._kept(value)

    def _kept(self, value: dict[str, Any]) -> dict[str, Any]:
        return {name: value[name] for name in self.names if name in value}

    def _query(self, root: Any) -> list[Any]:
        try:
            found = list(islice((match.obj for match in self.query.finditer(root)), _RESULT_LIMIT + 1))
        except jsonpath.JSONPathError as problem:
            raise PathError(str(problem)) from None
        if len(found) > _RESULT_LIMIT:
            raise PathError(f"More than {_RESULT_LIMIT} results for path: {self.text}")
        return found

    def _walk(self, steps: tuple[Step, ...], root: Any) -> Any:
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


def _bracketed(steps: tuple[Step, ...]) -> str:
    return "$" + "".join(f"[{s}]" if isinstance(s, int) else f"['{s}']" for s in steps)


def _listed(names: tuple[str, ...]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"


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
    path = Path(text, source, variable, tuple(steps), None)
    if position == len(rest):
        return path
    if _FUNCTION.search(rest):  # path functions are not evaluated
        return replace(path, steps=None, fault=f"No results for path: {text}")
    rest = rest[position:]
    query = _compile_query(tuple(steps), rest, text)
    if several := _NAMES.match(rest):
        names = _names(several)
        if several.end() == len(rest):
            return replace(path, names=names)
        place = f"{_bracketed(tuple(steps))}{_listed(names)}"
        fault = f"Multi properties can only be used as path leafs: {place}"
        return replace(path, steps=None, fault=fault)
    if (several := _LAST_NAMES.search(rest)) and not rest[: several.start()].endswith(".."):
        query = _compile_query(tuple(steps), rest[: several.start()], text)
        return replace(path, steps=None, query=query, names=_names(several))
    return replace(path, steps=None, query=query)


def _names(several: re.Match[str]) -> tuple[str, ...]:
    return tuple(_ESCAPE.sub(r"\1", name[1:-1]) for name in _NAME.findall(several[0]))


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
