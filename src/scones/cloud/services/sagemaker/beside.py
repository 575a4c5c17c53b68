"""What runs beside a training job's process: its pipes, and the storing of its checkpoints."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from scones.cloud.ports import Call
from scones.cloud.services.sagemaker.channels import checkpoint_folder, input_mode
from scones.cloud.services.sagemaker.checkpoints import Checkpoints
from scones.cloud.services.sagemaker.inputs import fetch
from scones.cloud.services.sagemaker.job_folder import JobFolder
from scones.cloud.services.sagemaker.pipes import ChannelPipe
from scones.cloud.services.sagemaker.records import TrainingJob
from scones.cloud.services.sagemaker.transfer import TransferError
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["Beside", "prepare"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Beside:
    """The companions of one attempt's process."""

    pipes: list[ChannelPipe]
    checkpoints: Checkpoints | None

    async def during(
        self, work: Coroutine[Any, Any, _T], *, every_s: float, say: Callable[[str], None]
    ) -> _T:
        """The result of `work`, with pipes fed and checkpoints stored meanwhile.

        Raises TransferError as soon as a channel's data cannot be had.
        """
        main = asyncio.ensure_future(work)
        feeds = [asyncio.ensure_future(pipe.feed()) for pipe in self.pipes]
        keeping = [asyncio.ensure_future(self.checkpoints.keep(every_s, say))] if self.checkpoints else []
        waited: set[asyncio.Future[Any]] = {main, *feeds}
        try:
            while not main.done():
                done, waited = await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
                for feed in done - {main}:
                    feed.result()
            return main.result()
        finally:
            tasks = [main, *feeds, *keeping]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def store_last(self, say: Callable[[str], None]) -> None:
        """The process is gone: store what it left. A model is worth more than its checkpoints."""
        if self.checkpoints:
            try:
                await self.checkpoints.store(final=True)
            except (TransferError, OSError) as error:
                say(f"The last checkpoints could not be stored: {error}")


async def prepare(call: Call, job: TrainingJob, folder: JobFolder) -> Beside:
    """Bring a job's inputs and checkpoints, and lay its pipes. Raises TransferError and OSError."""
    pipes = []
    for channel in job.request.get("InputDataConfig", []):
        if input_mode(job.request, channel) == "Pipe":
            pipe = ChannelPipe(call, channel, folder.inputs)
            pipe.create()
            pipes.append(pipe)
        else:
            await fetch(call, channel, folder.channel(channel["ChannelName"]))
    checkpoints = None
    if where := checkpoint_folder(job.request):
        uri = S3Uri.parse(job.request["CheckpointConfig"]["S3Uri"], "CheckpointConfig.S3Uri")
        checkpoints = Checkpoints(call, uri, folder.base / where, folder.root / "staging")
        await checkpoints.restore()
    return Beside(pipes, checkpoints)
