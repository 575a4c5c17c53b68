"""What an expression may see: the input (`$`), the context object (`$$`), the variables (`$name`).

JSONata sees the first two, and what a state's work gave, in `$states`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .paths import Path, PathError

__all__ = ["Environment"]


class Environment:
    """One evaluation's view. The context is built only when something asks for it."""

    __slots__ = ("_context", "draw", "given", "now_ms", "root", "variables", "worked")

    def __init__(
        self,
        root: Any,
        context: Callable[[], dict[str, Any]],
        variables: Mapping[str, Any],
        draw: Callable[[], int],
        now_ms: int = 0,
        given: Mapping[str, Any] | None = None,
        worked: Callable[[int], None] = lambda _steps: None,
    ) -> None:
        self.root = root
        self.variables = variables
        self.draw = draw
        """128 random bits that a replay draws again."""
        self.now_ms = now_ms
        self.given = given or {}
        """`result` or `errorOutput`, once there is one."""
        self.worked = worked
        """Told how many steps an evaluation or a search took."""
        self._context = context

    def states(self) -> dict[str, Any]:
        """The value of `$states`."""
        return {"input": self.root, "context": self._context(), **self.given}

    def resolve(self, path: Path) -> Any:
        """Raises PathError."""
        if path.source == "input":
            return path.find(self.root, self.worked)
        if path.source == "context":
            return path.find(self._context(), self.worked)
        if path.variable not in self.variables:
            raise PathError(f"No results for path: ${path.variable}")
        return path.find(self.variables[path.variable], self.worked)
