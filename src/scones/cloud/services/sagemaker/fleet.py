"""The processes of one deployment: its variants, and which of them gets a request."""

import asyncio
import logging
import random
from collections.abc import Coroutine
from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.services.sagemaker.capture import CapturePlan
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.records import Deployment, VariantSpec
from scones.cloud.services.sagemaker.wording import excerpt
from scones.cloud.services.sagemaker.worker import StartError, Worker

__all__ = ["DeployError", "Fleet", "Variant"]

_log = logging.getLogger(__name__)

_DRAIN_S, _DRAIN_POLL_S = 60.0, 0.02


class DeployError(Exception):
    """A deployment cannot serve; the message is the endpoint's FailureReason."""


class Variant:
    def __init__(self, spec: VariantSpec, limits: Limits) -> None:
        self.spec = spec
        self._limits = limits
        self.workers: list[Worker] = []
        self._ready = asyncio.Event()
        self._waiting = 0

    def ready_changed(self) -> None:
        if any(worker.ready for worker in self.workers):
            self._ready.set()
        else:
            self._ready.clear()

    async def worker(self) -> Worker:
        """The least busy process that answers. Raises ServiceUnavailable rather than queue without end."""
        if not self._ready.is_set():
            await self._restarted()
        worker = min((w for w in self.workers if w.ready), key=lambda w: w.in_flight, default=None)
        if worker is None or worker.in_flight >= self._limits.in_flight:
            raise self._too_many()
        return worker

    async def _restarted(self) -> None:
        """Wait until a process answers again. Raises ServiceUnavailable when that takes long or many wait."""
        if self._waiting >= self._limits.in_flight * len(self.workers):
            raise self._too_many()
        self._waiting += 1
        try:
            await asyncio.wait_for(self._ready.wait(), self._limits.ready_s)
        except TimeoutError:
            name = self.spec.name
            raise _unavailable(f"Production variant {name} is being restarted; try again.") from None
        finally:
            self._waiting -= 1

    def _too_many(self) -> ServiceError:
        return _unavailable(f"Production variant {self.spec.name} has too many requests in progress.")


class Fleet:
    """A deployment of an endpoint that serves, or is about to."""

    def __init__(self, endpoint: str, deployment: Deployment, variants: list[Variant]) -> None:
        self.endpoint = endpoint
        self.deployment = deployment
        self.capture = CapturePlan.of(deployment.capture)
        self.variants = variants
        self._tasks: set[asyncio.Task[None]] = set()

    def choose(self, draw: random.Random) -> Variant:
        """A variant at random, by weight."""
        if len(self.variants) == 1:
            return self.variants[0]
        weights = [variant.spec.weight for variant in self.variants]
        return draw.choices(self.variants, weights if any(weights) else None)[0]

    def variant(self, name: str) -> Variant | None:
        return next((variant for variant in self.variants if variant.spec.name == name), None)

    @property
    def workers(self) -> list[Worker]:
        return [worker for variant in self.variants for worker in variant.workers]

    async def start(self) -> None:
        """Start every process; raises DeployError for the first that does not answer."""
        try:
            async with asyncio.TaskGroup() as group:
                for variant in self.variants:
                    for worker in variant.workers:
                        group.create_task(_start(variant.spec.name, worker))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def keep(self) -> None:
        """From now on, start again whatever dies (or is not started yet)."""
        for worker in self.workers:
            self.run(worker.keep())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that ends with this fleet."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def drain(self) -> None:
        """Wait until no request is in progress, though not for ever."""
        for _ in range(int(_DRAIN_S / _DRAIN_POLL_S)):
            if not any(worker.in_flight for worker in self.workers):
                return
            await asyncio.sleep(_DRAIN_POLL_S)

    async def stop(self, *, grace_s: float) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(worker.stop(grace_s=grace_s) for worker in self.workers))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("a task of deployment %s failed", self.deployment.generation, exc_info=error)


async def _start(variant: str, worker: Worker) -> None:
    try:
        await worker.start()
    except StartError as error:
        raise DeployError(
            excerpt(
                f"The primary container for production variant {variant} did not pass the ping health check."
                f" Please check CloudWatch logs for this endpoint. ({error})"
            )
        ) from error


def _unavailable(message: str) -> ServiceError:
    return ServiceError("ServiceUnavailable", message, status=503)
