"""What each type of state does, and how any state is entered, left, retried, caught or aborted.

Functions over a Machine; the previousEventId of each event is the causal parent recorded on AWS.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import activities, distributed, fans
from .choice import Rule
from .durations import due_ms, limits
from .environment import Environment
from .failures import HEARTBEAT_TIMEOUT, TIMEOUT, DataError, StateError
from .journal import Invoke
from .jsontext import EMPTY, Json, dumps, too_large
from .paths import Path, PathError, insert
from .program import (
    ChoiceState,
    FailState,
    PassState,
    State,
    SucceedState,
    TaskState,
    WaitState,
    WorkState,
)
from .query import Query, QueryEvaluationError
from .retry import Catcher, matches
from .scope import Scope, Visit
from .stored import check_assign
from .template import Expression, Template, check_input, evaluate
from .timestamps import iso

if TYPE_CHECKING:
    from .machine import Machine

__all__ = [
    "begin",
    "check_size",
    "complete",
    "context_object",
    "data_limit",
    "enter",
    "environment",
    "fail",
    "failed",
    "perform",
    "placed_cause",
    "resolve",
    "submitted",
    "succeeded",
    "timer_fired",
]

_LONGEST_WAIT_S = 2**31
_NO_WAY_OUT = "Failed to transition out of the state. The state does not point to a next state."
_TRUNCATED = {"truncated": False}


# Coming and going ---------------------------------------------------------------------------------


def enter(machine: "Machine", scope: Scope, name: str, given: Json) -> None:
    scope.heading = None
    state = scope.block.states[name]
    previous = scope.last
    entered = machine.emit(
        f"{state.type}StateEntered",
        previous,
        "stateEntered",
        input=given.text,
        inputDetails=_TRUNCATED,
        name=name,
    )
    scope.last = entered
    visit = scope.visit = Visit(scope, state, given, previous, entered, machine.now_ms)
    perform(machine, visit, begin)


def perform(machine: "Machine", visit: Visit, work: Callable[..., None], *arguments: Any) -> None:
    """Do a state's work; whatever it raises becomes the state's failure."""
    try:
        work(machine, visit, *arguments)
    except StateError as failure:
        fail(machine, visit, failure)
    except (ValueError, RecursionError) as problem:
        fail(machine, visit, DataError(f"The data cannot be processed: {problem}"))


def begin(machine: "Machine", visit: Visit) -> None:
    """Filter the input and do the state's work."""
    path = visit.state.input_path
    if path is None:
        visit.effective = EMPTY
    elif not (path.whole and path.source == "input"):
        visit.effective = Json(_resolve(machine, visit, path, visit.input.value))
    machine.note("afterInputPath", visit.effective)
    _WORK[visit.state.type](machine, visit)


def again(machine: "Machine", visit: Visit) -> None:
    """The next attempt: the same effective input, no new StateEntered."""
    visit.broken = None
    perform(machine, visit, _WORK[visit.state.type])


def complete(machine: "Machine", visit: Visit, result: Json) -> None:
    """A state's work gave a result: select, assign, merge, filter, exit."""
    state = visit.state
    machine.note("result", result)
    if state.jsonata:
        worked = isinstance(state, WorkState)
        known = {"result": result.value} if worked else {}
        default = result if worked else visit.input
        _leave(machine, visit, state, state.next, known, default)
        return
    if isinstance(state, WorkState) and state.result_selector is not None:
        result = Json(state.result_selector.evaluate(environment(machine, visit, result.value)))
    machine.note("afterResultSelector", result)
    assigned = _assigned(machine, visit, state.assign, result)
    if isinstance(state, WorkState | PassState):
        result = _merged(visit, state.result_path, result)
    machine.note("afterResultPath", result)
    _exit(machine, visit, _filtered(machine, visit, result), state.next, assigned)


def _leave(
    machine: "Machine",
    visit: Visit,
    chosen: State | Rule | Catcher,
    target: str | None,
    known: dict[str, Any],
    default: Json,
) -> None:
    """Exit a JSONata state by the Output and Assign of itself, of a choice rule or of a catcher.

    known: what `$states` holds besides input and context.
    """
    view = environment(machine, visit, visit.input.value, given=known)
    output = default if chosen.output is None else Json(chosen.output.evaluate(view))
    assigned = None if chosen.assign is None else chosen.assign.evaluate(view)
    _exit(machine, visit, output, target, assigned)


