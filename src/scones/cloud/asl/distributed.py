"""The distributed Map: its items become executions of their own, which another runs.

The machine evaluates what the definition says, names the map run, asks for it as for a task, and takes
its end. The items never enter the history, nor do those that a reader brings enter the machine: whoever
runs them asks `item_input` for what each is to be given.
"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from . import fans, states
from .environment import Environment
from .failures import DataError, StateError
from .journal import Invoke
from .jsontext import Json, dumps, loads
from .paths import Path
from .program import READER_ARGUMENTS, WRITER_ARGUMENTS, ItemBatcher, ItemReader, MapState, ResultWriter
from .query import Query
from .scope import Visit
from .template import Template

if TYPE_CHECKING:
    from .machine import Machine

__all__ = [
    "MAP_RUN",
    "STATE_DATA",
    "Batching",
    "MapRunPlan",
    "Reading",
    "begin",
    "failed",
    "item_input",
    "succeeded",
    "take_up",
    "tolerance",
]

STATE_DATA = "STATE_DATA"
"""What the context object shows as the source of items that no reader brings."""
MAP_RUN = "map"
"""The service that a distributed Map's task asks."""

_MOST_AT_ONCE = 10_000
_MOST_BYTES = 262_144


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Where the items are, all expressions evaluated."""

    action: str
    parameters: dict[str, Any]
    input_type: str | None
    headers: list[str] | None
    delimiter: str
    max_items: int
    """0: all of them."""
    pointer: list[str]
    flatten: bool
    athena: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    max_items: int
    max_bytes: int
    batch_input: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Writing:
    """bucket: None where the results stay the state's own."""

    bucket: str | None
    prefix: str
    transformation: str
    lines: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRunPlan:
    """What a map run is to do, as the parameters of the task that asks for it."""

    state: str
    label: str
    express: bool
    max_concurrency: int
    tolerated_count: int | None
    tolerated_percentage: float | None
    reading: Reading | None = None
    batching: Batching | None = None
    writing: Writing | None = None
    failure: list[str | None] | None = None
    """(error, cause) where an expression could not be evaluated: the run fails with it."""

    def text(self) -> str:
        return dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> "MapRunPlan":
        values = loads(text)
        parts = {"reading": Reading, "batching": Batching, "writing": Writing}
        for name, part in parts.items():
            if values[name] is not None:
                values[name] = part(**values[name])
        return cls(**values)


def begin(machine: "Machine", visit: Visit) -> None:
    state, scope = visit.state, visit.scope
    assert isinstance(state, MapState)
    distribution = state.distribution
    assert distribution is not None
    limit = fans.concurrency(machine, visit, state)
    visit.items = fans.items(machine, visit, state) if distribution.reader is None else []
    scope.last = machine.emit("MapStateStarted", scope.last, "mapStateStarted", length=len(visit.items))
    count, percentage = tolerance(machine, visit, state)
    label = distribution.label or _label(machine, state)
    arn = _arn(machine, label)
    scope.last = machine.emit("MapRunStarted", scope.last, "mapRunStarted", mapRunArn=arn)
    plan = MapRunPlan(
        state=state.name,
        label=label,
        express=distribution.express,
        max_concurrency=min(limit, _MOST_AT_ONCE),
        tolerated_count=count,
        tolerated_percentage=percentage,
    )
    try:
        plan = replace(
            plan,
            reading=_reading(machine, visit, distribution.reader),
            batching=_batching(machine, visit, distribution.batcher),
            writing=_writing(machine, visit, distribution.writer),
        )
    except StateError as failure:
        plan = replace(plan, failure=[failure.error, states.placed_cause(visit, failure)])
    visit.map_run, visit.redrives = Invoke(scope.last, MAP_RUN, "run", arn, plan.text()), 0
    machine.expect(scope.last, visit, visit.map_run)


