"""Uploads in parts.

A finished upload becomes one file: its parts are read and written once more as it completes. Were an
object a list of parts instead, completing would be free, but every range, copy and reader in the
cloud would have to walk that list for as long as the object lives; as one file it is served, and
handed to other services, like any object.
"""

import hashlib
from dataclasses import replace
from itertools import pairwise
from urllib.parse import quote

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.s3.bodies import Received
from scones.cloud.services.s3.checksums import (
    Algorithm,
    Declared,
    algorithm_named,
    checksum_members,
    declared,
    mismatch,
    upload_checksum_type,
    whole_checksum,
)
from scones.cloud.services.s3.conditions import WriteCondition, copy_range
from scones.cloud.services.s3.encryption import encrypted
from scones.cloud.services.s3.objects import Objects, check_copy_size
from scones.cloud.services.s3.placing import Shelf
from scones.cloud.services.s3.records import Object, Part, Upload, instant, milliseconds, owner, quoted
from scones.cloud.services.s3.requests import (
    encryption,
    invalid_argument,
    key_bytes,
    read_properties,
    refuse,
    storage_class,
)

__all__ = ["Multipart"]

_MIN_PART_BYTES = 5 * 1024 * 1024
_MAX_PARTS = 10_000
_LISTED_PARTS = 1000


