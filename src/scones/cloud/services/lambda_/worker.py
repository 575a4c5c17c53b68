"""One execution environment: a process that runs a function's code, one invocation at a time.

Whatever the process does (answer, raise, hang, die, print) becomes an `Outcome` in AWS's words.
"""

import asyncio
import math
import signal
from dataclasses import dataclass
from enum import Enum, auto

import orjson
import psutil

from scones.cloud.ports import Clock
from scones.cloud.services.lambda_.output import LogStream
from scones.cloud.services.lambda_.records import Version
from scones.cloud.services.lambda_.runtime_api import RESPONSE_LIMIT_BYTES, Invocation, RuntimeApi
from scones.cloud.workers.process import Process

__all__ = ["Outcome", "Request", "Worker", "WorkerGoneError"]

_INIT_LIMIT_S = 10.0  # on top of the function's own timeout, as AWS grants it
_POLL_LIMIT_S = 10.0  # for a warm runtime to ask for more work
_END_GRACE_S = 2.0  # for a failed runtime to print its last words
_DRAIN_TURNS = 100
_SAMPLE_S = 0.1  # between two looks at the memory in use
_TOO_LARGE = {
    "errorType": "Function.ResponseSizeTooLarge",
    "errorMessage": "Response payload size exceeded maximum allowed payload size"
    f" ({RESPONSE_LIMIT_BYTES} bytes).",
}
_SIGNALS: dict[int, str] = {  # as Go spells them, which AWS's sandbox is written in
    signal.SIGABRT: "aborted",
    signal.SIGBUS: "bus error",
    signal.SIGFPE: "floating point exception",
    signal.SIGHUP: "hangup",
    signal.SIGILL: "illegal instruction",
    signal.SIGINT: "interrupt",
    signal.SIGKILL: "killed",
    signal.SIGPIPE: "broken pipe",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGTERM: "terminated",
}


class WorkerGoneError(Exception):
    """A warm worker ended between two invocations; nothing was run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One invocation. client_context: JSON text or empty."""

    id: str
    arn: str
    payload: bytes
    client_context: str
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """payload: the function's JSON, or the error's. tail: last 4 KiB of what was logged meanwhile."""

    payload: bytes
    failed: bool
    tail: bytes


class _Kind(Enum):
    READY = auto()
    RESULT = auto()
    ERROR = auto()
    TOO_LARGE = auto()
    INIT_ERROR = auto()
    EXIT = auto()
    TIMEOUT = auto()


@dataclass(frozen=True, slots=True)
class _Verdict:
    kind: _Kind
    body: bytes = b""
    exit_code: int = 0


