"""Operations on executions and their histories."""

from typing import Any

from scones.cloud.asl.jackson import complaint
from scones.cloud.asl.journal import Event
from scones.cloud.asl.jsontext import LIMIT_BYTES, loads
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire

from .machines import find_machine, machine_fields
from .paging import decode_token, encode_token, page
from .records import ExecutionRow, check_name, parse_execution_arn
from .runner import Runner
from .store import Store
from .times import milliseconds, moment

__all__ = ["Executions"]

_DATA = ("input", "output", "parameters")
_FAR = 2**62


class Executions:
    def __init__(self, *, store: Store, runner: Runner, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._ids = ids

    def start_execution(self, request: Wire, context: Context) -> Wire:
        """The row and the execution's first turn commit together."""
        machine = find_machine(self._store, request["stateMachineArn"])
        text = request.get("input", "{}")
        _check_input(text)
        name = request.get("name") or self._ids.uuid()
        check_name(name)
        if machine.status == "DELETING":
            raise ServiceError("StateMachineDeleting", f"State Machine is being deleted: '{machine.arn}'")
        arn = f"{machine.arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
        if existing := self._store.execution(arn):
            if existing.status == "RUNNING" and existing.input == text:
                return {"executionArn": arn, "startDate": moment(existing.started_ms)}
            raise ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        now = milliseconds(self._clock.now())
        row = self._store.add_execution(
            arn=arn,
            name=name,
            machine=machine.id,
            revision=machine.revision,
            input=text,
            started_ms=now,
            seed=self._ids.token(32),
            trace_header=request.get("traceHeader"),
        )
        self._runner.begin(row, machine)
        return {"executionArn": arn, "startDate": moment(now)}

    async def stop_execution(self, request: Wire, context: Context) -> Wire:
        row = self._find(request["executionArn"])
        now = self._clock.now()
        if row.status != "RUNNING":
            return {"stopDate": moment(row.stopped_ms) if row.stopped_ms is not None else now}
        self._runner.abort(row.id, request.get("error"), request.get("cause"))
        stopped = self._store.execution(row.arn)  # gone, if it was the last of a machine being deleted
        return {"stopDate": moment(stopped.stopped_ms) if stopped and stopped.stopped_ms else now}

    def describe_execution(self, request: Wire, context: Context) -> Wire:
        row = self._find(request["executionArn"])
        redrivable = row.status in ("FAILED", "TIMED_OUT", "ABORTED")
        reply: Wire = {
            "executionArn": row.arn,
            "stateMachineArn": self._store.machine_by_id(row.machine).arn,
            "name": row.name,
            "status": row.status,
            "startDate": moment(row.started_ms),
            "redriveCount": 0,
            "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
        }
        if not redrivable:
            reply["redriveStatusReason"] = f"Execution is {row.status} and cannot be redriven"
        if row.stopped_ms is not None:
            reply["stopDate"] = moment(row.stopped_ms)
        if request.get("includedData") != "METADATA_ONLY":
            reply |= {"input": row.input, "inputDetails": {"included": True}}
            if row.output is not None:
                reply |= {"output": row.output, "outputDetails": {"included": True}}
        for field, value in (
            ("error", row.error),
            ("cause", row.cause),
            ("traceHeader", row.trace_header),
        ):
            if value is not None:
                reply[field] = value
        return reply

    def describe_state_machine_for_execution(self, request: Wire, context: Context) -> Wire:
        row = self._find(request["executionArn"])
        machine, revision = self._store.machine_by_id(row.machine), self._store.revision(row.revision)
        fields = machine_fields(machine, revision, request.get("includedData"))
        return fields | {"updateDate": moment(revision.created_ms)}

    def list_executions(self, request: Wire, context: Context) -> Wire:
        if "mapRunArn" in request:
            raise ServiceError("ResourceNotFound", "Map runs are not supported yet")
        if "stateMachineArn" not in request:
            raise ServiceError("ValidationException", "Either stateMachineArn or mapRunArn must be specified")
        machine = find_machine(self._store, request["stateMachineArn"])
        limit = request.get("maxResults") or 100
        if request.get("redriveFilter") == "REDRIVEN":
            return {"executions": []}
        rows = self._store.executions(
            machine.id, request.get("statusFilter"), decode_token(request, _FAR), limit + 1
        )
        return page("executions", rows, limit, lambda row: _listed(row, machine.arn), lambda row: row.id)

    def get_execution_history(self, request: Wire, context: Context) -> Wire:
        row = self._find(request["executionArn"])
        limit = request.get("maxResults") or 100
        backwards = bool(request.get("reverseOrder"))
        _, newest = self._store.last_turn(row.id)
        start = decode_token(request, newest if backwards else 1)
        events = self._store.events(row.id, start, limit, newest_first=backwards)
        with_data = request.get("includeExecutionData", True)
        reply: Wire = {"events": [_shown(event, with_data) for event in events]}
        if events and events[-1]["id"] != (1 if backwards else newest):
            reply["nextToken"] = encode_token(events[-1]["id"] + (-1 if backwards else 1))
        return reply

    def _find(self, arn: str) -> ExecutionRow:
        parse_execution_arn(arn)
        row = self._store.execution(arn)
        if row is None:
            raise ServiceError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
        return row


def _listed(row: ExecutionRow, machine_arn: str) -> Wire:
    entry: Wire = {
        "executionArn": row.arn,
        "stateMachineArn": machine_arn,
        "name": row.name,
        "status": row.status,
        "startDate": moment(row.started_ms),
        "redriveCount": 0,
    }
    if row.stopped_ms is not None:
        entry["stopDate"] = moment(row.stopped_ms)
    return entry


def _shown(event: Event, with_data: bool) -> Wire:
    shown: dict[str, Any] = event | {"timestamp": moment(event["timestamp"])}
    if not with_data:
        for key, value in event.items():
            if isinstance(value, dict):
                shown[key] = {name: item for name, item in value.items() if name not in _DATA}
    return shown


# The input's text -----------------------------------------------------------------------------------


def _check_input(text: str) -> None:
    if len(text.encode()) > LIMIT_BYTES:
        raise ServiceError(
            "InvalidExecutionInput", "Invalid State Machine Execution Input: 'Input exceeds 262144 bytes'"
        )
    if not text.strip():
        raise _invalid_input("Invalid execution input.")
    try:
        loads(text)
    except ValueError:
        known = complaint(text)
        raise _invalid_input(known[0] if known else "Invalid execution input.") from None


def _invalid_input(reason: str) -> ServiceError:
    return ServiceError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{reason}'")