class Multipart:
    def __init__(self, shelf: Shelf, objects: Objects, clock: Clock, ids: Ids, url: str) -> None:
        """objects: finds the sources of copied parts. url: where this cloud listens."""
        self._shelf = shelf
        self._objects = objects
        self._clock = clock
        self._ids = ids
        self._url = url

    # --- begin and end --------------------------------------------------------------------------

    def create_multipart_upload(self, request: Wire, context: Context) -> Wire:
        refuse(request)
        bucket = self._shelf.bucket(request, context)
        name, checksum_type = request.get("ChecksumAlgorithm"), request.get("ChecksumType")
        if name is None and checksum_type is not None:
            raise ServiceError(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.",
            )
        algorithm = algorithm_named(name) if name else None
        initiated = milliseconds(self._clock.now())
        upload = Upload(
            upload_id=f"{initiated:012x}{self._ids.token(40)}",
            bucket=bucket,
            key=key_bytes(request["Key"]),
            initiated=initiated,
            storage_class=storage_class(request),
            checksum_algorithm=algorithm.name if algorithm else None,
            checksum_type=upload_checksum_type(algorithm, checksum_type) if algorithm else None,
            properties=encrypted(read_properties(request), self._shelf.encryption_rule(bucket)),
        )
        self._shelf.store.insert_upload(upload)
        reply = {"Bucket": bucket, "Key": request["Key"], "UploadId": upload.upload_id}
        return reply | _algorithm_members(upload) | encryption(upload.properties)

    def abort_multipart_upload(self, request: Wire, context: Context) -> Wire:
        refuse(request)
        upload = self._upload(request, context)
        self._shelf.forget(*self._shelf.store.delete_upload(upload.upload_id))
        return {}

    async def complete_multipart_upload(self, request: Wire, context: Context) -> Wire:
        """The parts named, joined in their order; all others of the upload are dropped.

        The upload is looked at again as the object is placed: a part replaced, or the upload ended,
        while the parts were being joined, fails the request and leaves what was there.
        """
        refuse(request)
        upload = self._upload(request, context)
        condition = WriteCondition.of(request)
        condition.check(self._shelf.store.head(upload.bucket, upload.key), request["Key"])
        chosen = _chosen(upload, request, self._shelf.store.parts(upload.upload_id))
        checksum = _verified_checksum(upload, request, chosen)
        body = await self._shelf.bodies.join(part.body for part in chosen)
        stored = Object(
            bucket=upload.bucket,
            key=upload.key,
            body=body,
            etag=_joined_etag(chosen),
            modified=milliseconds(self._clock.now()),
            storage_class=upload.storage_class,
            checksum_algorithm=upload.checksum_algorithm,
            checksum=checksum,
            checksum_type=upload.checksum_type,
            properties=upload.properties,
            part_sizes=[part.body.size for part in chosen],
        )
        self._shelf.place(stored, condition, ending=lambda: self._end(request, context, chosen))
        told = {
            "Bucket": upload.bucket,
            "Key": request["Key"],
            "Location": f"{self._url}/{upload.bucket}/{quote(request['Key'], safe='/')}",
            "ETag": quoted(stored.etag),
        }
        return told | stored.checksums() | encryption(upload.properties)

    def _end(self, request: Wire, context: Context, chosen: list[Part]) -> list[str]:
        """Forget an upload whose chosen parts are still what they were; gives its blobs."""
        upload = self._upload(request, context)
        now = {part.part_number: part.body for part in self._shelf.store.parts(upload.upload_id)}
        for part in chosen:
            if now.get(part.part_number) != part.body:
                raise _invalid_part(upload, part.part_number, part.etag)
        return self._shelf.store.delete_upload(upload.upload_id)

    # --- parts ----------------------------------------------------------------------------------

    async def upload_part(self, request: Wire, context: Context) -> Wire:
        refuse(request)
        number = _part_number(request)
        upload = self._upload(request, context)
        algorithm = algorithm_named(upload.checksum_algorithm) if upload.checksum_algorithm else None
        expected = declared(request, context.headers, default=algorithm)
        if algorithm is not None and expected.algorithm is not algorithm:
            found = expected.algorithm.name.lower() if expected.algorithm else "null"
            raise ServiceError(
                "InvalidRequest",
                f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.name.lower()},"
                f" actual checksum Type: {found}",
            )
        received = await self._shelf.bodies.receive(request.get("Body") or b"", expected)
        self._keep(request, context, number, received)
        # An upload without an algorithm verifies what a part brings along, but keeps nothing of it.
        reply: Wire = {"ETag": quoted(received.md5)}
        if expected.algorithm is not None:
            reply[expected.algorithm.member] = received.checksum
        return reply | encryption(upload.properties)

    async def upload_part_copy(self, request: Wire, context: Context) -> Wire:
        """A part read from an object, whole or a stretch of it."""
        refuse(request)
        number = _part_number(request)
        upload = self._upload(request, context)
        source = self._objects.find_source(request, context)
        span = copy_range(request.get("CopySourceRange"), source.body.size)
        check_copy_size(span.length)
        algorithm = algorithm_named(upload.checksum_algorithm) if upload.checksum_algorithm else None
        received = await self._shelf.bodies.receive(
            self._shelf.bodies.open(source.body, span.offset, span.length), Declared(algorithm=algorithm)
        )
        part = self._keep(request, context, number, received)
        result: Wire = {"ETag": quoted(part.etag), "LastModified": instant(part.modified)}
        if algorithm is not None:
            result[algorithm.member] = part.checksum
        return {"CopyPartResult": result} | encryption(upload.properties)

    def _keep(self, request: Wire, context: Context, number: int, received: Received) -> Part:
        """Make a stored body a part of the upload, which may have ended while the body arrived."""
        part = Part(
            part_number=number,
            body=received.body,
            etag=received.md5,
            modified=milliseconds(self._clock.now()),
            checksum=received.checksum,
        )
        with self._shelf.bodies.kept_if_committed(received.body), self._shelf.db.transaction():
            upload = self._upload(request, context)
            if upload.checksum_algorithm is None:
                part = replace(part, checksum=None)
            self._shelf.forget(self._shelf.store.put_part(upload.upload_id, part))
        return part

    def list_parts(self, request: Wire, context: Context) -> Wire:
        refuse(request)
        upload = self._upload(request, context)
        wanted: int | None = request.get("MaxParts")
        if wanted is not None and wanted < 0:
            message = "Argument max-parts must be an integer between 0 and 2147483647"
            raise invalid_argument(message, "max-parts", wanted)
        limit = min(_LISTED_PARTS if wanted is None else wanted, _LISTED_PARTS)
        after = _part_marker(request.get("PartNumberMarker"))
        found = self._shelf.store.parts(upload.upload_id, after=after, limit=limit + 1)
        shown = found[:limit]
        return {
            "Bucket": upload.bucket,
            "Key": request["Key"],
            "UploadId": upload.upload_id,
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].part_number if shown else 0,
            "MaxParts": limit,
            "IsTruncated": bool(limit) and len(found) > limit,
            "Parts": [_part_members(upload, part) for part in shown],
            "Initiator": owner(context.account_id),
            "Owner": owner(context.account_id),
            "StorageClass": upload.storage_class,
        } | _algorithm_members(upload)

    def _upload(self, request: Wire, context: Context) -> Upload:
        bucket = self._shelf.bucket(request, context)
        upload = self._shelf.store.upload(bucket, key_bytes(request["Key"]), request["UploadId"])
        if upload is None:
            raise ServiceError(
                "NoSuchUpload",
                "The specified upload does not exist. The upload ID may be invalid, or the upload may have"
                " been aborted or completed.",
                status=404,
                fields={"UploadId": request["UploadId"]},
            )
        return upload


