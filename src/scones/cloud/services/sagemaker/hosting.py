"""Runs endpoints: brings models, starts fleets, switches traffic, takes fleets down.

The row tells what is to be; this makes it so. After a crash every endpoint is brought to what its
row says: those in service are started again, those on their way go their way again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from scones.cloud.errors import ServiceError
from scones.cloud.services.sagemaker.capture import Captures
from scones.cloud.services.sagemaker.fleet import DeployError, Fleet, Variant
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.model_data import ModelDataError, bring_model
from scones.cloud.services.sagemaker.records import (
    Deployment,
    Endpoint,
    EndpointStatus,
    VariantSpec,
    millis,
)
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import remove_tree
from scones.cloud.services.sagemaker.worker import Launch, Worker

__all__ = ["Hosting", "log_group"]

_log = logging.getLogger(__name__)

_STOP_GRACE_S = 30.0
_CLOSE_GRACE_S = 3.0
_RETRY_FIRST_S, _RETRY_LONGEST_S = 1.0, 60.0


def log_group(endpoint: str) -> str:
    return f"/aws/sagemaker/Endpoints/{endpoint}"


class Hosting:
    def __init__(self, tools: Tools, captures: Captures) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._ids = tools.ids
        self._call = tools.call
        self._spawn = tools.spawn
        self._faults = tools.faults
        self._images = tools.images
        self._containers = tools.containers
        self._captures = captures
        self._root = tools.root / "endpoints"
        self._payload_limit_bytes = tools.settings.payload_limit_bytes
        self._limits = tools.limits
        self._serving: dict[str, Fleet] = {}
        self._fleets: set[Fleet] = set()  # every fleet that may have processes
        self._tasks: set[asyncio.Task[Any]] = set()
        self._session: aiohttp.ClientSession | None = None

    @property
    def session(self) -> aiohttp.ClientSession:
        """The one client for all pings."""
        assert self._session is not None, "hosting was not started"
        return self._session

    async def start(self) -> None:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(force_close=True)
        )
        work: dict[EndpointStatus, Callable[[str], Awaitable[None]]] = {
            EndpointStatus.CREATING: self._create,
            EndpointStatus.UPDATING: self._update,
            EndpointStatus.DELETING: self._delete,
        }
        endpoints = self._store.endpoints()
        await self._sweep(endpoints)
        for endpoint in endpoints:
            if endpoint.status in (EndpointStatus.IN_SERVICE, EndpointStatus.UPDATING):
                self._resume(endpoint)
            if begin := work.get(endpoint.status):
                self._begin(begin, endpoint.name)

    async def close(self) -> None:
        """End all processes; rows stay as they are."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(fleet.stop(grace_s=_CLOSE_GRACE_S) for fleet in list(self._fleets)))
        if self._session:
            await self._session.close()

    def serving(self, name: str) -> Fleet | None:
        """The fleet that answers for an endpoint, if it is in service."""
        return self._serving.get(name.lower())

    def create(self, name: str) -> None:
        self._begin(self._create, name)

    def update(self, name: str) -> None:
        self._begin(self._update, name)

    def delete(self, name: str) -> None:
        self._begin(self._delete, name)

    def _begin(self, work: Callable[[str], Awaitable[None]], name: str) -> None:
        self._spawn(self._guarded(work, name), name=f"endpoint {name}")

    async def _guarded(self, work: Callable[[str], Awaitable[None]], name: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await work(name)
        finally:
            self._tasks.discard(task)

    async def _create(self, name: str) -> None:
        endpoint = self._endpoint(name)
        fleet = await self._deploy(endpoint)
        if isinstance(fleet, str):
            self._move(endpoint, EndpointStatus.FAILED, failure_reason=fleet)
            return
        self._faults.reach("sagemaker.endpoint.started")
        self._switch(endpoint, fleet)

    async def _update(self, name: str) -> None:
        endpoint = self._endpoint(name)
        fleet = await self._deploy(endpoint)
        if isinstance(fleet, str):  # the old fleet has never stopped serving
            self._move(endpoint, EndpointStatus.IN_SERVICE, pending=None, failure_reason=fleet)
            return
        self._faults.reach("sagemaker.endpoint.started")
        old = self.serving(name)
        self._switch(endpoint, fleet)
        await self._captures.flush(name)
        if old:
            await old.drain()
            await self._take_down(old, grace_s=_STOP_GRACE_S)

    def _switch(self, endpoint: Endpoint, fleet: Fleet) -> None:
        """From here on the pending deployment is the one that serves."""
        self._move(
            endpoint,
            EndpointStatus.IN_SERVICE,
            deployment=fleet.deployment,
            pending=None,
            failure_reason=None,
        )
        self._serving[endpoint.name.lower()] = fleet
        fleet.keep()

    def _resume(self, endpoint: Endpoint) -> None:
        """Serve again after a restart; requests wait meanwhile."""
        assert endpoint.deployment is not None
        try:
            fleet = self._fleet(endpoint, endpoint.deployment)
        except ServiceError as error:  # started with other images than the last time
            _log.error("endpoint %s cannot be started again: %s", endpoint.name, error.message)
            return
        self._serving[endpoint.name.lower()] = fleet
        fleet.run(self._resume_fleet(endpoint, fleet))

    async def _resume_fleet(self, endpoint: Endpoint, fleet: Fleet) -> None:
        delay = _RETRY_FIRST_S
        while True:
            try:
                await self._bring_models(endpoint, fleet.deployment)
                break
            except (DeployError, OSError) as error:
                _log.warning("endpoint %s cannot be started again yet: %s", endpoint.name, error)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LONGEST_S)
        fleet.keep()

    async def _delete(self, name: str) -> None:
        endpoint = self._endpoint(name)
        fleet = self._serving.pop(name.lower(), None)
        await self._captures.flush(name)
        if fleet:
            await self._take_down(fleet, grace_s=_STOP_GRACE_S)
        with self._db.transaction():
            self._store.delete_endpoint(endpoint)
        for deployment in (endpoint.deployment, endpoint.pending):
            if deployment:
                await remove_tree(self._folder(endpoint.name, deployment))

    async def _deploy(self, endpoint: Endpoint) -> Fleet | str:
        """The pending deployment's fleet, all of it answering, or why there is none."""
        assert endpoint.pending is not None
        fleet: Fleet | None = None
        try:
            fleet = self._fleet(endpoint, endpoint.pending)
            await self._bring_models(endpoint, endpoint.pending)
            await fleet.start()
            return fleet
        except DeployError as error:
            reason = str(error)
        except ServiceError as error:
            reason = error.message
        except Exception:
            _log.exception("endpoint %s", endpoint.name)
            reason = "We encountered an internal error. Please try again."
        if fleet:
            await self._take_down(fleet, grace_s=_CLOSE_GRACE_S)
        return reason

    def _fleet(self, endpoint: Endpoint, deployment: Deployment) -> Fleet:
        variants = []
        for spec in deployment.variants:
            variant = Variant(spec, self._limits)
            variant.workers = [self._worker(endpoint, deployment, variant) for _ in range(spec.instances)]
            variants.append(variant)
        fleet = Fleet(endpoint.name, deployment, variants)
        self._fleets.add(fleet)
        return fleet

    def _worker(self, endpoint: Endpoint, deployment: Deployment, variant: Variant) -> Worker:
        spec = variant.spec
        log = LogStream(
            call=self._call,
            clock=self._clock,
            spawn=self._spawn,
            group=log_group(endpoint.name),
            stream=f"{spec.name}/i-{self._ids.token(17)}",
        )
        launch = Launch(
            entry=self._images.entry(spec.image),
            spec=spec,
            endpoint=endpoint.name,
            base=self._base(endpoint.name, deployment, spec),
        )
        return Worker(
            launch,
            containers=self._containers,
            session=self.session,
            clock=self._clock,
            log=log,
            ready_changed=variant.ready_changed,
            answer_limit_bytes=self._payload_limit_bytes,
        )

    async def _take_down(self, fleet: Fleet, *, grace_s: float) -> None:
        await fleet.stop(grace_s=grace_s)
        self._fleets.discard(fleet)
        await remove_tree(self._folder(fleet.endpoint, fleet.deployment))

    async def _bring_models(self, endpoint: Endpoint, deployment: Deployment) -> None:
        """Every variant's model into its folder, unless it is there. Raises DeployError."""
        for spec in deployment.variants:
            try:
                await bring_model(
                    spec.source,
                    self._base(endpoint.name, deployment, spec),
                    call=self._call,
                    containers=self._containers,
                    limit_bytes=self._limits.model_bytes,
                )
            except ModelDataError as error:
                raise DeployError(str(error)) from error

    def _endpoint(self, name: str) -> Endpoint:
        endpoint = self._store.endpoint(name)
        assert endpoint is not None, f"endpoint {name} vanished"
        return endpoint

    def _move(self, endpoint: Endpoint, status: EndpointStatus, **changes: Any) -> None:
        with self._db.transaction():
            now = millis(self._clock.now())
            self._store.put_endpoint(self._endpoint(endpoint.name).advance(status, now, **changes))

    def _folder(self, endpoint: str, deployment: Deployment) -> Path:
        return self._root / endpoint.lower() / deployment.generation

    def _base(self, endpoint: str, deployment: Deployment, spec: VariantSpec) -> Path:
        return self._folder(endpoint, deployment) / spec.name / "opt" / "ml"

    async def _sweep(self, endpoints: list[Endpoint]) -> None:
        """Delete the folders of deployments that no row knows."""
        known = {
            self._folder(endpoint.name, deployment)
            for endpoint in endpoints
            for deployment in (endpoint.deployment, endpoint.pending)
            if deployment
        }
        for folder in self._root.glob("*/*"):
            if folder not in known:
                await remove_tree(folder)
