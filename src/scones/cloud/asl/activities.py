"""Tasks of activities: scheduled once the activity is found, started when a worker takes them.

Both of a task's limits count from the moment in which it is taken: a task that no worker takes waits as
long as its execution.
"""

from typing import TYPE_CHECKING, Any

from . import states
from .durations import limits
from .failures import DataError
from .journal import Invoke
from .program import TaskState
from .scope import Visit
from .tokens import task_token

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["begin", "event", "missing", "queued", "taken"]

_TRUNCATED = {"truncated": False}


def begin(machine: "Machine", visit: Visit) -> None:
    """Ask whether the activity is there. Its answer makes the task's first event."""
    state = visit.state
    assert isinstance(state, TaskState)
    task = machine.activity_task()
    visit.token = task_token(machine.execution.arn, machine.execution.seed, task)
    parameters = states.arguments(machine, visit, state.parameters)
    states.check_size(parameters, state.name, "provided parameters")
    visit.limits = limits(machine, visit, state)
    arn = state.resource.arn
    machine.expect(task, visit, Invoke(task, state.resource.service, "", arn, parameters.text))


def queued(machine: "Machine", visit: Visit, invoke: Invoke) -> None:
    timeout, heartbeat = visit.limits
    event(
        machine, visit, "Scheduled", resource=invoke.resource, input=invoke.parameters,
        inputDetails=_TRUNCATED, timeoutInSeconds=timeout, heartbeatInSeconds=heartbeat,
    )  # fmt: skip


def missing(machine: "Machine", visit: Visit) -> None:
    state = visit.state
    assert isinstance(state, TaskState)
    failure = DataError(f"The activity {state.resource.arn} does not exist.")
    machine.queue(visit.scope, states.fail, machine, visit, failure)


def taken(machine: "Machine", visit: Visit, invoke: Invoke, worker: str | None) -> None:
    event(machine, visit, "Started", workerName=worker)
    timeout, heartbeat = visit.limits
    if timeout is not None:
        machine.set_timer(visit, machine.now_ms + timeout * 1000)
    if heartbeat is not None:
        machine.set_heartbeat(visit, heartbeat)


def event(machine: "Machine", visit: Visit, what: str, **details: Any) -> None:
    scope = visit.scope
    scope.last = machine.emit(f"Activity{what}", scope.last, f"activity{what}", **details)
