"""SQL of S3. Scans are ranges of an index: their cost is what they return, whatever else there is."""

import json
from collections.abc import Iterator

from scones.cloud.services.s3.records import Bucket, Item, Object, Part, Upload
from scones.cloud.state.db import Database

__all__ = ["Store", "after_prefix"]

_INSERT_BUCKET = "INSERT INTO s3_buckets (name, created) VALUES (:name, :created)"
_BUCKET = "SELECT * FROM s3_buckets WHERE name = ?"
_BUCKETS = "SELECT * FROM s3_buckets WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"
_SET_ENCRYPTION = "UPDATE s3_buckets SET encryption = ? WHERE name = ?"
_DELETE_BUCKET = "DELETE FROM s3_buckets WHERE name = ?"
_HAS_OBJECTS = "SELECT 1 FROM s3_objects WHERE bucket = ? LIMIT 1"

_HEAD = """
    SELECT bucket, key, size, etag, modified, storage_class, checksum_algorithm, checksum, checksum_type,
        properties, part_sizes, blob FROM s3_objects WHERE bucket = ? AND key = ?"""
_OBJECT = "SELECT * FROM s3_objects WHERE bucket = ? AND key = ?"
_PUT_OBJECT = """
    INSERT OR REPLACE INTO s3_objects VALUES (:bucket, :key, :size, :etag, :modified, :storage_class,
        :checksum_algorithm, :checksum, :checksum_type, :properties, :part_sizes, :blob, :data)"""
_DELETE_OBJECT = "DELETE FROM s3_objects WHERE bucket = ? AND key = ?"
_SCAN_OBJECTS = """
    SELECT key, size, etag, modified, storage_class, checksum_algorithm, checksum_type FROM s3_objects
    WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?"""

_INSERT_UPLOAD = """
    INSERT INTO s3_uploads VALUES (:upload_id, :bucket, :key, :initiated, :storage_class,
        :checksum_algorithm, :checksum_type, :properties)"""
_UPLOAD = "SELECT * FROM s3_uploads WHERE upload_id = ? AND bucket = ? AND key = ?"
_UPLOADS_OF_BUCKET = "SELECT upload_id FROM s3_uploads WHERE bucket = ?"
_SCAN_UPLOADS = """
    SELECT * FROM s3_uploads WHERE bucket = ? AND (key, upload_id) > (?, ?) AND key < ?
    ORDER BY key, upload_id LIMIT ?"""
_DELETE_UPLOAD = "DELETE FROM s3_uploads WHERE upload_id = ?"

_PUT_PART = """
    INSERT OR REPLACE INTO s3_parts VALUES (:upload_id, :part_number, :size, :etag, :modified, :checksum,
        :blob, :data)"""
_PARTS = "SELECT * FROM s3_parts WHERE upload_id = ? AND part_number > ? ORDER BY part_number LIMIT ?"
_PART_BLOB = "SELECT blob FROM s3_parts WHERE upload_id = ? AND part_number = ?"
_PART_BLOBS = "SELECT blob FROM s3_parts WHERE upload_id = ? AND blob IS NOT NULL"

_ALL_BLOBS = """
    SELECT blob FROM s3_objects WHERE blob IS NOT NULL
    UNION ALL SELECT blob FROM s3_parts WHERE blob IS NOT NULL"""

_END = b"\xff"
"""Above every key: no UTF-8 text has this byte."""