def _label(machine: "Machine", state: MapState) -> str:
    """The name of a Map without a label: for a state machine's state, always the same."""
    digest = hashlib.sha256(f"{machine.execution.machine_arn} {state.name}".encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def _arn(machine: "Machine", label: str) -> str:
    execution = machine.execution
    account = execution.arn.split(":")[4]
    name = execution.machine_name.partition("/")[0]
    run = uuid.UUID(int=machine.draw(), version=4)
    return f"arn:aws:states:{execution.region}:{account}:mapRun:{name}/{label}:{run}"


def _view(machine: "Machine", visit: Visit) -> Environment:
    given = visit.input if visit.state.jsonata else visit.effective
    return states.environment(machine, visit, given.value)


def _value(
    machine: "Machine", visit: Visit, written: Any, path: Path | Query | None, kind: str = "integer"
) -> Any:
    """A number as written, or what the expression in its place gives."""
    if path is None:
        return written
    if isinstance(path, Query):
        return path.expect(kind, _view(machine, visit))
    return states.resolve(machine, visit, path)


def _number(
    kind: Callable[[Any], Any], field: str, value: Any, path: Path | Query | None, expected: str
) -> Any:
    """Raises DataError for what is no number; a text that shows one is taken, as recorded."""
    if value is None:
        return None
    try:
        if isinstance(value, bool) or (kind is int and isinstance(value, float) and not value.is_integer()):
            raise ValueError
        return kind(value)
    except (ValueError, TypeError):
        shown = value if isinstance(value, str) else dumps(value)
        place = path.text if path else field
        raise DataError(
            f'The {field}Path field refers to value "{shown}" which is not a valid {expected}: {place}'
        ) from None


def tolerance(machine: "Machine", visit: Visit, state: MapState) -> tuple[int | None, float | None]:
    """(count, percentage) of failed items that a Map bears. Raises DataError.

    Evaluated after the state's start, but its failure follows from the entry, as recorded.
    """
    scope = visit.scope
    started, scope.last = scope.last, visit.entered_id
    path = state.tolerated_count_path
    value = _value(machine, visit, state.tolerated_count, path)
    count = _number(int, "ToleratedFailureCount", value, path, "integer")
    if count is not None and count < 0:
        raise DataError("ToleratedFailureCount cannot be negative.")
    path = state.tolerated_percentage_path
    value = _value(machine, visit, state.tolerated_percentage, path, "number")
    percentage = _number(float, "ToleratedFailurePercentage", value, path, "float")
    if percentage is not None and not 0 <= percentage <= 100:
        raise DataError("ToleratedFailurePercentage must be between 0 and 100.")
    scope.last = started
    return count, percentage


def _reading(machine: "Machine", visit: Visit, reader: ItemReader | None) -> Reading | None:
    if reader is None:
        return None
    parameters = {}
    if reader.parameters is not None:
        known = READER_ARGUMENTS[reader.action]
        parameters = _arguments(machine, visit, reader.parameters, known, "ItemReader")
    limit = _value(machine, visit, reader.max_items, reader.max_items_path)
    return Reading(
        action=reader.action,
        parameters=parameters,
        input_type=reader.input_type,
        headers=None if reader.headers is None else list(reader.headers),
        delimiter=reader.delimiter,
        max_items=_number(int, "MaxItems", limit, reader.max_items_path, "integer") or 0,
        pointer=list(reader.pointer),
        flatten=reader.flatten,
        athena=reader.athena,
    )


def _batching(machine: "Machine", visit: Visit, batcher: ItemBatcher | None) -> Batching | None:
    if batcher is None:
        return None
    found = []
    for name, written, path in (
        ("MaxItemsPerBatch", batcher.max_items, batcher.max_items_path),
        ("MaxInputBytesPerBatch", batcher.max_bytes, batcher.max_bytes_path),
    ):
        number = _number(int, name, _value(machine, visit, written, path), path, "integer")
        if number is not None and number <= 0:
            raise DataError(f"field {name} must be positive")
        found.append(number)
    given = None if batcher.batch_input is None else batcher.batch_input.evaluate(_view(machine, visit))
    return Batching(
        max_items=found[0] or 0, max_bytes=min(found[1] or _MOST_BYTES, _MOST_BYTES), batch_input=given
    )


def _writing(machine: "Machine", visit: Visit, writer: ResultWriter | None) -> Writing | None:
    if writer is None:
        return None
    bucket, prefix = None, ""
    if writer.parameters is not None:
        given = _arguments(machine, visit, writer.parameters, WRITER_ARGUMENTS, "ResultWriter")
        bucket, prefix = given.get("Bucket"), given.get("Prefix", "")
        if not (isinstance(bucket, str) and isinstance(prefix, str)):
            raise StateError(
                "States.ResultWriterFailed", "The Bucket and Prefix of a ResultWriter must be strings."
            )
    return Writing(bucket=bucket, prefix=prefix, transformation=writer.transformation, lines=writer.lines)


def _arguments(
    machine: "Machine", visit: Visit, template: Template, known: set[str], field: str
) -> dict[str, Any]:
    """What the field asks of S3. Raises StateError for what is no object, or has more than is known."""
    given = template.evaluate(_view(machine, visit))
    if not isinstance(given, dict):
        raise StateError(f"States.{field}Failed", f"The arguments of {field} must be an object.")
    if others := sorted(set(given) - known):
        raise StateError(f"States.{field}Failed", f"The field {others[0]} of {field} is not supported.")
    return given


def item_input(
    machine: "Machine", visit: Visit, index: int, item: Any, source: str, name: str | None
) -> Json:
    """What the ItemSelector makes of one item; without one, the item itself. Raises StateError.

    Not part of the machine's course: it draws random numbers of its own, and is not replayed.
    source: the S3 URI the item was read from, or STATE_DATA.
    name: where the item is a pair of a JSON object, its key.
    """
    state = visit.state
    assert isinstance(state, MapState)
    if state.parameters is None:
        return Json(item)
    shown = {"Index": index, "Value": item, "Source": source}
    if name is not None:
        shown |= {"Key": name, "Value": item["Value"]}
    given = visit.input if state.jsonata else visit.effective
    view = Environment(
        given.value,
        lambda: states.context_object(machine, visit, shown),
        visit.scope.variables,
        _draws(f"{machine.execution.seed}:{visit.task}:{index}"),
        machine.now_ms,
    )
    return Json(state.parameters.evaluate(view))


def _draws(seed: str) -> Callable[[], int]:
    count = 0

    def draw() -> int:
        nonlocal count
        count += 1
        return int.from_bytes(hashlib.sha256(f"{seed}:{count}".encode()).digest()[:16])

    return draw


def succeeded(machine: "Machine", visit: Visit, output: str | None) -> None:
    """The map run is over. The state's exit follows from the run's start, as recorded.

    output: None where the results together are larger than any state's result may be.
    """
    scope, visit.map_run = visit.scope, None
    machine.emit("MapStateSucceeded", machine.emit("MapRunSucceeded", scope.last))
    if output is None:
        machine.queue(scope, states.fail, machine, visit, states.data_limit(visit.state.name))
    else:
        machine.queue(scope, states.perform, machine, visit, states.complete, Json(text=output))


def failed(machine: "Machine", visit: Visit, failure: StateError) -> None:
    scope = visit.scope
    scope.last = machine.emit(
        "MapRunFailed", scope.last, "mapRunFailed", error=failure.error, cause=failure.cause
    )
    machine.queue(scope, _fail, machine, visit, failure)


def take_up(machine: "Machine", visit: Visit) -> None:
    """After a redrive of the execution: the same map run goes on with what it has not brought to an end."""
    run = visit.map_run
    assert run is not None
    visit.redrives += 1
    machine.emit(
        "MapRunRedriven", run.task, "mapRunRedriven", mapRunArn=run.resource, redriveCount=visit.redrives
    )
    visit.scope.last = run.task
    machine.expect(run.task, visit, run)


def _fail(machine: "Machine", visit: Visit, failure: StateError) -> None:
    states.fail(machine, visit, failure, fan_failed=True)