def _merged(visit: Visit, path: Path | None, result: Json) -> Json:
    """ResultPath merges into the input as it came, before InputPath, as recorded."""
    if path is None:
        return visit.input
    if path.whole:
        return result
    try:
        return Json(insert(visit.input.value, path, result.value))
    except PathError:
        failure = StateError(
            "States.ResultPathMatchFailure",
            f"Unable to apply ReferencePath {path.text} to input {dumps(visit.input.value)}",
        )
        raise failure from None


def _filtered(machine: "Machine", visit: Visit, output: Json) -> Json:
    path = visit.state.output_path
    if path is None:
        return EMPTY
    if path.whole and path.source == "input":
        return output
    return Json(_resolve(machine, visit, path, output.value))


def _exit(
    machine: "Machine", visit: Visit, output: Json, target: str | None, assigned: dict[str, Any] | None
) -> None:
    """Leave the state for `target`, or complete the scope where there is none."""
    scope, state = visit.scope, visit.state
    check_size(output, state.name)
    texts = {name: dumps(value) for name, value in (assigned or {}).items()}
    if texts:
        scope.sizes |= check_assign(machine, scope, texts, state.name)
    scope.last = machine.emit(
        f"{state.type}StateExited",
        scope.last,
        "stateExited",
        assignedVariables=texts or None,
        assignedVariablesDetails=_TRUNCATED if texts else None,
        name=state.name,
        output=output.text,
        outputDetails=_TRUNCATED,
    )
    scope.variables.update(assigned or {})
    scope.visit = None
    machine.note("left", (target, output))
    if target is not None:
        machine.head_for(scope, target, output)
    elif scope.fan is None:
        machine.finish("SUCCEEDED", "executionSucceeded", scope.last, output=output.text)
    else:
        fans.inner_succeeded(machine, scope, scope.fan, output)


def check_size(document: Json, subject: str, what: str = "returned a result") -> None:
    """Raises States.DataLimitExceeded, naming the state or task and what it did."""
    if too_large(document.text):
        raise data_limit(subject, what)


def data_limit(subject: str, what: str = "returned a result") -> StateError:
    """The failure of a state or task whose result, or whatever it did, is too large."""
    return StateError(
        "States.DataLimitExceeded",
        f"The state/task '{subject}' {what} with a size exceeding the maximum number of bytes service limit.",
    )


# Failing ------------------------------------------------------------------------------------------


def fail(machine: "Machine", visit: Visit, failure: StateError, *, fan_failed: bool = False) -> None:
    """A state failed: retry, catch, or fail its scope.

    fan_failed: the failure came out of an inner scope, so giving up is an event of its own.
    """
    state, scope = visit.state, visit.scope
    machine.cancel_timer(visit)
    machine.cancel_task(visit)
    machine.note("failure", failure)
    original = failure
    failure = _placed(machine, visit, failure)
    if failure.error == "States.DataLimitExceeded":
        visit.broken = None  # a redrive runs all of it again, as documented
    if isinstance(original, QueryEvaluationError):
        fan_failed = fan_failed or state.type == "Map"
    if isinstance(state, WorkState) and _retried(machine, visit, state, failure):
        return
    if fan_failed:
        scope.last = machine.emit(f"{state.type}StateFailed", scope.last)
    catchers = state.catchers if isinstance(state, WorkState) else ()
    catcher = next((c for c in catchers if matches(c.errors, failure)), None)
    if catcher is None:
        _fail_scope(machine, scope, failure)
        return
    machine.note("catchIndex", catchers.index(catcher))
    try:
        _catch(machine, visit, catcher, failure)
    except StateError as second:
        _fail_scope(machine, scope, _placed(machine, visit, second))


def _placed(machine: "Machine", visit: Visit, failure: StateError) -> StateError:
    """The failure with its place before the cause; one of an expression has an event of its own."""
    if not failure.wrapped:
        return failure
    placed = StateError(failure.error, placed_cause(visit, failure))
    if isinstance(failure, QueryEvaluationError):
        _evaluation_failed(machine, visit, failure, placed)
    return placed