class Worker:
    """Belongs to one generation of one version. `usable` until it failed, ended or was retired."""

    def __init__(self, version: Version, *, log: LogStream, clock: Clock) -> None:
        self.version = version
        self.log = log
        self._clock = clock
        self.usable = True
        self.api = RuntimeApi(self)
        self._process: Process | None = None
        self._killed = False
        self._usage: psutil.Process | None = None
        self.idle_since = 0.0
        self._exit: _Verdict | None = None
        self._ready = self._awaited()
        self._answer = self._awaited()
        self._running = ""
        self._begun = clock.monotonic()
        self._init_s: float | None = None
        self._served = False
        self._peak_mb = 0
        self._sampled = 0.0

    def _awaited(self) -> "asyncio.Future[_Verdict]":
        """A future that says EXIT once the process has ended, unless it is settled before."""
        future: asyncio.Future[_Verdict] = asyncio.get_running_loop().create_future()
        if self._exit is not None:
            future.set_result(self._exit)
        return future

    def attach(self, process: Process) -> None:
        self._process = process
        if self._killed:
            process.kill()
            return
        try:
            self._usage = psutil.Process(process.pid)
        except psutil.NoSuchProcess:
            self._usage = None  # it has ended already; `watch` will say how

    async def watch(self) -> None:
        """Return when the process has ended and its output is delivered."""
        assert self._process is not None
        code = await self._process.wait()
        self.usable = False
        self.api.close()
        self._exit = _Verdict(_Kind.EXIT, exit_code=code)
        for future in (self._ready, self._answer):
            _settle(future, self._exit)

    def kill(self) -> None:
        self.usable = False
        self._killed = True
        if self._process is not None and self._process.running:
            self._process.kill()

    # what the runtime tells us

    def ready(self) -> None:
        if self._init_s is None:
            self._init_s = self._clock.monotonic() - self._begun
        _settle(self._ready, _Verdict(_Kind.READY))

    def answered(self, invocation_id: str, body: bytes, *, error: bool) -> bool:
        if invocation_id != self._running or self._answer.done():
            return False
        _settle(self._answer, _Verdict(_Kind.ERROR if error else _Kind.RESULT, body))
        return True

    def too_large(self, invocation_id: str) -> None:
        if invocation_id == self._running:
            _settle(self._answer, _Verdict(_Kind.TOO_LARGE))

    def hung_up(self) -> None:
        self.usable = False
        self._ready = self._awaited()

    def failed_to_start(self, body: bytes) -> None:
        _settle(self._ready, _Verdict(_Kind.INIT_ERROR, body))

    # one invocation

    async def run(self, request: Request) -> Outcome:
        """Run one invocation to its end, whatever that is.

        Raises WorkerGoneError when this worker served before and is no more.
        """
        timeout_s = self.version.timeout_s
        if self._served:
            self.log.forget()
            await asyncio.sleep(0)  # hear first of a process that was killed while it was idle
        limit_s = _POLL_LIMIT_S if self._served else _INIT_LIMIT_S + timeout_s
        verdict = await _within(self._ready, limit_s)
        if self._served and (verdict.kind is not _Kind.READY or self._exit is not None):
            self.kill()
            raise WorkerGoneError
        started = self._clock.monotonic()
        if verdict.kind is _Kind.READY:
            self._sample_memory()
            self.log.write(f"START RequestId: {request.id} Version: {self.version.version}\n")
            self._ready, self._answer = self._awaited(), self._awaited()
            self._running = request.id
            self.api.send(self._invocation(request))
            verdict = await _within(self._answer, timeout_s)
            self._running = ""
        else:
            self._report_failed_init(request, verdict)
        duration_s = min(self._clock.monotonic() - started, timeout_s)
        return await self._finish(request, verdict, duration_s)

    def _invocation(self, request: Request) -> Invocation:
        now_ms = round(self._clock.now().timestamp() * 1000)
        return Invocation(
            id=request.id,
            arn=request.arn,
            deadline_ms=now_ms + self.version.timeout_s * 1000,
            trace_id=request.trace_id,
            payload=request.payload,
            client_context=request.client_context,
        )

    async def _finish(self, request: Request, verdict: _Verdict, duration_s: float) -> Outcome:
        self._sample_memory()
        if verdict.kind in (_Kind.RESULT, _Kind.ERROR):
            await self._drain()
        else:
            await self._end(at_once=verdict.kind is _Kind.TIMEOUT)
        failure = _platform_error(verdict, request.id, self.version.timeout_s)
        self._report(request.id, duration_s)
        if verdict.kind is _Kind.TIMEOUT:
            moment = self._clock.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
            timeout_s = self.version.timeout_s
            self.log.write(f"{moment} {request.id} Task timed out after {timeout_s:.2f} seconds\n\n")
        elif verdict.kind is _Kind.EXIT and failure is not None:
            self.log.write(f"{failure['errorMessage']}\n{failure['errorType']}\n")
        self._served = True
        return Outcome(
            payload=verdict.body if failure is None else orjson.dumps(failure),
            failed=verdict.kind is not _Kind.RESULT,
            tail=self.log.tail(),
        )

    def _report_failed_init(self, request: Request, verdict: _Verdict) -> None:
        took_ms = (self._clock.monotonic() - self._begun) * 1000
        status = "timeout" if verdict.kind is _Kind.TIMEOUT else "error"
        kind = {_Kind.EXIT: "Runtime.ExitError", _Kind.TIMEOUT: "Sandbox.Timedout"}.get(verdict.kind)
        kind = kind or _error_type(verdict.body)
        self.log.write(
            f"INIT_REPORT Init Duration: {took_ms:.2f} ms\tPhase: init\tStatus: {status}"
            f"\tError Type: {kind}\n"
        )
        self.log.write(f"START RequestId: {request.id} Version: {self.version.version}\n")

    def _report(self, request_id: str, duration_s: float) -> None:
        duration_ms = duration_s * 1000
        init = (
            "" if self._served or self._init_s is None else f"Init Duration: {self._init_s * 1000:.2f} ms\t"
        )
        self.log.write(f"END RequestId: {request_id}\n")
        self.log.write(
            f"REPORT RequestId: {request_id}\tDuration: {duration_ms:.2f} ms"
            f"\tBilled Duration: {max(math.ceil(duration_ms), 1)} ms"
            f"\tMemory Size: {self.version.memory_mb} MB\t"
            f"Max Memory Used: {self._peak_mb} MB\t{init}\n"
        )

    async def _drain(self) -> None:
        """Let the lines arrive that were printed before the answer: they lie in the pipe already."""
        quiet = 0
        for _ in range(_DRAIN_TURNS):  # a thread of the function may go on printing for ever
            if quiet == 4:  # turns of the loop from a readable pipe to a line, and one to spare
                break
            seen = self.log.count
            await asyncio.sleep(0)
            quiet = quiet + 1 if self.log.count == seen else 0

    async def _end(self, *, at_once: bool) -> None:
        """See the process out; its output is complete when this returns."""
        self.usable = False
        if self._process is None:
            return
        if not at_once:
            try:
                await asyncio.wait_for(self._process.wait(), _END_GRACE_S)
                return
            except TimeoutError:
                pass
        self.kill()
        await self._process.wait()

    def _sample_memory(self) -> None:
        now = self._clock.monotonic()
        if self._usage is None or (now - self._sampled < _SAMPLE_S and self._peak_mb):
            return
        self._sampled = now
        try:
            used = self._usage.memory_info().rss
        except psutil.Error:
            return  # it has ended
        self._peak_mb = max(self._peak_mb, math.ceil(used / 1024**2))


