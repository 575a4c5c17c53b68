"""What a function is: one version's code, configuration and legal states."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import orjson

from scones.cloud.ports import Wire
from scones.cloud.services.lambda_.names import LATEST, Place
from scones.cloud.state.db import Row

__all__ = ["Event", "State", "UpdateStatus", "Version", "moved", "timestamp"]


class State(StrEnum):
    PENDING = "Pending"
    ACTIVE = "Active"


class UpdateStatus(StrEnum):
    IN_PROGRESS = "InProgress"
    SUCCESSFUL = "Successful"


Status = TypeVar("Status", State, UpdateStatus)

_MOVES: dict[str, frozenset[str]] = {
    State.PENDING: frozenset({State.ACTIVE}),
    State.ACTIVE: frozenset(),
    UpdateStatus.IN_PROGRESS: frozenset({UpdateStatus.SUCCESSFUL}),
    UpdateStatus.SUCCESSFUL: frozenset({UpdateStatus.IN_PROGRESS}),
}
_REASONS: dict[str, Wire] = {
    State.PENDING: {"StateReason": "The function is being created.", "StateReasonCode": "Creating"},
    UpdateStatus.IN_PROGRESS: {
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
    },
}


def moved(old: Status, new: Status) -> Status:
    """The new status, when the step is legal; staying is."""
    if new != old and new not in _MOVES[old]:
        raise ValueError(f"{old} -> {new} is not a legal step")
    return new


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version of a function.

    generation: changes with code and configuration, not with state; workers belong to one.
    modified: AWS's text form.  code: the archive's SHA-256 in hexadecimal.
    configuration: the members of AWS's FunctionConfiguration that a client chooses.
    """

    function: str
    version: str
    state: State
    update_status: UpdateStatus
    revision_id: str
    generation: str
    modified: str
    code: str
    code_size: int
    configuration: Wire

    @classmethod
    def from_row(cls, row: Row) -> "Version":
        return cls(
            function=row["function"],
            version=row["version"],
            state=State(row["state"]),
            update_status=UpdateStatus(row["update_status"]),
            revision_id=row["revision_id"],
            generation=row["generation"],
            modified=row["modified"],
            code=row["code"],
            code_size=row["code_size"],
            configuration=orjson.loads(row["configuration"]),
        )

    @property
    def timeout_s(self) -> int:
        return int(self.configuration["Timeout"])

    @property
    def memory_mb(self) -> int:
        return int(self.configuration["MemorySize"])

    @property
    def environment(self) -> Mapping[str, str]:
        variables: dict[str, str] = self.configuration.get("Environment", {}).get("Variables", {})
        return variables

    @property
    def log_group(self) -> str:
        return str(self.configuration["LoggingConfig"]["LogGroup"])

    @property
    def code_sha256(self) -> str:
        return base64.b64encode(bytes.fromhex(self.code)).decode()

    def describe(self, place: Place, *, qualified: bool = False) -> Wire:
        """AWS's FunctionConfiguration; `qualified`: the ARN names the version."""
        qualifier = self.version if qualified or self.version != LATEST else ""
        described: dict[str, Any] = self.configuration | {
            "FunctionName": self.function,
            "FunctionArn": place.arn(self.function, qualifier),
            "CodeSize": self.code_size,
            "CodeSha256": self.code_sha256,
            "LastModified": self.modified,
            "Version": self.version,
            "RevisionId": self.revision_id,
            "PackageType": "Zip",
            "State": self.state.value,
            "LastUpdateStatus": self.update_status.value,
        }
        return described | _REASONS.get(self.state, {}) | _REASONS.get(self.update_status, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An accepted asynchronous invocation. accepted, due: seconds since the epoch."""

    id: str
    function: str
    version: str
    payload: bytes
    client_context: str
    accepted: float
    due: float
    failures: int

    @classmethod
    def from_row(cls, row: Row) -> "Event":
        return cls(**{key: row[key] for key in row.keys()})  # noqa: SIM118 - a Row iterates its values


def timestamp(moment: datetime) -> str:
    """As Lambda writes LastModified: 2026-11-24T08:15:30.123+0000."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
