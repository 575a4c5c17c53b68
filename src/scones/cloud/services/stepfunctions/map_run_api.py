"""Operations on map runs."""

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire

from .map_store import ChildCounts, MapRunRow, MapRunStore
from .paging import decode_token, page
from .records import MachineRow, parse_execution_arn, parse_map_run_arn
from .runner import Runner
from .store import Store
from .times import moment

__all__ = ["MapRunOperations", "find_map_run"]

_FAR = 2**62
_STATUSES = {
    "running": "RUNNING",
    "succeeded": "SUCCEEDED",
    "failed": "FAILED",
    "timedOut": "TIMED_OUT",
    "aborted": "ABORTED",
    "pendingRedrive": "PENDING_REDRIVE",
}


class MapRunOperations:
    def __init__(self, *, store: Store, map_runs: MapRunStore, runner: Runner) -> None:
        self._store = store
        self._map_runs = map_runs
        self._runner = runner

    def list_map_runs(self, request: Wire, context: Context) -> Wire:
        parse_execution_arn(request["executionArn"])
        execution = self._store.execution(request["executionArn"])
        if execution is None:
            raise ServiceError(
                "ExecutionDoesNotExist", f"Execution Does Not Exist: '{request['executionArn']}'"
            )
        machine = self._store.machine_by_id(execution.machine)
        limit = request.get("maxResults") or 100
        rows = self._map_runs.of_execution(execution.id, decode_token(request, _FAR), limit + 1)

        def show(row: MapRunRow) -> Wire:
            return _named(row, execution.arn) | {"stateMachineArn": _machine_arn(row, machine)}

        return page("mapRuns", rows, limit, show, lambda row: row.id)

    def describe_map_run(self, request: Wire, context: Context) -> Wire:
        row = find_map_run(self._map_runs, request["mapRunArn"])
        execution = self._store.execution_by_id(row.execution)
        assert execution is not None
        counts = self._map_runs.counts(row.id)
        pending = 0 if row.items is None else row.items - counts.items_begun
        return _named(row, execution.arn) | {
            "status": row.status,
            "maxConcurrency": row.max_concurrency,
            "toleratedFailureCount": row.tolerated_count or 0,
            "toleratedFailurePercentage": row.tolerated_percentage or 0.0,
            "itemCounts": _counts(counts.items, pending, row.written_items),
            "executionCounts": _counts(counts.executions, _batches(pending, counts), row.written_executions),
            "redriveCount": row.redrive_count,
            **({} if row.redriven_ms is None else {"redriveDate": moment(row.redriven_ms)}),
        }

    def update_map_run(self, request: Wire, context: Context) -> Wire:
        """Only what is named changes, and only in a run that still runs."""
        row = find_map_run(self._map_runs, request["mapRunArn"])
        if row.status != "RUNNING":
            raise ServiceError(
                "ValidationException", f"Map Run is {row.status} and cannot be updated: '{row.arn}'"
            )
        self._map_runs.set_limits(
            row.id,
            request.get("maxConcurrency", row.max_concurrency),
            request.get("toleratedFailureCount", row.tolerated_count),
            request.get("toleratedFailurePercentage", row.tolerated_percentage),
        )
        self._runner.map_run_changed(row.id)
        return {}


def find_map_run(map_runs: MapRunStore, arn: str) -> MapRunRow:
    """Raises InvalidArn, ResourceNotFound."""
    parse_map_run_arn(arn)
    row = map_runs.by_arn(arn)
    if row is None:
        raise ServiceError("ResourceNotFound", f"Resource not found: '{arn}'")
    return row


def _machine_arn(row: MapRunRow, machine: MachineRow) -> str:
    return f"{machine.arn}/{row.label}"


def _named(row: MapRunRow, execution_arn: str) -> Wire:
    shown: Wire = {
        "executionArn": execution_arn,
        "mapRunArn": row.arn,
        "startDate": moment(row.started_ms),
    }
    if row.stopped_ms is not None:
        shown["stopDate"] = moment(row.stopped_ms)
    return shown


def _batches(pending: int, counts: ChildCounts) -> int:
    """How many executions the pending items will make, by the size of those that began."""
    if not pending or not counts.begun:
        return pending
    return -(-pending * counts.begun // counts.items_begun)


def _counts(found: dict[str, int], pending: int, written: int) -> Wire:
    counts = {name: found.get(status, 0) for name, status in _STATUSES.items()}
    return counts | {
        "pending": pending,
        "total": pending + sum(found.values()),
        "resultsWritten": written,
    }
