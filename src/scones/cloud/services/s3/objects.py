"""Operations on one object, and DeleteObjects: put, get, head, copy, delete."""

from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire
from scones.cloud.services.s3.bodies import MAX_PUT_BYTES, Received
from scones.cloud.services.s3.checksums import (
    FULL_OBJECT,
    Algorithm,
    Declared,
    algorithm_named,
    declared,
    verify_document,
)
from scones.cloud.services.s3.conditions import (
    Span,
    WriteCondition,
    check_copy,
    check_read,
    part_span,
    read_range,
)
from scones.cloud.services.s3.encryption import encrypted
from scones.cloud.services.s3.placing import Shelf, check_owner, no_such_key
from scones.cloud.services.s3.records import Object, instant, milliseconds, quoted
from scones.cloud.services.s3.requests import (
    CONTENT_MEMBERS,
    check_version,
    copy_source,
    encryption,
    key_bytes,
    not_implemented,
    property_members,
    read_properties,
    refuse,
    storage_class,
)

__all__ = ["Objects", "check_copy_size"]

_DELETED_AT_ONCE = 1000
_OVERRIDES = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
)


class Objects:
    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self._shelf = shelf
        self._clock = clock

    # --- write ----------------------------------------------------------------------------------

    async def put_object(self, request: Wire, context: Context) -> Wire:
        """Nothing is visible until the body has arrived whole and is what was declared."""
        refuse(request)
        bucket = self._shelf.bucket(request, context)
        key = key_bytes(request["Key"])
        properties = encrypted(read_properties(request), self._shelf.encryption_rule(bucket))
        kind = storage_class(request)
        condition = WriteCondition.of(request)
        condition.check(self._shelf.store.head(bucket, key), request["Key"])
        expected = declared(request, context.headers)
        received = await self._shelf.bodies.receive(request.get("Body") or b"", expected)
        algorithm = expected.algorithm
        facts = {"bucket": bucket, "key": key, "storage_class": kind, "properties": properties}
        stored = self._whole(received, algorithm, **facts)
        self._shelf.place(stored, condition)
        return {"ETag": quoted(stored.etag)} | stored.checksums() | encryption(properties)

    async def copy_object(self, request: Wire, context: Context) -> Wire:
        """The copy's entity tag is the MD5 of its bytes, also where the source came in parts."""
        refuse(request)
        bucket = self._shelf.bucket(request, context)
        key = key_bytes(request["Key"])
        source = self.find_source(request, context)
        check_copy_size(source.body.size)
        rule, kind = self._shelf.encryption_rule(bucket), storage_class(request)
        properties = encrypted(_copied_properties(request, source), rule)
        if (source.bucket, source.key) == (bucket, key) and rule is None:
            _check_changes_something(request, source, kind)
        condition = WriteCondition.of(request)
        condition.check(self._shelf.store.head(bucket, key), request["Key"])
        name = request.get("ChecksumAlgorithm") or source.checksum_algorithm
        algorithm = algorithm_named(name) if name else None
        received = await self._shelf.bodies.receive(
            self._shelf.bodies.open(source.body), Declared(algorithm=algorithm)
        )
        facts = {"bucket": bucket, "key": key, "storage_class": kind, "properties": properties}
        stored = self._whole(received, algorithm, **facts)
        self._shelf.place(stored, condition)
        result = {"ETag": quoted(stored.etag), "LastModified": instant(stored.modified)}
        return {"CopyObjectResult": result | stored.checksums()} | encryption(properties)

    def _whole(self, received: Received, algorithm: Algorithm | None, **facts: Any) -> Object:
        """The row of a body that came in one piece; facts: what else the object has."""
        return Object(
            body=received.body,
            etag=received.md5,
            modified=milliseconds(self._clock.now()),
            checksum_algorithm=algorithm.name if algorithm else None,
            checksum=received.checksum,
            checksum_type=FULL_OBJECT if algorithm else None,
            **facts,
        )

    def find_source(self, request: Wire, context: Context) -> Object:
        """The object that a copy reads, its conditions met."""
        bucket, key = copy_source(request["CopySource"])
        self._shelf.named_bucket(bucket)
        check_owner(request.get("ExpectedSourceBucketOwner"), context)
        source = self._shelf.store.object(bucket, key)
        if source is None:
            raise no_such_key(key.decode())
        check_copy(request, source)
        return source

    # --- read -----------------------------------------------------------------------------------

    def get_object(self, request: Wire, context: Context) -> Wire:
        found, span = self._find(request, context, with_data=True)
        body = self._shelf.bodies.open(
            found.body, span.offset if span else 0, span.length if span else found.body.size
        )
        return _described(request, found, span) | {"Body": body}

    def head_object(self, request: Wire, context: Context) -> Wire:
        return _described(request, *self._find(request, context, with_data=False))

    def _find(self, request: Wire, context: Context, *, with_data: bool) -> tuple[Object, Span | None]:
        refuse(request)
        key = key_bytes(request["Key"])
        store, name = self._shelf.store, request["Bucket"]
        found = store.object(name, key) if with_data else store.head(name, key)
        if found is None:
            self._shelf.bucket(request, context)  # perhaps that is what is missing
            raise no_such_key(request["Key"])
        check_owner(request.get("ExpectedBucketOwner"), context)
        check_read(request, found)
        if request.get("PartNumber") is None:
            return found, read_range(request.get("Range"), found.body.size)
        if request.get("Range") is not None:
            raise ServiceError(
                "InvalidRequest", "Cannot specify both Range header and partNumber query parameter"
            )
        return found, part_span(request["PartNumber"], found)

    # --- delete ---------------------------------------------------------------------------------

    def delete_object(self, request: Wire, context: Context) -> Wire:
        """Deleting what is not there succeeds, unless If-Match says that it must be."""
        refuse(request)
        bucket = self._shelf.bucket(request, context)
        self._delete(bucket, request["Key"], WriteCondition(request.get("IfMatch"), None))
        return {}

    def delete_objects(self, request: Wire, context: Context) -> Wire:
        bucket = self._shelf.bucket(request, context)
        if context.headers:  # a call from within has no document
            verify_document(context.body, request, context.headers)
        targets: list[Wire] = request["Delete"]["Objects"]
        if not 1 <= len(targets) <= _DELETED_AT_ONCE:
            raise ServiceError(
                "MalformedXML",
                "The XML you provided was not well-formed or did not validate against our published schema",
            )
        deleted: list[Wire] = []
        errors: list[Wire] = []
        for target in targets:
            named = {name: target[name] for name in ("Key", "VersionId") if target.get(name) is not None}
            try:
                check_version(target.get("VersionId"))
                for member in ("LastModifiedTime", "Size"):
                    if target.get(member) is not None:
                        raise not_implemented(f"Delete.Object.{member}")
                self._delete(bucket, target["Key"], WriteCondition(target.get("ETag"), None))
            except ServiceError as error:
                errors.append(named | {"Code": error.code, "Message": error.message})
            else:
                deleted.append(named)
        quiet = request["Delete"].get("Quiet")
        return {"Deleted": [] if quiet else deleted, "Errors": errors}

    def _delete(self, bucket: str, key: str, condition: WriteCondition) -> None:
        encoded = key_bytes(key)
        found = self._shelf.store.head(bucket, encoded)
        condition.check(found, key)
        if found is not None:
            self._shelf.store.delete_object(bucket, encoded)
            self._shelf.forget(found.body.blob)


