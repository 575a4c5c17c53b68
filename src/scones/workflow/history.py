"""An execution's history, folded into what became of each state. Pure: events and a definition in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = ["StateSummary", "blocks", "summarize", "walk"]

_FAILURES = ("Failed", "TimedOut", "SubmitFailed", "StartFailed", "ScheduleFailed")
_OVER = ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted")
_TELLING = ("RUNNING", "FAILED", "ABORTED", "CAUGHT", "SUCCEEDED")
"""Of what has become of several visits, the first of these is told."""


@dataclass(slots=True)
class StateSummary:
    """One state over all its visits; in a Map it has one visit per item.

    A visit is forgotten for the next one in a loop, and for those of the next attempt where the Parallel or
    Map around it is retried, if there are any.
    """

    name: str
    type: str
    depth: int
    status: str = "NOT RUN"
    """NOT RUN, RUNNING, SUCCEEDED, FAILED, ABORTED, or CAUGHT where an error was handled."""
    entered: int = 0
    exited: int = 0
    retries: int = 0
    iterations: dict[str, int] = field(default_factory=dict)
    """Of a Map: how many items Started, Succeeded, Failed, were Aborted. A retry forgets all, a redrive the
    last two."""
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
    reader = _Reader(summaries)
    for event in events:
        reader.read(event)
    reader.conclude()
    return list(summaries.values())


@dataclass(slots=True, eq=False)
class _Scope:
    """States that follow one another: the machine's own, a branch's, or those of one item."""

    around: "_Visit | None"
    latest: dict[str, "_Visit"] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Visit:
    """One stay in one state, retries included."""

    summary: StateSummary
    scope: _Scope
    entered_id: int
    status: str = "RUNNING"
    left: bool = False
    stopped: bool = False
    """With its siblings, because one of them failed; a redrive may take it up again."""
    outdated: bool = False
    begun: bool = False
    """Whether an attempt of a Parallel or Map has begun."""
    inner: list[_Scope] = field(default_factory=list)
    """Those of the last attempt."""
    iterations: dict[str, int] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        return not (self.left or self.stopped)

    def within(self) -> Iterator["_Visit"]:
        """All visits of the last attempt, at any depth."""
        for scope in self.inner:
            for visit in scope.latest.values():
                yield visit
                yield from visit.within()


class _Reader:
    def __init__(self, summaries: dict[str, StateSummary]) -> None:
        self._summaries = summaries
        self._root = _Scope(None)
        self._visits: list[_Visit] = []
        self._owner: dict[int, _Visit | None] = {0: None}
        """The visit that each event belongs to, found along previousEventId."""
        self._entries: dict[tuple[int, str], _Visit] = {}
        """By the event that an entry follows from, and the state's name."""
        self._first: dict[str, datetime] = {}
        self._failures: set[int] = set()
        """Ids of the events after which a task's next attempt would be scheduled."""

    def read(self, event: dict[str, Any]) -> None:
        kind, details = event["type"], _details(event)
        cause = self._owner.get(event["previousEventId"])
        visit = cause
        if kind.endswith("StateEntered"):
            visit = self._enter(event, details, cause)
        elif kind in _OVER:
            self._end(kind, cause, details)
        elif kind == "ExecutionRedriven":
            self._take_up([self._root], set())
        elif cause:
            visit = self._go_on(kind, event, details, cause)
        self._owner[event["id"]] = visit

    def conclude(self) -> None:
        """What the visits tell together."""
        by_state: dict[str, list[_Visit]] = {}
        for visit in self._visits:
            by_state.setdefault(visit.summary.name, []).append(visit)
        for visits in by_state.values():
            summary = visits[0].summary
            found = {visit.status for visit in visits if not visit.outdated} or {
                visit.status for visit in visits
            }
            summary.status = next(status for status in _TELLING if status in found)
            for visit in visits:
                for what, count in visit.iterations.items():
                    summary.iterations[what] = summary.iterations.get(what, 0) + count

    # Coming and going -----------------------------------------------------------------------------

    def _enter(self, event: dict[str, Any], details: dict[str, Any], cause: _Visit | None) -> _Visit:
        name, place = details["name"], (event["previousEventId"], details["name"])
        if again := self._entries.get(place):  # a Fail state that a redrive has entered anew
            scope = again.scope
        elif cause is None:
            scope = self._root
        elif cause.left:
            scope = cause.scope
        else:
            scope = _Scope(cause)
            cause.inner.append(scope)
        if before := scope.latest.get(name):
            for old in (before, *before.within()):
                old.outdated = True
        summary = self._summaries.get(name) or StateSummary(name, "", 0)
        visit = scope.latest[name] = self._entries[place] = _Visit(summary, scope, event["id"])
        self._visits.append(visit)
        summary.entered += 1
        summary.input = details.get("input")
        self._first.setdefault(name, event["timestamp"])
        return visit

    def _leave(self, visit: _Visit, event: dict[str, Any], details: dict[str, Any]) -> None:
        visit.left = True
        visit.status = "CAUGHT" if visit.status == "FAILED" else "SUCCEEDED"
        summary = visit.summary
        summary.exited += 1
        summary.output = details.get("output")
        summary.duration_s = (event["timestamp"] - self._first[summary.name]).total_seconds()

    # What happens in between ----------------------------------------------------------------------

    def _go_on(
        self, kind: str, event: dict[str, Any], details: dict[str, Any], cause: _Visit
    ) -> _Visit | None:
        """The visit that the event belongs to."""
        if kind.endswith("StateExited") or kind.startswith("MapIteration"):
            named = _around(cause, name=details["name"])
            if named and kind.endswith("StateExited"):
                self._leave(named, event, details)
            elif named:
                what = kind.removeprefix("MapIteration").lower()
                named.iterations[what] = named.iterations.get(what, 0) + 1
            return named
        for end, act in (("Started", self._begin), ("Failed", self._give_up), ("Succeeded", None)):
            if kind in (f"ParallelState{end}", f"MapState{end}"):
                fan = _around(cause, type_=kind.removesuffix(f"State{end}"))
                if fan and act:
                    act(fan, event, cause)
                return fan
        if kind.endswith("StateAborted"):
            self._stop_siblings(kind.removesuffix("StateAborted"), cause)
            return cause
        visit = self._entries.get((event["previousEventId"], details.get("state", "")), cause)
        self._work(kind, visit, event, details)
        return visit

    def _begin(self, fan: _Visit, event: dict[str, Any], cause: _Visit) -> None:
        """An attempt of a Parallel or Map, the first or another."""
        if fan.begun and event["previousEventId"] != fan.entered_id:
            fan.summary.retries += 1
        _stop_inner(fan, cause)
        for visit in fan.within():
            visit.outdated = True
        fan.begun, fan.status = True, "RUNNING"
        fan.inner.clear()
        fan.iterations.clear()

    def _give_up(self, fan: _Visit, event: dict[str, Any], cause: _Visit) -> None:
        _stop_inner(fan, cause)
        fan.status = "FAILED"
        fan.summary.error, fan.summary.cause = cause.summary.error, cause.summary.cause

    def _stop_siblings(self, type_: str, culprit: _Visit) -> None:
        """These events name neither a state nor the Parallel or Map that fails; they follow from what did."""
        busy = culprit.open and any(visit.open for visit in culprit.within())
        fan = culprit if busy and culprit.status != "FAILED" else culprit.scope.around
        if fan:
            _stop_inner(fan, culprit)

    def _work(self, kind: str, visit: _Visit, event: dict[str, Any], details: dict[str, Any]) -> None:
        if kind.endswith("Scheduled"):
            if event["previousEventId"] in self._failures:
                visit.summary.retries += 1
                visit.status = "RUNNING"
        elif kind.endswith(_FAILURES):
            visit.status = "FAILED"
            summary = visit.summary
            summary.error = details.get("error", summary.error)
            summary.cause = details.get("cause", summary.cause)
            self._failures.add(event["id"])

    # The execution --------------------------------------------------------------------------------

    def _end(self, kind: str, cause: _Visit | None, details: dict[str, Any]) -> None:
        over = "ABORTED" if kind == "ExecutionAborted" else "FAILED"
        for visit in self._visits:
            if visit.open and visit.status != "FAILED":
                visit.status = over
        if cause and cause.open:
            cause.summary.error, cause.summary.cause = details.get("error"), details.get("cause")

    def _take_up(self, scopes: list[_Scope], counted: set[str]) -> None:
        """What was not left goes on, and whatever inside it was not."""
        for visit in (visit for scope in scopes for visit in scope.latest.values() if not visit.left):
            visit.status, visit.stopped = "RUNNING", False
            for what in ("failed", "aborted"):
                visit.iterations.pop(what, None)
            if visit.summary.name not in counted:
                counted.add(visit.summary.name)
                visit.summary.redrives += 1
            self._take_up(visit.inner, counted)


def _around(visit: _Visit | None, *, name: str = "", type_: str = "") -> _Visit | None:
    """The visit itself or the innermost around it that is open and has the name, or the type."""
    while visit and not (visit.open and (visit.summary.name == name or visit.summary.type == type_)):
        visit = visit.scope.around
    return visit


def _stop_inner(fan: _Visit, culprit: _Visit) -> None:
    """One inner scope of a Parallel or Map has failed: none goes on."""
    for visit in fan.within():
        if visit.open:
            visit.stopped = True
            failed = visit is culprit or visit.summary.type == "Fail" or visit.status == "FAILED"
            visit.status = "FAILED" if failed else "ABORTED"


def _details(event: dict[str, Any]) -> dict[str, Any]:
    found = (value for key, value in event.items() if key.endswith("EventDetails") and value)
    return next(found, {})
