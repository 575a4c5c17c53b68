"""Operations on executions and their histories."""

import hashlib
from dataclasses import dataclass
from typing import Any

from scones.cloud.asl.definition import processor_text
from scones.cloud.asl.journal import Event
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire

from .inputs import check_input
from .machines import check_active, find_machine, machine_fields, no_machine
from .map_results import child_machine_arn
from .map_run_api import find_map_run
from .map_store import MapRunStore
from .paging import decode_token, encode_token, page
from .records import (
    ExecutionRow,
    MachineRow,
    check_name,
    parse_execution_arn,
    parse_machine_arn,
    split_qualifier,
    version_number,
)
from .redrive_rules import redrive_fields, redrive_status
from .runner import Runner
from .store import Store
from .times import milliseconds, moment

__all__ = ["Executions", "find_execution", "route"]

_DATA = ("input", "output", "parameters")
_FAR = 2**62


class Executions:
    def __init__(
        self, *, store: Store, map_runs: MapRunStore, runner: Runner, clock: Clock, ids: Ids
    ) -> None:
        self._store = store
        self._map_runs = map_runs
        self._runner = runner
        self._clock = clock
        self._ids = ids

    def start_execution(self, request: Wire, context: Context) -> Wire:
        """The row and the execution's first turn commit together."""
        target = self._target(request["stateMachineArn"])
        text, name = self._asked(request)
        check_active(target.machine)
        if target.machine.type == "EXPRESS":
            row = self._begin(request, target, text, name)
            return {"executionArn": row.arn, "startDate": moment(row.started_ms)}
        arn = f"{target.machine.arn.replace(':stateMachine:', ':execution:', 1)}:{name}"
        if existing := self._store.execution(arn):
            if existing.status == "RUNNING" and existing.input == text:
                return {"executionArn": arn, "startDate": moment(existing.started_ms)}
            raise ServiceError("ExecutionAlreadyExists", f"Execution Already Exists: '{arn}'")
        row = self._begin(request, target, text, name)
        return {"executionArn": arn, "startDate": moment(row.started_ms)}

    async def start_sync_execution(self, request: Wire, context: Context) -> Wire:
        """Answers when the execution is over; it goes on if the client hangs up before."""
        with self._store.transaction():
            target = self._target(request["stateMachineArn"])
            text, name = self._asked(request)
            check_active(target.machine)
            if target.machine.type != "EXPRESS":
                raise wrong_type()
            row = self._begin(request, target, text, name, awaited=True)
        await self._runner.ended(row.id)
        ended = self._store.execution_by_id(row.id)
        if ended is None:  # its machine was deleted meanwhile, and went with it
            arn = target.machine.arn
            raise ServiceError("StateMachineDeleting", f"State Machine is being deleted: '{arn}'")
        self._store.delete_execution(row.id)
        return _synchronous(ended, target.machine.arn, request.get("includedData"))

    def _asked(self, request: Wire) -> tuple[str, str]:
        """The input's text and the execution's name, both checked."""
        text = request.get("input", "{}")
        check_input(text)
        name = request.get("name") or self._ids.uuid()
        check_name(name)
        return text, name

    def _target(self, arn: str) -> "_Target":
        """What to run for the ARN of a machine, a version or an alias."""
        parse_machine_arn(arn)
        machine_arn, qualifier = split_qualifier(arn)
        machine = self._store.machine(machine_arn)
        if machine is None:
            raise no_machine(arn)
        if not qualifier:
            return _Target(machine, machine.revision)
        number, alias = version_number(qualifier) or 0, None
        if not number and (found := self._store.alias(machine.id, qualifier)):
            number, alias = route(found.routing, self._ids.token(32)), qualifier
        version = self._store.version(machine.id, number)
        if version is None:
            raise no_machine(arn)
        return _Target(machine, version.revision, number, alias)

    def _begin(
        self, request: Wire, target: "_Target", text: str, name: str, *, awaited: bool = False
    ) -> ExecutionRow:
        machine = target.machine
        express = machine.type == "EXPRESS"
        kind, suffix = ("express", f":{self._ids.uuid()}") if express else ("execution", "")
        row = self._store.add_execution(
            arn=f"{machine.arn.replace(':stateMachine:', f':{kind}:', 1)}:{name}{suffix}",
            name=name,
            machine=machine.id,
            revision=target.revision,
            input=text,
            started_ms=milliseconds(self._clock.now()),
            seed=self._ids.token(32),
            trace_header=request.get("traceHeader"),
            version=target.version,
            alias=target.alias,
        )
        self._runner.begin(row, machine, awaited=awaited)
        return row

    async def stop_execution(self, request: Wire, context: Context) -> Wire:
        row = find_execution(self._store, request["executionArn"])
        now = self._clock.now()
        if row.status != "RUNNING":
            return {"stopDate": moment(row.stopped_ms) if row.stopped_ms is not None else now}
        self._runner.abort(row.id, request.get("error"), request.get("cause"))
        stopped = self._store.execution(row.arn)  # gone, if it was the last of a machine being deleted
        return {"stopDate": moment(stopped.stopped_ms) if stopped and stopped.stopped_ms else now}

    def describe_execution(self, request: Wire, context: Context) -> Wire:
        row = find_execution(self._store, request["executionArn"])
        reply: Wire = {
            "executionArn": row.arn,
            **_origin(row, self._machine_arn(row)),
            "name": row.name,
            "status": row.status,
            "startDate": moment(row.started_ms),
            **redrive_fields(row),
            **redrive_status(self._store, row, milliseconds(self._clock.now())),
        }
        if row.map_run is not None:
            reply["mapRunArn"] = self._map_runs.by_id(row.map_run).arn
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
        row = find_execution(self._store, request["executionArn"])
        machine, revision = self._store.machine_by_id(row.machine), self._store.revision(row.revision)
        fields = machine_fields(machine, revision, request.get("includedData"))
        fields["updateDate"] = moment(revision.created_ms)
        if row.map_run is None:
            return fields
        run = self._map_runs.by_id(row.map_run)
        if "definition" in fields:
            fields["definition"] = processor_text(revision.definition, run.state)
        fields |= {"mapRunArn": run.arn, "label": run.label, "name": f"{machine.name}/{run.label}"}
        return fields | {"stateMachineArn": child_machine_arn(row)}

    def _machine_arn(self, row: ExecutionRow) -> str:
        if row.map_run is not None:
            return child_machine_arn(row)
        return self._store.machine_by_id(row.machine).arn

    def list_executions(self, request: Wire, context: Context) -> Wire:
        if ("mapRunArn" in request) == ("stateMachineArn" in request):
            raise ServiceError("ValidationException", "Either stateMachineArn or mapRunArn must be specified")
        if "mapRunArn" in request:
            return self._of_map_run(request)
        parse_machine_arn(request["stateMachineArn"])
        arn, qualifier = split_qualifier(request["stateMachineArn"])
        machine = find_machine(self._store, arn)
        if machine.type == "EXPRESS":
            raise wrong_type()
        version = version_number(qualifier)
        limit = request.get("maxResults") or 100
        before = decode_token(request, _FAR)
        wanted = request.get("redriveFilter")
        rows = self._store.executions(
            machine.id,
            before,
            limit + 1,
            status=request.get("statusFilter"),
            version=version,
            alias=qualifier if qualifier and version is None else None,
            redriven=None if wanted is None else wanted == "REDRIVEN",
        )
        return page("executions", rows, limit, lambda row: _listed(row, machine.arn), lambda row: row.id)

    def _of_map_run(self, request: Wire) -> Wire:
        """The executions that a map run began, EXPRESS ones included: nobody else lists those."""
        run = find_map_run(self._map_runs, request["mapRunArn"])
        limit = request.get("maxResults") or 100
        before = decode_token(request, _FAR)
        wanted = request.get("redriveFilter")
        rows = self._map_runs.listed(
            run.id,
            before,
            limit + 1,
            status=request.get("statusFilter"),
            redriven=None if wanted is None else wanted == "REDRIVEN",
        )

        def show(row: ExecutionRow) -> Wire:
            return _listed(row, child_machine_arn(row)) | {"mapRunArn": run.arn, "itemCount": row.items}

        return page("executions", rows, limit, show, lambda row: row.id)

    def get_execution_history(self, request: Wire, context: Context) -> Wire:
        row = find_execution(self._store, request["executionArn"])
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


