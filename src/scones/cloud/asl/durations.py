"""How long a state waits, and how long its task may take."""

from typing import TYPE_CHECKING, Any

from . import states
from .failures import DataError
from .jsontext import dumps
from .paths import Path, PathError
from .program import TaskState, WaitState
from .query import Query, QueryEvaluationError
from .scope import Visit
from .timestamps import instant_ms

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["due_ms", "limits"]

_LONGEST_TIMEOUT_S = 99_999_999


def due_ms(machine: "Machine", visit: Visit) -> int:
    state = visit.state
    assert isinstance(state, WaitState)
    if state.timestamp_ms is not None:
        return state.timestamp_ms
    if state.seconds is not None:
        return machine.now_ms + state.seconds * 1000
    if isinstance(state.timestamp_path, Query):
        return _queried_instant(machine, visit, state.timestamp_path)
    if isinstance(state.seconds_path, Query):
        return machine.now_ms + _queried_number(machine, visit, state.seconds_path, 0) * 1000
    if state.timestamp_path is not None:
        value = _waited_for(machine, visit, "TimestampPath", state.timestamp_path)
        instant = instant_ms(value)
        if instant is None:
            raise DataError(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset"
                f" date-time format string: {state.timestamp_path.text} == {_plain(value)}"
            )
        return instant
    assert state.seconds_path is not None
    seconds = _waited_for(machine, visit, "SecondsPath", state.seconds_path)
    text = f"{state.seconds_path.text} == {_plain(seconds)}"
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise DataError(f"The SecondsPath parameter cannot be parsed as a long value: {text}")
    if seconds < 0:
        raise DataError(f"The SecondsPath parameter references a negative value: {text}")
    return machine.now_ms + seconds * 1000


def _queried_instant(machine: "Machine", visit: Visit, query: Query) -> int:
    value = query.expect("string", states.environment(machine, visit, visit.input.value))
    instant = instant_ms(value)
    if instant is None:
        told = "cannot be parsed as an ISO-8601 extended offset date-time format string"
        raise QueryEvaluationError(query.place, f"The {query.place} field {told}: {value}")
    return instant


def _queried_number(machine: "Machine", visit: Visit, query: Query, fewest: int) -> int:
    """An integer from `fewest` to the longest that AWS lets anything take."""
    value: int = query.expect("integer", states.environment(machine, visit, visit.input.value))
    if value < fewest:
        raise QueryEvaluationError(query.place, f"The {query.place} field must be at least {fewest}: {value}")
    if value > _LONGEST_TIMEOUT_S:
        told = f"The {query.place} field must be at most {_LONGEST_TIMEOUT_S}: {value}"
        raise QueryEvaluationError(query.place, told)
    return value


def _waited_for(machine: "Machine", visit: Visit, field: str, path: Path) -> Any:
    try:
        return states.environment(machine, visit, visit.effective.value).resolve(path)
    except PathError:
        raise DataError(f"The {field} parameter does not reference an input value: {path.text}") from None


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value)


def limits(machine: "Machine", visit: Visit, state: TaskState) -> tuple[int | None, int | None]:
    """A task's seconds in all, and those between two signs of life."""
    timeout = _seconds(machine, visit, state.timeout_s, state.timeout_path, "TimeoutSecondsPath")
    heartbeat = _seconds(machine, visit, state.heartbeat_s, state.heartbeat_path, "HeartbeatSecondsPath")
    return timeout, heartbeat


def _seconds(
    machine: "Machine", visit: Visit, seconds: int | None, path: Path | Query | None, field: str
) -> int | None:
    if path is None:
        return seconds
    if isinstance(path, Query):
        return _queried_number(machine, visit, path, 1)
    value = states.resolve(machine, visit, path)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _LONGEST_TIMEOUT_S:
        raise DataError(
            f"The {field} parameter cannot be parsed as a positive long value: {path.text} == {_plain(value)}"
        )
    return value
