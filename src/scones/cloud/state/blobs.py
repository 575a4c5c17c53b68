"""Bytes too large for a row: write to a temporary name, rename, and only then commit the row.

A crash may leave an orphan file, which the next start sweeps; never a row without its bytes.
"""

import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

__all__ = ["BlobWriter", "Blobs"]


class BlobWriter:
    """A blob being written; `commit` makes it visible under its id, `discard` forgets it."""

    def __init__(self, blobs: "Blobs", *, sync: bool) -> None:
        self.blob_id = uuid.uuid4().hex
        self._final = blobs.path(self.blob_id)
        self._temporary = blobs.incoming / self.blob_id
        self._file: BinaryIO = self._temporary.open("wb")
        self._sync = sync

    def write(self, piece: bytes) -> None:
        self._file.write(piece)

    def commit(self) -> str:
        if self._sync:
            self._file.flush()
            os.fsync(self._file.fileno())
        self._file.close()
        self._final.parent.mkdir(exist_ok=True)
        self._temporary.replace(self._final)
        return self.blob_id

    def discard(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


class Blobs:
    """A folder of immutable files named by random ids, spread over 256 sub-folders."""

    def __init__(self, root: Path, *, sync: bool = False) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.incoming.mkdir(parents=True, exist_ok=True)
        self._sync = sync

    def path(self, blob_id: str) -> Path:
        return self.root / blob_id[:2] / blob_id

    def writer(self) -> BlobWriter:
        return BlobWriter(self, sync=self._sync)

    def put(self, data: bytes) -> str:
        writer = self.writer()
        writer.write(data)
        return writer.commit()

    def delete(self, blob_id: str) -> None:
        self.path(blob_id).unlink(missing_ok=True)

    def sweep(self, referenced: Iterable[str]) -> int:
        """Delete what no row refers to (left by a crash); returns how many files went."""
        keep = set(referenced)
        orphans = [f for f in self.root.glob("*/*") if f.name not in keep]
        for orphan in orphans:
            orphan.unlink()
        return len(orphans)
