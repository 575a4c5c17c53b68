"""Parallel and inline Map: inner scopes that run side by side, succeed together or fail at the first."""

from typing import TYPE_CHECKING, Any

from . import distributed, states
from .failures import DataError, StateError
from .jsontext import Json, dumps, join
from .program import MapState, ParallelState
from .query import Query, QueryEvaluationError
from .scope import Fan, Scope, Visit

if TYPE_CHECKING:
    from .machine import Machine

__all__ = [
    "begin_map",
    "begin_parallel",
    "concurrency",
    "fill",
    "inner_failed",
    "inner_succeeded",
    "items",
    "leave",
]

_INLINE_CONCURRENCY = 40
_ABORTABLE = ("Task", "Wait", "Parallel", "Map")


def begin_parallel(machine: "Machine", visit: Visit) -> None:
    state, scope = visit.state, visit.scope
    assert isinstance(state, ParallelState)
    given = states.arguments(machine, visit, state.parameters)
    scope.last = machine.emit("ParallelStateStarted", scope.last)
    fan = visit.fan = Fan(visit, list(state.branches), scope.last, len(state.branches))
    for index, block in enumerate(state.branches):
        inner = machine.open(block, visit, fan, index)
        inner.last = fan.started_id
        machine.head_for(inner, block.start_at, given)


def begin_map(machine: "Machine", visit: Visit) -> None:
    state, scope = visit.state, visit.scope
    assert isinstance(state, MapState)
    if state.distribution is not None:
        distributed.begin(machine, visit)
        return
    given = items(machine, visit, state)
    limit = concurrency(machine, visit, state)
    scope.last = machine.emit("MapStateStarted", scope.last, "mapStateStarted", length=len(given))
    distributed.tolerance(machine, visit, state)
    fan = visit.fan = Fan(visit, given, scope.last, min(limit or _INLINE_CONCURRENCY, _INLINE_CONCURRENCY))
    if not given and not machine.mocked:
        _map_succeeded(machine, fan, fan.started_id)
    fill(machine, fan)


def fill(machine: "Machine", fan: Fan) -> None:
    """Start as many items as may run side by side."""
    try:
        while len(fan.live) < fan.limit and fan.opened < len(fan.items):
            _open_iteration(machine, fan, fan.started_id)
    except StateError as failure:
        _give_up(machine, fan, failure, fan.started_id)


def items(machine: "Machine", visit: Visit, state: MapState) -> list[Any]:
    """The items of a Map that no reader brings. Raises DataError."""
    given = _given_items(machine, visit, state)
    if not isinstance(given, list):
        path = state.items_path.text.replace("$$", "$", 1)  # as recorded
        raise DataError(f'Reference path "{path}" must point to array.')
    machine.note("afterItemsPath", Json(given))
    return given


def _given_items(machine: "Machine", visit: Visit, state: MapState) -> Any:
    if state.items is None and state.jsonata:
        given = visit.input.value
        if not isinstance(given, list):
            raise QueryEvaluationError("Items", f"Map state input must be an array but was: {dumps(given)}")
        return given
    if state.items is None:
        return states.resolve(machine, visit, state.items_path)
    view = states.environment(machine, visit, visit.input.value)
    whole = state.items.value
    return whole.expect("array", view) if isinstance(whole, Query) else state.items.evaluate(view)


def concurrency(machine: "Machine", visit: Visit, state: MapState) -> int:
    """How many items at once; 0 for as many as there may be. Raises DataError."""
    limit = _concurrency(machine, visit, state)
    machine.note("maxConcurrency", limit)
    return limit


def _concurrency(machine: "Machine", visit: Visit, state: MapState) -> int:
    if state.max_concurrency_path is None:
        return state.max_concurrency
    if isinstance(state.max_concurrency_path, Query):
        view = states.environment(machine, visit, visit.input.value)
        return _not_negative(state.max_concurrency_path.expect("integer", view))
    value = states.resolve(machine, visit, state.max_concurrency_path)
    try:
        if isinstance(value, bool | float) or not isinstance(value, int | str):
            raise ValueError
        return _not_negative(int(value))
    except ValueError:
        shown = value if isinstance(value, str) else dumps(value)
        raise DataError(
            f'The MaxConcurrencyPath field refers to value "{shown}" which is not a valid integer:'
            f" {state.max_concurrency_path.text}"
        ) from None


