"""How a step tells what it is doing, without knowing who listens."""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["Advance", "Progress", "Silent"]


class Advance(Protocol):
    def __call__(self, steps: int = 1, /, *, note: str = "") -> None: ...


class Progress(Protocol):
    def say(self, text: str) -> None:
        """One line worth keeping."""

    def detail(self, text: str) -> None:
        """One line for those who asked for more."""

    def warn(self, text: str) -> None:
        """Something nobody may overlook."""

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Advance]:
        """A running count; without a total only what happens is known."""


class Silent:
    """Nobody listens."""

    def say(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Advance]:
        def advance(steps: int = 1, /, *, note: str = "") -> None: ...

        return nullcontext(advance)
