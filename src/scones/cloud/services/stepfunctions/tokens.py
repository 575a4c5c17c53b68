"""What a worker that holds a task token may say: done, failed, still at it."""

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
        execution, task = self._waiting(request["taskToken"])
        try:
            output = dumps(loads(request["output"]))
        except ValueError:
            raise ServiceError("InvalidOutput", "Invalid Output: 'The output is not valid JSON'") from None
        if too_large(output):
            raise ServiceError("InvalidOutput", "Invalid Output: 'The output exceeds 262144 bytes'")
        return self._tell(execution, task, Succeeded(task, output))

    async def send_task_failure(self, request: Wire, context: Context) -> Wire:
        execution, task = self._waiting(request["taskToken"])
        return self._tell(execution, task, Failed(task, request.get("error"), request.get("cause")))

    async def send_task_heartbeat(self, request: Wire, context: Context) -> Wire:
        execution, task = self._waiting(request["taskToken"])
        return self._tell(execution, task, Beat(task))

    def _waiting(self, token: str) -> tuple[int, int]:
        """The execution's id and the task that the token names. Raises InvalidToken."""
        read = read_token(token)
        row = self._store.execution(read[0]) if read else None
        if read is None or row is None or not matches_token(token, row.arn, row.seed, read[1]):
            raise ServiceError("InvalidToken", "Invalid Token: 'Invalid token'")
        return row.id, read[1]

    def _tell(self, execution: int, task: int, stimulus: Stimulus) -> Wire:
        """Durable when this returns. Raises TaskTimedOut."""
        if not self._runner.tell(execution, task, stimulus):
            raise ServiceError("TaskTimedOut", "Task Timed Out: 'Provided task does not exist anymore'")
        return {}
