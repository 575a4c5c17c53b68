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
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.models import EndpointConfigs, Models
from scones.cloud.services.sagemaker.processing import ProcessingRunner
from scones.cloud.services.sagemaker.state_events import AnnouncingStore
from scones.cloud.services.sagemaker.tags import Tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.trainer import Trainer
from scones.cloud.services.sagemaker.training import Training
from scones.cloud.services.sagemaker.transform import TransformRunner
from scones.cloud.services.sagemaker.wording import Names
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

__all__ = ["SageMaker", "SageMakerRuntime"]


class SageMaker:
    """Training, transform and processing jobs, models, endpoints, tags.

    endpoint_url: where the workers find this cloud.
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
        tools = Tools(
            db=db,
            store=AnnouncingStore(db, announce=announce, images=images),
            clock=clock,
            ids=ids,
            settings=settings,
            call=call,
            spawn=spawn,
            faults=faults,
            announce=announce,
            names=Names(settings.region, settings.account_id),
            images=images,
            containers=Containers(processes=processes, settings=settings, endpoint_url=endpoint_url),
            limits=limits or Limits(),
        )
        self._trainer = Trainer(tools)
        self._captures = Captures(tools, draw)
        self._hosting = Hosting(tools, self._captures)
        self._transforms = TransformRunner(tools)
        self._processing = ProcessingRunner(tools)
        self.invoke = Invoke(tools, self._hosting, self._captures, draw)
        self.parts: tuple[object, ...] = (
            Training(tools, wake=self._trainer.wake, stop=self._trainer.stop),
            Models(tools),
            EndpointConfigs(tools),
            Endpoints(tools, self._hosting),
            self._transforms.operations,
            self._processing.operations,
            Tags(tools.store),
        )

    async def start(self) -> None:
        await self._captures.start()
        await self._hosting.start()
        await self._trainer.start()
        await self._transforms.start()
        await self._processing.start()

    async def close(self) -> None:
        await self._trainer.close()
        await self._transforms.close()
        await self._processing.close()
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
