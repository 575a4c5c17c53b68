"""A reply's head leaves with its body, or by itself once it is known to have none."""

import asyncio
from typing import Any, cast

from scones.cloud.gathering import Gathering


class Recorder:
    """A transport that remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.told.append(data)

    def close(self) -> None:
        self.told.append("close")

    def is_closing(self) -> bool:
        return "close" in self.told


def gathered(recorder: Recorder) -> Any:
    return Gathering(cast(asyncio.Transport, recorder))


HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


def test_a_head_and_its_body_are_one_write_at_once_and_what_follows_is_not_held() -> None:
    async def write() -> list[bytes | str]:
        recorder = Recorder()
        transport = gathered(recorder)
        transport.write(HEAD)
        assert recorder.told == []
        transport.write(b"body")
        transport.write(b"more")
        assert len(recorder.told) == 2
        await asyncio.sleep(0)
        return recorder.told

    assert asyncio.run(write()) == [HEAD + b"body", b"more"]


def test_a_head_without_a_body_is_written_by_the_next_turn_of_the_loop() -> None:
    async def write() -> list[bytes | str]:
        recorder = Recorder()
        transport = gathered(recorder)
        transport.write(HEAD)
        await asyncio.sleep(0)
        transport.write(HEAD)
        await asyncio.sleep(0)
        return recorder.told

    assert asyncio.run(write()) == [HEAD, HEAD]


def test_closing_sends_a_head_that_was_held() -> None:
    async def close() -> list[bytes | str]:
        recorder = Recorder()
        transport = gathered(recorder)
        transport.write(HEAD)
        assert not transport.is_closing()
        transport.close()
        await asyncio.sleep(0)
        assert transport.is_closing()
        return recorder.told

    assert asyncio.run(close()) == [HEAD, "close"]
