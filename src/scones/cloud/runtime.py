"""The composition root: builds the cloud, repairs what a crash left, and closes it in order."""

import asyncio
import contextlib
import fcntl
import json
import logging
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scones.cloud.gateway import Gateway, OperationRow
from scones.cloud.ports import Service
from scones.cloud.server import Server
from scones.cloud.services.events import Events
from scones.cloud.services.iam import Iam
from scones.cloud.services.lambda_ import Lambda
from scones.cloud.services.logs import Logs
from scones.cloud.services.s3 import S3
from scones.cloud.services.sagemaker import SageMaker, SageMakerRuntime
from scones.cloud.services.sns import Sns
from scones.cloud.services.stepfunctions import StepFunctions
from scones.cloud.services.sts import Sts
from scones.cloud.settings import CloudSettings
from scones.cloud.state.blobs import Blobs
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

__all__ = ["Cloud", "StateInUseError", "running"]

_log = logging.getLogger(__name__)


class StateInUseError(Exception):
    """Another cloud owns the state folder."""


class SystemClock:
    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return time.monotonic()


class RandomIds:
    """Random bytes are taken from the kernel by the page: one system call for each would be half the cost."""

    def __init__(self) -> None:
        self._digits = ""
        self._at = 0

    def uuid(self) -> str:
        if self._at == len(self._digits):
            self._digits, self._at = os.urandom(4096).hex(), 0
        digits = self._digits[self._at : self._at + 32]
        self._at += 32
        variant = "89ab"[int(digits[16], 16) & 3]
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"

    def token(self, length: int) -> str:
        return secrets.token_hex((length + 1) // 2)[:length]


class PlannedFaults:
    """Ends this process, as kill -9 would, when the named point is passed for the n-th time.

    plan: "POINT" or "POINT:N"; empty for none.
    """

    def __init__(self, plan: str = "") -> None:
        self._point, _, count = plan.partition(":")
        self._left = int(count or 1)

    def reach(self, point: str) -> None:
        if point == self._point:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


class Background:
    """The tasks nobody awaits: each is held, and its failure is logged as the bug it is."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            _log.error("background task %s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Cloud:
    """A local AWS on one event loop. `start` returns its URL; `close` leaves a state to start from."""

    def __init__(self, settings: CloudSettings) -> None:
        self.settings = settings
        self.url = ""
        self.operations: Callable[[], list[OperationRow]] = list
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> str:
        """Take the state folder, repair it, start every service, and listen.

        Raises StateInUseError, server.ServerError (port in use, no keys beyond loopback) and
        db.SchemaError (state of a newer release).
        """
        try:
            return await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> str:
        settings = self.settings
        settings.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stack.enter_context(_sole_owner(settings.state_dir))
        database = Database(settings.state_dir / "state.sqlite", sync=settings.sync)
        self._stack.callback(database.close)
        blobs = Blobs(settings.state_dir / "blobs", sync=settings.sync == "full")
        clock, ids = SystemClock(), RandomIds()
        faults = PlannedFaults(settings.fault)
        background = Background()
        self._stack.push_async_callback(background.close)
        processes = Processes(database, settings.worker_python)
        if strays := processes.reap_strays():
            _log.warning("ended %d child processes of a cloud that was killed", strays)

        sts = Sts(db=database, clock=clock, ids=ids)
        gateway = Gateway(db=database, clock=clock, ids=ids, settings=settings, credentials=sts.credentials)
        server = Server(gateway, settings)
        settings = replace(settings, port=server.bind())
        self._stack.push_async_callback(server.close)  # again after the services, to stop requests first
        self.url = _url(settings.host, settings.port)
        self.operations = gateway.table
        common: dict[str, Any] = {"db": database, "clock": clock, "ids": ids, "settings": settings}
        active = common | {"call": gateway.call, "spawn": background.spawn, "faults": faults}
        workers = active | {"processes": processes, "endpoint_url": lambda: self.url}
        events = Events(**active)
        sagemaker = SageMaker(**workers, announce=events.announce)
        services: list[Service] = [
            S3(**common, blobs=blobs, faults=faults),
            Logs(**common),
            sts,
            Iam(**common),
            Sns(**active),
            events,
            Lambda(**workers),
            StepFunctions(**active, processes=processes, announce=events.announce),
            sagemaker,
            SageMakerRuntime(sagemaker),
        ]
        for service in services:
            gateway.add(service)
        for service in services:
            await service.start()
            self._stack.push_async_callback(service.close)
        await server.start()
        self._stack.push_async_callback(server.close)
        self._stack.enter_context(_announced(settings, self.url))
        return self.url

    async def close(self) -> None:
        await self._stack.aclose()


def _url(host: str, port: int) -> str:
    """Where a client on this machine reaches the cloud."""
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextlib.contextmanager
def _sole_owner(state_dir: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel frees it however this process ends."""
    with (state_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StateInUseError(
                f"another local cloud is using {state_dir}; stop it with `scones down`,"
                " or choose another folder with --state"
            ) from error
        yield


@contextlib.contextmanager
def _announced(settings: CloudSettings, url: str) -> Iterator[None]:
    """Leave a note in the state folder by which other commands find this process."""
    note = settings.state_dir / "cloud.json"
    about = {"pid": os.getpid(), "url": url, "region": settings.region, "account_id": settings.account_id}
    incoming = note.with_suffix(".incoming")
    incoming.write_text(json.dumps(about))
    incoming.replace(note)
    try:
        yield
    finally:
        note.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def running(settings: CloudSettings) -> AsyncIterator[Cloud]:
    """A started cloud for the length of a block."""
    cloud = Cloud(settings)
    await cloud.start()
    try:
        yield cloud
    finally:
        await cloud.close()
