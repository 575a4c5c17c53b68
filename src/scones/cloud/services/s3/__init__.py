"""Simple Storage Service: buckets, objects and uploads in parts."""

from scones.cloud.services.s3.api import S3

__all__ = ["S3"]
