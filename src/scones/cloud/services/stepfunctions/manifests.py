"""Manifests: objects that name the files of which the rows are the items.

Sources: Step Functions Developer Guide, "ItemReader (Map)"; S3 User Guide, "Amazon S3 Inventory";
Athena User Guide, "Identify query output files".
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from scones.cloud.asl.jsontext import loads

from .delimited import lines, records
from .read_limits import LARGEST_ITEM_BYTES, read_failed

__all__ = ["Inventory", "athena_files"]

_SCHEME = "s3://"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What an S3 Inventory manifest tells."""

    columns: list[str]
    keys: list[str]
    """Of the files, in the manifest's own bucket."""

    @classmethod
    async def of(cls, pieces: AsyncIterator[bytes]) -> "Inventory":
        text = bytearray()
        async for piece in pieces:
            text += piece
            if len(text) > LARGEST_ITEM_BYTES:
                raise read_failed(f"The manifest is longer than {LARGEST_ITEM_BYTES} bytes.")
        try:
            manifest = loads(text.decode())
            columns = [name.strip() for name in manifest["fileSchema"].split(",")]
            kind, keys = manifest["fileFormat"], [file["key"] for file in manifest["files"]]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise read_failed("The object is not a manifest of S3 Inventory.") from None
        if kind != "CSV":
            raise read_failed(f"The output format of an S3 Inventory must be CSV, not '{kind}'.")
        return cls(columns, keys)


async def athena_files(pieces: AsyncIterator[bytes]) -> AsyncIterator[tuple[str, str]]:
    """(bucket, key) of each file that an Athena query wrote: one S3 URI a line."""
    async for row in records(lines(pieces), ","):
        uri = ",".join(row).strip()
        bucket, _, key = uri.removeprefix(_SCHEME).partition("/")
        if not uri.startswith(_SCHEME) or not key:
            raise read_failed(f"The object is not a manifest of Athena: '{uri[:100]}' is no S3 URI.")
        yield bucket, key