def _part_number(request: Wire) -> int:
    number: int = request["PartNumber"]
    if not 1 <= number <= _MAX_PARTS:
        message = f"Part number must be an integer between 1 and {_MAX_PARTS}, inclusive"
        raise invalid_argument(message, "partNumber", number)
    return number


def _part_marker(marker: str | int | None) -> int:
    """The model calls it a string; it is a number all the same."""
    text = str(marker or 0)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        message = "Argument part-number-marker must be an integer between 0 and 2147483647"
        raise invalid_argument(message, "part-number-marker", text)
    return int(text)


def _algorithm_members(upload: Upload) -> Wire:
    if upload.checksum_algorithm is None:
        return {}
    return {"ChecksumAlgorithm": upload.checksum_algorithm, "ChecksumType": upload.checksum_type}


def _part_members(upload: Upload, part: Part) -> Wire:
    told: Wire = {
        "PartNumber": part.part_number,
        "LastModified": instant(part.modified),
        "ETag": quoted(part.etag),
        "Size": part.body.size,
    }
    if upload.checksum_algorithm is not None:
        told[f"Checksum{upload.checksum_algorithm}"] = part.checksum
    return told


def _invalid_part(upload: Upload, number: int | None, etag: str | None) -> ServiceError:
    return ServiceError(
        "InvalidPart",
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the"
        " specified entity tag may not match the part's entity tag.",
        fields={"UploadId": upload.upload_id, "PartNumber": number, "ETag": etag},
    )


def _chosen(upload: Upload, request: Wire, stored: list[Part]) -> list[Part]:
    """The parts that a completion names, each the one it means, in ascending order, large enough."""
    named: list[Wire] = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not named or any(p.get("PartNumber") is None or p.get("ETag") is None for p in named):
        raise ServiceError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    numbers = [part["PartNumber"] for part in named]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise ServiceError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            fields={"UploadId": upload.upload_id},
        )
    by_number = {part.part_number: part for part in stored}
    chosen = []
    for wanted in named:
        part = by_number.get(wanted["PartNumber"])
        if (
            part is None
            or wanted["ETag"].strip().strip('"') != part.etag
            or not _agrees(upload, wanted, part)
        ):
            raise _invalid_part(upload, wanted["PartNumber"], wanted["ETag"])
        chosen.append(part)
    for part in chosen[:-1]:
        if part.body.size < _MIN_PART_BYTES:
            raise ServiceError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                fields={
                    "ProposedSize": part.body.size,
                    "MinSizeAllowed": _MIN_PART_BYTES,
                    "PartNumber": part.part_number,
                    "ETag": part.etag,
                },
            )
    return chosen


def _agrees(upload: Upload, wanted: Wire, part: Part) -> bool:
    """Whether the checksums that a completion lists for a part are the part's."""
    told = checksum_members(wanted)
    return upload.checksum_algorithm is None or told.get(upload.checksum_algorithm) in (None, part.checksum)


def _verified_checksum(upload: Upload, request: Wire, chosen: list[Part]) -> str | None:
    """The whole upload's checksum; compared, like its size and type, with what the completion says."""
    size = sum(part.body.size for part in chosen)
    if request.get("MpuObjectSize") not in (None, size):
        raise ServiceError(
            "InvalidRequest",
            "The provided 'x-amz-mp-object-size' header value does not match what was computed.",
        )
    told = checksum_members(request)
    if upload.checksum_algorithm is None:
        for name in told:
            algorithm_named(name)
        return None
    algorithm: Algorithm = algorithm_named(upload.checksum_algorithm)
    checksum_type = upload.checksum_type or ""
    if request.get("ChecksumType") not in (None, checksum_type):
        raise ServiceError(
            "InvalidRequest",
            f"The upload was created using the {checksum_type} checksum mode. The complete request must use"
            " the same checksum mode.",
        )
    whole = whole_checksum(algorithm, checksum_type, [(p.checksum or "", p.body.size) for p in chosen])
    for name, value in told.items():
        if algorithm_named(name) is not algorithm or value.partition("-")[0] != whole.partition("-")[0]:
            raise mismatch(algorithm_named(name))
    return whole


def _joined_etag(chosen: list[Part]) -> str:
    """MD5 of the parts' MD5s, and their count, as S3 forms it."""
    digests = b"".join(bytes.fromhex(part.etag) for part in chosen)
    return f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}"
