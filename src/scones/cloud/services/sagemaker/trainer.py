"""Runs training jobs: folder, inputs, process, outputs, outcome.

Rows are the queue: a job that waits is a row in phase WAITING. After a crash every unfinished job
is run again as a new attempt, in a folder of its own, which begins with the checkpoints that S3 has
of the job; outputs go to the same keys, so a second upload changes nothing.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import orjson

from scones.cloud.services.sagemaker.beside import Beside, prepare
from scones.cloud.services.sagemaker.container import GuestError
from scones.cloud.services.sagemaker.job_folder import JobFolder
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.outcome import failure_reason
from scones.cloud.services.sagemaker.records import JOB_MOVES, Phase, TrainingJob, millis
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.training import max_runtime_s, model_artifact
from scones.cloud.services.sagemaker.transfer import TransferError, remove_tree, upload
from scones.cloud.services.sagemaker.wording import S3Uri, excerpt
from scones.cloud.workers.process import Process

__all__ = ["Trainer"]

_log = logging.getLogger(__name__)

_T = TypeVar("_T")
_GROUP = "/aws/sagemaker/TrainingJobs"
_INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."


class _StoppedError(Exception):
    """The job is to stop; its row says so already."""


@dataclass(slots=True)
class _Run:
    """One attempt in progress."""

    name: str
    folder: JobFolder
    deadline: float = float("inf")
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[Any] | None = None
    beside: Beside = field(default_factory=lambda: Beside([], None))


class Trainer:
    """At most `slots` jobs at a time; the others wait in the order of their creation."""

    def __init__(self, tools: Tools) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._call = tools.call
        self._spawn = tools.spawn
        self._faults = tools.faults
        self._images = tools.images
        self._containers = tools.containers
        self._root = tools.root / "training"
        self._slots = 2 if (os.cpu_count() or 1) >= 4 else 1
        self._limits = tools.limits
        self._runs: dict[str, _Run] = {}
        self._open = False

    async def start(self) -> None:
        """Put every unfinished job back to work."""
        self._open = True
        now = self._now()
        with self._db.transaction():
            unfinished = self._store.unfinished_jobs()
            for job in unfinished:
                if Phase.RESTARTING in JOB_MOVES[job.phase]:
                    self._store.save_job(job.advance(Phase.RESTARTING, now).advance(Phase.WAITING, now))
        await self._sweep({job.name.lower() for job in unfinished})
        for job in unfinished:
            if job.phase is Phase.STOPPING:
                self._begin(job, self._finish)
            elif job.phase in (Phase.UPLOADING, Phase.UPLOADING_STOPPED):
                self._begin(job, self._complete)
        self.wake()

    async def close(self) -> None:
        """End all processes at once; the next start runs their jobs again."""
        self._open = False
        tasks = [run.task for run in self._runs.values() if run.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """Start waiting jobs while there are free slots."""
        while self._open and len(self._runs) < self._slots:
            with self._db.transaction():
                waiting = self._store.next_waiting_job()
                if not waiting:
                    return
                job = waiting.advance(Phase.PREPARING, self._now(), attempt=waiting.attempt + 1)
                self._store.save_job(job)
            self._begin(job, self._train)

    def stop(self, name: str) -> None:
        """The job's row says that it is to stop: let its attempt know."""
        if run := self._runs.get(name.lower()):
            run.stop.set()

    def _begin(self, job: TrainingJob, work: Callable[[_Run], Awaitable[None]]) -> None:
        run = _Run(job.name, JobFolder(self._root / job.name.lower() / str(job.attempt)))
        self._runs[job.name.lower()] = run
        self._spawn(self._guarded(run, work), name=f"training job {job.name}")

    async def _guarded(self, run: _Run, work: Callable[[_Run], Awaitable[None]]) -> None:
        run.task = asyncio.current_task()
        try:
            await work(run)
            await remove_tree(run.folder.root.parent)
        except Exception:
            _log.exception("training job %s", run.name)
            self._fail(run, _INTERNAL_ERROR)
        finally:
            del self._runs[run.name.lower()]
            self.wake()

    async def _train(self, run: _Run) -> None:
        """One attempt, from an empty folder to a final phase."""
        job = self._job(run)
        code: int | None = None
        last_line = ""
        try:
            await self._prepare(run, job)
            code, last_line = await self._execute(run, job)
        except _StoppedError:
            pass
        except TransferError as error:
            self._fail(run, f"ClientError: Data download failed: {error}")
            return
        except (OSError, ValueError) as error:
            self._fail(run, f"AlgorithmError: the training process could not be started: {error}")
            return
        await self._measure(run)
        if code:
            failure = run.folder.failure()
            self._fail(run, failure_reason(code, failure, last_line))
        else:
            await self._finish(run)

    async def _prepare(self, run: _Run, job: TrainingJob) -> None:
        await remove_tree(run.folder.root)
        run.folder.create(job)
        run.deadline = self._clock.monotonic() + max_runtime_s(job)
        self._move(run, Phase.DOWNLOADING, started=self._now())
        self._faults.reach("sagemaker.training.downloading")
        run.beside = await self._unless_stopped(run, prepare(self._call, job, run.folder))
        self._move(run, Phase.FETCHING)

    async def _execute(self, run: _Run, job: TrainingJob) -> tuple[int, str]:
        """Run the process to its end; returns its exit code and last log line."""
        with run.folder.log.open("w", encoding="utf-8", newline="\n") as file:
            log = LogStream(
                call=self._call,
                clock=self._clock,
                spawn=self._spawn,
                group=_GROUP,
                stream=job.log_stream,
                also=lambda stamp, text: file.write(f"{stamp}\t{text}\n"),
            )
            try:
                process = await self._launch(run, job, log)
                code = await self._supervise(run, process, log)
                return code, log.tail().rpartition("\n")[2]
            finally:
                await log.close()

    async def _launch(self, run: _Run, job: TrainingJob, log: LogStream) -> Process:
        entry = self._images.entry(job.request["AlgorithmSpecification"]["TrainingImage"])
        process = await self._containers.start(
            self._containers.algorithm(entry, "train"),
            base=run.folder.base,
            purpose=f"training job {job.name}",
            environment=job.request.get("Environment", {}),
            contract={"TRAINING_JOB_NAME": job.name, "TRAINING_JOB_ARN": job.arn},
            log=log,
        )
        try:
            self._move(run, Phase.TRAINING)
        except BaseException:
            await process.stop(grace_s=0)
            raise
        self._faults.reach("sagemaker.training.started")
        return process

    async def _supervise(self, run: _Run, process: Process, log: LogStream) -> int:
        """Wait for the process; where the job is to stop, end it in order and raise _StoppedError."""

        def say(text: str) -> None:
            log.line(text.encode())

        beside = run.beside
        ended = beside.during(process.wait(), every_s=self._limits.checkpoint_s, say=say)
        try:
            code = await self._unless_stopped(run, ended)
            await beside.store_last(say)
            return code
        except _StoppedError:
            await process.stop(grace_s=self._limits.training_stop_grace_s)
            await beside.store_last(say)
            raise
        finally:
            process.kill()  # also on cancellation: nothing outlives its cloud
            await process.wait()

    async def _finish(self, run: _Run) -> None:
        """The process is gone, in order or as asked: bring its outputs to S3."""
        job = self._job(run)
        if job.phase is not Phase.STOPPING:
            self._move(run, Phase.UPLOADING)
        elif run.folder.has_model():
            self._move(run, Phase.UPLOADING_STOPPED)
        else:
            self._move(run, job.outcome or Phase.STOPPED)
            return
        self._faults.reach("sagemaker.training.uploading")
        await self._complete(run)

    async def _complete(self, run: _Run) -> None:
        """Upload, and only then say so. Doing it again changes nothing."""
        try:
            await self._upload(run)
        except TransferError as error:
            self._fail(run, f"ClientError: Artifact upload failed: {error}")
            return
        except (GuestError, OSError) as error:
            self._fail(run, f"InternalServerError: the training output could not be packed: {error}")
            return
        self._faults.reach("sagemaker.training.uploaded")
        job = self._job(run)
        if job.phase is Phase.UPLOADING:
            self._move(run, Phase.COMPLETED, has_model=True)
        else:
            self._move(run, job.outcome or Phase.STOPPED, has_model=True)

    async def _upload(self, run: _Run) -> None:
        target = model_artifact(self._job(run))
        outputs = [(run.folder.model, target)]
        if run.folder.has_output():
            outputs.append((run.folder.output, S3Uri(target.bucket, f"{_parent(target.key)}/output.tar.gz")))
        for folder, uri in outputs:
            archive = run.folder.root / uri.key.rpartition("/")[2]
            await self._containers.run_guest("pack.py", str(folder), str(archive), purpose=f"pack {run.name}")
            await upload(self._call, archive, uri, "application/x-gzip")

    async def _measure(self, run: _Run) -> None:
        """Read the metrics off the log; a job without them is still a job."""
        algorithm = self._job(run).request["AlgorithmSpecification"]
        asked = algorithm.get("MetricDefinitions") or self._images.metrics(algorithm["TrainingImage"])
        if not asked or not run.folder.log.exists():
            return
        definitions = run.folder.root / "metrics.json"
        definitions.write_bytes(orjson.dumps(asked))
        try:
            async with asyncio.timeout(self._limits.metrics_s):
                output = await self._containers.run_guest(
                    "metrics.py", str(run.folder.log), str(definitions), purpose=f"metrics of {run.name}"
                )
            found = [(name, value, at) for name, value, at in orjson.loads(output[-1])]
        except (GuestError, TimeoutError, OSError, ValueError, IndexError) as error:
            _log.warning("training job %s has no metrics: %s", run.name, error)
            return
        with self._db.transaction():
            self._store.save_job(replace(self._job(run), metrics=tuple(found)))

    async def _unless_stopped(self, run: _Run, work: Coroutine[Any, Any, _T]) -> _T:
        """The result of `work`; raises _StoppedError when the job is to stop or its time is over."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(run.stop.wait())
        try:
            left = max(0.0, run.deadline - self._clock.monotonic())
            await asyncio.wait({task, stop}, timeout=min(left, 1e8), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if not stop.done():
                self._move(run, Phase.STOPPING, outcome=Phase.OUT_OF_TIME)
            raise _StoppedError
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)

    def _job(self, run: _Run) -> TrainingJob:
        job = self._store.job(run.name)
        assert job is not None, f"training job {run.name} vanished"
        return job

    def _move(self, run: _Run, phase: Phase, **changes: Any) -> None:
        """Advance the row; raises _StoppedError where StopTrainingJob came first."""
        with self._db.transaction():
            job = self._job(run)
            if job.phase.status == "Stopping" and phase not in JOB_MOVES[job.phase]:
                raise _StoppedError
            self._store.save_job(job.advance(phase, self._now(), **changes))

    def _fail(self, run: _Run, reason: str) -> None:
        with self._db.transaction():
            job = self._job(run)
            if not job.phase.final:
                self._store.save_job(job.advance(Phase.FAILED, self._now(), failure_reason=excerpt(reason)))

    async def _sweep(self, unfinished: set[str]) -> None:
        """Delete the folders of jobs that ended just before a crash."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            if folder.name not in unfinished:
                await remove_tree(folder)

    def _now(self) -> int:
        return millis(self._clock.now())


def _parent(key: str) -> str:
    return key.rpartition("/")[0]