def placed_cause(visit: Visit, failure: StateError) -> str | None:
    """The cause, with the state before it where that is the machine's to say."""
    if not failure.wrapped:
        return failure.cause
    place = f"the state '{visit.state.name}' (entered at the event id #{visit.entered_id})"
    return f"An error occurred while executing {place}. {failure.cause}"


def _evaluation_failed(
    machine: "Machine", visit: Visit, original: QueryEvaluationError, failure: StateError
) -> None:
    """The event's parent is the state's predecessor, as recorded; a Wait's is its own entry."""
    waits = isinstance(visit.state, WaitState)
    visit.scope.last = machine.emit(
        "EvaluationFailed",
        visit.entered_id if waits else visit.previous_id,
        "evaluationFailed",
        error=failure.error,
        cause=failure.cause,
        location=original.location,
        state=visit.state.name,
    )


def _retried(machine: "Machine", visit: Visit, state: WorkState, failure: StateError) -> bool:
    for position, retrier in enumerate(state.retriers):
        if not matches(retrier.errors, failure):
            continue
        used = visit.attempts.get(position, 0)
        machine.note("retryIndex", position)
        if used >= retrier.attempts:
            return False
        visit.attempts[position] = used + 1
        visit.retries += 1
        bits = machine.draw() if retrier.full_jitter else 0
        delay = retrier.delay_ms(used, bits)
        machine.note("retryBackoff", delay)
        machine.set_timer(visit, machine.now_ms + delay)
        return True
    return False


def _catch(machine: "Machine", visit: Visit, catcher: Catcher, failure: StateError) -> None:
    """OutputPath and ResultSelector have no part in this, as recorded."""
    error_output = Json({"Error": failure.error or "", "Cause": failure.cause or ""})
    if visit.state.jsonata:
        known = {"errorOutput": error_output.value}
        _leave(machine, visit, catcher, catcher.next, known, error_output)
        return
    assigned = _assigned(machine, visit, catcher.assign, error_output)
    _exit(machine, visit, _merged(visit, catcher.result_path, error_output), catcher.next, assigned)


def _fail_scope(machine: "Machine", scope: Scope, failure: StateError) -> None:
    if scope.fan is None:
        machine.finish("FAILED", "executionFailed", scope.last, error=failure.error, cause=failure.cause)
    else:
        fans.inner_failed(machine, scope, scope.fan, failure)


# Expressions --------------------------------------------------------------------------------------


def environment(
    machine: "Machine", visit: Visit, root: Any, item: Any = None, given: dict[str, Any] | None = None
) -> Environment:
    """item: the (index, value) that an ItemSelector sees. given: more of `$states`."""
    return Environment(
        root,
        lambda: context_object(machine, visit, item and {"Index": item[0], "Value": item[1]}),
        visit.scope.variables,
        machine.draw,
        machine.now_ms,
        given,
        machine.worked,
    )


def context_object(machine: "Machine", visit: Visit, item: dict[str, Any] | None) -> dict[str, Any]:
    """What `$$` is; item: what it tells of the Map's item to an ItemSelector."""
    if machine.context is not None:
        return machine.context
    execution = machine.execution
    state: dict[str, Any] = {"Name": visit.state.name, "EnteredTime": iso(visit.entered_ms)}
    if isinstance(visit.state, WorkState):
        state["RetryCount"] = visit.retries
    context: dict[str, Any] = {
        "Execution": {
            "Id": execution.arn,
            "Input": machine.input.value,
            "StartTime": iso(machine.started_ms),
            "Name": execution.name,
            "RoleArn": execution.role_arn,
            "RedriveCount": machine.redrives,
        },
        "StateMachine": {"Id": execution.machine_arn, "Name": execution.machine_name},
        "State": state,
    }
    if machine.redrives:
        context["Execution"]["RedriveTime"] = iso(machine.redriven_ms)
    if visit.token:
        context["Task"] = {"Token": visit.token}
    if item := item or _enclosing_item(visit.scope):
        context["Map"] = {"Item": item}
    return machine.told(context)


