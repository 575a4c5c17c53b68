"""Conditional requests and ranges: RFC 9110's rules, in S3's words. Pure."""

import re
from dataclasses import dataclass
from datetime import datetime

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.s3.records import Object, instant, quoted
from scones.cloud.services.s3.requests import invalid_argument, not_implemented

__all__ = ["Span", "WriteCondition", "check_copy", "check_read", "copy_range", "part_span", "read_range"]

_RANGE = re.compile(r"bytes=(\d{0,30})-(\d{0,30})\Z", re.ASCII)


def _failed(condition: str) -> ServiceError:
    return ServiceError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        status=412,
        fields={"Condition": condition},
    )


def _matches(tags: str, etag: str) -> bool:
    """Whether an entity tag is among those of an If-Match or If-None-Match header."""
    wanted = [tag.strip().removeprefix("W/").strip('"') for tag in tags.split(",")]
    return "*" in wanted or etag in wanted


def check_read(request: Wire, found: Object) -> None:
    """Raises NotModified (304) or PreconditionFailed (412). Entity tags count before dates."""
    modified = instant(found.modified)
    match, none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    since: datetime | None = request.get("IfModifiedSince")
    unmodified_since: datetime | None = request.get("IfUnmodifiedSince")
    if match is not None:
        if not _matches(match, found.etag):
            raise _failed("If-Match")
    elif unmodified_since is not None and modified > unmodified_since:
        raise _failed("If-Unmodified-Since")
    if none_match is not None:
        if _matches(none_match, found.etag):
            raise _not_modified(found)
    elif since is not None and modified <= since:
        raise _not_modified(found)


def _not_modified(found: Object) -> ServiceError:
    """RFC 9110 wants the entity tag told again, for the caches on the way."""
    headers = {"ETag": quoted(found.etag)}
    fields = {"ResponseMetadata": {"HTTPHeaders": headers}}
    return ServiceError("NotModified", "Not Modified", status=304, fields=fields)


def check_copy(request: Wire, found: Object) -> None:
    """The same four questions about a copy's source; every failure is a 412."""
    conditions = {
        name: request.get(f"CopySource{name}")
        for name in ("IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince")
    }
    try:
        check_read(conditions, found)
    except ServiceError as error:
        unmet = "If-None-Match" if conditions["IfNoneMatch"] is not None else "If-Modified-Since"
        condition = error.fields.get("Condition", unmet)
        raise _failed(f"x-amz-copy-source-{condition}") from None


@dataclass(frozen=True, slots=True)
class WriteCondition:
    """If-Match and If-None-Match of a write: asked before the body arrives, and again as it commits."""

    match: str | None
    none_match: str | None

    @classmethod
    def of(cls, request: Wire) -> "WriteCondition":
        none_match = request.get("IfNoneMatch")
        if none_match not in (None, "*"):
            raise not_implemented("If-None-Match")
        return cls(request.get("IfMatch"), none_match)

    def check(self, found: Object | None, key: str) -> None:
        """Raises PreconditionFailed, or NoSuchKey where If-Match finds nothing to match."""
        if self.none_match is not None and found is not None:
            raise _failed("If-None-Match")
        if self.match is None:
            return
        if found is None:
            raise ServiceError(
                "NoSuchKey", "The specified key does not exist.", status=404, fields={"Key": key}
            )
        if not _matches(self.match, found.etag):
            raise _failed("If-Match")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of an object, and the object's whole size."""

    offset: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{self.size}"


def read_range(header: str | None, size: int) -> Span | None:
    """None where the whole is meant: no range, several, or one that no grammar allows.

    Raises InvalidRange (416) where it lies outside the object.
    """
    found = _RANGE.match(header.replace(" ", "")) if header else None
    if header is None or found is None or found.group() == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size)
        span = Span(size - length, length, size)
    else:
        if last and int(last) < int(first):
            return None
        end = min(int(last) + 1, size) if last else size
        span = Span(int(first), end - int(first), size)
    if span.length <= 0:
        raise ServiceError(
            "InvalidRange",
            "The requested range is not satisfiable",
            status=416,
            fields={"RangeRequested": header, "ActualObjectSize": size},
        )
    return span


def copy_range(header: str | None, size: int) -> Span:
    """x-amz-copy-source-range, which must name both ends, within the source."""
    if header is None:
        return Span(0, size, size)
    found = _RANGE.match(header)
    if found is None or not all(found.groups()) or int(found[2]) < int(found[1]):
        raise invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are"
            " the zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            header,
        )
    first, last = int(found[1]), int(found[2])
    if last >= size:
        message = f"Range specified is not valid for source object of size: {size}"
        raise invalid_argument(message, "x-amz-copy-source-range", header)
    return Span(first, last - first + 1, size)


def part_span(number: int, stored: Object) -> Span | None:
    """The stretch that was uploaded as one part; an object put whole is its own first part."""
    sizes = stored.part_sizes or [stored.body.size]
    if not 1 <= number <= 10000:
        message = "Part number must be an integer between 1 and 10000, inclusive"
        raise invalid_argument(message, "partNumber", number)
    if number > len(sizes):
        raise ServiceError(
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
            status=416,
            fields={"PartNumberRequested": number, "ActualPartCount": len(sizes)},
        )
    if not sizes[number - 1]:
        return None
    return Span(sum(sizes[: number - 1]), sizes[number - 1], stored.body.size)
