"""A cloud in another process, which a test kills or which kills itself at a named point."""

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

__all__ = ["Doomed", "dying"]

_DYING = """
import asyncio, json, sys
from pathlib import Path
from scones.cloud.runtime import running
from scones.cloud.settings import CloudSettings

async def main(state, fault, algorithms):
    algorithms = {name: Path(path) for name, path in json.loads(algorithms).items()}
    settings = CloudSettings(state_dir=Path(state), port=0, algorithms=algorithms, fault=fault)
    async with running(settings) as cloud:
        print(cloud.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


class Doomed:
    """Its clients try once."""

    def __init__(self, process: "subprocess.Popen[str]", url: str) -> None:
        self._process = process
        self._session: Any = boto3.Session("test", "test", region_name="us-east-1")
        self._url = url

    def client(self, service: str) -> Any:
        config = Config(retries={"max_attempts": 0})
        return self._session.client(service, endpoint_url=self._url, config=config)

    def kill(self) -> None:
        self._process.kill()


@contextlib.contextmanager
def dying(state: Path, fault: str = "", algorithms: dict[str, Path] | None = None) -> Iterator[Doomed]:
    """In the end it must have died by kill -9.

    fault: where it does so itself, as CloudSettings has it; empty where the test kills it.
    """
    named = json.dumps({name: str(path) for name, path in (algorithms or {}).items()})
    command = [sys.executable, "-c", _DYING, str(state), fault, named]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Doomed(process, process.stdout.readline().strip())
            assert process.wait(60) == -signal.SIGKILL
        finally:
            process.kill()
