"""State machines and executions as rows, their names and ARNs, and which status may follow which."""

import json
import re
from dataclasses import dataclass, fields, replace
from typing import Any, Self

from scones.cloud.asl.journal import Invoke
from scones.cloud.errors import ServiceError
from scones.cloud.state.db import Row

__all__ = [
    "EXECUTION_MOVES",
    "MACHINE_MOVES",
    "MAP_RUN_MOVES",
    "WITHOUT_TEXTS",
    "ActivityRow",
    "AliasRow",
    "ExecutionArn",
    "ExecutionRow",
    "MachineRow",
    "RevisionRow",
    "StopRow",
    "VersionRow",
    "check_move",
    "check_name",
    "parse_activity_arn",
    "parse_execution_arn",
    "parse_machine_arn",
    "parse_map_run_arn",
    "split_qualifier",
    "version_number",
]

EXECUTION_MOVES = {
    "RUNNING": {"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"},
    "SUCCEEDED": set(),
    "FAILED": {"RUNNING", "PENDING_REDRIVE"},
    "TIMED_OUT": {"RUNNING", "PENDING_REDRIVE"},
    "ABORTED": {"RUNNING", "PENDING_REDRIVE"},
    "PENDING_REDRIVE": {"RUNNING", "FAILED", "TIMED_OUT", "ABORTED"},
}
"""An execution runs again by a redrive alone; one that a map run began waits for its turn then, and is what
it was where its turn never comes."""
MACHINE_MOVES: dict[str, set[str]] = {"ACTIVE": {"DELETING"}, "DELETING": set()}
MAP_RUN_MOVES: dict[str, set[str]] = {
    "RUNNING": {"SUCCEEDED", "FAILED", "ABORTED"},
    "SUCCEEDED": set(),
    "FAILED": {"RUNNING"},
    "ABORTED": {"RUNNING"},
}

_FORBIDDEN = re.compile(r"""[\s?*<>{}\[\]"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]""")
_ARN = re.compile(r"arn:aws[a-z-]*:states:[a-z0-9-]+:\d{12}:(?P<kind>[A-Za-z]+):(?P<rest>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRow:
    id: int
    arn: str
    name: str
    type: str
    status: str
    revision: int
    created_ms: int
    tracing: bool
    last_version: int
    logging: dict[str, Any]
    encryption: dict[str, Any]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        read = {"tracing": bool(row["tracing"])} | {
            field: json.loads(row[field]) for field in ("logging", "encryption")
        }
        return cls(**{**dict(row), **read})


@dataclass(frozen=True, slots=True, kw_only=True)
class RevisionRow:
    id: int
    machine: int
    revision_id: str | None
    definition: str
    role_arn: str
    created_ms: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRow:
    id: int
    arn: str
    name: str
    machine: int
    revision: int
    status: str
    input: str
    output: str | None
    error: str | None
    cause: str | None
    started_ms: int
    stopped_ms: int | None
    seed: str
    trace_header: str | None
    version: int | None
    alias: str | None
    map_run: int | None
    """The map run that began it; None where a person or a task did."""
    child: int | None
    """Its number in the map run, from 0."""
    items: int | None
    """How many of the Map's items it was given."""
    redrive_count: int
    redriven_ms: int | None
    ended_as: str | None
    """Of one that is PENDING_REDRIVE: the status that its last end gave it."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row))


_TEXTS = {"input": "'' AS input", "output": "NULL AS output", "cause": "NULL AS cause"}
WITHOUT_TEXTS = ", ".join(_TEXTS.get(field.name, field.name) for field in fields(ExecutionRow))
"""The columns of an execution in a list: the texts of a page may be hundreds of megabytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    machine: int
    number: int
    revision: int
    description: str | None
    created_ms: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row))


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRow:
    id: int
    machine: int
    name: str
    description: str | None
    routing: list[tuple[int, int]]
    """(version number, weight in percent)."""
    created_ms: int
    updated_ms: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        routing = [(number, weight) for number, weight in json.loads(row["routing"])]
        return cls(**{**dict(row), "routing": routing})


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRow:
    id: int
    arn: str
    name: str
    created_ms: int
    encryption: dict[str, Any]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{**dict(row), "encryption": json.loads(row["encryption"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class StopRow:
    """What a task began and nobody waits for."""

    id: int
    execution: int
    task: int
    service: str
    action: str
    resource: str
    parameters: str
    submitted: str
    """Empty where it is not known whether it began."""
    name: str
    asked_ms: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row))

    @property
    def invoke(self) -> Invoke:
        return Invoke(self.task, self.service, self.action, self.resource, self.parameters, self.submitted)

    def begun(self, submitted: str) -> Self:
        return replace(self, submitted=submitted)


@dataclass(frozen=True, slots=True)
class ExecutionArn:
    machine_name: str
    name: str


def check_move(moves: dict[str, set[str]], before: str, after: str) -> None:
    """Raises ValueError: a status change that the table does not have is a bug."""
    if after not in moves[before]:
        raise ValueError(f"no move from {before} to {after}")


def check_name(name: str) -> None:
    """Raises InvalidName for a name that AWS would not take."""
    if not 0 < len(name) <= 80 or _FORBIDDEN.search(name):
        raise ServiceError("InvalidName", f"Invalid Name: '{name}'")


def _parse(arn: str, kind: str) -> str:
    match = _ARN.fullmatch(arn)
    if not match:
        raise ServiceError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    if match["kind"] != kind:
        raise ServiceError(
            "InvalidArn", f"Invalid Arn: 'Resource type not valid in this context: {match['kind']}'"
        )
    return match["rest"]


def parse_machine_arn(arn: str) -> str:
    """The name in a state machine's ARN, with its :version or :alias if it has one."""
    return _parse(arn, "stateMachine")


def parse_activity_arn(arn: str) -> str:
    """The name in an activity's ARN."""
    return _parse(arn, "activity")


def parse_map_run_arn(arn: str) -> str:
    """The state machine, label and id in a map run's ARN."""
    return _parse(arn, "mapRun")


def split_qualifier(arn: str) -> tuple[str, str]:
    """(the machine's ARN, the version number or alias name after it, empty where there is none)."""
    *fields, rest = arn.split(":", 6)
    name, _, qualifier = rest.partition(":")
    return ":".join([*fields, name]), qualifier


def version_number(qualifier: str) -> int | None:
    """The version that a qualifier names; None where it names an alias or nothing."""
    if not (qualifier.isascii() and qualifier.isdigit()):
        return None
    return int(qualifier) if len(qualifier) < 19 else 0  # more than a row can hold: no version, as 0


def parse_execution_arn(arn: str) -> ExecutionArn:
    machine, _, name = _parse(arn, "execution").partition(":")
    if not name:
        raise ServiceError("InvalidArn", f"Invalid Arn: 'Invalid ARN prefix: {arn}'")
    return ExecutionArn(machine, name)