def _not_negative(limit: int) -> int:
    if limit < 0:
        raise DataError("MaxConcurrency cannot be negative.")
    return limit


def _open_iteration(machine: "Machine", fan: Fan, previous: int) -> None:
    """Start the next item. Raises what its ItemSelector raises."""
    visit, index = fan.visit, fan.opened
    state = visit.state
    assert isinstance(state, MapState)
    item = fan.items[index]
    given = Json(item)
    if state.parameters is not None:
        view = states.environment(machine, visit, visit.effective.value, (index, item))
        given = Json(state.parameters.evaluate(view))
        machine.note("itemSelected", given)
    fan.opened += 1
    inner = machine.open(state.processor, visit, fan, index)
    inner.item = item
    inner.last = _iteration_event(machine, inner, "Started", previous)
    machine.head_for(inner, state.processor.start_at, given)


def _iteration_event(machine: "Machine", inner: Scope, what: str, previous: int) -> int:
    assert inner.fan is not None
    name = inner.fan.visit.state.name
    return machine.emit(f"MapIteration{what}", previous, f"mapIteration{what}", index=inner.index, name=name)


def inner_succeeded(machine: "Machine", inner: Scope, fan: Fan, output: Json) -> None:
    """A branch or item is done: start the next item, or complete the state after the last."""
    inner.alive = False
    fan.live.remove(inner)
    fan.results[inner.index] = output
    visit = fan.visit
    if isinstance(visit.state, MapState):
        done = _iteration_event(machine, inner, "Succeeded", inner.last)
        if fan.opened < len(fan.items):
            try:
                _open_iteration(machine, fan, inner.last)
            except StateError as failure:
                _give_up(machine, fan, failure, inner.last)
        elif not fan.live:
            _map_succeeded(machine, fan, done)
    elif not fan.live:
        machine.emit("ParallelStateSucceeded", inner.last)
        leave(machine, fan, inner.last)


def _map_succeeded(machine: "Machine", fan: Fan, previous: int) -> None:
    machine.emit("MapStateSucceeded", previous)
    leave(machine, fan, previous)


def leave(machine: "Machine", fan: Fan, previous: int) -> None:
    """The state's Exited event has the same parent as its Succeeded event."""
    visit = fan.visit
    visit.scope.last = fan.last = previous
    visit.fan, visit.broken = None, fan
    results = join([result for result in fan.results if result is not None])
    states.perform(machine, visit, states.complete, results)


def inner_failed(machine: "Machine", inner: Scope, fan: Fan, failure: StateError) -> None:
    """The first failure aborts all siblings and becomes the state's own."""
    fan.live.remove(inner)
    fan.halted.append(inner)
    if fan.visit.state.type == "Map":
        _iteration_event(machine, inner, "Failed", inner.last)
    _abort_visit(machine, inner, inner.last)
    _give_up(machine, fan, failure, inner.last)


def _give_up(machine: "Machine", fan: Fan, failure: StateError, cause: int) -> None:
    live, fan.live = fan.live, []
    for sibling in live:
        _abort(machine, sibling, cause)
    fan.halted += live
    visit = fan.visit
    visit.fan, visit.broken = None, fan
    visit.scope.last = cause
    states.fail(machine, visit, failure, fan_failed=True)


def _abort(machine: "Machine", inner: Scope, cause: int) -> None:
    assert inner.fan is not None
    if inner.fan.visit.state.type == "Map":
        _iteration_event(machine, inner, "Aborted", cause)
    _abort_visit(machine, inner, cause)


def _abort_visit(machine: "Machine", inner: Scope, cause: int) -> None:
    """Every state that was entered and not left is aborted, the failed one of a failed scope included."""
    inner.alive = False
    visit: Visit | None = inner.visit
    if visit is None:
        return
    for nested in visit.fan.live if visit.fan else []:
        _abort(machine, nested, cause)
    machine.cancel_timer(visit)
    if visit.task is not None and visit.state.type == "Map":
        machine.emit("MapRunAborted", cause)
    machine.cancel_task(visit)
    kind: Any = visit.state.type
    if kind in _ABORTABLE:
        machine.emit(f"{kind}StateAborted", cause)
