"""The serving processes of one job: as many as it has instances, all of them answering."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.models import source_of
from scones.cloud.services.sagemaker.records import VariantSpec
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transform.records import TransformJob
from scones.cloud.services.sagemaker.worker import Launch, Worker

__all__ = ["Instances"]

_GROUP = "/aws/sagemaker/TransformJobs"
_STARTUP_S = 240  # for a container to answer /ping, documented
_PARAMETERS_S = 5.0  # for it to answer /execution-parameters
_STOP_GRACE_S = 3.0
_ANSWER_BYTES = 100 * 1024 * 1024  # no answer may be longer, as no payload may


class Instances:
    """Of any job, between `open` and `close`."""

    def __init__(self, tools: Tools) -> None:
        self._clock = tools.clock
        self._ids = tools.ids
        self._call = tools.call
        self._spawn = tools.spawn
        self._images = tools.images
        self._containers = tools.containers
        self._session: aiohttp.ClientSession | None = None

    def open(self) -> None:
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    @asynccontextmanager
    async def serving(self, job: TransformJob, base: Path) -> AsyncIterator[list[Worker]]:
        """Started again whenever they die, while the block lasts. base: their /opt/ml.

        Raises StartError, and ServiceError for an image that is no longer known.
        """
        count = job.request["TransformResources"]["InstanceCount"]
        workers = [self._worker(job, base) for _ in range(count)]
        keeping: list[asyncio.Task[None]] = []
        try:
            try:
                async with asyncio.TaskGroup() as group:
                    for worker in workers:
                        group.create_task(worker.start())
            except ExceptionGroup as errors:
                raise errors.exceptions[0] from None
            keeping += [asyncio.ensure_future(worker.keep()) for worker in workers]
            yield workers
        finally:
            for task in keeping:
                task.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)
            await asyncio.gather(*(worker.stop(grace_s=_STOP_GRACE_S) for worker in workers))

    async def offered(self, worker: Worker) -> Wire:
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

    def stream(self, name: str) -> LogStream:
        """A log stream of the jobs' group."""
        return LogStream(call=self._call, clock=self._clock, spawn=self._spawn, group=_GROUP, stream=name)

    def _worker(self, job: TransformJob, base: Path) -> Worker:
        spec = VariantSpec(
            name="transform",
            model=job.request["ModelName"],
            image=job.container["Image"],
            environment=_environment(job),
            source=source_of(job.container),
            instances=1,
            weight=1.0,
            startup_timeout_s=_STARTUP_S,
        )
        assert self._session is not None
        return Worker(
            Launch(entry=self._images.entry(spec.image), spec=spec, endpoint=job.name, base=base),
            containers=self._containers,
            session=self._session,
            clock=self._clock,
            log=self.stream(f"{job.name}/i-{self._ids.token(17)}"),
            ready_changed=lambda: None,
            answer_limit_bytes=_ANSWER_BYTES,
        )


def _environment(job: TransformJob) -> dict[str, str]:
    """The model's variables, the job's over them, and what the contract promises over both."""
    request = job.request
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
    chosen: dict[str, str] = job.container.get("Environment", {}) | request.get("Environment", {})
    return chosen | contract
