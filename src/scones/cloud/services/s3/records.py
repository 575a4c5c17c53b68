"""What S3 remembers: buckets, objects, uploads and their parts, as rows hold them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

from scones.cloud.ports import Wire
from scones.cloud.state.db import Row

__all__ = ["Body", "Bucket", "Item", "Object", "Part", "Upload", "instant", "milliseconds", "owner", "quoted"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def instant(stored: int) -> datetime:
    """A time as S3 tells it: whole seconds, in headers and in listings alike."""
    return _EPOCH + timedelta(seconds=stored // 1000)


def quoted(etag: str) -> str:
    return f'"{etag}"'


def owner(account_id: str) -> Wire:
    """The account in S3's own words: a canonical id of 64 hexadecimal digits."""
    return {"ID": hashlib.sha256(account_id.encode()).hexdigest()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    name: str
    created: int
    encryption: Wire | None = None
    """Its own rule of default encryption."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        rule = row["encryption"]
        return cls(name=row["name"], created=row["created"], encryption=json.loads(rule) if rule else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Where bytes lie: in the row (`data`) or in a blob."""

    size: int
    data: bytes | None = None
    blob: str | None = None


class Item(NamedTuple):
    """What a listing shows of an object; the cheapest of records, as a page makes a thousand."""

    key: bytes
    size: int
    etag: str
    modified: int
    storage_class: str
    checksum_algorithm: str | None
    checksum_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object. `body.data` is None where only the head was asked for."""

    bucket: str
    key: bytes
    body: Body
    etag: str
    modified: int
    storage_class: str = "STANDARD"
    checksum_algorithm: str | None = None
    checksum: str | None = None
    checksum_type: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    part_sizes: list[int] | None = None

    @classmethod
    def from_row(cls, row: Row, *, data: bytes | None = None) -> Self:
        return cls(
            bucket=row["bucket"],
            key=row["key"],
            body=Body(size=row["size"], data=data, blob=row["blob"]),
            etag=row["etag"],
            modified=row["modified"],
            storage_class=row["storage_class"],
            checksum_algorithm=row["checksum_algorithm"],
            checksum=row["checksum"],
            checksum_type=row["checksum_type"],
            properties=json.loads(row["properties"]),
            part_sizes=json.loads(row["part_sizes"]) if row["part_sizes"] else None,
        )

    def checksums(self) -> Wire:
        """The members by which a reply tells the checksum; none where there is none."""
        if self.checksum_algorithm is None:
            return {}
        return {f"Checksum{self.checksum_algorithm}": self.checksum, "ChecksumType": self.checksum_type}


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    upload_id: str
    bucket: str
    key: bytes
    initiated: int
    storage_class: str
    checksum_algorithm: str | None
    checksum_type: str | None
    properties: dict[str, Any]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            upload_id=row["upload_id"],
            bucket=row["bucket"],
            key=row["key"],
            initiated=row["initiated"],
            storage_class=row["storage_class"],
            checksum_algorithm=row["checksum_algorithm"],
            checksum_type=row["checksum_type"],
            properties=json.loads(row["properties"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    part_number: int
    body: Body
    etag: str
    modified: int
    checksum: str | None

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            part_number=row["part_number"],
            body=Body(size=row["size"], data=row["data"], blob=row["blob"]),
            etag=row["etag"],
            modified=row["modified"],
            checksum=row["checksum"],
        )
