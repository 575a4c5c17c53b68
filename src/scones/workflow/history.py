"""An execution's history, folded into what became of each state. Pure: events and a definition in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["StateSummary", "blocks", "summarize", "walk"]

_FAILURES = ("Failed", "TimedOut", "SubmitFailed", "StartFailed", "ScheduleFailed")
_OVER = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")


@dataclass(slots=True)
class StateSummary:
    """One state over all its visits; in a Map it has one visit per item."""

    name: str
    type: str
    depth: int
    status: str = "NOT RUN"
    """NOT RUN, RUNNING, SUCCEEDED, FAILED, ABORTED, or CAUGHT where an error was handled."""
    entered: int = 0
    exited: int = 0
    retries: int = 0
    iterations: dict[str, int] = field(default_factory=dict)
    """Of a Map: how many items Started, Succeeded, Failed, were Aborted; a redrive forgets the last two."""
    duration_s: float | None = None
    """From the first entry to the last exit."""
    input: str | None = None
    output: str | None = None
    error: str | None = None
    cause: str | None = None
    redrives: int = 0
    """How often a redrive of the execution took it up again."""


def walk(block: Any, depth: int = 0) -> Iterator[tuple[str, dict[str, Any], int]]:
    """Every state of a definition with its depth, in the order they are written."""
    states = block.get("States") if isinstance(block, dict) else None
    for name, state in states.items() if isinstance(states, dict) else ():
        if not isinstance(state, dict):
            continue
        yield name, state, depth
        for inner in blocks(state):
            yield from walk(inner, depth + 1)


def blocks(state: dict[str, Any]) -> list[Any]:
    """The blocks inside a Parallel or Map."""
    processor = state.get("ItemProcessor", state.get("Iterator"))
    return [*(state.get("Branches") or []), *([processor] if processor else [])]


def summarize(definition: dict[str, Any], events: Sequence[dict[str, Any]]) -> list[StateSummary]:
    """events: as GetExecutionHistory gives them, oldest first."""
    summaries = {
        name: StateSummary(name, str(state.get("Type")), depth) for name, state, depth in walk(definition)
    }
    reader = _Reader(definition, summaries)
    for event in events:
        reader.read(event)
    return list(summaries.values())


class _Reader:
    def __init__(self, definition: dict[str, Any], summaries: dict[str, StateSummary]) -> None:
        self._definition = definition
        self._summaries = summaries
        self._owner: dict[int, StateSummary | None] = {0: None}
        """The state that each event belongs to, found along previousEventId."""
        self._first: dict[str, datetime] = {}
        self._scheduled: dict[int, bool] = {}

    def read(self, event: dict[str, Any]) -> None:
        kind, details = event["type"], _details(event)
        owner = self._owner.get(event["previousEventId"])
        if kind.endswith("StateEntered"):
            owner = self._enter(event, details)
        elif kind.endswith("StateExited"):
            owner = self._summaries.get(details["name"])
            if owner:
                self._exit(owner, event, details)
        elif kind.startswith("MapIteration"):
            owner = self._summaries.get(details["name"])
            if owner:
                what = kind.removeprefix("MapIteration").lower()
                owner.iterations[what] = owner.iterations.get(what, 0) + 1
        elif kind in _OVER:
            self._end(kind, owner, details)
        elif kind == "ExecutionRedriven":
            self._take_up(self._definition)
        elif owner:
            self._work(kind, owner, event, details)
        self._owner[event["id"]] = owner

    def _enter(self, event: dict[str, Any], details: dict[str, Any]) -> StateSummary | None:
        state = self._summaries.get(details["name"])
        if state:
            state.entered += 1
            state.status = "RUNNING"
            state.input = details.get("input")
            self._first.setdefault(state.name, event["timestamp"])
        return state

    def _exit(self, state: StateSummary, event: dict[str, Any], details: dict[str, Any]) -> None:
        state.exited += 1
        state.output = details.get("output")
        state.duration_s = (event["timestamp"] - self._first[state.name]).total_seconds()
        if state.status != "FAILED" or state.exited < state.entered:
            state.status = "RUNNING" if state.exited < state.entered else "SUCCEEDED"
        else:
            state.status = "CAUGHT"

    def _work(self, kind: str, state: StateSummary, event: dict[str, Any], details: dict[str, Any]) -> None:
        if kind.endswith("Scheduled"):
            if self._scheduled.get(event["previousEventId"]):
                state.retries += 1
                state.status = "RUNNING"
        elif kind.endswith("Aborted"):
            state.status = "ABORTED"
        elif kind.endswith(_FAILURES):
            state.status = "FAILED"
            state.error, state.cause = details.get("error", state.error), details.get("cause", state.cause)
            self._scheduled[event["id"]] = True
        elif kind.endswith("Succeeded") and state.status == "FAILED":
            state.status = "RUNNING"

    def _end(self, kind: str, owner: StateSummary | None, details: dict[str, Any]) -> None:
        over = "ABORTED" if kind == "ExecutionAborted" else "FAILED"
        for state in self._summaries.values():
            if state.entered > state.exited:
                state.status = over if state is owner or state.status != "FAILED" else state.status
        if owner:
            owner.error, owner.cause = details.get("error"), details.get("cause")

    def _take_up(self, block: Any) -> None:
        """What was not left goes on, and whatever inside it was not."""
        for name, state in block["States"].items():
            summary = self._summaries.get(name)
            if summary and summary.entered > summary.exited:
                summary.status = "RUNNING"
                summary.redrives += 1
                for what in ("failed", "aborted"):
                    summary.iterations.pop(what, None)
                for inner in blocks(state):
                    self._take_up(inner)


def _details(event: dict[str, Any]) -> dict[str, Any]:
    found = (value for key, value in event.items() if key.endswith("EventDetails") and value)
    return next(found, {})
