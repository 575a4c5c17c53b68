"""What a worker that holds a task token may say: done, failed, still at it."""

from typing import Any

from scones.cloud.asl.journal import Beat, Failed, Stimulus, Succeeded
from scones.cloud.asl.jsontext import dumps, loads, too_large
from scones.cloud.asl.tokens import matches_token, read_token
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire

from .runner import Runner
from .store import Store

__all__ = ["TaskTokens"]


class TaskTokens:
    def __init__(self, *, store: Store, runner: Runner) -> None:
        self._store = store
        self._runner = runner

    async def send_task_success(self, request: Wire, context: Context) -> Wire:
        try:
            output = dumps(loads(request["output"]))
        except ValueError:
            raise ServiceError("InvalidOutput", "Invalid Output: 'The output is not valid JSON'") from None
        if too_large(output):
            raise ServiceError("InvalidOutput", "Invalid Output: 'The output exceeds 262144 bytes'")
        return self._tell(request, Succeeded, output)

    async def send_task_failure(self, request: Wire, context: Context) -> Wire:
        return self._tell(request, Failed, request.get("error"), request.get("cause"))

    async def send_task_heartbeat(self, request: Wire, context: Context) -> Wire:
        return self._tell(request, Beat)

    def _tell(self, request: Wire, kind: type[Any], *texts: str | None) -> Wire:
        """Durable when this returns. Raises InvalidToken and TaskTimedOut."""
        token = request["taskToken"]
        read = read_token(token)
        row = self._store.execution(read[0]) if read else None
        if read is None or row is None or not matches_token(token, row.arn, row.seed, read[1]):
            raise ServiceError("InvalidToken", "Invalid Token: 'Invalid token'")
        task = read[1]
        stimulus: Stimulus = kind(task, *texts)
        if not self._runner.tell(row.id, task, stimulus):
            raise ServiceError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return {}
