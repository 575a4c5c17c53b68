"""Runs transform jobs: model, serving processes, a passage over the input, outcome.

Rows are the queue. After a crash an unfinished job is run again from the beginning as a new
attempt; its outputs go to the same keys, so that those which are there already are written again.
"""

import asyncio
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn, Wire
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.model_data import ModelDataError, bring_model
from scones.cloud.services.sagemaker.models import source_of
from scones.cloud.services.sagemaker.records import millis
from scones.cloud.services.sagemaker.transfer import remove_tree
from scones.cloud.services.sagemaker.transform.data_log import DataLog
from scones.cloud.services.sagemaker.transform.inputs import Inputs, InputsError
from scones.cloud.services.sagemaker.transform.instances import Instances
from scones.cloud.services.sagemaker.transform.lanes import Lanes, UnansweredError
from scones.cloud.services.sagemaker.transform.outputs import Outputs, OutputsError
from scones.cloud.services.sagemaker.transform.passage import Passage
from scones.cloud.services.sagemaker.transform.records import Plan, TransformJob, TransformStatus
from scones.cloud.services.sagemaker.transform.store import TransformStore
from scones.cloud.services.sagemaker.wording import S3Uri, excerpt
from scones.cloud.services.sagemaker.worker import StartError, Worker
from scones.cloud.state.db import Database

__all__ = ["TransformRunner"]

_log = logging.getLogger(__name__)

_SLOTS = 2  # jobs at work; the others wait in the order of their creation
_INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


class _FailedError(Exception):
    """The job is over; the message is its FailureReason."""


@dataclass(slots=True)
class _Run:
    """One attempt in progress."""

    job: TransformJob
    folder: Path
    work: asyncio.Task[Any] | None = None
    stopped: bool = False


class TransformRunner:
    def __init__(
        self,
        *,
        db: Database,
        jobs: TransformStore,
        clock: Clock,
        ids: Ids,
        call: Call,
        spawn: Spawn,
        faults: Faults,
        images: Images,
        containers: Containers,
        root: Path,
        limits: Limits,
    ) -> None:
        self._db = db
        self._jobs = jobs
        self._clock = clock
        self._call = call
        self._spawn = spawn
        self._faults = faults
        self._containers = containers
        self._root = root
        self._limits = limits
        self._runs: dict[str, _Run] = {}
        self._open = False
        self._instances = Instances(
            clock=clock, ids=ids, call=call, spawn=spawn, images=images, containers=containers
        )

    async def start(self) -> None:
        """Put every unfinished job back to work."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            await remove_tree(folder)
        self._instances.open()
        self._open = True
        for job in self._jobs.unfinished():
            if job.status is TransformStatus.STOPPING:
                self._end(job.name, TransformStatus.STOPPED)
        self.wake()

    async def close(self) -> None:
        """End all processes at once; the next start runs their jobs again."""
        self._open = False
        tasks = [run.work for run in self._runs.values() if run.work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._instances.close()

    def wake(self) -> None:
        """Start waiting jobs while there are free slots."""
        if not self._open or len(self._runs) >= _SLOTS:
            return
        for job in self._jobs.unfinished():
            if job.status is TransformStatus.IN_PROGRESS and job.name.lower() not in self._runs:
                self._begin(job)
                if len(self._runs) >= _SLOTS:
                    return

    def stop(self, name: str) -> None:
        """The job's row says that it is to stop: end its attempt."""
        run = self._runs.get(name.lower())
        if not run:
            self._end(name, TransformStatus.STOPPED)
        elif run.work:
            run.stopped = True
            run.work.cancel()

    def _begin(self, job: TransformJob) -> None:
        with self._db.transaction():
            job = job.again(self._now())
            self._jobs.save(job)
        run = _Run(job, self._root / job.name.lower() / str(job.attempt))
        self._runs[job.name.lower()] = run
        run.work = asyncio.get_running_loop().create_task(self._attempt(run))
        self._spawn(self._guarded(run), name=f"transform job {job.name}")

    async def _guarded(self, run: _Run) -> None:
        name = run.job.name
        assert run.work is not None
        try:
            await run.work
            self._end(name, TransformStatus.COMPLETED)
        except _FailedError as error:
            self._end(name, TransformStatus.FAILED, failure_reason=excerpt(str(error)))
        except asyncio.CancelledError:
            if not run.stopped:
                raise  # the cloud closes
            self._end(name, TransformStatus.STOPPED)
        except Exception:
            _log.exception("transform job %s", name)
            self._end(name, TransformStatus.FAILED, failure_reason=_INTERNAL_ERROR)
        finally:
            del self._runs[name.lower()]
            self.wake()
        await remove_tree(run.folder.parent)

    async def _attempt(self, run: _Run) -> None:
        """From an empty folder to the last output. Raises _FailedError."""
        base = run.folder / "opt" / "ml"
        try:
            await bring_model(
                source_of(run.job.container),
                base,
                call=self._call,
                containers=self._containers,
                limit_bytes=self._limits.model_bytes,
            )
            async with self._instances.serving(run.job, base) as workers:
                self._faults.reach("sagemaker.transform.started")
                log = DataLog(self._instances.stream(f"{workers[0].log.stream}/data-log"), self._clock)
                try:
                    await self._pass(run, workers, log)
                finally:
                    await log.close()
        except ModelDataError as error:
            raise _FailedError(f"ClientError: {error}") from error
        except StartError as error:
            raise _FailedError(
                f"AlgorithmError: Model container failed to respond to ping: {error}"
            ) from error
        except ServiceError as error:  # started with other images than when the job was created
            raise _FailedError(f"ClientError: {error.message}") from error

    async def _pass(self, run: _Run, workers: list[Worker], log: DataLog) -> None:
        request = run.job.request
        try:
            plan = Plan.of(request, await self._instances.offered(workers[0]))
        except ValueError as error:
            raise _FailedError(f"AlgorithmError: /execution-parameters of the container: {error}") from error
        log.note(str(plan))
        spool = run.folder / "spool"
        spool.mkdir()
        lanes = Lanes(workers, plan, ready_s=self._limits.ready_s)
        passage = Passage(
            request=request,
            plan=plan,
            call=self._call,
            inputs=Inputs(self._db, self._call, request),
            lanes=lanes,
            outputs=self._outputs(request),
            spool=spool,
            tell=log.tell,
        )
        try:
            failure = await passage.run()
        except UnansweredError as error:
            log.note(f"Unable to get response from algorithm: {error}")
            raise _FailedError(f"AlgorithmError: Unable to get response from algorithm: {error}") from error
        except (InputsError, OutputsError) as error:
            raise _FailedError(f"ClientError: {error}") from error
        self._faults.reach("sagemaker.transform.written")
        if failure:
            raise _FailedError(f"{failure}: See job logs for more information")

    def _outputs(self, request: Wire) -> Outputs:
        output = request["TransformOutput"]
        return Outputs(
            db=self._db,
            call=self._call,
            target=S3Uri.parse(output["S3OutputPath"], "S3OutputPath"),
            content_type=output.get("Accept", ""),
        )

    def _end(self, name: str, status: TransformStatus, **changes: Any) -> None:
        with self._db.transaction():
            job = self._jobs.job(name)
            assert job is not None, f"transform job {name} vanished"
            if job.status is TransformStatus.STOPPING:  # whatever came of it meanwhile
                status, changes = TransformStatus.STOPPED, {}
            self._jobs.save(job.advance(status, self._now(), **changes))

    def _now(self) -> int:
        return millis(self._clock.now())
