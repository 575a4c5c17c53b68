"""A folder's files on their way to S3, while a process still writes them and after it has ended.

What is gone from the folder stays in S3. Symbolic links are not followed.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from scones.cloud.ports import Call
from scones.cloud.services.sagemaker.transfer import TransferError, upload
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["Outgoing"]

_State = tuple[int, int, int]  # inode, size in bytes, modification time in nanoseconds


class Outgoing:
    """what: for messages, e.g. "Checkpoints"; staging: a folder of its own on the disk of `folder`."""

    def __init__(self, call: Call, uri: S3Uri, folder: Path, staging: Path, what: str) -> None:
        self._call = call
        self._uri = uri
        self._folder = folder
        self._staging = staging
        self._what = what
        self._stored: dict[Path, _State] = {}
        self._seen: dict[Path, _State] = {}

    async def keep(self, every_s: float, say: Callable[[str], None]) -> None:
        """Store again and again until cancelled; `say` is told once of each trouble."""
        told = ""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.store()
                told = ""
            except (TransferError, OSError) as error:
                if (text := f"{self._what} cannot be stored for now: {error}") != told:
                    say(told := text)

    async def store(self, *, final: bool = False) -> None:
        """Store each file that has changed; unless `final`, only one that seems whole.

        Raises TransferError and OSError.
        """
        before, self._seen = self._seen, self._look()
        for path, state in self._seen.items():
            if self._stored.get(path) != state and (final or _whole(before.get(path), state)):
                await self._store(path)
                self._stored[path] = state

    def as_stored(self) -> None:
        """Take what the folder has now for what S3 has."""
        self._stored = self._seen = self._look()

    async def _store(self, path: Path) -> None:
        """Upload a file as it is now, even if another one takes its name meanwhile."""
        self._staging.mkdir(parents=True, exist_ok=True)
        held = self._staging / "held"
        held.unlink(missing_ok=True)
        try:
            os.link(path, held, follow_symlinks=False)
        except FileNotFoundError:
            return  # a newer look finds what is there
        try:
            target = self._uri.join(*path.relative_to(self._folder).parts)
            await upload(self._call, held, target, "application/octet-stream")
        finally:
            held.unlink(missing_ok=True)

    def _look(self) -> dict[Path, _State]:
        found: dict[Path, _State] = {}
        for path in [] if self._folder.is_symlink() else sorted(self._folder.rglob("*")):
            try:
                if path.is_file() and not path.is_symlink():
                    status = path.stat()
                    found[path] = status.st_ino, status.st_size, status.st_mtime_ns
            except OSError:
                continue  # gone since the folder was listed
        return found


def _whole(before: _State | None, now: _State) -> bool:
    """Has a file rested since the last look, or has a finished one taken its name?

    Programs that care write another file and rename it, which gives the name another inode.
    """
    return before is not None and (before == now or before[0] != now[0])
