"""EventBridge's things as kept."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from scones.cloud.deliveries import Pending
from scones.cloud.ports import Wire
from scones.cloud.state.db import Row

__all__ = ["Bus", "Delivery", "Rule", "Target", "instant", "tag_list"]


def instant(stored: int) -> datetime:
    return datetime.fromtimestamp(stored / 1000, UTC)


def tag_list(tags: dict[str, str]) -> list[Wire]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bus:
    name: str
    description: str | None
    tags: dict[str, str]
    created: int
    modified: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row) | {"tags": json.loads(row["tags"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    bus: str
    name: str
    pattern: str | None
    """The event pattern's text, known to be one."""
    schedule: str | None
    due: int | None
    """When the schedule fires next."""
    state: str
    """ENABLED or DISABLED; or ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS, the same where no such are."""
    description: str | None
    role_arn: str | None
    tags: dict[str, str]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**dict(row) | {"tags": json.loads(row["tags"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    target_id: str
    arn: str
    fields: dict[str, Any]
    """The target as PutTargets had it."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(target_id=row["target_id"], arn=row["arn"], fields=json.loads(row["fields"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Pending):
    event_id: str
    rule_arn: str
    target_arn: str
    name: str
    """Of the execution to start, so that one started before a crash is known again."""
    retries: int
    """How many there may be after the first attempt."""
    expires: int
    """No attempt begins after it, but the first."""
