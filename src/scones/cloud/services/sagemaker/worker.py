"""One serving process of a variant: started, pinged until it answers, started again when it dies."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from scones.cloud.ports import Clock
from scones.cloud.services.sagemaker.connection import Answer, Connection, NoAnswerError
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.records import VariantSpec
from scones.cloud.workers.process import Process

__all__ = ["Launch", "StartError", "Worker"]

_log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
_PING_TIMEOUT_S = 2.0  # SageMaker's own, for each try
_PING_FIRST_S, _PING_LONGEST_S = 0.05, 1.0  # between tries
_STOP_GRACE_S = 30.0  # between SIGTERM and SIGKILL, SageMaker's own
_BACKOFF_FIRST_S, _BACKOFF_LONGEST_S = 0.2, 30.0
_STABLE_S = 60.0  # a process that lived this long starts with a short back-off again
_PORT_TRIES = 3
_KEEP_ALIVE_S = 3.0  # shorter than servers' own (5 s and up), so that we close first
_CHECKS = 3  # pings that a process which let a request time out may miss


class StartError(Exception):
    """The process did not get as far as answering /ping; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything that stays the same over a worker's restarts. base: its /opt/ml."""

    entry: Path
    spec: VariantSpec
    endpoint: str
    base: Path


class Worker:
    """`in_flight` counts the requests it has; callers keep it."""

    def __init__(
        self,
        launch: Launch,
        *,
        containers: Containers,
        session: aiohttp.ClientSession,
        clock: Clock,
        log: LogStream,
        ready_changed: Callable[[], None],
        answer_limit_bytes: int,
    ) -> None:
        self._launch = launch
        self._containers = containers
        self._session = session
        self._clock = clock
        self.log = log
        self._ready_changed = ready_changed
        self._process: Process | None = None
        self._suspected = False
        self._answer_limit_bytes = answer_limit_bytes
        self._idle: list[tuple[float, Connection]] = []  # since when, oldest first
        self._port = 0
        self._head = b""
        self.url = ""
        self.ready = False
        self.in_flight = 0

    def __str__(self) -> str:
        return f"{self.log.stream} of endpoint {self._launch.endpoint}"

    async def start(self) -> None:
        """Start the process and wait until it answers. Raises StartError."""
        for attempt in range(_PORT_TRIES):
            port = _free_port()
            try:
                await self._start_on(port)
                return
            except StartError:
                if attempt == _PORT_TRIES - 1 or not _taken(port):
                    raise

    async def keep(self) -> None:
        """Start the process whenever it is not there, until cancelled."""
        delay = _BACKOFF_FIRST_S
        while True:
            began = self._clock.monotonic()
            try:
                if not self._process or not self._process.running:
                    await self.start()
                assert self._process is not None
                code = await self._process.wait()
                _log.warning("%s ended, exit code %d", self, code)
            except StartError as error:
                _log.warning("%s: %s", self, error)
            finally:
                self._set_ready(False)
            delay = _BACKOFF_FIRST_S if self._clock.monotonic() - began > _STABLE_S else delay
            await asyncio.sleep(delay)
            delay = min(2 * delay, _BACKOFF_LONGEST_S)

    async def stop(self, *, grace_s: float = _STOP_GRACE_S) -> None:
        self._set_ready(False)
        while self._idle:
            self._idle.pop()[1].close()
        if self._process:
            await self._process.stop(grace_s=grace_s)
        await self.log.close()

    async def invoke(self, headers: bytes, body: bytes, *, timeout_s: float) -> Answer:
        """POST /invocations. headers: whole lines. Raises NoAnswerError, OSError and TimeoutError."""
        head = self._head + headers
        connection = self._idle_connection()
        try:
            if connection:
                try:
                    return await connection.ask(head, body, timeout_s=timeout_s)
                except NoAnswerError as lost:
                    if not (lost.idle and self.ready):
                        raise  # else it was closed as idle while we wrote
            connection = await Connection.open(_LOOPBACK, self._port, limit_bytes=self._answer_limit_bytes)
            return await connection.ask(head, body, timeout_s=timeout_s)
        finally:
            if connection and not connection.closed:
                self._idle.append((self._clock.monotonic(), connection))

    def _idle_connection(self) -> Connection | None:
        """The one used last, unless the container may be about to close it."""
        while self._idle:
            since, connection = self._idle.pop()
            if not connection.closed and self._clock.monotonic() - since < _KEEP_ALIVE_S:
                return connection
            connection.close()
        return None

    async def suspect(self) -> None:
        """A request got no answer in time: where pings get none either, end the process."""
        if self._suspected or not self._process:
            return
        self._suspected = True
        try:
            for _ in range(_CHECKS):
                if await self._ping():
                    return
            _log.warning("%s answers no more", self)
            self._process.kill()
        finally:
            self._suspected = False

    async def _start_on(self, port: int) -> None:
        launch = self._launch
        try:
            self._process = process = await self._containers.start(
                self._containers.algorithm(launch.entry, "serve"),
                base=launch.base,
                purpose=f"endpoint {launch.endpoint} {launch.spec.name}",
                environment=launch.spec.environment,
                contract={"BIND_HOST": _LOOPBACK, "SAGEMAKER_BIND_TO_PORT": str(port)},
                log=self.log,
            )
        except (OSError, ValueError) as error:
            raise StartError(f"the serving process could not be started: {error}") from error
        self.url = f"http://{_LOOPBACK}:{port}"
        self._port = port
        self._head = f"POST /invocations HTTP/1.1\r\nHost: {_LOOPBACK}:{port}\r\n".encode()
        try:
            async with asyncio.timeout(launch.spec.startup_timeout_s):
                await self._until_answering(process)
        except TimeoutError:
            raise StartError(f"no answer within {launch.spec.startup_timeout_s} s") from None
        finally:
            if not self.ready:
                process.kill()

    async def _until_answering(self, process: Process) -> None:
        """Ping until 200. Raises StartError as soon as the process ends."""
        delay = _PING_FIRST_S
        ended = asyncio.ensure_future(process.wait())
        try:
            while not await self._ping():
                await asyncio.wait({ended}, timeout=delay)
                if ended.done():
                    raise StartError(
                        f"the serving process ended, exit code {ended.result()}."
                        f" Its last output: {self.log.tail() or '(none)'}"
                    )
                delay = min(1.5 * delay, _PING_LONGEST_S)
            self._set_ready(True)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)

    async def _ping(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=_PING_TIMEOUT_S)
        try:
            async with self._session.get(f"{self.url}/ping", timeout=timeout) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    def _set_ready(self, ready: bool) -> None:
        if ready != self.ready:
            self.ready = ready
            self._ready_changed()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _taken(port: int) -> bool:
    """Has somebody else got the port that was free a moment ago?"""
    with socket.socket() as probe:
        try:
            probe.bind((_LOOPBACK, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
