"""What requests may say: names, keys, sources, tags, the properties of an object, and what is refused.

Pure: reads request members, gives values or raises ServiceError.
"""

import ipaddress
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire

__all__ = [
    "CONTENT_MEMBERS",
    "check_bucket_name",
    "check_version",
    "copy_source",
    "encryption",
    "invalid_argument",
    "key_bytes",
    "not_implemented",
    "property_members",
    "read_properties",
    "refuse",
    "storage_class",
    "text_bytes",
]

_BUCKET_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_TAKEN_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_TAKEN_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_KEY_LIMIT_BYTES = 1024
_METADATA_LIMIT_BYTES = 2048
_TAG_LIMIT = 10
_STORAGE_CLASSES = ("STANDARD", "REDUCED_REDUNDANCY", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING")
"""Those whose objects can be read at once, as all objects here can."""

CONTENT_MEMBERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentEncoding",
    "ContentLanguage",
    "ContentType",
    "Expires",
    "Metadata",
)
_ENCRYPTION_MEMBERS = ("ServerSideEncryption", "SSEKMSKeyId", "BucketKeyEnabled")
_ENCRYPTED: Wire = {"ServerSideEncryption": "AES256"}
"""What is told of an object whose properties name no encryption."""
_OBJECT_LOCK = (
    "ObjectLockMode",
    "ObjectLockRetainUntilDate",
    "ObjectLockLegalHoldStatus",
    "ObjectLockEventHold",
    "ObjectLockEventHoldDurationDays",
    "ObjectLockEventHoldDurationYears",
)
_UNSUPPORTED = {
    "SSECustomerAlgorithm": "x-amz-server-side-encryption-customer-algorithm",
    "SSECustomerKey": "x-amz-server-side-encryption-customer-key",
    "CopySourceSSECustomerAlgorithm": "x-amz-copy-source-server-side-encryption-customer-algorithm",
    "CopySourceSSECustomerKey": "x-amz-copy-source-server-side-encryption-customer-key",
    "WriteOffsetBytes": "x-amz-write-offset-bytes",
    "IfMatchLastModifiedTime": "x-amz-if-match-last-modified-time",
    "IfMatchSize": "x-amz-if-match-size",
    "IfMatchInitiatedTime": "x-amz-if-match-initiated-time",
}
_GRANTS = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")
_WATCHED = frozenset((*_UNSUPPORTED, *_OBJECT_LOCK, *_GRANTS, "ACL", "VersionId"))


def invalid_argument(message: str, name: str, value: Any) -> ServiceError:
    return ServiceError(
        "InvalidArgument", message, fields={"ArgumentName": name, "ArgumentValue": str(value)}
    )


def not_implemented(header: str) -> ServiceError:
    return ServiceError(
        "NotImplemented",
        f"A header you provided implies functionality that is not implemented: {header}",
        status=501,
        fields={"Header": header},
    )


def refuse(request: Wire) -> None:
    """Members that ask for what is not here, where silence would mislead."""
    if _WATCHED.isdisjoint(request):
        return
    for member, header in _UNSUPPORTED.items():
        if request.get(member) is not None:
            raise not_implemented(header)
    if any(request.get(member) is not None for member in _OBJECT_LOCK):
        raise ServiceError("InvalidRequest", "Bucket is missing Object Lock Configuration")
    open_acl = request.get("ACL") not in (None, "private", "bucket-owner-full-control")
    if open_acl or any(request.get(member) for member in _GRANTS):
        raise ServiceError("AccessControlListNotSupported", "The bucket does not allow ACLs")
    check_version(request.get("VersionId"))


def check_version(version: str | None) -> None:
    """Without versioning every object's version is "null"."""
    if version not in (None, "null"):
        raise invalid_argument("Invalid version id specified", "versionId", version)


def check_bucket_name(name: str) -> None:
    """Raises InvalidBucketName unless a new general purpose bucket may be called so.

    Source: S3 User Guide, general purpose bucket naming rules.
    """
    if (
        not _BUCKET_NAME.match(name)
        or ".." in name
        or name.startswith(_TAKEN_PREFIXES)
        or name.endswith(_TAKEN_SUFFIXES)
        or _is_address(name)
    ):
        raise ServiceError(
            "InvalidBucketName", "The specified bucket is not valid.", fields={"BucketName": name}
        )


def _is_address(name: str) -> bool:
    try:
        ipaddress.IPv4Address(name)
    except ValueError:
        return False
    return True


def key_bytes(key: str) -> bytes:
    """A key as S3 orders and measures it. Raises KeyTooLongError, and InvalidURI for no UTF-8."""
    encoded = text_bytes(key)
    if len(encoded) > _KEY_LIMIT_BYTES:
        raise ServiceError(
            "KeyTooLongError",
            "Your key is too long",
            fields={"Size": len(encoded), "MaxSizeAllowed": _KEY_LIMIT_BYTES},
        )
    return encoded


