"""SageMaker and its runtime: the two services, put together from their parts."""

import random
from collections.abc import Callable

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
from scones.cloud.services.sagemaker.tags import Tags
from scones.cloud.services.sagemaker.trainer import Trainer
from scones.cloud.services.sagemaker.training import Training
from scones.cloud.services.sagemaker.wording import Names
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

__all__ = ["SageMaker", "SageMakerRuntime"]


class SageMaker:
    """Training jobs, models, endpoints, tags. endpoint_url: where the workers find this cloud.

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
        limits = limits or Limits()
        names = Names(settings.region, settings.account_id)
        images = Images(settings.algorithms)
        store = AnnouncingStore(db, announce=announce, images=images)
        root = settings.state_dir / "sagemaker"
        containers = Containers(processes=processes, settings=settings, endpoint_url=endpoint_url)
        self._trainer = Trainer(
            db=db,
            store=store,
            clock=clock,
            call=call,
            spawn=spawn,
            faults=faults,
            images=images,
            containers=containers,
            root=root / "training",
            limits=limits,
        )
        self._captures = Captures(
            db=db,
            store=store,
            clock=clock,
            ids=ids,
            call=call,
            spawn=spawn,
            journal=Journal(root / "captures", sync=settings.sync == "full"),
            window_s=settings.capture_window_s,
            limits=limits,
            draw=draw,
        )
        self._hosting = Hosting(
            db=db,
            store=store,
            clock=clock,
            ids=ids,
            call=call,
            spawn=spawn,
            faults=faults,
            images=images,
            containers=containers,
            captures=self._captures,
            root=root / "endpoints",
            payload_limit_bytes=settings.payload_limit_bytes,
            limits=limits,
        )
        self.invoke = Invoke(
            hosting=self._hosting, captures=self._captures, settings=settings, limits=limits, draw=draw
        )
        self.parts: tuple[object, ...] = (
            Training(
                db=db,
                store=store,
                clock=clock,
                call=call,
                names=names,
                images=images,
                wake=self._trainer.wake,
                stop=self._trainer.stop,
            ),
            Models(db=db, store=store, clock=clock, call=call, names=names, images=images),
            EndpointConfigs(store=store, clock=clock, names=names),
            Endpoints(db=db, store=store, clock=clock, ids=ids, names=names, hosting=self._hosting),
            Tags(store),
        )

    async def start(self) -> None:
        await self._captures.start()
        await self._hosting.start()
        await self._trainer.start()

    async def close(self) -> None:
        await self._trainer.close()
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
