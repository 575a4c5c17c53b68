"""What an expression may see: the input (`$`), the context object (`$$`), the variables (`$name`)."""

from collections.abc import Callable, Mapping
from typing import Any

from .paths import Path, PathError

__all__ = ["Environment"]


class Environment:
    """One evaluation's view. The context is built only when something asks for it."""

    __slots__ = ("_context", "draw", "root", "variables")

    def __init__(
        self,
        root: Any,
        context: Callable[[], dict[str, Any]],
        variables: Mapping[str, Any],
        draw: Callable[[], int],
    ) -> None:
        self.root = root
        self.variables = variables
        self.draw = draw
        """128 random bits that a replay draws again."""
        self._context = context

    def resolve(self, path: Path) -> Any:
        """Raises PathError."""
        if path.source == "input":
            return path.find(self.root)
        if path.source == "context":
            return path.find(self._context())
        if path.variable not in self.variables:
            raise PathError(f"No results for path: ${path.variable}")
        return path.find(self.variables[path.variable])
