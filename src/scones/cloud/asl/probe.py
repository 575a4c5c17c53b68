"""One state, run by the interpreter itself and watched: what it made of its data, and how it ended.

A probe is a Machine that stops where the state is left, fails or would be retried. Where a result is
mocked, nothing inside a Map or Parallel runs: the state's own data flow is all that happens.
"""

from typing import Any

from . import states
from .failures import TIMEOUT, DataError, StateError
from .journal import Turn
from .jsontext import Json, dumps, join
from .machine import Execution, Machine
from .paths import compile_path
from .program import Block, MapState, ParallelState, Program
from .query import compile_payload, is_query
from .scope import Fan, Scope, Visit

__all__ = ["UNNAMED", "Probe", "Tolerance"]

UNNAMED = "StateName"

_THRESHOLD = StateError(
    "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
)


class Probe(Machine):
    """retries: how often the retrier that applies has retried already."""

    def __init__(
        self,
        program: Program,
        execution: Execution,
        *,
        variables: dict[str, Any],
        context: dict[str, Any] | None,
        mocked: bool,
        retries: int,
    ) -> None:
        super().__init__(program, execution)
        self.notes: dict[str, Any] = {}
        self.context = context
        self.root.variables.update(variables)
        self.mocked = mocked
        self._retries = retries
        self._selected: list[Json] = []

    @property
    def over(self) -> bool:
        return self.status != "RUNNING" or bool({"left", "retryBackoff"} & self.notes.keys())

    @property
    def variables(self) -> dict[str, Any]:
        return dict(self.root.variables)

    @property
    def fanned_out(self) -> bool:
        """Whether a Map or Parallel has computed what it would have given to its inner states."""
        visit = self.root.visit
        return visit is not None and visit.fan is not None

    @property
    def items(self) -> int:
        """How many items or branches it fanned out to."""
        visit = self.root.visit
        return len(visit.fan.items) if visit and visit.fan else 0

    def step(self, *stimuli: Any, now_ms: int) -> Turn:
        """One item of the queue at a time, so that the next state is never entered."""
        return self.feed(stimuli, now_ms, 1)

    def note(self, what: str, value: Any) -> None:
        if "left" in self.notes:
            return
        if what == "itemSelected":
            self._selected.append(value)
            self.notes["afterItemSelector"] = join(self._selected)
            return
        if what == "failure" and (visit := self.root.visit):
            for position in range(len(getattr(visit.state, "retriers", ()))):
                visit.attempts[position] = self._retries
        self.notes[what] = value

    def told(self, context: dict[str, Any]) -> dict[str, Any]:
        """A tested state is always called the same there, and nothing redrives it, as recorded."""
        execution = {k: v for k, v in context["Execution"].items() if k != "RedriveCount"}
        return context | {"Execution": execution, "State": context["State"] | {"Name": UNNAMED}}

    def time_out(self) -> None:
        """The state takes longer than a test may."""
        visit = self.root.visit
        assert visit is not None
        states.fail(self, visit, StateError(TIMEOUT))

    def limit(self, field: str, value: Any) -> float | None:
        """A number of a Map: as written, or of an expression or path in its place. Raises StateError."""
        visit = self.root.visit
        assert visit is not None
        if is_query(value):
            query = compile_payload(value, field).value
            value = query.expect("number", states.environment(self, visit, visit.input.value))
        elif isinstance(value, str):
            path = compile_path(value)
            value = states.resolve(self, visit, path)
            if isinstance(value, bool) or not isinstance(value, int | float):
                shown = value if isinstance(value, str) else dumps(value)
                raise DataError(
                    f'The {field}Path field refers to value "{shown}" which is not a valid number:'
                    f" {path.text}"
                )
        return None if value is None else float(value)

    def open(self, block: Block, visit: Visit, fan: Fan, index: int) -> Scope:
        scope = super().open(block, visit, fan, index)
        if self.mocked:  # never live, so that all items are selected and none runs
            fan.live.remove(scope)
            scope.alive = False
        return scope

    def settle(self, output: str | None, failure: StateError | None, tolerance: "Tolerance") -> None:
        """The mocked end of a Map or Parallel."""
        visit = self.root.visit
        assert visit is not None
        assert visit.fan is not None
        assert isinstance(visit.state, MapState | ParallelState)
        items, visit.fan = len(visit.fan.items), None
        if failure is None and tolerance.exceeded(items):
            failure = StateError(_THRESHOLD.error, _THRESHOLD.cause)
        if failure is not None:
            states.fail(self, visit, failure, fan_failed=True)
        else:
            states.perform(self, visit, states.complete, Json(text=output))


class Tolerance:
    """How many failed items a Map bears, against how many failed."""

    def __init__(self, failed: int, count: float | None, percentage: float | None) -> None:
        self.failed = failed
        self._count = count
        self._percentage = percentage

    def exceeded(self, items: int) -> bool:
        if self._count is not None and self.failed > self._count:
            return True
        return self._percentage is not None and 100 * self.failed > self._percentage * items
