"""SageMaker's SQL, all of it. Callers own the transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from scones.cloud.services.sagemaker.records import Endpoint, Resource, TrainingJob
from scones.cloud.state.db import Database, Row

__all__ = ["CaptureFile", "Page", "Store", "Table"]

Table = Literal[
    "sagemaker_training_jobs",
    "sagemaker_models",
    "sagemaker_endpoint_configs",
    "sagemaker_endpoints",
    "sagemaker_transform_jobs",
    "sagemaker_processing_jobs",
]
ResourceTable = Literal["sagemaker_models", "sagemaker_endpoint_configs"]

_INSERT_JOB = """
INSERT INTO sagemaker_training_jobs (
    name, arn, request, phase, status, outcome, transitions, metrics, failure_reason, attempt,
    log_stream, has_model, created, modified, started, ended
) VALUES (
    :name, :arn, :request, :phase, :status, :outcome, :transitions, :metrics, :failure_reason, :attempt,
    :log_stream, :has_model, :created, :modified, :started, :ended
)"""

_UPDATE_JOB = """
UPDATE sagemaker_training_jobs SET
    phase = :phase, status = :status, outcome = :outcome, transitions = :transitions, metrics = :metrics,
    failure_reason = :failure_reason, attempt = :attempt, has_model = :has_model, modified = :modified,
    started = :started, ended = :ended
