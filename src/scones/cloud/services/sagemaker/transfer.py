"""Files between S3 and a worker's folder. Key names are hostile until checked."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, FileBody, chunks
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = [
    "TransferError",
    "any_object",
    "download",
    "download_objects",
    "download_prefix",
    "keys_under",
    "local_name",
    "remove_tree",
    "upload",
]

_REMOVE_AT_ONCE = 200  # files unlinked before the loop gets a turn


class TransferError(Exception):
    """Something could not be brought from or to S3; the message is for the job's owner."""


async def any_object(call: Call, uri: S3Uri, *, exact: bool = False) -> bool:
    """Is there anything under a prefix, or with `exact` an object of that very key?"""
    try:
        reply = await call("s3", "ListObjectsV2", {"Bucket": uri.bucket, "Prefix": uri.key, "MaxKeys": 1})
    except ServiceError:
        return False
    contents = reply.get("Contents", ())
    if exact:  # keys come in order, and a key is the first of all that begin with it
        return bool(contents) and contents[0]["Key"] == uri.key
    return bool(contents)


async def download(call: Call, uri: S3Uri, target: Path) -> None:
    """One object into one file. Raises ServiceError and OSError."""
    reply = await call("s3", "GetObject", {"Bucket": uri.bucket, "Key": uri.key})
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        async for piece in chunks(reply["Body"]):
            file.write(piece)
            await asyncio.sleep(0)  # a large object must not hold the loop


async def download_prefix(call: Call, uri: S3Uri, folder: Path) -> int:
    """Everything under a prefix into a folder; returns how many files. Raises TransferError."""
    return await download_objects(
        call,
        (
            (S3Uri(uri.bucket, key), local_name(uri.key, key))
            async for key in keys_under(call, uri)
            if not key.endswith("/")  # a console's "folder": an object of no bytes
        ),
        folder,
    )


async def download_objects(call: Call, objects: AsyncIterator[tuple[S3Uri, str]], folder: Path) -> int:
    """Objects into files of the given names below a folder; returns how many. Raises TransferError.

    The names must be safe: see `local_name`.
    """
    count = 0
    async for uri, name in objects:
        try:
            await download(call, uri, folder / name)
        except FileExistsError:
            raise TransferError(f'the key "{uri.key}" and another one would be the same file') from None
        except OSError as error:
            raise TransferError(f'the key "{uri.key}" cannot be a file here: {error.strerror}') from error
        except ServiceError as error:
            raise TransferError(f"{uri}: {error.message}") from error
        count += 1
    return count


def local_name(prefix: str, key: str) -> str:
    """Where a key that starts with `prefix` belongs below a channel's folder.

    A key that is the prefix itself keeps its last part; under a prefix that ends in the middle of
    a name, keys keep that whole name. Raises TransferError for names that would leave the folder.
    """
    rest = key[len(prefix) :]
    if not rest or not (prefix == "" or prefix.endswith("/") or rest.startswith("/")):
        rest = key[prefix.rfind("/") + 1 :]
    parts = [part for part in rest.split("/") if part]
    if not parts or "\0" in rest or any(part in (".", "..") for part in parts):
        raise TransferError(f'the key "{key}" is no safe file name')
    return "/".join(parts)


async def upload(call: Call, file: Path, uri: S3Uri, content_type: str) -> None:
    """One file as one object. Raises TransferError."""
    body = FileBody(file, 0, file.stat().st_size)
    try:
        await call(
            "s3",
            "PutObject",
            {"Bucket": uri.bucket, "Key": uri.key, "Body": body, "ContentType": content_type},
        )
    except ServiceError as error:
        raise TransferError(f"{uri}: {error.message}") from error


async def remove_tree(folder: Path) -> None:
    """Delete a folder and all in it without holding the loop; what cannot be deleted stays."""
    removed = 0
    for path in list(folder.rglob("*")) if folder.is_dir() else []:
        if path.is_symlink() or not path.is_dir():
            try:
                path.unlink()
            except OSError:
                continue
            removed += 1
            if removed % _REMOVE_AT_ONCE == 0:
                await asyncio.sleep(0)
    shutil.rmtree(folder, ignore_errors=True)


async def keys_under(call: Call, uri: S3Uri) -> AsyncIterator[str]:
    """All keys that begin with a prefix. Raises TransferError."""
    request = {"Bucket": uri.bucket, "Prefix": uri.key}
    while True:
        try:
            reply = await call("s3", "ListObjectsV2", request)
        except ServiceError as error:
            raise TransferError(f"{uri}: {error.message}") from error
        for item in reply.get("Contents", ()):
            yield item["Key"]
        if not reply.get("IsTruncated"):
            return
        request["ContinuationToken"] = reply["NextContinuationToken"]
