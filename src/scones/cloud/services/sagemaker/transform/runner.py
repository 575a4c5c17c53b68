"""Runs transform jobs: model, serving processes, a passage over the input, outcome.

Rows are the queue. After a crash an unfinished job is run again from the beginning as a new
attempt; its outputs go to the same keys, so that those which are there already are written again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn, Wire
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.model_data import ModelDataError, bring_model
from scones.cloud.services.sagemaker.models import source_of
from scones.cloud.services.sagemaker.records import VariantSpec, millis
from scones.cloud.services.sagemaker.transfer import remove_tree
from scones.cloud.services.sagemaker.transform.inputs import Inputs, InputsError
from scones.cloud.services.sagemaker.transform.lanes import Lanes, UnansweredError
from scones.cloud.services.sagemaker.transform.outputs import Outputs, OutputsError
from scones.cloud.services.sagemaker.transform.passage import Passage
from scones.cloud.services.sagemaker.transform.records import Plan, TransformJob, TransformStatus
from scones.cloud.services.sagemaker.transform.store import TransformStore
from scones.cloud.services.sagemaker.wording import S3Uri, excerpt
from scones.cloud.services.sagemaker.worker import Launch, StartError, Worker
from scones.cloud.state.db import Database

__all__ = ["TransformRunner"]

_log = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/TransformJobs"
_SLOTS = 2  # jobs at work; the others wait in the order of their creation
_STARTUP_S = 240  # for a container to answer /ping, documented
_PARAMETERS_S = 5.0  # for it to answer /execution-parameters
_STOP_GRACE_S = 3.0
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
    logs: list[LogStream] = field(default_factory=list)


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
        self._ids = ids
        self._call = call
        self._spawn = spawn
        self._faults = faults
        self._images = images
        self._containers = containers
        self._root = root
        self._limits = limits
        self._runs: dict[str, _Run] = {}
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Put every unfinished job back to work."""
        for folder in self._root.iterdir() if self._root.is_dir() else ():
            await remove_tree(folder)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        for job in self._jobs.unfinished():
            if job.status is TransformStatus.STOPPING:
                self._end(job.name, TransformStatus.STOPPED)
        self.wake()

    async def close(self) -> None:
        """End all processes at once; the next start runs their jobs again."""
        session, self._session = self._session, None
        tasks = [run.work for run in self._runs.values() if run.work]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if session:
            await session.close()

    def wake(self) -> None:
        """Start waiting jobs while there are free slots."""
        if not self._session or len(self._runs) >= _SLOTS:
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
            async with self._serving(run, base) as workers:
                await self._pass(run, workers)
        except ModelDataError as error:
            raise _FailedError(f"ClientError: {error}") from error
        except ServiceError as error:  # started with other images than when the job was created
            raise _FailedError(f"ClientError: {error.message}") from error
        finally:
            await asyncio.gather(*(log.close() for log in run.logs))

    async def _pass(self, run: _Run, workers: list[Worker]) -> None:
        request = run.job.request
        log = self._stream(run, f"{workers[0].log.stream}/data-log")
        try:
            plan = Plan.of(request, await self._offered(workers[0]))
        except ValueError as error:
            raise _FailedError(f"AlgorithmError: /execution-parameters of the container: {error}") from error
        self._note(log, str(plan))
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
            tell=lambda what, title, message: self._tell(log, what, title, message),
        )
        try:
            failure = await passage.run()
        except UnansweredError as error:
            self._note(log, f"Unable to get response from algorithm: {error}")
            raise _FailedError(f"AlgorithmError: Unable to get response from algorithm: {error}") from error
        except (InputsError, OutputsError) as error:
            raise _FailedError(f"ClientError: {error}") from error
        finally:
            lanes.close()
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

    @asynccontextmanager
    async def _serving(self, run: _Run, base: Path) -> AsyncIterator[list[Worker]]:
        """The job's processes, all of them answering, and started again while the block lasts."""
        count = run.job.request["TransformResources"]["InstanceCount"]
        workers = [self._worker(run, base) for _ in range(count)]
        keeping: list[asyncio.Task[None]] = []
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    for worker in workers:
                        group.create_task(worker.start())
            except ExceptionGroup as errors:
                error = errors.exceptions[0]
                if not isinstance(error, StartError):
                    raise error from None
                raise _FailedError(
                    f"AlgorithmError: Model container failed to respond to ping: {error}"
                ) from error
            self._faults.reach("sagemaker.transform.started")
            keeping += [asyncio.ensure_future(worker.keep()) for worker in workers]
            yield workers
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await asyncio.gather(*(worker.stop(grace_s=_STOP_GRACE_S) for worker in workers))

    def _worker(self, run: _Run, base: Path) -> Worker:
        request, container = run.job.request, run.job.container
        spec = VariantSpec(
            name="transform",
            model=request["ModelName"],
            image=container["Image"],
            environment=_environment(container, request),
            source=source_of(container),
            instances=1,
            weight=1.0,
            startup_timeout_s=_STARTUP_S,
        )
        assert self._session is not None
        return Worker(
            Launch(entry=self._images.entry(spec.image), spec=spec, endpoint=run.job.name, base=base),
            containers=self._containers,
            session=self._session,
            clock=self._clock,
            log=self._stream(run, f"{run.job.name}/i-{self._ids.token(17)}"),
            ready_changed=lambda: None,
        )

    async def _offered(self, worker: Worker) -> Wire:
        """What the container says at /execution-parameters; {} where it does not know the path."""
        assert self._session is not None
        timeout = aiohttp.ClientTimeout(total=_PARAMETERS_S)
        try:
            async with self._session.get(f"{worker.url}/execution-parameters", timeout=timeout) as reply:
                if reply.status != 200:
                    return {}
                offered = await reply.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}
        return offered if isinstance(offered, dict) else {}

    def _stream(self, run: _Run, stream: str) -> LogStream:
        log = LogStream(call=self._call, clock=self._clock, spawn=self._spawn, group=_GROUP, stream=stream)
        run.logs.append(log)
        return log

    def _note(self, log: LogStream, text: str) -> None:
        stamp = self._clock.now().isoformat(timespec="milliseconds").partition("+")[0]
        for line in text.splitlines() or [""]:
            log.line(f"{stamp}:[sagemaker logs]: {line}".encode())

    async def _tell(self, log: LogStream, what: str, title: str, message: str) -> None:
        """An object's failure, line by line as SageMaker's data log has it."""
        for line in (title, "", "Message:", *message.splitlines()):
            self._note(log, f"{what}: {line}")
        await log.room()

    def _end(self, name: str, status: TransformStatus, **changes: Any) -> None:
        with self._db.transaction():
            job = self._jobs.job(name)
            assert job is not None, f"transform job {name} vanished"
            if job.status is TransformStatus.STOPPING:  # whatever came of it meanwhile
                status, changes = TransformStatus.STOPPED, {}
            self._jobs.save(job.advance(status, self._now(), **changes))

    def _now(self) -> int:
        return millis(self._clock.now())


def _environment(container: Wire, request: Wire) -> dict[str, str]:
    """The model's variables, the job's over them, and what the contract promises over both."""
    contract = {"SAGEMAKER_BATCH": "true"}
    if request.get("MaxPayloadInMB"):
        contract["SAGEMAKER_MAX_PAYLOAD_IN_MB"] = str(request["MaxPayloadInMB"])
    if request.get("MaxConcurrentTransforms"):
        contract["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] = str(request["MaxConcurrentTransforms"])
    if strategy := request.get("BatchStrategy"):
        contract["SAGEMAKER_BATCH_STRATEGY"] = {
            "SingleRecord": "SINGLE_RECORD",
            "MultiRecord": "MULTI_RECORD",
        }[strategy]
    chosen: dict[str, str] = container.get("Environment", {}) | request.get("Environment", {})
    return chosen | contract
