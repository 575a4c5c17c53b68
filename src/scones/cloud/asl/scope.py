"""Where an execution stands: scopes of states, visits to states, fans of inner scopes."""

from collections import ChainMap
from typing import Any

from .journal import Invoke
from .jsontext import Json
from .program import Block, State

__all__ = ["Fan", "Scope", "Visit"]


class Scope:
    """A running sequence of states: the machine itself, a branch, or one item of a Map."""

    __slots__ = ("alive", "block", "fan", "heading", "index", "item", "last", "sizes", "variables", "visit")

    def __init__(self, block: Block, variables: ChainMap[str, Any], fan: "Fan | None", index: int) -> None:
        self.block = block
        self.variables = variables
        """Own variables first, then those of the enclosing scopes."""
        self.sizes: dict[str, int] = {}
        """Bytes of its own variables' JSON texts."""
        self.fan = fan
        """The fan it belongs to; None for the machine's own scope."""
        self.index = index
        self.item: Any = None
        """In a Map, the item."""
        self.last = 0
        """Id of the event that the next one follows from."""
        self.visit: Visit | None = None
        self.heading: tuple[str, Json] | None = None
        """Between two states: the next one, and what it is given."""
        self.alive = True


class Visit:
    """One stay in one state, retries included."""

    __slots__ = (
        "attempts", "broken", "effective", "entered_id", "entered_ms", "fan", "heartbeat", "input", "items",
        "limits", "map_run", "previous_id", "redrives", "retries", "scope", "state", "task", "timer", "token",
    )  # fmt: skip

    def __init__(
        self, scope: Scope, state: State, given: Json, previous_id: int, entered_id: int, entered_ms: int
    ) -> None:
        self.scope = scope
        self.state = state
        self.input = given
        self.effective = given
        """The input after InputPath."""
        self.previous_id = previous_id
        """Id of the event that the state's entry follows from."""
        self.entered_id = entered_id
        self.entered_ms = entered_ms
        self.retries = 0
        self.attempts: dict[int, int] = {}
        """Retries used, by the retrier's position."""
        self.fan: Fan | None = None
        self.items: list[Any] = []
        """Of a distributed Map that no reader serves."""
        self.map_run: Invoke | None = None
        """The question for a map run that has not succeeded: a redrive asks it again."""
        self.redrives = 0
        """How often it was asked again."""
        self.broken: Fan | None = None
        """The fan that the state's failure left behind: a redrive takes it up again."""
        self.task: int | None = None
        self.timer: int | None = None
        self.heartbeat: tuple[int, int] | None = None
        """The timer of a task's next sign of life, and the seconds it allows."""
        self.limits: tuple[int | None, int | None] = (None, None)
        """Of an activity's task: the seconds in all, and those between signs of life."""
        self.token: str | None = None
        """Of a task that waits for a callback."""


class Fan:
    """The inner scopes of one attempt of a Parallel or Map."""

    __slots__ = ("halted", "items", "last", "limit", "live", "opened", "results", "started_id", "visit")

    def __init__(self, visit: Visit, items: list[Any], started_id: int, limit: int) -> None:
        self.visit = visit
        self.items = items
        """A Map's items, or a Parallel's blocks."""
        self.started_id = started_id
        self.last = started_id
        """Id of the event that the state's end follows from, once every inner scope has its result."""
        self.limit = limit
        self.opened = 0
        self.live: list[Scope] = []
        self.halted: list[Scope] = []
        """Those that failed or were aborted."""
        self.results: list[Json | None] = [None] * len(items)
