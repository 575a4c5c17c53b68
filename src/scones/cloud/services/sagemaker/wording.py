"""SageMaker's errors, ARNs and S3 addresses: how the service words what it says. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from scones.cloud.errors import ServiceError

__all__ = [
    "REASON_LIMIT",
    "Names",
    "S3Uri",
    "check_environment",
    "excerpt",
    "invalid",
    "refuse",
    "resource_limit",
]

REASON_LIMIT = 1024  # FailureReason, in characters


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def resource_limit(message: str) -> ServiceError:
    return ServiceError("ResourceLimitExceeded", message)


def refuse(request: Mapping[str, Any], members: Iterable[str]) -> None:
    """Raise for the first of `members` that a request uses: what we cannot honour is not ignored."""
    for member in members:
        if request.get(member):
            raise invalid(f"{member} is not supported by this cloud; leave it out.")


def check_environment(environment: Mapping[str, str]) -> None:
    """Raises ValidationException for what no process can be given."""
    for name, value in environment.items():
        if "\0" in value:
            raise invalid(f'The environment variable "{name}" holds a NUL character.')


def excerpt(text: str, limit: int = REASON_LIMIT) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


@dataclass(frozen=True, slots=True)
class Names:
    """ARNs of one account in one region; names in them are in lower case."""

    region: str
    account_id: str

    def arn(self, kind: str, name: str) -> str:
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{kind}/{name.lower()}"


@dataclass(frozen=True, slots=True)
class S3Uri:
    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str, member: str) -> Self:
        """Raises ValidationException naming `member` where `uri` is not s3://bucket[/key]."""
        scheme, _, rest = uri.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not bucket:
            raise invalid(f'{member} must have the form s3://bucket/key, found "{uri}".')
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def join(self, *parts: str) -> "S3Uri":
        folder = self.key.rstrip("/")
        return S3Uri(self.bucket, "/".join((folder, *parts) if folder else parts))
