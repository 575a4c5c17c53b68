"""The running process of one instance, and the storing of its Continuous outputs beside it."""

import asyncio

from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.processing.host import Host
from scones.cloud.services.sagemaker.transfer import TransferError
from scones.cloud.workers.process import Process

__all__ = ["Instance", "end_of"]


class Instance:
    """keep_s: between two looks for outputs that have changed."""

    def __init__(self, host: Host, process: Process, log: LogStream, *, keep_s: float) -> None:
        self._host = host
        self._process = process
        self._log = log
        self._keeping = asyncio.ensure_future(host.keep(keep_s, self._say))

    async def wait(self) -> int:
        """The exit code."""
        return await self._process.wait()

    def last_line(self) -> str:
        """Of its log."""
        return self._log.tail().rpartition("\n")[2]

    async def stop(self, *, grace_s: float) -> None:
        """SIGTERM, SIGKILL after `grace_s`; then store once more what is Continuous."""
        await self._process.stop(grace_s=grace_s)
        await self._rest()
        try:
            await self._host.store(continuous=True)
        except (TransferError, OSError) as error:
            self._say(f"The last outputs could not be stored: {error}")

    async def close(self) -> None:
        """Nothing outlives its cloud."""
        await self._rest()
        self._process.kill()
        await self._process.wait()

    async def _rest(self) -> None:
        self._keeping.cancel()
        await asyncio.gather(self._keeping, return_exceptions=True)

    def _say(self, text: str) -> None:
        self._log.line(text.encode())


async def end_of(instances: list[Instance]) -> tuple[int, str] | None:
    """Wait until all have ended well, or until one has not: then its exit code and last log line.

    The code is 128 + N for a process that was ended by signal N, as Docker has it.
    """
    waiting = {asyncio.ensure_future(instance.wait()): instance for instance in instances}
    try:
        pending = set(waiting)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if code := task.result():
                    return code if code > 0 else 128 - code, waiting[task].last_line()
        return None
    finally:
        for task in waiting:
            task.cancel()
