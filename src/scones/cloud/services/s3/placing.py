"""Finding buckets and objects for a request, and putting a finished object in its place."""

from collections.abc import Callable, Iterable
from functools import partial

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Faults, Wire
from scones.cloud.services.s3.bodies import Bodies
from scones.cloud.services.s3.conditions import WriteCondition
from scones.cloud.services.s3.records import Bucket, Object
from scones.cloud.services.s3.store import Store
from scones.cloud.state.db import Database

__all__ = ["Shelf", "check_owner", "no_such_key"]


def no_such_key(key: str) -> ServiceError:
    return ServiceError("NoSuchKey", "The specified key does not exist.", status=404, fields={"Key": key})


class Shelf:
    """What every part of S3 needs: the rows, the bytes, and the one order in which they change."""

    def __init__(self, db: Database, store: Store, bodies: Bodies, faults: Faults) -> None:
        self.db = db
        self.store = store
        self.bodies = bodies
        self._faults = faults

    def bucket(self, request: Wire, context: Context) -> str:
        """The name of the request's bucket. Raises NoSuchBucket; AccessDenied for another's."""
        name: str = request["Bucket"]
        self.named_bucket(name)
        check_owner(request.get("ExpectedBucketOwner"), context)
        return name

    def named_bucket(self, name: str) -> Bucket:
        found = self.store.bucket(name)
        if found is None:
            raise ServiceError(
                "NoSuchBucket",
                "The specified bucket does not exist",
                status=404,
                fields={"BucketName": name},
            )
        return found

    def encryption_rule(self, bucket: str) -> Wire | None:
        """The bucket's own rule of default encryption."""
        return self.named_bucket(bucket).encryption

    def place(
        self, new: Object, condition: WriteCondition, *, ending: Callable[[], Iterable[str]] | None = None
    ) -> None:
        """Make an object visible whose bytes are stored; what it replaces goes after the commit.

        ending: what else ends in the same transaction; gives the blobs that are then nobody's.
        """
        self._faults.reach("s3.body.written")
        with self.bodies.kept_if_committed(new.body), self.db.transaction():
            self.named_bucket(new.bucket)
            old = self.store.head(new.bucket, new.key)
            condition.check(old, new.key.decode())
            self.store.put_object(new)
            if ending is not None:
                self.forget(*ending())
            if old is not None:
                self.forget(old.body.blob)
        self._faults.reach("s3.object.committed")

    def forget(self, *blobs: str | None) -> None:
        """Remove blobs once the current transaction no longer refers to them for good."""
        for blob in blobs:
            self.db.after_commit(partial(self.bodies.remove, blob))


def check_owner(expected: str | None, context: Context) -> None:
    if expected is not None and expected != context.account_id:
        raise ServiceError("AccessDenied", "Access Denied", status=403)
