"""One child process in its own session: its lines, its end, its orderly stop.

The process is recorded before it is used, so that a cloud that is killed leaves no strays: the
next start ends whatever is still alive from the last one.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import psutil

from scones.cloud.state.db import Database

__all__ = ["Process", "Processes"]

_START = Path(__file__).parent.parent / "guest" / "start.py"
_DRAIN_S = 2.0  # for output still in the pipe at exit; a stray holding the write end cannot hang us
_LINE_LIMIT_BYTES = 256 * 1024  # a longer line is cut there, as CloudWatch Logs cuts its events

_Output = tuple[asyncio.StreamReader, asyncio.ReadTransport]
_Room = Callable[[], Awaitable[None]]


class Process:
    """A running child. `on_line` gets each line of its stdout and stderr, without the newline."""

    def __init__(
        self,
        child: asyncio.subprocess.Process,
        output: _Output,
        on_line: Callable[[bytes], None],
        on_end: Callable[[], None],
        room: _Room | None = None,
        line_limit_bytes: int = _LINE_LIMIT_BYTES,
    ) -> None:
        self._child = child
        self.pid = child.pid
        reader, pipe = output
        reading = asyncio.ensure_future(_deliver(reader, on_line, room, line_limit_bytes))
        self._ended = asyncio.ensure_future(self._watch(reading, pipe, on_end))

    async def _watch(
        self, reading: asyncio.Future[None], pipe: asyncio.ReadTransport, on_end: Callable[[], None]
    ) -> int:
        try:
            return await self._child.wait()
        finally:
            self._signal_group(signal.SIGKILL)  # whatever it started itself goes with it
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reading, _DRAIN_S)
            pipe.close()
            await asyncio.sleep(0)  # the loop closes a pipe in its next turn
            on_end()

    async def wait(self) -> int:
        """Exit code once the process ended and all its output was delivered; -N for signal N."""
        return await asyncio.shield(self._ended)

    @property
    def running(self) -> bool:
        return not self._ended.done()

    def terminate(self) -> None:
        if self.running:  # later, its number may be another's
            self._signal_group(signal.SIGTERM)

    def kill(self) -> None:
        if self.running:
            self._signal_group(signal.SIGKILL)

    async def stop(self, *, grace_s: float) -> int:
        """SIGTERM, then SIGKILL after `grace_s`; returns the exit code."""
        self.terminate()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), grace_s)
        self.kill()
        return await self.wait()

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


class Processes:
    """Starts children and remembers them across a crash of this process."""

    def __init__(self, database: Database, python: str) -> None:
        self._db = database
        self._python = python

    def reap_strays(self) -> int:
        """End the children of a cloud that was killed; returns how many were still alive."""
        strays = 0
        for row in self._db.all("SELECT pid, started FROM workers"):
            if _start_time(row["pid"]) == row["started"]:
                strays += 1
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(row["pid"], signal.SIGKILL)
        self._db.execute("DELETE FROM workers")
        return strays

    async def spawn(
        self,
        argv: list[str],
        *,
        purpose: str,
        env: Mapping[str, str],
        cwd: Path,
        on_line: Callable[[bytes], None],
        room: _Room | None = None,
        line_limit_bytes: int = _LINE_LIMIT_BYTES,
        opt: Path | None = None,
    ) -> Process:
        """Start `argv` with exactly `env`, on whose PATH argv[0] is looked for; stdin is empty.

        room: awaited between reads, so that a child which prints faster than its lines are taken waits.
        line_limit_bytes: where a longer line is cut.
        opt: a folder whose entries the child finds in its /opt, where it begins in /opt/ml.
        Raises OSError when `cwd` is not there; a child that cannot become `argv` says so and ends.
        """
        starting = asyncio.ensure_future(self._child(argv, env, cwd, opt))
        try:
            child, output = await asyncio.shield(starting)
        except asyncio.CancelledError:  # half a start would leave a pipe, or a child that nobody knows
            with contextlib.suppress(OSError):
                child, output = await starting
                output[1].close()
                os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
            raise
        started = _start_time(child.pid)
        self._db.execute("INSERT OR REPLACE INTO workers VALUES (?, ?, ?)", (child.pid, started, purpose))

        def forget() -> None:
            self._db.execute("DELETE FROM workers WHERE pid = ?", (child.pid,))

        return Process(child, output, on_line, forget, room, line_limit_bytes)

    async def _child(
        self, argv: list[str], env: Mapping[str, str], cwd: Path, opt: Path | None
    ) -> tuple[asyncio.subprocess.Process, _Output]:
        own_opt = ("--opt", str(opt)) if opt else ()
        output, write_end = await _pipe()
        try:
            child = await asyncio.create_subprocess_exec(
                self._python, "-IS", str(_START), str(os.getpid()), *own_opt, *argv,
                env=dict(env),
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        except BaseException:
            output[1].close()
            raise
        finally:
            os.close(write_end)
        return child, output


def _start_time(pid: int) -> float:
    """Seconds since the epoch, 0 when there is no such process."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


async def _pipe() -> tuple[_Output, int]:
    """A pipe of our own: asyncio's waits for every holder of the write end before it reports an exit."""
    read_end, write_end = os.pipe()
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_end, "rb", 0)
    )
    return (reader, transport), write_end


async def _deliver(
    output: asyncio.StreamReader, on_line: Callable[[bytes], None], room: _Room | None, limit_bytes: int
) -> None:
    buffer = b""
    while piece := await output.read(64 * 1024):
        if room:
            await room()
        buffer += piece
        *whole, buffer = buffer.split(b"\n")
        for line in whole:
            on_line(line[:limit_bytes])
        if len(buffer) > limit_bytes:
            on_line(buffer[:limit_bytes])
            buffer = b""
    if buffer:
        on_line(buffer)
