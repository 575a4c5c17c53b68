"""Results written to S3 part by part: never more in memory than a part.

Source: Step Functions Developer Guide, "ResultWriter (Map)".
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any

from scones.cloud.ports import Call, Wire

__all__ = ["ResultFiles", "abort_uploads"]

_PART_BYTES = 8 * 1024 * 1024
_LARGEST_BYTES = 5 * 1024**3
"""Of a file, as AWS has it; what is left goes to the next."""


async def abort_uploads(call: Call, bucket: str, prefix: str) -> None:
    """Give up what a crash or a failure has left half written."""
    reply = await call("s3", "ListMultipartUploads", {"Bucket": bucket, "Prefix": prefix})
    for upload in reply.get("Uploads", ()):
        target = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        await call("s3", "AbortMultipartUpload", target)


@dataclass(slots=True)
class _Upload:
    """A file under way of which there is more than one part."""

    id: str
    parts: list[Wire] = field(default_factory=list)


class ResultFiles:
    """The results of one status, as JSON arrays or JSON Lines. Raises ServiceError."""

    def __init__(
        self,
        call: Call,
        bucket: str,
        stem: str,
        *,
        lines: bool,
        part_bytes: int = _PART_BYTES,
        largest_bytes: int = _LARGEST_BYTES,
    ) -> None:
        """stem: a file's key up to its number, like `out/4b5c.../SUCCEEDED`."""
        self._call = call
        self._bucket = bucket
        self._stem = stem
        self._lines = lines
        self._part_bytes = part_bytes
        self._largest_bytes = largest_bytes
        self._held = bytearray()
        self._size = 0
        self._upload: _Upload | None = None
        self._files: list[dict[str, Any]] = []

    async def add(self, text: str) -> None:
        entry = text.encode()
        if self._size + len(entry) + 2 > self._largest_bytes:
            await self._finish()
        if self._lines:
            self._hold(entry + b"\n")
        else:
            self._hold((b"," if self._size else b"[") + entry)
        if len(self._held) >= self._part_bytes:
            await self._send_part()

    async def close(self) -> list[dict[str, Any]]:
        """The files' keys and sizes, as a manifest lists them; none where there were no results."""
        await self._finish()
        return self._files

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        self._size += len(piece)

    async def _finish(self) -> None:
        if not self._size:
            return
        if not self._lines:
            self._hold(b"]")
        if self._upload is None:
            body = {"Body": bytes(self._held), "ContentType": "application/json"}
            await self._call("s3", "PutObject", self._target() | body)
        else:
            await self._send_part()
            done = {"UploadId": self._upload.id, "MultipartUpload": {"Parts": self._upload.parts}}
            await self._call("s3", "CompleteMultipartUpload", self._target() | done)
        self._files.append({"Key": self._target()["Key"], "Size": self._size})
        self._held, self._size, self._upload = bytearray(), 0, None

    async def _send_part(self) -> None:
        if self._upload is None:
            begun = self._target() | {"ContentType": "application/json"}
            self._upload = _Upload((await self._call("s3", "CreateMultipartUpload", begun))["UploadId"])
        if not self._held:
            return
        number = len(self._upload.parts) + 1
        part = {"UploadId": self._upload.id, "PartNumber": number, "Body": bytes(self._held)}
        reply = await self._call("s3", "UploadPart", self._target() | part)
        self._upload.parts.append({"ETag": reply["ETag"], "PartNumber": number})
        self._held = bytearray()
        await asyncio.sleep(0)

    def _target(self) -> Wire:
        suffix = "jsonl" if self._lines else "json"
        return {"Bucket": self._bucket, "Key": f"{self._stem}_{len(self._files)}.{suffix}"}