def _enclosing_item(scope: Scope) -> dict[str, Any] | None:
    """The item of the innermost Map around the state."""
    inner: Scope | None = scope
    while inner is not None and inner.fan is not None:
        if inner.fan.visit.state.type == "Map":
            return {"Index": inner.index, "Value": inner.item}
        inner = inner.fan.visit.scope
    return None


def _resolve(machine: "Machine", visit: Visit, path: Path, root: Any) -> Any:
    check_input(path, root)
    try:
        return environment(machine, visit, root).resolve(path)
    except PathError as problem:
        raise DataError(f"Invalid path '{path.text}' : {problem}") from None


def resolve(machine: "Machine", visit: Visit, path: Path) -> Any:
    """A field's path over the effective input. Raises DataError."""
    return _resolve(machine, visit, path, visit.effective.value)


def arguments(machine: "Machine", visit: Visit, parameters: Template | None) -> Json:
    given = visit.effective
    if parameters is not None:
        given = Json(parameters.evaluate(environment(machine, visit, given.value)))
    machine.note("afterParameters", given)
    return given


def _assigned(
    machine: "Machine", visit: Visit, template: Template | None, root: Json
) -> dict[str, Any] | None:
    if template is None:
        return None
    assigned: dict[str, Any] = template.evaluate(environment(machine, visit, root.value))
    return assigned


# The states -----------------------------------------------------------------------------------------


def _pass(machine: "Machine", visit: Visit) -> None:
    state = visit.state
    assert isinstance(state, PassState)
    result = Json(state.result) if state.has_result else arguments(machine, visit, state.parameters)
    complete(machine, visit, result)


def _succeed(machine: "Machine", visit: Visit) -> None:
    assert isinstance(visit.state, SucceedState)
    complete(machine, visit, visit.effective)


def _fail(machine: "Machine", visit: Visit) -> None:
    state = visit.state
    assert isinstance(state, FailState)
    error = state.error if state.error_path is None else _word(machine, visit, state.error_path, "ErrorPath")
    cause = state.cause if state.cause_path is None else _word(machine, visit, state.cause_path, "CausePath")
    raise StateError(error, cause)


def _word(machine: "Machine", visit: Visit, expression: Expression | Query, field: str) -> str:
    if isinstance(expression, Query):
        return str(expression.expect("string", environment(machine, visit, visit.input.value)))
    value = evaluate(expression, environment(machine, visit, visit.effective.value), field)
    if not isinstance(value, str):
        raise DataError(
            f"The {field} parameter does not reference a string: {expression.text} == {dumps(value)}"
        )
    return value


def _choice(machine: "Machine", visit: Visit) -> None:
    state = visit.state
    assert isinstance(state, ChoiceState)
    view = environment(machine, visit, visit.effective.value)
    rule = next((rule for rule in state.rules if rule.condition(view)), None)
    target = rule.next if rule else state.default
    if target is None:
        raise DataError(_NO_WAY_OUT)
    if state.jsonata:
        _leave(machine, visit, rule or state, target, {}, visit.input)
        return
    template = rule.assign if rule else state.assign
    assigned = _assigned(machine, visit, template, visit.effective)
    _exit(machine, visit, _filtered(machine, visit, visit.effective), target, assigned)


def _wait(machine: "Machine", visit: Visit) -> None:
    due = due_ms(machine, visit)
    if due - machine.now_ms > _LONGEST_WAIT_S * 1000:
        raise DataError("Wait state delay is too long.")
    machine.set_timer(visit, max(due, machine.now_ms))


# Tasks --------------------------------------------------------------------------------------------