def text_bytes(text: str) -> bytes:
    """A prefix, delimiter or marker. Raises InvalidURI for what was no UTF-8."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ServiceError("InvalidURI", "Couldn't parse the specified URI.") from None


def copy_source(source: str) -> tuple[str, bytes]:
    """Bucket and key of x-amz-copy-source: percent-encoded, with or without a leading slash."""
    path, _, query = source.partition("?")
    bucket, slash, key = unquote(path, errors="surrogateescape").removeprefix("/").partition("/")
    if not bucket or not slash or not key or bucket.startswith("arn:"):
        message = "Copy Source must mention the source bucket and key: sourcebucket/sourcekey"
        raise invalid_argument(message, "x-amz-copy-source", source)
    check_version(dict(parse_qsl(query)).get("versionId"))
    return bucket, key_bytes(key)


def storage_class(request: Wire) -> str:
    """Raises InvalidStorageClass for those whose objects would have to be restored before reading."""
    chosen: str = request.get("StorageClass") or "STANDARD"
    if chosen not in _STORAGE_CLASSES:
        known = ", ".join(_STORAGE_CLASSES)
        raise ServiceError(
            "InvalidStorageClass",
            "The storage class you specified is not valid",
            fields={"StorageClassRequested": chosen, "StorageClassesHere": known},
        )
    return chosen


def read_properties(request: Wire, members: Collection[str] = CONTENT_MEMBERS) -> dict[str, Any]:
    """What a request says of its object beside the bytes, as a row keeps it.

    members: which of CONTENT_MEMBERS to take; encryption, redirect and tags are always taken.
    """
    taken = (*members, *_ENCRYPTION_MEMBERS, "WebsiteRedirectLocation")
    found = {name: request[name] for name in taken if request.get(name) not in (None, "", {})}
    if "Metadata" in found:
        _check_metadata(found["Metadata"])
    if "Expires" in found:
        found["Expires"] = found["Expires"].timestamp()
    if "ContentEncoding" in found:
        # aws-chunked was the framing of the request; it is no quality of the object.
        codings = [c.strip() for c in found.pop("ContentEncoding").split(",")]
        if kept := ",".join(c for c in codings if c and c.lower() != "aws-chunked"):
            found["ContentEncoding"] = kept
    if "SSEKMSKeyId" in found and not found.get("ServerSideEncryption", "").startswith("aws:kms"):
        name = "x-amz-server-side-encryption-aws-kms-key-id"
        message = "Server Side Encryption with AWS KMS managed key requires HTTP header"
        raise invalid_argument(
            f"{message} x-amz-server-side-encryption : aws:kms", name, found["SSEKMSKeyId"]
        )
    if request.get("Tagging"):
        found["Tagging"] = _tags(request["Tagging"])
    return found


def _check_metadata(metadata: dict[str, str]) -> None:
    size = sum(len(text_bytes(name)) + len(text_bytes(value)) for name, value in metadata.items())
    if size > _METADATA_LIMIT_BYTES:
        raise ServiceError(
            "MetadataTooLarge",
            "Your metadata headers exceed the maximum allowed metadata size",
            fields={"Size": size, "MaxSizeAllowed": _METADATA_LIMIT_BYTES},
        )


def _tags(header: str) -> dict[str, str]:
    pairs = parse_qsl(header, keep_blank_values=True)
    if len(pairs) > _TAG_LIMIT:
        raise ServiceError("BadRequest", f"Object tags cannot be greater than {_TAG_LIMIT}")
    tags = dict(pairs)
    if len(tags) < len(pairs):
        raise ServiceError("InvalidTag", "Cannot provide multiple Tags with the same key")
    for name, value in pairs:
        if not 1 <= len(name) <= 128:
            raise ServiceError("InvalidTag", "The TagKey you have provided is invalid")
        if len(value) > 256:
            raise ServiceError("InvalidTag", "The TagValue you have provided is invalid")
    return tags


def encryption(properties: dict[str, Any]) -> Wire:
    """The reply members that tell of encryption; S3 encrypts every object."""
    return _ENCRYPTED | {name: properties[name] for name in _ENCRYPTION_MEMBERS if name in properties}


def property_members(properties: dict[str, Any]) -> Wire:
    """Properties as reply members of GetObject and HeadObject."""
    reply: Wire = _ENCRYPTED | {"ContentType": "binary/octet-stream", "Metadata": {}} | properties
    if "Expires" in reply:
        reply["Expires"] = datetime.fromtimestamp(reply["Expires"], UTC)
    if tags := reply.pop("Tagging", None):
        reply["TagCount"] = len(tags)
    return reply
