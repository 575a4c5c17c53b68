"""What a job tells of its data in CloudWatch Logs, in the form of SageMaker's own data log."""

from scones.cloud.ports import Clock
from scones.cloud.services.sagemaker.log_stream import LogStream

__all__ = ["DataLog"]


class DataLog:
    def __init__(self, stream: LogStream, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock

    def note(self, text: str) -> None:
        stamp = self._clock.now().isoformat(timespec="milliseconds").partition("+")[0]
        for line in text.splitlines() or [""]:
            self._stream.line(f"{stamp}:[sagemaker logs]: {line}".encode())

    async def tell(self, what: str, title: str, message: str) -> None:
        """An object's failure. what: bucket/key; waits while there is too much to tell."""
        for line in (title, "", "Message:", *message.splitlines()):
            self.note(f"{what}: {line}")
        await self._stream.room()

    async def close(self) -> None:
        await self._stream.close()
