"""Records on their way to S3: appended to a file each, until that file is an object.

A record is in the kernel's hands when `append` returns, so it survives kill -9; a row for each would
cost several times as much. Whoever numbers the files keeps a row for each of them first.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path

__all__ = ["Journal"]

_PIECE_BYTES = 256 * 1024


class Journal:
    """sync: every record also survives a power cut, at the price of an fsync."""

    def __init__(self, folder: Path, *, sync: bool) -> None:
        self._folder = folder
        self._sync = sync
        self._open: dict[int, int] = {}  # file descriptors

    def repair(self, known: Iterable[int]) -> None:
        """After a crash: cut off a record that was not acknowledged, delete files that no row knows."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in known:
            path = self._path(number)
            if path.exists():
                content = path.read_bytes()
                os.truncate(path, content.rfind(b"\n") + 1)
        names = {self._path(number).name for number in known}
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink()

    def append(self, number: int, record: bytes) -> None:
        """One record, with its newline. Raises OSError, and then nothing of it stays."""
        file = self._open.get(number)
        if file is None:
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC
            file = self._open[number] = os.open(self._path(number), flags, 0o600)
        written = 0
        try:
            while written < len(record):
                written += os.write(file, record[written:])
            if self._sync:
                os.fsync(file)
        except OSError:
            os.ftruncate(file, os.fstat(file).st_size - written)
            raise

    def size(self, number: int) -> int:
        """Bytes; 0 where nothing was ever appended."""
        try:
            return self._path(number).stat().st_size
        except FileNotFoundError:
            return 0

    def body(self, number: int) -> "FileStream":
        """All records, to be read once; nothing may be appended any more."""
        self._close(number)
        return FileStream(self._path(number), self.size(number))

    def delete(self, number: int) -> None:
        self._close(number)
        self._path(number).unlink(missing_ok=True)

    def close(self) -> None:
        for number in list(self._open):
            self._close(number)

    def _close(self, number: int) -> None:
        if number in self._open:
            os.close(self._open.pop(number))

    def _path(self, number: int) -> Path:
        return self._folder / f"{number}.jsonl"


class FileStream:
    """A file as a request's body; others get their turn between its pieces."""

    def __init__(self, path: Path, length: int) -> None:
        self._path = path
        self.length: int | None = length

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._path.open("rb") as file:
            while piece := file.read(_PIECE_BYTES):
                yield piece
                await asyncio.sleep(0)