def check_copy_size(size: int) -> None:
    if size > MAX_PUT_BYTES:
        raise ServiceError(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy source:"
            f" {MAX_PUT_BYTES}",
        )


def _described(request: Wire, found: Object, span: Span | None) -> Wire:
    """The reply members of GetObject and HeadObject alike."""
    reply: Wire = {
        "AcceptRanges": "bytes",
        "ETag": quoted(found.etag),
        "LastModified": instant(found.modified),
        "ContentLength": span.length if span else found.body.size,
    } | property_members(found.properties)
    if found.storage_class != "STANDARD":  # S3 leaves the usual one unsaid
        reply["StorageClass"] = found.storage_class
    if request.get("ChecksumMode") == "ENABLED" and span is None:
        reply |= found.checksums()
    if request.get("PartNumber") is not None and found.part_sizes is not None:
        reply["PartsCount"] = len(found.part_sizes)
    for member in _OVERRIDES:
        if (value := request.get(f"Response{member}")) is not None:
            reply[member] = value
    if span is not None:
        reply["ContentRange"] = span.content_range
        reply["ResponseMetadata"] = {"HTTPStatusCode": 206}
    return reply


def _copied_properties(request: Wire, source: Object) -> dict[str, Any]:
    """Content headers and metadata are the source's unless replaced; encryption is the request's own."""
    if request.get("MetadataDirective") == "REPLACE":
        properties = read_properties(request)
    else:
        properties = read_properties(request, ())
        properties |= {name: v for name, v in source.properties.items() if name in CONTENT_MEMBERS}
    if request.get("TaggingDirective") != "REPLACE":
        properties.pop("Tagging", None)
        properties |= {name: v for name, v in source.properties.items() if name == "Tagging"}
    return properties


def _check_changes_something(request: Wire, source: Object, storage_class: str) -> None:
    changed = (
        request.get("MetadataDirective") == "REPLACE",
        storage_class != source.storage_class,
        request.get("ServerSideEncryption") is not None,
        request.get("WebsiteRedirectLocation") is not None,
    )
    if not any(changed):
        raise ServiceError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing"
            " the object's metadata, storage class, website redirect location or encryption attributes.",
        )
