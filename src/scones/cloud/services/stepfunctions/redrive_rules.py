"""Which executions may be redriven, and what is told of those that were.

Source: Step Functions Developer Guide, Restarting state machine executions with redrive; the reasons
are those of the API reference, DescribeExecution.
"""

from datetime import timedelta

from scones.cloud.asl.machine import EVENT_LIMIT
from scones.cloud.ports import Wire

from .records import EXECUTION_MOVES, ExecutionRow
from .store import Store
from .times import moment

__all__ = ["not_redrivable", "redrive_fields", "redrive_status"]

_PERIOD_MS = timedelta(days=14) // timedelta(milliseconds=1)
_OPEN_MS = timedelta(days=365) // timedelta(milliseconds=1)


def not_redrivable(store: Store, row: ExecutionRow, now_ms: int) -> str | None:
    """Why an execution cannot be redriven, in AWS's words; None where it can."""
    if "RUNNING" not in EXECUTION_MOVES[row.status]:
        return f"Execution is {row.status} and cannot be redriven"
    if store.machine_by_id(row.machine).status == "DELETING":
        return "State machine is in DELETING status"
    if store.last_turn(row.id)[1] >= EVENT_LIMIT - 1:
        return "Execution history event limit exceeded"
    if now_ms - row.started_ms > _OPEN_MS:
        return "Execution has exceeded the max execution time"
    if row.stopped_ms is not None and now_ms - row.stopped_ms > _PERIOD_MS:
        return "Execution redrivable period exceeded"
    return None


def redrive_status(store: Store, row: ExecutionRow, now_ms: int) -> Wire:
    """Whether an execution can be redriven, and how; of one that cannot, why."""
    reason = not_redrivable(store, row, now_ms)
    if reason is not None:
        return {"redriveStatus": "NOT_REDRIVABLE", "redriveStatusReason": reason}
    return {"redriveStatus": "REDRIVABLE" if row.map_run is None else "REDRIVABLE_BY_MAP_RUN"}


def redrive_fields(row: ExecutionRow) -> Wire:
    """What a description and a list tell of past redrives."""
    told: Wire = {"redriveCount": row.redrive_count}
    if row.redriven_ms is not None:
        told["redriveDate"] = moment(row.redriven_ms)
    return told
