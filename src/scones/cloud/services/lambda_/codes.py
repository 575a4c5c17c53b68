"""Where functions' code lies: `<root>/<function>/<SHA-256>/`, unpacked once, kept while someone needs it."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Ids, Wire, chunks
from scones.cloud.services.lambda_ import archive
from scones.cloud.services.lambda_.errors import invalid
from scones.cloud.workers.process import Processes

__all__ = ["Codes", "Package"]

_DIRECT_LIMIT_BYTES = 50 * 1024 * 1024
_INLINE_ARCHIVE_BYTES = 1024 * 1024
_INLINE_UNPACKED_BYTES = 8 * 1024 * 1024  # unpacking more would hold up every other request


@dataclass(frozen=True, slots=True)
class Package:
    """Code that has been checked and lies in its folder. code: SHA-256 in hexadecimal; size in bytes."""

    code: str
    size: int


class Codes:
    def __init__(self, root: Path, *, ids: Ids, call: Call, processes: Processes, python: str) -> None:
        self._root = root
        self._incoming = root / ".incoming"
        self._ids = ids
        self._call = call
        self._processes = processes
        self._python = python
        self._held: Counter[Path] = Counter()

    def folder(self, function: str, code: str) -> Path:
        return self._root / function / code

    @contextmanager
    def held(self, function: str, code: str) -> Iterator[Path]:
        """The folder, which `collect` leaves alone meanwhile."""
        folder = self.folder(function, code)
        self._held[folder] += 1
        try:
            yield folder
        finally:
            self._held[folder] -= 1

    @asynccontextmanager
    async def received(self, function: str, source: Wire) -> AsyncIterator[Package]:
        """Code from ZipFile or S3, unpacked; held for the block, in which a row should name it.

        Raises InvalidParameterValueException for what is no good package, RequestEntityTooLargeException.
        """
        self._incoming.mkdir(parents=True, exist_ok=True)
        arrived = self._incoming / self._ids.token(32)
        try:
            code = await self._fetch(source, arrived)
            with self.held(function, code) as folder:
                await self._unpack(arrived, folder)
                yield Package(code, arrived.stat().st_size)
        finally:
            arrived.unlink(missing_ok=True)

    async def _fetch(self, source: Wire, target: Path) -> str:
        """Write the archive to `target`; returns its SHA-256."""
        given = [name for name in ("ZipFile", "S3Bucket", "S3Key") if source.get(name) is not None]
        for member in ("ImageUri", "SourceKMSKeyArn"):
            if source.get(member):
                raise invalid(f"{member} is not supported here: only Zip packages are")
        if given == ["ZipFile"]:
            if len(source["ZipFile"]) > _DIRECT_LIMIT_BYTES:
                raise ServiceError(
                    "RequestEntityTooLargeException",
                    f"Zip file must be smaller than {_DIRECT_LIMIT_BYTES} bytes: upload it to S3 instead",
                    status=413,
                    fields={"Type": "User"},
                )
            target.write_bytes(source["ZipFile"])
            return hashlib.sha256(source["ZipFile"]).hexdigest()
        if given == ["S3Bucket", "S3Key"]:
            return await self._download(source, target)
        raise invalid("Please provide a source for function code.")

    async def _download(self, source: Wire, target: Path) -> str:
        request = {"Bucket": source["S3Bucket"], "Key": source["S3Key"]}
        if source.get("S3ObjectVersion"):
            request["VersionId"] = source["S3ObjectVersion"]
        try:
            reply = await self._call("s3", "GetObject", request)
        except ServiceError as error:
            raise invalid(
                "Error occurred while GetObject."
                f" S3 Error Code: {error.code}. S3 Error Message: {error.message}"
            ) from error
        digest = hashlib.sha256()
        size = 0
        with target.open("wb") as file:
            async for piece in chunks(reply["Body"]):
                size += len(piece)
                if size > archive.UNZIPPED_LIMIT_BYTES:
                    raise invalid(f"Unzipped size must be smaller than {archive.UNZIPPED_LIMIT_BYTES} bytes")
                digest.update(piece)
                file.write(piece)
                await asyncio.sleep(0)  # a large package must not hold up the others
        return digest.hexdigest()

    async def _unpack(self, archive_file: Path, folder: Path) -> None:
        try:
            small = (
                archive_file.stat().st_size <= _INLINE_ARCHIVE_BYTES
                and archive.unpacked_size(archive_file) <= _INLINE_UNPACKED_BYTES
            )
            if small:
                archive.unpack(archive_file, folder)
                return
        except archive.BadArchiveError as refusal:
            raise invalid(str(refusal)) from refusal
        said: list[bytes] = []
        process = await self._processes.spawn(
            [self._python, "-IS", str(Path(archive.__file__)), str(archive_file), str(folder)],
            purpose="lambda unpack",
            env={},
            cwd=self._incoming,
            on_line=said.append,
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.kill()
            raise
        if status == 2 and said:
            raise invalid(said[-1].decode())
        if status != 0:
            raise OSError(f"unpacking ended with {status}: {b' '.join(said[-3:]).decode(errors='replace')}")

    def collect(self, function: str, needed: set[str]) -> None:
        """Delete the function's code that is neither needed nor held."""
        home = self._root / function
        if not home.is_dir():
            return
        for folder in home.iterdir():
            if folder.name not in needed and not self._held[folder] and not folder.name.startswith("."):
                archive.remove(folder)
        if not any(home.iterdir()):
            home.rmdir()

    def sweep(self, codes_of: Callable[[str], set[str]]) -> None:
        """Delete what a crash left. Nothing is being received or run yet."""
        archive.remove(self._incoming)
        if self._root.is_dir():
            for home in self._root.iterdir():
                for unfinished in home.glob(".*"):
                    archive.remove(unfinished)
                self.collect(home.name, codes_of(home.name))
