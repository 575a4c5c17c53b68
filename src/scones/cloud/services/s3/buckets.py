"""Operations on buckets. This cloud is one account in one region, and every bucket is its own."""

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire
from scones.cloud.services.s3.placing import Shelf
from scones.cloud.services.s3.records import Bucket, instant, milliseconds, owner
from scones.cloud.services.s3.requests import check_bucket_name, not_implemented

__all__ = ["Buckets"]

_CLASSIC_REGION = "us-east-1"
_LISTED = 10_000


class Buckets:
    def __init__(self, shelf: Shelf, clock: Clock, region: str) -> None:
        self._shelf = shelf
        self._clock = clock
        self._region = region

    def list_buckets(self, request: Wire, context: Context) -> Wire:
        limit = request.get("MaxBuckets") or _LISTED
        prefix = request.get("Prefix") or ""
        after = request.get("ContinuationToken") or ""
        reply: Wire = {"Owner": owner(context.account_id), "Buckets": []}
        if request.get("BucketRegion") not in (None, self._region):
            return reply
        found = self._shelf.store.buckets(prefix=prefix, after=after, limit=limit + 1)
        reply["Buckets"] = [
            {
                "Name": bucket.name,
                "CreationDate": instant(bucket.created),
                "BucketRegion": self._region,
                "BucketArn": f"arn:aws:s3:::{bucket.name}",
            }
            for bucket in found[:limit]
        ]
        if len(found) > limit:
            reply["ContinuationToken"] = found[limit - 1].name
        if prefix:
            reply["Prefix"] = prefix
        return reply

    def create_bucket(self, request: Wire, context: Context) -> Wire:
        """In us-east-1 creating what one owns already succeeds; elsewhere it does not.

        Source: S3 API Reference, CreateBucket, BucketAlreadyOwnedByYou.
        """
        name: str = request["Bucket"]
        check_bucket_name(name)
        _refuse(request)
        self._check_location((request.get("CreateBucketConfiguration") or {}).get("LocationConstraint"))
        reply = {"Location": f"/{name}", "BucketArn": f"arn:aws:s3:::{name}"}
        if self._shelf.store.bucket(name) is None:
            created = milliseconds(self._clock.now())
            self._shelf.store.insert_bucket(Bucket(name=name, created=created))
        elif self._region != _CLASSIC_REGION:
            raise ServiceError(
                "BucketAlreadyOwnedByYou",
                "Your previous request to create the named bucket succeeded and you already own it.",
                status=409,
                fields={"BucketName": name},
            )
        return reply

    def _check_location(self, constraint: str | None) -> None:
        if constraint == _CLASSIC_REGION:
            raise ServiceError(
                "InvalidLocationConstraint",
                "The specified location-constraint is not valid",
                fields={"LocationConstraint": constraint},
            )
        region = {None: _CLASSIC_REGION, "": _CLASSIC_REGION, "EU": "eu-west-1"}.get(constraint, constraint)
        if region != self._region:
            raise ServiceError(
                "IllegalLocationConstraintException",
                f"The {constraint or 'unspecified'} location constraint is incompatible for the region"
                f" specific endpoint this request was sent to: {self._region}.",
            )

    def head_bucket(self, request: Wire, context: Context) -> Wire:
        name = self._shelf.bucket(request, context)
        return {"BucketRegion": self._region, "BucketArn": f"arn:aws:s3:::{name}"}

    def get_bucket_location(self, request: Wire, context: Context) -> Wire:
        """us-east-1 has no name here, as since the first days of S3."""
        self._shelf.bucket(request, context)
        return {} if self._region == _CLASSIC_REGION else {"LocationConstraint": self._region}

    def delete_bucket(self, request: Wire, context: Context) -> Wire:
        """Uploads that nobody completed go with the bucket; objects keep it."""
        name = self._shelf.bucket(request, context)
        if self._shelf.store.has_objects(name):
            raise ServiceError(
                "BucketNotEmpty",
                "The bucket you tried to delete is not empty",
                status=409,
                fields={"BucketName": name},
            )
        self._shelf.forget(*self._shelf.store.delete_bucket(name))
        return {}


def _refuse(request: Wire) -> None:
    """What would give a bucket qualities that this cloud does not have."""
    grants = ("GrantFullControl", "GrantRead", "GrantReadACP", "GrantWrite", "GrantWriteACP")
    if request.get("ACL") not in (None, "private") or any(request.get(grant) for grant in grants):
        raise ServiceError(
            "InvalidBucketAclWithObjectOwnership",
            "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
        )
    if request.get("ObjectOwnership") not in (None, "BucketOwnerEnforced"):
        raise not_implemented("x-amz-object-ownership")
    if request.get("ObjectLockEnabledForBucket"):
        raise not_implemented("x-amz-bucket-object-lock-enabled")
    if request.get("BucketNamespace") not in (None, "global"):
        raise not_implemented("x-amz-bucket-namespace")
    configuration = request.get("CreateBucketConfiguration") or {}
    for member in ("Location", "Bucket", "Tags"):
        if configuration.get(member):
            raise not_implemented(f"CreateBucketConfiguration.{member}")