def find_execution(store: Store, arn: str) -> ExecutionRow:
    """Raises ExecutionDoesNotExist, InvalidArn."""
    parse_execution_arn(arn)
    row = store.execution(arn)
    if row is None:
        raise ServiceError("ExecutionDoesNotExist", f"Execution Does Not Exist: '{arn}'")
    return row


@dataclass(frozen=True, slots=True)
class _Target:
    machine: MachineRow
    revision: int
    version: int | None = None
    alias: str | None = None


def route(routing: list[tuple[int, int]], token: str) -> int:
    """The version number that a random token falls to, by the weights."""
    point = int.from_bytes(hashlib.sha256(token.encode()).digest()[:8]) % 100
    for number, weight in routing:
        if point < weight:
            return number
        point -= weight
    raise ValueError("the weights do not add up to 100")


def wrong_type() -> ServiceError:
    return ServiceError(
        "StateMachineTypeNotSupported", "This operation is not supported by this type of state machine"
    )


def _origin(row: ExecutionRow, machine_arn: str) -> Wire:
    """Under which ARNs an execution was started."""
    origin: Wire = {"stateMachineArn": machine_arn}
    if row.version is not None:
        origin["stateMachineVersionArn"] = f"{machine_arn}:{row.version}"
    if row.alias is not None:
        origin["stateMachineAliasArn"] = f"{machine_arn}:{row.alias}"
    return origin


def _synchronous(row: ExecutionRow, machine_arn: str, included: str | None) -> Wire:
    """The answer of StartSyncExecution. AWS bills in steps of 100 ms and 64 MB."""
    stopped_ms = row.stopped_ms or row.started_ms
    billed_ms = max(1, -(-(stopped_ms - row.started_ms) // 100)) * 100
    reply: Wire = {
        "executionArn": row.arn,
        "stateMachineArn": machine_arn,
        "name": row.name,
        "status": "FAILED" if row.status == "ABORTED" else row.status,
        "startDate": moment(row.started_ms),
        "stopDate": moment(stopped_ms),
        "billingDetails": {"billedMemoryUsedInMB": 64, "billedDurationInMilliseconds": billed_ms},
    }
    texts = {"error": row.error, "cause": row.cause, "traceHeader": row.trace_header}
    reply |= {field: text for field, text in texts.items() if text is not None}
    if included == "METADATA_ONLY":
        return reply
    reply |= {"input": row.input, "inputDetails": {"included": True}}
    if row.output is not None:
        reply |= {"output": row.output, "outputDetails": {"included": True}}
    return reply


def _listed(row: ExecutionRow, machine_arn: str) -> Wire:
    entry: Wire = {
        "executionArn": row.arn,
        **_origin(row, machine_arn),
        "name": row.name,
        "status": row.status,
        "startDate": moment(row.started_ms),
        **redrive_fields(row),
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
