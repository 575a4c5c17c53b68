"""What tasks ask of other services, and the ends of what they begin: of each, a stimulus for the machine.

A task may be asked again after a crash; then it finds the execution or job that it had begun.
"""

import asyncio
import contextlib
import hashlib
import logging
import uuid

from scones.cloud.asl.failures import RUNTIME
from scones.cloud.asl.journal import Failed, Invoke
from scones.cloud.asl.jsontext import loads
from scones.cloud.asl.machine import Execution
from scones.cloud.asl.tokens import task_token
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Ids, Wire

from . import integrations, sagemaker_tasks
from .store import Store
from .times import milliseconds

__all__ = ["Ends", "Questions", "child_name"]

_log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 60.0
"""Who waits for another execution's end looks again this often, whatever it has been told."""
_JOB_LOOK_S = 0.5
"""Between two looks at a job that a task waits for."""


class Ends:
    """For those who wait for the end of an execution."""

    def __init__(self) -> None:
        self._awaited: dict[int, asyncio.Event] = {}

    def of(self, id_: int) -> asyncio.Event:
        return self._awaited.setdefault(id_, asyncio.Event())

    def tell(self, id_: int) -> None:
        if over := self._awaited.pop(id_, None):
            over.set()

    def forget(self, id_: int) -> None:
        self._awaited.pop(id_, None)


class Questions:
    def __init__(self, *, store: Store, clock: Clock, ids: Ids, call: Call, ends: Ends) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._call = call
        self._ends = ends

    async def ask(self, execution: Execution, invoke: Invoke, since_ms: int | None) -> integrations.Answer:
        """The service's reply, or its refusal.

        since_ms: when the task was begun, if an earlier run may have asked already.
        """
        envelope = integrations.Envelope.draw(self._clock, self._ids)
        try:
            own = invoke.operation == "startExecution"
            name = child_name(execution, invoke.task) if own else ""
            origin = (execution.arn, execution.machine_arn)
            service, operation, request = integrations.request(invoke, name, origin)
            if since_ms is not None and invoke.service == "sagemaker":
                reply = await self._asked_again(operation, request, since_ms)
            elif operation == "StartExecution":
                reply = await self._start_execution(request, name, since_ms)
            else:
                reply = await self._call(service, operation, request)
            return integrations.answer(invoke, reply, envelope)
        except ServiceError as problem:
            return integrations.failure(invoke, problem, envelope)
        except Exception:
            _log.exception("a task could not be asked", extra={"task": invoke.resource})
            return Failed(invoke.task, RUNTIME, "An internal error kept the task from being run.")

    async def follow(self, invoke: Invoke) -> integrations.Answer:
        """The end of the execution or job that a task began."""
        try:
            over = self._job_over if invoke.service == "sagemaker" else self._execution_over
            return integrations.outcome(invoke, await over(invoke))
        except ServiceError as problem:
            return integrations.failure(invoke, problem, integrations.Envelope.draw(self._clock, self._ids))

    async def _start_execution(self, request: Wire, own_name: str, since_ms: int | None) -> Wire:
        """own_name: what the execution is called whose task gives it no name."""
        request = {"name": own_name} | request
        try:
            return await self._call("stepfunctions", "StartExecution", request)
        except ServiceError as problem:
            if problem.code != "ExecutionAlreadyExists" or since_ms is None:
                raise
            arn = integrations.begun_arn(request)
            found = await self._call("stepfunctions", "DescribeExecution", {"executionArn": arn})
            named = request["name"] != own_name
            began_ms = milliseconds(found["startDate"])
            if named and (found["input"] != request.get("input", "{}") or began_ms < since_ms):
                raise
            return found

    async def _asked_again(self, operation: str, request: Wire, since_ms: int) -> Wire:
        try:
            return await self._call("sagemaker", operation, request)
        except ServiceError:
            reply = await sagemaker_tasks.asked_before(self._call, operation, request, since_ms)
            if reply is None:
                raise
            return reply

    async def _job_over(self, invoke: Invoke) -> Wire:
        while True:
            described = await self._call(*sagemaker_tasks.looking(invoke))
            if sagemaker_tasks.job_over(invoke, described):
                return described
            await asyncio.sleep(_JOB_LOOK_S)

    async def _execution_over(self, invoke: Invoke) -> Wire:
        arn = loads(invoke.submitted)["ExecutionArn"]
        followed = self._store.execution(arn)
        id_ = followed.id if followed else 0
        try:
            while True:
                event = self._ends.of(id_)
                described = await self._call("stepfunctions", "DescribeExecution", {"executionArn": arn})
                if described["status"] != "RUNNING":
                    return described
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(event.wait(), _LOOK_AGAIN_S)
        finally:
            self._ends.forget(id_)


def child_name(execution: Execution, task: int) -> str:
    """The name of an execution whose task gives none: whenever the task is asked, the same."""
    seed = hashlib.sha256(task_token(execution.arn, execution.seed, task).encode()).digest()
    return str(uuid.UUID(bytes=seed[:16], version=4))
