"""What transform and processing jobs have in common: a row, and the moves of its status. Pure."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

import orjson

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.records import IllegalTransitionError, moment
from scones.cloud.state.db import Row

__all__ = ["JOB_STATUS_MOVES", "Job", "JobStatus", "job_summary"]


class JobStatus(StrEnum):
    """TransformJobStatus and ProcessingJobStatus."""

    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"

    @property
    def final(self) -> bool:
        return not JOB_STATUS_MOVES[self]


JOB_STATUS_MOVES: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.IN_PROGRESS: frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.STOPPING}),
    JobStatus.STOPPING: frozenset({JobStatus.STOPPED}),
    JobStatus.COMPLETED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Times are milliseconds since the epoch. A field is a column; dictionaries lie there as JSON."""

    name: str
    arn: str
    request: Wire
    status: JobStatus
    created: int
    modified: int
    failure_reason: str | None = None
    attempt: int = 0
    started: int | None = None
    ended: int | None = None

    def advance(self, status: JobStatus, now: int, **changes: Any) -> Self:
        """The job after a legal move at `now`; raises IllegalTransitionError for any other."""
        if status not in JOB_STATUS_MOVES[self.status]:
            raise IllegalTransitionError(f"job {self.arn}: {self.status} -> {status}")
        if status.final:
            changes["ended"] = now
        return replace(self, status=status, modified=now, **changes)

    def again(self, now: int) -> Self:
        """The job as its next attempt begins."""
        return replace(self, attempt=self.attempt + 1, started=self.started or now, modified=now)

    @classmethod
    def from_row(cls, row: Row) -> Self:
        values = {field.name: row[field.name] for field in fields(cls)}
        for field in fields(cls):
            if field.type is Wire:
                values[field.name] = orjson.loads(values[field.name])
        return cls(**values | {"status": JobStatus(row["status"])})

    def columns(self) -> dict[str, Any]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, value in values.items():
            if isinstance(value, dict):
                values[name] = orjson.dumps(value).decode()
        return values | {"status": self.status.value}


def job_summary(job: Job, kind: str) -> Wire:
    """What listings and descriptions tell of any job. kind: first word of its members, e.g. "Transform"."""
    summary: Wire = {
        f"{kind}JobName": job.name,
        f"{kind}JobArn": job.arn,
        "CreationTime": moment(job.created),
        "LastModifiedTime": moment(job.modified),
        f"{kind}JobStatus": job.status.value,
    }
    if job.failure_reason:
        summary["FailureReason"] = job.failure_reason
    if job.ended is not None:
        summary[f"{kind}EndTime"] = moment(job.ended)
    return summary
