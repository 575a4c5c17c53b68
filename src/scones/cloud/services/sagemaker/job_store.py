"""The SQL of transform and processing jobs. Callers own the transaction."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Generic, Literal, TypeVar

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.job import Job
from scones.cloud.services.sagemaker.state_events import SOURCE, with_milliseconds
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["JobStore", "JobTable"]

JobTable = Literal["sagemaker_transform_jobs", "sagemaker_processing_jobs"]
J = TypeVar("J", bound=Job)

_SETTLED = {"name", "arn", "request", "created"}  # when the job is created


class JobStore(Generic[J]):
    """The jobs of one table; every new status is told to EventBridge in the transaction that writes it.

    Source of the events: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon
    EventBridge".
    """

    def __init__(
        self, tools: Tools, kind: type[J], table: JobTable, *, event: str, describe: Callable[[J], Wire]
    ) -> None:
        """event: detail-type of what EventBridge is told."""
        self._db = tools.db
        self._kind = kind
        self._table = table
        self._store = tools.store
        self._announce = tools.announce
        self._event = event
        self._describe = describe
        names = [field.name for field in fields(kind)]
        places = ", ".join(f":{name}" for name in names)
        self._insert = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"
        changes = ", ".join(f"{name} = :{name}" for name in names if name not in _SETTLED)
        self._update = f"UPDATE {table} SET {changes} WHERE name = :name"

    def add(self, job: J, tags: Sequence[tuple[str, str]]) -> None:
        self._store.put_tags(job.arn, tags)
        self._db.execute(self._insert, job.columns())
        self._tell(job)

    def save(self, job: J) -> None:
        before = self.job(job.name)
        self._db.execute(self._update, job.columns())
        if before is None or before.status is not job.status:
            self._tell(job)

    def delete(self, job: J) -> None:
        self._db.execute(f"DELETE FROM {self._table} WHERE name = ?", (job.name,))
        self._store.delete_tags(job.arn)

    def job(self, name: str) -> J | None:
        row = self._db.one(f"SELECT * FROM {self._table} WHERE name = ?", (name,))
        return self._kind.from_row(row) if row else None

    def existing(self, name: str) -> J:
        """Raises ValidationException."""
        job = self.job(name)
        if not job:
            raise invalid(f"Could not find requested job with name: {name}")
        return job

    def unfinished(self) -> list[J]:
        """In the order of their creation."""
        rows = self._db.all(
            f"SELECT * FROM {self._table} WHERE status IN ('InProgress', 'Stopping') ORDER BY ordinal"
        )
        return [self._kind.from_row(row) for row in rows]

    def _tell(self, job: J) -> None:
        def told() -> tuple[str, Wire]:
            detail: Wire = with_milliseconds(self._describe(job))
            return job.arn, detail | {"Tags": dict(self._store.tags(job.arn))}

        self._announce(SOURCE, self._event, told)