def _task(machine: "Machine", visit: Visit) -> None:
    state, scope = visit.state, visit.scope
    assert isinstance(state, TaskState)
    resource = state.resource
    if resource.activity:
        activities.begin(machine, visit)
        return
    visit.token = machine.next_token() if resource.waits_for_token else None
    parameters = arguments(machine, visit, state.parameters)
    check_size(parameters, state.name, "provided parameters")
    timeout, heartbeat = limits(machine, visit, state)
    common = {"timeoutInSeconds": timeout, "taskCredentials": _credentials(machine, visit, state)}
    if resource.bare_function:
        scope.last = machine.emit(
            "LambdaFunctionScheduled", scope.last, "lambdaFunctionScheduled",
            input=parameters.text, inputDetails=_TRUNCATED, resource=resource.arn, **common,
        )  # fmt: skip
    else:
        scope.last = machine.emit(
            "TaskScheduled", scope.last, "taskScheduled",
            parameters=parameters.text, region=machine.execution.region, resource=resource.action,
            resourceType=resource.service, heartbeatInSeconds=heartbeat, **common,
        )  # fmt: skip
    machine.expect(scope.last, visit)
    if timeout is not None:
        machine.set_timer(visit, machine.now_ms + timeout * 1000)
    if heartbeat is not None and resource.waits_for_token:
        machine.set_heartbeat(visit, heartbeat)
    machine.queue(scope, _task_started, machine, visit, scope.last, parameters)


def _task_started(machine: "Machine", visit: Visit, task: int, parameters: Json) -> None:
    state = visit.state
    assert isinstance(state, TaskState)
    if visit.task != task:  # it timed out before its turn came
        return
    _task_event(machine, visit, "Started")
    resource = state.resource
    machine.expect(
        task, visit, Invoke(task, resource.service, resource.action, resource.arn, parameters.text)
    )


def _task_event(machine: "Machine", visit: Visit, what: str, **details: Any) -> None:
    state, scope = visit.state, visit.scope
    assert isinstance(state, TaskState)
    resource = state.resource
    if resource.activity:
        activities.event(machine, visit, what, **details)
    elif not resource.bare_function:
        names = {"resource": resource.action, "resourceType": resource.service}
        scope.last = machine.emit(f"Task{what}", scope.last, f"task{what}", **details, **names)
    elif details:
        scope.last = machine.emit(f"LambdaFunction{what}", scope.last, f"lambdaFunction{what}", **details)
    else:
        scope.last = machine.emit(f"LambdaFunction{what}", scope.last)


def submitted(machine: "Machine", visit: Visit, output: str) -> None:
    """The service has taken the task; the outcome comes another way."""
    _task_event(machine, visit, "Submitted", output=output, outputDetails=_TRUNCATED)


def succeeded(machine: "Machine", visit: Visit, output: str) -> None:
    """A task's answer came. The history has it at once; what follows waits its turn."""
    _task_event(machine, visit, "Succeeded", output=output, outputDetails=_TRUNCATED)
    machine.queue(visit.scope, perform, machine, visit, complete, Json(text=output))


def failed(machine: "Machine", visit: Visit, failure: StateError) -> None:
    if visit.state.type == "Map":
        distributed.failed(machine, visit, failure)
        return
    _task_event(machine, visit, "Failed", error=failure.error, cause=failure.cause)
    machine.queue(visit.scope, fail, machine, visit, failure)


def timer_fired(machine: "Machine", visit: Visit, *, missed_beat: bool = False) -> None:
    """A wait is over, a task took too long or was silent for too long, or a retry's pause is past."""
    if isinstance(visit.state, WaitState):
        machine.queue(visit.scope, perform, machine, visit, complete, visit.effective)
    elif visit.task is not None:
        machine.cancel_timer(visit)
        machine.cancel_task(visit)
        _task_event(machine, visit, "TimedOut", error=TIMEOUT)
        failure = StateError(TIMEOUT, also=HEARTBEAT_TIMEOUT if missed_beat else None)
        machine.queue(visit.scope, fail, machine, visit, failure)
    else:
        machine.queue(visit.scope, again, machine, visit)


def _credentials(machine: "Machine", visit: Visit, state: TaskState) -> dict[str, Any] | None:
    if state.role is None:
        return None
    role = state.role.evaluate(environment(machine, visit, visit.effective.value))["RoleArn"]
    if not isinstance(role, str):
        raise DataError("The RoleArn of Credentials is not a string.")
    return {"roleArn": role}


_WORK: dict[str, Callable[["Machine", Visit], None]] = {
    "Pass": _pass,
    "Succeed": _succeed,
    "Fail": _fail,
    "Choice": _choice,
    "Wait": _wait,
    "Task": _task,
    "Parallel": lambda machine, visit: fans.begin_parallel(machine, visit),
    "Map": lambda machine, visit: fans.begin_map(machine, visit),
}
