"""Pipe mode: a channel's objects flow from S3 into named pipes, one for each epoch.

`<channel>_0` is there before the job starts, the next as soon as the last is opened. Only when a
job opens a pipe is anything read from S3, and no faster than the job reads.
"""

import asyncio
import contextlib
import errno
import os
from pathlib import Path

from scones.cloud.ports import Call, Wire
from scones.cloud.services.sagemaker.inputs import stream

__all__ = ["ChannelPipe"]

_LOOK_S = 0.05  # between two looks whether a job has opened its pipe: the system tells nobody


class ChannelPipe:
    """Feeds one channel of one job. folder: /opt/ml/input/data."""

    def __init__(self, call: Call, channel: Wire, folder: Path) -> None:
        self._call = call
        self._channel = channel
        self._folder = folder

    def create(self, epoch: int = 0) -> Path:
        """Make the pipe of an epoch."""
        path = self._folder / f"{self._channel['ChannelName']}_{epoch}"
        os.mkfifo(path, 0o600)
        return path

    async def feed(self) -> None:
        """Serve epoch after epoch until cancelled; the pipe of epoch 0 is there.

        Raises TransferError as soon as the data cannot be had, and OSError.
        """
        epoch = 0
        path = self._folder / f"{self._channel['ChannelName']}_0"
        while True:
            pipe = await _opened(path)
            try:
                following = self.create(epoch + 1)
                path.unlink()  # it has its reader; a second one would wait for ever
                async for piece in stream(self._call, self._channel, epoch):
                    await _write(pipe, piece)
            except BrokenPipeError:
                pass  # the job has had enough of this epoch
            finally:
                os.close(pipe)
            path, epoch = following, epoch + 1


async def _opened(path: Path) -> int:
    """The descriptor to write to, once somebody reads."""
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:  # nobody reads yet
                raise
        await asyncio.sleep(_LOOK_S)


async def _write(pipe: int, content: bytes) -> None:
    """All of it, waiting for room. Raises BrokenPipeError when nobody reads any more."""
    rest = memoryview(content)
    while rest:
        try:
            rest = rest[os.write(pipe, rest) :]
            await asyncio.sleep(0)  # a fast reader must not hold the loop
        except BlockingIOError:
            await _room(pipe)


async def _room(pipe: int) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def tell() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_writer(pipe, tell)
    try:
        await ready
    finally:
        with contextlib.suppress(OSError):
            loop.remove_writer(pipe)
