"""The SQL of transform jobs. Callers own the transaction."""

from typing import Any

import orjson

from scones.cloud.services.sagemaker.transform.records import TransformJob
from scones.cloud.state.db import Database

__all__ = ["TransformStore"]

_INSERT = """
INSERT INTO sagemaker_transform_jobs (
    name, arn, request, container, status, failure_reason, attempt, created, modified, started, ended
) VALUES (
    :name, :arn, :request, :container, :status, :failure_reason, :attempt, :created, :modified,
    :started, :ended
)"""
_UPDATE = """
UPDATE sagemaker_transform_jobs SET
    status = :status, failure_reason = :failure_reason, attempt = :attempt, modified = :modified,
    started = :started, ended = :ended
WHERE name = :name"""
_JOB = "SELECT * FROM sagemaker_transform_jobs WHERE name = ?"
_UNFINISHED = """
SELECT * FROM sagemaker_transform_jobs WHERE status IN ('InProgress', 'Stopping') ORDER BY ordinal"""


class TransformStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, job: TransformJob) -> None:
        self._db.execute(_INSERT, _columns(job))

    def save(self, job: TransformJob) -> None:
        self._db.execute(_UPDATE, _columns(job))

    def job(self, name: str) -> TransformJob | None:
        row = self._db.one(_JOB, (name,))
        return TransformJob.from_row(row) if row else None

    def unfinished(self) -> list[TransformJob]:
        """In the order of their creation."""
        return [TransformJob.from_row(row) for row in self._db.all(_UNFINISHED)]


def _columns(job: TransformJob) -> dict[str, Any]:
    return {
        "name": job.name,
        "arn": job.arn,
        "request": orjson.dumps(job.request).decode(),
        "container": orjson.dumps(job.container).decode(),
        "status": job.status.value,
        "failure_reason": job.failure_reason,
        "attempt": job.attempt,
        "created": job.created,
        "modified": job.modified,
        "started": job.started,
        "ended": job.ended,
    }
