"""Rows of Parquet files: native code meets hostile bytes in a guest program, a process of its own."""

import asyncio
import shutil
import sys
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

from scones.cloud.asl.jsontext import loads
from scones.cloud.ports import Ids
from scones.cloud.workers.process import Process, Processes

from .read_limits import LARGEST_ITEM_BYTES, read_failed

__all__ = ["ParquetFiles"]

_GUEST = Path(__file__).parents[2] / "guest"
_MEMORY_BYTES = 2 * 1024**3
"""Of a guest: a row group may have 256 MB, and its values several times that as objects."""
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # others reserve more address space than the limit
    "MALLOC_ARENA_MAX": "1",  # likewise
    "OMP_NUM_THREADS": "1",
}
_HELD_BYTES = 1024 * 1024
_SILENCE_S = 300.0
"""After which a guest that owes a row is given up: a hostile file may keep it busy for ever."""


class ParquetFiles:
    """folder: for the files that are being read; what a crash left there goes at the next start."""

    def __init__(
        self,
        processes: Processes,
        ids: Ids,
        folder: Path,
        python: str = sys.executable,
        silence_s: float = _SILENCE_S,
    ) -> None:
        self._processes = processes
        self._silence_s = silence_s
        self._ids = ids
        self._folder = folder
        self._python = python
        """Our own interpreter: what reads Parquet is installed beside us."""

    def start(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    async def rows(self, pieces: AsyncIterator[bytes], source: str) -> AsyncGenerator[Any, None]:
        """Each row as an object. Raises StateError, whatever is wrong with the file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / self._ids.uuid()
        try:
            with path.open("xb") as file:
                async for piece in pieces:
                    file.write(piece)
                    await asyncio.sleep(0)  # a large object must not hold the loop
            async with aclosing(self._rows(path, source)) as rows:
                async for row in rows:
                    yield row
        finally:
            path.unlink(missing_ok=True)

    async def _rows(self, path: Path, source: str) -> AsyncGenerator[Any, None]:
        said = _Lines(self._silence_s)
        arguments = [str(path), str(LARGEST_ITEM_BYTES), str(_MEMORY_BYTES)]
        process = await self._processes.spawn(
            [self._python, "-P", str(_GUEST / "parquet_rows.py"), *arguments],
            purpose="read Parquet",
            env=_ENVIRONMENT,
            cwd=_GUEST,
            on_line=said.take,
            room=said.room,
            line_limit_bytes=LARGEST_ITEM_BYTES,
        )
        said.follow(process)
        try:
            while (line := await said.next()) is not None:
                if line.startswith(b"{"):
                    yield loads(line.decode())
                elif line == b".":
                    return
                elif line.startswith(b"!"):
                    raise read_failed(_cannot(source, line[1:].decode("utf-8", "replace")))
            code = await process.wait()
            raise read_failed(
                _cannot(source, f"its reader broke off with code {code}, perhaps out of memory")
            )
        except TimeoutError:
            raise read_failed(_cannot(source, f"no row came for {self._silence_s:g} seconds")) from None
        finally:
            said.close()
            process.kill()
            await process.wait()


def _cannot(source: str, reason: str) -> str:
    return f"The Parquet file {source} cannot be read: {reason}"


class _Lines:
    """What a process has said and nobody has taken yet: little more than a line."""

    def __init__(self, silence_s: float) -> None:
        self._silence_s = silence_s
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._over = False

    def follow(self, process: Process) -> None:
        asyncio.ensure_future(process.wait()).add_done_callback(lambda _: self.close())

    def take(self, line: bytes) -> None:
        self._lines.append(line)
        self._size += len(line)
        self._changed.set()

    async def room(self) -> None:
        """Until more may be said."""
        while self._size >= _HELD_BYTES and not self._over:
            await self._change()

    async def next(self) -> bytes | None:
        """None where nothing more will be said. Raises TimeoutError."""
        if not self._lines and not self._over:
            async with asyncio.timeout(self._silence_s):
                while not self._lines and not self._over:
                    await self._change()
        if not self._lines:
            return None
        line = self._lines.popleft()
        self._size -= len(line)
        self._changed.set()
        return line

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def close(self) -> None:
        self._over = True
        self._changed.set()