def after_prefix(prefix: bytes) -> bytes:
    """The least bytes above everything that starts with `prefix`. UTF-8 has no 0xFF to carry over."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else _END


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # --- buckets --------------------------------------------------------------------------------

    def insert_bucket(self, bucket: Bucket) -> None:
        self._db.execute(_INSERT_BUCKET, {"name": bucket.name, "created": bucket.created})

    def bucket(self, name: str) -> Bucket | None:
        row = self._db.one(_BUCKET, (name,))
        return None if row is None else Bucket.from_row(row)

    def buckets(self, *, prefix: str, after: str, limit: int) -> list[Bucket]:
        return [Bucket.from_row(r) for r in self._db.all(_BUCKETS, (after, len(prefix), prefix, limit))]

    def set_encryption(self, bucket: str, rule: str | None) -> None:
        self._db.execute(_SET_ENCRYPTION, (rule, bucket))

    def has_objects(self, bucket: str) -> bool:
        return self._db.one(_HAS_OBJECTS, (bucket,)) is not None

    def delete_bucket(self, name: str) -> list[str]:
        """Also forgets the bucket's uploads; returns the blobs of their parts."""
        uploads = [row[0] for row in self._db.all(_UPLOADS_OF_BUCKET, (name,))]
        blobs = [blob for upload_id in uploads for blob in self.delete_upload(upload_id)]
        self._db.execute(_DELETE_BUCKET, (name,))
        return blobs

    # --- objects --------------------------------------------------------------------------------

    def head(self, bucket: str, key: bytes) -> Object | None:
        """An object without the bytes that lie in its row."""
        row = self._db.one(_HEAD, (bucket, key))
        return None if row is None else Object.from_row(row)

    def object(self, bucket: str, key: bytes) -> Object | None:
        row = self._db.one(_OBJECT, (bucket, key))
        return None if row is None else Object.from_row(row, data=row["data"])

    def put_object(self, stored: Object) -> None:
        sizes = stored.part_sizes
        self._db.execute(
            _PUT_OBJECT,
            {
                "bucket": stored.bucket,
                "key": stored.key,
                "size": stored.body.size,
                "etag": stored.etag,
                "modified": stored.modified,
                "storage_class": stored.storage_class,
                "checksum_algorithm": stored.checksum_algorithm,
                "checksum": stored.checksum,
                "checksum_type": stored.checksum_type,
                "properties": json.dumps(stored.properties),
                "part_sizes": None if sizes is None else json.dumps(sizes),
                "blob": stored.body.blob,
                "data": stored.body.data,
            },
        )

    def delete_object(self, bucket: str, key: bytes) -> None:
        self._db.execute(_DELETE_OBJECT, (bucket, key))

    def scan_objects(self, bucket: str, start: bytes, end: bytes, limit: int) -> Iterator[Item]:
        """Objects with start <= key < end in order; rows are read as they are asked for.

        The statement's columns are Item's fields.
        """
        for row in self._db.execute(_SCAN_OBJECTS, (bucket, start, end, limit)):
            yield Item._make(row)

    # --- uploads --------------------------------------------------------------------------------

    def insert_upload(self, upload: Upload) -> None:
        self._db.execute(
            _INSERT_UPLOAD,
            {
                "upload_id": upload.upload_id,
                "bucket": upload.bucket,
                "key": upload.key,
                "initiated": upload.initiated,
                "storage_class": upload.storage_class,
                "checksum_algorithm": upload.checksum_algorithm,
                "checksum_type": upload.checksum_type,
                "properties": json.dumps(upload.properties),
            },
        )

    def upload(self, bucket: str, key: bytes, upload_id: str) -> Upload | None:
        row = self._db.one(_UPLOAD, (upload_id, bucket, key))
        return None if row is None else Upload.from_row(row)

    def scan_uploads(self, bucket: str, after: tuple[bytes, str], end: bytes, limit: int) -> Iterator[Upload]:
        """Uploads with (key, upload id) > after and key < end, in that order."""
        for row in self._db.execute(_SCAN_UPLOADS, (bucket, *after, end, limit)):
            yield Upload.from_row(row)

    def delete_upload(self, upload_id: str) -> list[str]:
        """Its parts go with it; returns their blobs."""
        blobs = [row[0] for row in self._db.all(_PART_BLOBS, (upload_id,))]
        self._db.execute(_DELETE_UPLOAD, (upload_id,))
        return blobs

    def put_part(self, upload_id: str, part: Part) -> str | None:
        """Returns the blob of the part it replaces."""
        old = self._db.one(_PART_BLOB, (upload_id, part.part_number))
        self._db.execute(
            _PUT_PART,
            {
                "upload_id": upload_id,
                "part_number": part.part_number,
                "size": part.body.size,
                "etag": part.etag,
                "modified": part.modified,
                "checksum": part.checksum,
                "blob": part.body.blob,
                "data": part.body.data,
            },
        )
        return None if old is None else old["blob"]

    def parts(self, upload_id: str, *, after: int = 0, limit: int = -1) -> list[Part]:
        return [Part.from_row(row) for row in self._db.all(_PARTS, (upload_id, after, limit))]

    # --- recovery -------------------------------------------------------------------------------

    def blobs(self) -> Iterator[str]:
        """Every blob that a row refers to."""
        for row in self._db.execute(_ALL_BLOBS):
            yield row[0]
