"""A cloud in a process of its own that a test may kill -9, at any moment or at a named point."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ConnectionClosedError

__all__ = ["KillableCloud", "persist"]

_CLOUD = """
import asyncio, sys
from pathlib import Path
from scones.cloud.runtime import running
from scones.cloud.settings import CloudSettings

async def main(state, port, fault):
    async with running(CloudSettings(state_dir=Path(state), port=int(port), fault=fault)):
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class KillableCloud:
    """One port and one state folder through any number of lives."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, fault: str = "") -> None:
        """fault: the named point at which it shall kill itself, as CloudSettings has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        arguments = [str(self._folder / "state"), str(self._port), fault]
        with (self._folder / "cloud.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CLOUD, *arguments],
                stdout=log,
                stderr=log,
                env={**os.environ, "SCONES_STATE": ""},
            )

    def kill(self, after_s: float = 0) -> None:
        """Wait until it ends by itself; kill -9 what lives after `after_s`."""
        if self._process is None:
            return
        try:
            self._process.wait(after_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        finally:
            self._process = None

    def log(self) -> str:
        return (self._folder / "cloud.log").read_text()

    def client(self, service: str, read_timeout_s: float = 20) -> Any:
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        client = session.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self._port}",
            config=Config(retries={"max_attempts": 0}, connect_timeout=2, read_timeout=read_timeout_s),
        )
        client.meta.events.register("after-call", _refuse_a_cut_reply)
        return client


def _refuse_a_cut_reply(http_response: Any, **_: Any) -> None:
    """botocore takes for whole what a dying server has said of its reply, even nothing of the body."""
    if len(http_response.content) < int(http_response.headers.get("content-length", 0)):
        raise ConnectionClosedError(endpoint_url=http_response.url)


def _free_port() -> int:
    """Not one of those that systems hand out: between two lives nobody else shall be given it."""
    while True:
        port = random.randrange(10_000, 30_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def persist(call: Callable[..., Any], seconds: float = 40, **request: Any) -> Any:
    """Call until the cloud is there to answer."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return call(**request)
        except BotoCoreError:
            assert time.monotonic() < deadline, "the cloud does not answer"
            time.sleep(0.05)
