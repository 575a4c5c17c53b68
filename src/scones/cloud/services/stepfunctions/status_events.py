"""The event that Step Functions sends to EventBridge when the status of a standard execution changes.

Source: Step Functions Developer Guide, "EventBridge for Step Functions execution status changes".
"""

from scones.cloud.asl.jsontext import dumps
from scones.cloud.ports import Announce, Wire

from .map_results import child_machine_arn
from .records import ExecutionRow
from .redrive_rules import redrive_status
from .store import Store

__all__ = ["StatusEvents"]

_LIMIT_BYTES = 248 * 1024
"""Of the escaped texts; input and output that are longer are left out."""


class StatusEvents:
    def __init__(self, store: Store, announce: Announce) -> None:
        self._store = store
        self._announce = announce

    def changed(self, id_: int) -> None:
        """Tell of the status that an execution has now, in the transaction that has just set it."""
        self._announce("aws.states", "Step Functions Execution Status Change", lambda: self._tell(id_))

    def _tell(self, id_: int) -> tuple[str, Wire] | None:
        row = self._store.execution_by_id(id_)
        assert row is not None  # it has just been written
        if ":express:" in row.arn:
            return None
        if row.map_run is not None:
            machine_arn = child_machine_arn(row)
        else:
            machine_arn = self._store.machine_by_id(row.machine).arn
        redrive = redrive_status(self._store, row, row.stopped_ms or row.started_ms)
        return row.arn, _detail(row, machine_arn, {"redriveStatusReason": None} | redrive)


def _detail(row: ExecutionRow, machine_arn: str, redrive: Wire) -> Wire:
    version = None if row.version is None else f"{machine_arn}:{row.version}"
    alias = None if row.alias is None else f"{machine_arn}:{row.alias}"
    return {
        "executionArn": row.arn,
        "stateMachineArn": machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": row.started_ms,
        "stopDate": row.stopped_ms,
        **_data(row),
        "stateMachineVersionArn": version,
        "stateMachineAliasArn": alias,
        "redriveCount": row.redrive_count,
        "redriveDate": row.redriven_ms,
        **redrive,
        "error": row.error,
        "cause": row.cause,
    }


def _data(row: ExecutionRow) -> Wire:
    """Input and output as far as they fit: the output first."""
    output_bytes = 0 if row.output is None else len(dumps(row.output).encode())
    keep_output = output_bytes <= _LIMIT_BYTES
    keep_input = len(dumps(row.input).encode()) + (output_bytes if keep_output else 0) <= _LIMIT_BYTES
    return {
        "input": row.input if keep_input else None,
        "inputDetails": {"included": keep_input},
        "output": row.output if keep_output else None,
        "outputDetails": None if row.output is None else {"included": keep_output},
    }