def _settle(future: "asyncio.Future[_Verdict]", verdict: _Verdict) -> None:
    if not future.done():
        future.set_result(verdict)


async def _within(future: "asyncio.Future[_Verdict]", limit_s: float) -> _Verdict:
    """The verdict, or TIMEOUT in its place after `limit_s`."""
    timer = asyncio.get_running_loop().call_later(limit_s, _settle, future, _Verdict(_Kind.TIMEOUT))
    try:
        return await future
    finally:
        timer.cancel()


def _platform_error(verdict: _Verdict, request_id: str, timeout_s: int) -> dict[str, str] | None:
    """The error that the platform reports in the function's place; None when the runtime answered."""
    match verdict.kind:
        case _Kind.TIMEOUT:
            text = f"Task timed out after {timeout_s:.2f} seconds"
            return {"errorType": "Sandbox.Timedout", "errorMessage": f"RequestId: {request_id} Error: {text}"}
        case _Kind.EXIT:
            text = _exit_reason(verdict.exit_code)
            return {
                "errorType": "Runtime.ExitError",
                "errorMessage": f"RequestId: {request_id} Error: {text}",
            }
        case _Kind.TOO_LARGE:
            return _TOO_LARGE
    return None


def _exit_reason(code: int) -> str:
    if code == 0:
        return "Runtime exited without providing a reason"
    if code > 0:
        return f"Runtime exited with error: exit status {code}"
    name = _SIGNALS.get(-code, f"signal {-code}")
    return f"Runtime exited with error: signal: {name}"


def _error_type(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Runtime.Unknown"
