"""Which encryption objects have by default, and what is told of it.

Settings are kept and told as S3 does; the bytes lie on disk as they came.
"""

import json
from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.s3.checksums import verify_document
from scones.cloud.services.s3.placing import Shelf
from scones.cloud.services.s3.requests import invalid_argument

__all__ = ["Encryption", "encrypted"]

_ALGORITHMS = ("AES256", "aws:kms", "aws:kms:dsse")
_DEFAULT: Wire = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}
"""Of every bucket without a rule of its own, since January 2023."""


class Encryption:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def get_bucket_encryption(self, request: Wire, context: Context) -> Wire:
        bucket = self._shelf.named_bucket(self._shelf.bucket(request, context))
        return {"ServerSideEncryptionConfiguration": {"Rules": [bucket.encryption or _DEFAULT]}}

    def put_bucket_encryption(self, request: Wire, context: Context) -> Wire:
        name = self._shelf.bucket(request, context)
        if context.headers:  # a call from within has no document
            verify_document(context.body, request, context.headers)
        rule = _checked(request["ServerSideEncryptionConfiguration"])
        self._shelf.store.set_encryption(name, json.dumps(rule))
        return {}

    def delete_bucket_encryption(self, request: Wire, context: Context) -> Wire:
        """Back to the default of every bucket."""
        self._shelf.store.set_encryption(self._shelf.bucket(request, context), None)
        return {}


def _checked(configuration: Wire) -> Wire:
    rules: list[Wire] = configuration.get("Rules") or []
    chosen = (rules[0].get("ApplyServerSideEncryptionByDefault") or {}) if len(rules) == 1 else {}
    if chosen.get("SSEAlgorithm") not in _ALGORITHMS:
        raise ServiceError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
        )
    if "KMSMasterKeyID" in chosen and chosen["SSEAlgorithm"] == "AES256":
        message = "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms"
        name = "ApplyServerSideEncryptionByDefault"
        raise invalid_argument(f"{message} or aws:kms:dsse", name, chosen["KMSMasterKeyID"])
    return {"BucketKeyEnabled": False} | rules[0]


def encrypted(properties: dict[str, Any], rule: Wire | None) -> dict[str, Any]:
    """A new object's properties; where its request named no encryption, those of its bucket's rule.

    The default of every bucket is not written down: an object that says nothing has that one.
    """
    if rule is None:
        return properties
    chosen = rule["ApplyServerSideEncryptionByDefault"]
    added: dict[str, Any] = {}
    if "ServerSideEncryption" not in properties:
        added["ServerSideEncryption"] = chosen["SSEAlgorithm"]
        if "KMSMasterKeyID" in chosen:
            added["SSEKMSKeyId"] = chosen["KMSMasterKeyID"]
    algorithm = properties.get("ServerSideEncryption", chosen["SSEAlgorithm"])
    if rule["BucketKeyEnabled"] and algorithm == "aws:kms" and "BucketKeyEnabled" not in properties:
        added["BucketKeyEnabled"] = True
    return properties | added
