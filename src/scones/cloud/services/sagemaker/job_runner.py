"""Runs transform and processing jobs: a few at a time, each in a folder of its own, to one outcome.

Rows are the queue: a job that is InProgress and not at work waits, in the order of its creation.
After a crash an unfinished job is run again as a new attempt.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.job import Job, JobStatus
from scones.cloud.services.sagemaker.job_store import JobStore
from scones.cloud.services.sagemaker.records import millis
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import remove_tree
from scones.cloud.services.sagemaker.wording import excerpt, invalid

__all__ = ["JobFailedError", "JobRunner", "JobStoppedError", "Run"]

_log = logging.getLogger(__name__)

J = TypeVar("J", bound=Job)

_SLOTS = 2  # jobs at work; the others wait in the order of their creation
_INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


class _JobEndedError(Exception):
    """An attempt is over before its end. changes: more fields of the job's row."""

    def __init__(self, message: str = "", **changes: Any) -> None:
        super().__init__(message)
        self.changes = changes


class JobFailedError(_JobEndedError):
    """The message is the job's FailureReason."""


class JobStoppedError(_JobEndedError):
    """The job was to stop, or its time was over."""


@dataclass(slots=True)
class Run(Generic[J]):
    """One attempt in progress, and the folder that is its own."""

    job: J
    folder: Path
    work: asyncio.Task[Wire] | None = None
    stopped: bool = False
    """StopTransformJob or StopProcessingJob asked for it; a cancellation without it is the cloud's end."""


class JobRunner(Generic[J]):
    def __init__(
        self,
        tools: Tools,
        jobs: JobStore[J],
        root: Path,
        attempt: Callable[[Run[J]], Coroutine[Any, Any, Wire]],
    ) -> None:
        """attempt: the whole work of a job, which returns what a Completed row tells besides.

        It raises JobFailedError and JobStoppedError, and is cancelled where the job is to stop.
        """
        self._db = tools.db
        self._clock = tools.clock
        self._spawn = tools.spawn
        self._jobs = jobs
        self._root = root
        self._attempt = attempt
        self._runs: dict[str, Run[J]] = {}
        self._open = False

    async def start(self, keep: Iterable[Path] = ()) -> None:
        """Put every unfinished job back to work. keep: folders with something that is still wanted."""
        wanted = set(keep)
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if folder not in wanted:
                await remove_tree(folder)
        self._open = True
        self.wake()

    async def close(self) -> None:
        """End all work at once; the next start does it again."""
        self._open = False
        tasks = [run.work for run in self._runs.values() if run.work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Start waiting jobs while there are free slots, and end those that need no longer wait."""
        if not self._open:
            return
        for job in self._jobs.unfinished():
            if job.name.lower() in self._runs:
                continue
            if job.status is JobStatus.STOPPING:
                self._end(job.name, JobStatus.STOPPED)
            elif len(self._runs) < _SLOTS:
                self._begin(job)

    def admit(self, job: J, tags: list[tuple[str, str]]) -> None:
        """Put a new job into the queue. Raises ResourceInUse."""
        with self._db.transaction():
            if self._jobs.job(job.name):
                raise ServiceError(
                    "ResourceInUse",
                    "Job name must be unique within an AWS account and region, and a job with this name"
                    f" already exists ({job.arn})",
                )
            self._jobs.add(job, tags)
            self._db.after_commit(self.wake)

    def ask_to_stop(self, job: J) -> None:
        """Raises ValidationException for a job that has ended."""
        if job.status.final:
            raise invalid(f"The request was rejected because the job {job.arn} is in status {job.status}.")
        self.stopping(job)
        self._db.after_commit(lambda: self._stop(job.name))

    def _stop(self, name: str) -> None:
        """The job's row says that it is to stop: end its attempt."""
        run = self._runs.get(name.lower())
        if not run:
            self.wake()
        elif run.work and not run.stopped:
            run.stopped = True
            run.work.cancel()

    def stopping(self, job: J) -> None:
        """From now on the job is to stop."""
        with self._db.transaction():
            now = self._jobs.job(job.name)
            if now and now.status is JobStatus.IN_PROGRESS:
                self._jobs.save(now.advance(JobStatus.STOPPING, self._now()))

    def folder(self, job: J) -> Path:
        """Of all attempts at a job."""
        return self._root / job.name.lower()

    def _begin(self, job: J) -> None:
        with self._db.transaction():
            job = job.again(self._now())
            self._jobs.save(job)
        run = Run(job, self.folder(job) / str(job.attempt))
        self._runs[job.name.lower()] = run
        run.work = asyncio.get_running_loop().create_task(self._attempt(run))
        self._spawn(self._guarded(run), name=f"job {job.arn}")

    async def _guarded(self, run: Run[J]) -> None:
        try:
            await self._settle(run)
            # Only then may a new job of this name, which has the same folder, begin.
            await remove_tree(run.folder.parent)
        finally:
            del self._runs[run.job.name.lower()]
            self.wake()

    async def _settle(self, run: Run[J]) -> None:
        """Await the attempt and write its outcome."""
        name = run.job.name
        assert run.work is not None
        try:
            self._end(name, JobStatus.COMPLETED, **await run.work)
        except JobFailedError as error:
            self._end(name, JobStatus.FAILED, failure_reason=excerpt(str(error)), **error.changes)
        except JobStoppedError as error:
            self._end(name, JobStatus.STOPPED, **error.changes)
        except asyncio.CancelledError:
            if not run.stopped:
                raise  # the cloud closes
            self._end(name, JobStatus.STOPPED)
        except Exception:
            _log.exception("job %s", run.job.arn)
            self._end(name, JobStatus.FAILED, failure_reason=_INTERNAL_ERROR)

    def _end(self, name: str, status: JobStatus, **changes: Any) -> None:
        with self._db.transaction():
            job = self._jobs.job(name)
            assert job is not None, f"job {name} vanished"
            if job.status is JobStatus.STOPPING:  # whatever came of it meanwhile
                status = JobStatus.STOPPED
                changes.pop("failure_reason", None)
            self._jobs.save(job.advance(status, self._now(), **changes))

    def _now(self) -> int:
        return millis(self._clock.now())
