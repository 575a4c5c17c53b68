"""Listings of objects and uploads: ranges of an index, rolled up by a delimiter, a page at a time.

A page costs what it shows: a common prefix is one row read and one seek past everything below it.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar
from urllib.parse import quote

from scones.cloud.ports import Context, Wire
from scones.cloud.services.s3.placing import Shelf
from scones.cloud.services.s3.records import Item, Upload, instant, owner, quoted
from scones.cloud.services.s3.requests import invalid_argument, text_bytes
from scones.cloud.services.s3.store import after_prefix

__all__ = ["Listing", "Page", "page"]

_PAGE = 1000


class Keyed(Protocol):
    @property
    def key(self) -> bytes: ...


T = TypeVar("T", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """What one reply shows; `last` is the greatest key or common prefix in it."""

    items: list[T]
    prefixes: list[bytes]
    last: bytes
    truncated: bool


def page(
    scan: Callable[[bytes, int], Iterator[T]],
    *,
    prefix: bytes,
    delimiter: bytes,
    after: bytes,
    limit: int,
) -> Page[T]:
    """Keys and common prefixes greater than `after`, at most `limit` of both together.

    scan: called with a key and a count, gives in order at most so many items from that key on; all
        of them must start with `prefix`.
    """
    items: list[T] = []
    prefixes: list[bytes] = []
    last = b""
    start = _first(prefix, delimiter, after)
    while limit:
        rolled_up = False
        for item in scan(start, limit - len(items) - len(prefixes) + 1):
            if len(items) + len(prefixes) == limit:
                return Page(items, prefixes, last, truncated=True)
            end = item.key.find(delimiter, len(prefix)) if delimiter else -1
            if end < 0:
                last = item.key
                items.append(item)
                continue
            last = item.key[: end + len(delimiter)]
            prefixes.append(last)
            start = after_prefix(last)
            rolled_up = True
            break
        if not rolled_up:
            break
    return Page(items, prefixes, last, truncated=False)


def _first(prefix: bytes, delimiter: bytes, after: bytes) -> bytes:
    """Where a page begins. A common prefix that is not greater than the marker is left out, and so is
    all below it."""
    if not after:
        return prefix
    end = after.find(delimiter, len(prefix)) if delimiter and after.startswith(prefix) else -1
    start = after + b"\0" if end < 0 else after_prefix(after[: end + len(delimiter)])
    return max(prefix, start)


class Listing:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def list_objects(self, request: Wire, context: Context) -> Wire:
        bucket = self._shelf.bucket(request, context)
        limit = _limit(request, "MaxKeys", "max-keys")
        marker = request.get("Marker") or ""
        found = self._page(request, bucket, text_bytes(marker), limit)
        show = _shown(request)
        reply = _common(request, show) | {
            "Name": bucket,
            "Prefix": show(request.get("Prefix") or ""),
            "Marker": show(marker),
            "MaxKeys": limit,
            "IsTruncated": found.truncated,
            "Contents": [_item(item, show) | {"Owner": owner(context.account_id)} for item in found.items],
            "CommonPrefixes": _prefixes(found.prefixes, show),
        }
        if found.truncated and request.get("Delimiter"):
            reply["NextMarker"] = show(found.last.decode())
        return reply

    def list_objects_v2(self, request: Wire, context: Context) -> Wire:
        bucket = self._shelf.bucket(request, context)
        limit = _limit(request, "MaxKeys", "max-keys")
        token = request.get("ContinuationToken")
        after = text_bytes(request.get("StartAfter") or "") if token is None else _position(token)
        found = self._page(request, bucket, after, limit)
        show = _shown(request)
        owned = {"Owner": owner(context.account_id)} if request.get("FetchOwner") else {}
        reply = _common(request, show) | {
            "Name": bucket,
            "Prefix": show(request.get("Prefix") or ""),
            "MaxKeys": limit,
            "KeyCount": len(found.items) + len(found.prefixes),
            "IsTruncated": found.truncated,
            "Contents": [_item(item, show) | owned for item in found.items],
            "CommonPrefixes": _prefixes(found.prefixes, show),
        }
        if token is not None:
            reply["ContinuationToken"] = token
        if request.get("StartAfter"):
            reply["StartAfter"] = show(request["StartAfter"])
        if found.truncated:
            reply["NextContinuationToken"] = base64.urlsafe_b64encode(found.last).decode("ascii")
        return reply

    def _page(self, request: Wire, bucket: str, after: bytes, limit: int) -> Page[Item]:
        prefix = text_bytes(request.get("Prefix") or "")
        end = after_prefix(prefix)
        return page(
            lambda start, count: self._shelf.store.scan_objects(bucket, start, end, count),
            prefix=prefix,
            delimiter=text_bytes(request.get("Delimiter") or ""),
            after=after,
            limit=limit,
        )

    def list_multipart_uploads(self, request: Wire, context: Context) -> Wire:
        """Uploads of one key come in the order in which they began."""
        bucket = self._shelf.bucket(request, context)
        limit = _limit(request, "MaxUploads", "max-uploads")
        key_marker = request.get("KeyMarker") or ""
        id_marker = (request.get("UploadIdMarker") or "") if key_marker else ""
        found = self._uploads(request, bucket, text_bytes(key_marker), id_marker, limit)
        show = _shown(request)
        reply = _common(request, show) | {
            "Bucket": bucket,
            "Prefix": show(request.get("Prefix") or ""),
            "KeyMarker": show(key_marker),
            "UploadIdMarker": id_marker,
            "MaxUploads": limit,
            "IsTruncated": found.truncated,
            "Uploads": [_upload(upload, show, context.account_id) for upload in found.items],
            "CommonPrefixes": _prefixes(found.prefixes, show),
        }
        if found.truncated:
            at_upload = bool(found.items) and found.items[-1].key == found.last
            reply["NextKeyMarker"] = show(found.last.decode())
            reply["NextUploadIdMarker"] = found.items[-1].upload_id if at_upload else ""
        return reply

    def _uploads(
        self, request: Wire, bucket: str, key_marker: bytes, id_marker: str, limit: int
    ) -> Page[Upload]:
        prefix = text_bytes(request.get("Prefix") or "")
        end = after_prefix(prefix)

        def scan(start: bytes, count: int) -> Iterator[Upload]:
            # With an upload as marker the page begins among the uploads of the marker's own key.
            within = bool(id_marker) and start == key_marker + b"\0"
            after = (key_marker, id_marker) if within else (start, "")
            return self._shelf.store.scan_uploads(bucket, after, end, count)

        delimiter = text_bytes(request.get("Delimiter") or "")
        return page(scan, prefix=prefix, delimiter=delimiter, after=key_marker, limit=limit)


def _limit(request: Wire, member: str, argument: str) -> int:
    limit: int | None = request.get(member)
    if limit is None:
        return _PAGE
    if limit < 0:
        message = f"Argument {argument} must be an integer between 0 and 2147483647"
        raise invalid_argument(message, argument, limit)
    return min(limit, _PAGE)


def _position(token: str) -> bytes:
    try:
        after = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        after.decode()
    except (binascii.Error, ValueError):
        after = b""
    if not after:
        raise invalid_argument(
            "The continuation token provided is incorrect", "continuation-token", token
        ) from None
    return after


def _shown(request: Wire) -> Callable[[str], str]:
    """How keys are told: percent-encoded where the client asked for it, which XML then can carry."""
    if request.get("EncodingType") != "url":
        return str
    return lambda text: quote(text, safe="/")


def _common(request: Wire, show: Callable[[str], str]) -> Wire:
    told: Wire = {}
    if request.get("EncodingType") == "url":
        told["EncodingType"] = "url"
    if request.get("Delimiter"):
        told["Delimiter"] = show(request["Delimiter"])
    return told


def _prefixes(prefixes: list[bytes], show: Callable[[str], str]) -> list[Wire]:
    return [{"Prefix": show(prefix.decode())} for prefix in prefixes]


def _item(item: Item, show: Callable[[str], str]) -> Wire:
    told: Wire = {
        "Key": show(item.key.decode()),
        "LastModified": instant(item.modified),
        "ETag": quoted(item.etag),
        "Size": item.size,
        "StorageClass": item.storage_class,
    }
    if item.checksum_algorithm is not None:
        told["ChecksumAlgorithm"] = [item.checksum_algorithm]
        told["ChecksumType"] = item.checksum_type
    return told


def _upload(upload: Upload, show: Callable[[str], str], account_id: str) -> Wire:
    told: Wire = {
        "UploadId": upload.upload_id,
        "Key": show(upload.key.decode()),
        "Initiated": instant(upload.initiated),
        "StorageClass": upload.storage_class,
        "Owner": owner(account_id),
        "Initiator": owner(account_id),
    }
    if upload.checksum_algorithm is not None:
        told["ChecksumAlgorithm"] = upload.checksum_algorithm
        told["ChecksumType"] = upload.checksum_type
    return told