WHERE name = :name"""

_JOB = "SELECT * FROM sagemaker_training_jobs WHERE name = ?"
_JOBS_IN_PROGRESS = """
SELECT * FROM sagemaker_training_jobs WHERE status IN ('InProgress', 'Stopping') ORDER BY ordinal"""
_NEXT_WAITING = "SELECT * FROM sagemaker_training_jobs WHERE phase = 'WAITING' ORDER BY ordinal LIMIT 1"

_PUT_ENDPOINT = """
INSERT OR REPLACE INTO sagemaker_endpoints (
    name, arn, status, deployment, pending, failure_reason, created, modified
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_ENDPOINT = "SELECT * FROM sagemaker_endpoints WHERE name = ?"
_ENDPOINTS = "SELECT * FROM sagemaker_endpoints ORDER BY created"
_DELETE_ENDPOINT = "DELETE FROM sagemaker_endpoints WHERE name = ?"

_PUT_TAG = "INSERT OR REPLACE INTO sagemaker_tags (arn, key, value) VALUES (?, ?, ?)"
_TAGS = "SELECT key, value FROM sagemaker_tags WHERE arn = ? ORDER BY key"
_DELETE_TAG = "DELETE FROM sagemaker_tags WHERE arn = ? AND key = ?"
_DELETE_TAGS = "DELETE FROM sagemaker_tags WHERE arn = ?"

_ADD_CAPTURE_FILE = "INSERT INTO sagemaker_capture_files (endpoint, bucket, key) VALUES (?, ?, ?)"
_CAPTURE_FILES = "SELECT id, endpoint, bucket, key FROM sagemaker_capture_files ORDER BY id"
_DELETE_CAPTURE_FILE = "DELETE FROM sagemaker_capture_files WHERE id = ?"

_CONDITIONS = {
    "CreationTimeAfter": "created > ?",
    "CreationTimeBefore": "created < ?",
    "LastModifiedTimeAfter": "modified > ?",
    "LastModifiedTimeBefore": "modified < ?",
    "NameContains": "instr(lower(name), lower(?)) > 0",
    "StatusEquals": "status = ?",
}
_SORT_COLUMNS = {"Name": "name", "CreationTime": "created", "Status": "status"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Part of a listing. filters: AWS's filter members; after: (sort value, name) of the last row."""

    filters: dict[str, Any]
    sort_by: str
    descending: bool
    after: tuple[Any, str] | None
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureFile:
    id: int
    endpoint: str
    bucket: str
    key: str


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add_job(self, job: TrainingJob) -> None:
        self._db.execute(_INSERT_JOB, _job_columns(job))

    def save_job(self, job: TrainingJob) -> None:
        self._db.execute(_UPDATE_JOB, _job_columns(job))

    def job(self, name: str) -> TrainingJob | None:
        row = self._db.one(_JOB, (name,))
        return TrainingJob.from_row(row) if row else None

    def unfinished_jobs(self) -> list[TrainingJob]:
        return [TrainingJob.from_row(row) for row in self._db.all(_JOBS_IN_PROGRESS)]

    def next_waiting_job(self) -> TrainingJob | None:
        row = self._db.one(_NEXT_WAITING)
        return TrainingJob.from_row(row) if row else None

    def add_resource(self, table: ResourceTable, resource: Resource) -> None:
        self._db.execute(
            f"INSERT INTO {table} (name, arn, request, created) VALUES (?, ?, ?, ?)",
            (resource.name, resource.arn, orjson.dumps(resource.request).decode(), resource.created),
        )

    def resource(self, table: ResourceTable, name: str) -> Resource | None:
        row = self._db.one(f"SELECT * FROM {table} WHERE name = ?", (name,))
        return Resource.from_row(row) if row else None

    def delete_resource(self, table: ResourceTable, resource: Resource) -> None:
        self._db.execute(f"DELETE FROM {table} WHERE name = ?", (resource.name,))
        self.delete_tags(resource.arn)

    def put_endpoint(self, endpoint: Endpoint) -> None:
        self._db.execute(
            _PUT_ENDPOINT,
            (
                endpoint.name,
                endpoint.arn,
                endpoint.status.value,
                endpoint.deployment.dump() if endpoint.deployment else None,
                endpoint.pending.dump() if endpoint.pending else None,
                endpoint.failure_reason,
                endpoint.created,
                endpoint.modified,
            ),
        )

    def endpoint(self, name: str) -> Endpoint | None:
        row = self._db.one(_ENDPOINT, (name,))
        return Endpoint.from_row(row) if row else None

    def endpoints(self) -> list[Endpoint]:
        return [Endpoint.from_row(row) for row in self._db.all(_ENDPOINTS)]

    def delete_endpoint(self, endpoint: Endpoint) -> None:
        self._db.execute(_DELETE_ENDPOINT, (endpoint.name,))
        self.delete_tags(endpoint.arn)

    def page(self, table: Table, page: Page) -> list[Row]:
        """Rows that pass every filter, in order, at most `limit` of them."""
        column = _SORT_COLUMNS[page.sort_by]
        order = "DESC" if page.descending else "ASC"
        conditions = [_CONDITIONS[name] for name in page.filters]
        values = list(page.filters.values())
        if page.after:
            conditions.append(f"({column}, name) {'<' if page.descending else '>'} (?, ?)")
            values += page.after
        return self._db.all(
            f"SELECT * FROM {table} WHERE {' AND '.join(conditions) or '1'}"
            f" ORDER BY {column} {order}, name {order} LIMIT ?",
            (*values, page.limit),
        )

    def holds(self, table: Table, arn: str) -> bool:
        return self._db.one(f"SELECT 1 FROM {table} WHERE arn = ?", (arn,)) is not None

    def put_tags(self, arn: str, tags: Sequence[tuple[str, str]]) -> None:
        self._db.executemany(_PUT_TAG, [(arn, key, value) for key, value in tags])

    def tags(self, arn: str) -> list[tuple[str, str]]:
        return [(row["key"], row["value"]) for row in self._db.all(_TAGS, (arn,))]

    def remove_tags(self, arn: str, keys: Sequence[str]) -> None:
        self._db.executemany(_DELETE_TAG, [(arn, key) for key in keys])

    def delete_tags(self, arn: str) -> None:
        self._db.execute(_DELETE_TAGS, (arn,))

    def add_capture_file(self, endpoint: str, bucket: str, key: str) -> CaptureFile:
        file_id = self._db.execute(_ADD_CAPTURE_FILE, (endpoint, bucket, key)).lastrowid
        assert file_id is not None
        return CaptureFile(id=file_id, endpoint=endpoint, bucket=bucket, key=key)

    def capture_files(self) -> list[CaptureFile]:
        return [CaptureFile(**dict(row)) for row in self._db.all(_CAPTURE_FILES)]

    def delete_capture_file(self, file: CaptureFile) -> None:
        self._db.execute(_DELETE_CAPTURE_FILE, (file.id,))


def _job_columns(job: TrainingJob) -> dict[str, Any]:
    return {
        "name": job.name,
        "arn": job.arn,
        "request": orjson.dumps(job.request).decode(),
        "phase": job.phase.name,
        "status": job.phase.status,
        "outcome": job.outcome.name if job.outcome else None,
        "transitions": orjson.dumps([(t.phase.name, t.started, t.ended) for t in job.transitions]).decode(),
        "metrics": orjson.dumps(job.metrics).decode(),
        "failure_reason": job.failure_reason,
        "attempt": job.attempt,
        "log_stream": job.log_stream,
        "has_model": job.has_model,
        "created": job.created,
        "modified": job.modified,
        "started": job.started,
        "ended": job.ended,
    }
