"""Executions and jobs that a task began and nobody waits for any more: they are stopped, whatever happens.

What is to be stopped is journaled with the turn that gave the task up, and forgotten once it has been
told to stop. A start repeats what was left.
"""

import contextlib

from scones.cloud.asl.journal import Invoke, Submitted
from scones.cloud.asl.jsontext import loads
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Faults, Spawn, Wire

from . import integrations, sagemaker_tasks
from .records import StopRow
from .store import Store
from .times import milliseconds

__all__ = ["Stops"]

_Key = tuple[int, int]
"""(execution, task)."""


class Stops:
    def __init__(self, *, store: Store, call: Call, spawn: Spawn, faults: Faults) -> None:
        self._store = store
        self._call = call
        self._spawn = spawn
        self._faults = faults
        self._unanswered: dict[_Key, StopRow] = {}
        """Those that this process has asked for and has no reply to yet."""

    def start(self) -> None:
        """Take up what an earlier run left."""
        for row in self._store.stops():
            self._begin(row)

    def journal(self, execution: int, invoke: Invoke, name: str) -> None:
        """In the transaction of the turn that gives the task up.

        name: of the execution that it began, if it gave none.
        """
        self._store.add_stop(execution, invoke, name)

    def perform(self, execution: int, task: int) -> None:
        """Once that turn is durable."""
        self._faults.reach("stepfunctions.stop.journaled")
        for row in self._store.stops(execution, task):
            if row.submitted:
                self._begin(row)
            else:
                self._unanswered[execution, task] = row

    def answered(self, execution: int, task: int, answer: object) -> None:
        """The reply to a question whose task has been given up meanwhile."""
        row = self._unanswered.pop((execution, task), None)
        if row is None:
            return
        if isinstance(answer, Submitted):
            self._begin(row.begun(answer.output))
        else:
            self._forget(row)

    def _begin(self, row: StopRow) -> None:
        self._spawn(self._stop(row), name=f"stepfunctions-stop-{row.id}")

    async def _stop(self, row: StopRow) -> None:
        """AWS, too, only tries: who may not stop the execution or the job leaves it running."""
        with contextlib.suppress(ServiceError):
            if row.submitted or await self._ours(row):
                await self._call(*self._stopping(row))
        self._forget(row)

    def _forget(self, row: StopRow) -> None:
        with self._store.transaction():
            self._store.delete_stop(row.id)

    async def _ours(self, row: StopRow) -> bool:
        """Whether a question without a reply began something. Raises ServiceError where there is nothing."""
        _, operation, request = integrations.request(row.invoke, row.name)
        if row.service == "sagemaker":
            found = await sagemaker_tasks.asked_before(self._call, operation, request, row.asked_ms)
            return found is not None
        arn = {"executionArn": integrations.begun_arn(request)}
        described = await self._call("stepfunctions", "DescribeExecution", arn)
        return milliseconds(described["startDate"]) >= row.asked_ms

    def _stopping(self, row: StopRow) -> tuple[str, str, Wire]:
        if row.service == "sagemaker":
            return sagemaker_tasks.stopping(row.invoke)
        if row.submitted:
            arn = loads(row.submitted)["ExecutionArn"]
        else:
            arn = integrations.begun_arn(integrations.request(row.invoke, row.name)[2])
        return "stepfunctions", "StopExecution", {"executionArn": arn}
