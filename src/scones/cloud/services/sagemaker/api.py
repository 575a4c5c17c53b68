"""SageMaker and its runtime: the two services, put together from their parts."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scones.cloud.ports import Announce, Call, Clock, Faults, Ids, Spawn, unheard
from scones.cloud.services.sagemaker.capture import Captures
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.endpoints import Endpoints
from scones.cloud.services.sagemaker.hosting import Hosting
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.invoke import Invoke
from scones.cloud.services.sagemaker.journal import Journal
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.models import EndpointConfigs, Models
from scones.cloud.services.sagemaker.state_events import AnnouncingStore
from scones.cloud.services.sagemaker.store import Store
from scones.cloud.services.sagemaker.tags import Tags
from scones.cloud.services.sagemaker.trainer import Trainer
from scones.cloud.services.sagemaker.training import Training
from scones.cloud.services.sagemaker.transform import TransformJobs, TransformRunner
from scones.cloud.services.sagemaker.transform.state_events import AnnouncingTransformStore
from scones.cloud.services.sagemaker.wording import Names
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

__all__ = ["SageMaker", "SageMakerRuntime"]


class SageMaker:
    """Training and transform jobs, models, endpoints, tags. endpoint_url: where the workers find this cloud.

    The folders behind image names are `settings.algorithms`; `draw` is for sampling and routing.
    """

    name = "sagemaker"

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        settings: CloudSettings,
        call: Call,
        spawn: Spawn,
        faults: Faults,
        processes: Processes,
        endpoint_url: Callable[[], str],
        announce: Announce = unheard,
        limits: Limits | None = None,
        draw: random.Random | None = None,
    ) -> None:
        images = Images(settings.algorithms)
        tools = _Tools(
            db=db,
            store=AnnouncingStore(db, announce=announce, images=images),
            clock=clock,
            ids=ids,
            settings=settings,
            call=call,
            spawn=spawn,
            faults=faults,
            names=Names(settings.region, settings.account_id),
            images=images,
            containers=Containers(processes=processes, settings=settings, endpoint_url=endpoint_url),
            limits=limits or Limits(),
        )
        self._trainer, training = _training(tools)
        self._captures = _captures(tools, draw)
        self._hosting, hosting = _hosting(tools, self._captures)
        self._transforms, transforms = _transforms(tools, announce)
        self.invoke = Invoke(
            hosting=self._hosting,
            captures=self._captures,
            settings=settings,
            limits=tools.limits,
            draw=draw,
        )
        self.parts: tuple[object, ...] = (training, *hosting, transforms, Tags(tools.store))

    async def start(self) -> None:
        await self._captures.start()
        await self._hosting.start()
        await self._trainer.start()
        await self._transforms.start()

    async def close(self) -> None:
        await self._trainer.close()
        await self._transforms.close()
        await self._captures.close()
        await self._hosting.close()


class SageMakerRuntime:
    """InvokeEndpoint, on the endpoints of a SageMaker, which also owns all that runs."""

    name = "sagemaker-runtime"

    def __init__(self, sagemaker: SageMaker) -> None:
        self.parts: tuple[object, ...] = (sagemaker.invoke,)

    async def start(self) -> None:
        """Nothing of its own to start."""

    async def close(self) -> None:
        """Nothing of its own to close."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tools:
    """What more than one resource is made with."""

    db: Database
    store: Store
    clock: Clock
    ids: Ids
    settings: CloudSettings
    call: Call
    spawn: Spawn
    faults: Faults
    names: Names
    images: Images
    containers: Containers
    limits: Limits

    @property
    def root(self) -> Path:
        return self.settings.state_dir / "sagemaker"


def _training(tools: _Tools) -> tuple[Trainer, Training]:
    trainer = Trainer(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        call=tools.call,
        spawn=tools.spawn,
        faults=tools.faults,
        images=tools.images,
        containers=tools.containers,
        root=tools.root / "training",
        limits=tools.limits,
    )
    return trainer, Training(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        call=tools.call,
        names=tools.names,
        images=tools.images,
        wake=trainer.wake,
        stop=trainer.stop,
    )


def _captures(tools: _Tools, draw: random.Random | None) -> Captures:
    return Captures(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        ids=tools.ids,
        call=tools.call,
        spawn=tools.spawn,
        journal=Journal(tools.root / "captures", sync=tools.settings.sync == "full"),
        window_s=tools.settings.capture_window_s,
        limits=tools.limits,
        draw=draw,
    )


def _hosting(tools: _Tools, captures: Captures) -> tuple[Hosting, tuple[object, ...]]:
    hosting = Hosting(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        ids=tools.ids,
        call=tools.call,
        spawn=tools.spawn,
        faults=tools.faults,
        images=tools.images,
        containers=tools.containers,
        captures=captures,
        root=tools.root / "endpoints",
        payload_limit_bytes=tools.settings.payload_limit_bytes,
        limits=tools.limits,
    )
    models = Models(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        call=tools.call,
        names=tools.names,
        images=tools.images,
    )
    endpoints = Endpoints(
        db=tools.db,
        store=tools.store,
        clock=tools.clock,
        ids=tools.ids,
        names=tools.names,
        hosting=hosting,
    )
    configs = EndpointConfigs(store=tools.store, clock=tools.clock, names=tools.names)
    return hosting, (models, configs, endpoints)


def _transforms(tools: _Tools, announce: Announce) -> tuple[TransformRunner, TransformJobs]:
    jobs = AnnouncingTransformStore(tools.db, store=tools.store, announce=announce)
    runner = TransformRunner(
        db=tools.db,
        jobs=jobs,
        clock=tools.clock,
        ids=tools.ids,
        call=tools.call,
        spawn=tools.spawn,
        faults=tools.faults,
        images=tools.images,
        containers=tools.containers,
        root=tools.root / "transform",
        limits=tools.limits,
    )
    return runner, TransformJobs(
        db=tools.db,
        store=tools.store,
        jobs=jobs,
        clock=tools.clock,
        call=tools.call,
        names=tools.names,
        images=tools.images,
        wake=runner.wake,
        stop=runner.stop,
    )
