"""The one place where sessions and clients are built, and where a client's error becomes a person's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, TypeVar

import boto3
from botocore import exceptions
from botocore.config import Config

from scones.workflow.errors import WorkflowError
from scones.workflow.settings import Settings

__all__ = ["Aws", "code", "explained", "message", "missing", "once_propagated"]

_CONNECT_TIMEOUT_S = 5
_READ_TIMEOUT_S = 70  # an endpoint may take 60 s to answer
_PROPAGATION_S = 60.0  # a fresh role is known everywhere within seconds; AWS promises nothing
_NOT_YET_ASSUMABLE = (
    "could not assume role",
    "cannot be assumed",
    "not authorized to assume",
    "unable to assume",
)

Result = TypeVar("Result")


class Aws:
    """Clients of one account in one region."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clients: dict[str, Any] = {}

    @cached_property
    def _session(self) -> boto3.Session:
        settings = self.settings
        region = settings.region
        if (
            settings.on_this_machine
            and not settings.keyed
            and "default" not in boto3.Session().available_profiles
        ):
            return boto3.Session("test", "test", region_name=region or "us-east-1")
        try:
            session = boto3.Session(profile_name=settings.profile, region_name=region)
        except exceptions.ProfileNotFound as error:
            raise WorkflowError(
                str(error), "see `aws configure list-profiles`, or unset AWS_PROFILE"
            ) from error
        if session.region_name is None:
            if not settings.on_this_machine:
                raise WorkflowError("no AWS region is configured", "--region us-east-1, or set AWS_REGION")
            session = boto3.Session(profile_name=settings.profile, region_name="us-east-1")
        return session

    @property
    def region(self) -> str:
        return str(self._session.region_name)

    @cached_property
    def _identity(self) -> dict[str, str]:
        answer: dict[str, str] = self.client("sts").get_caller_identity()
        return answer

    @property
    def account(self) -> str:
        return self._identity["Account"]

    @property
    def partition(self) -> str:
        return self._identity["Arn"].split(":")[1]

    @property
    def bucket(self) -> str:
        return self.settings.bucket or f"scones-unlimited-{self.account}-{self.region}"

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a regional resource of this account."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"

    def role_arn(self, name: str) -> str:
        return f"arn:{self.partition}:iam::{self.account}:role/{name}"

    def client(self, service: str) -> Any:
        """A client, made once; boto3's clients may be shared by threads."""
        if service not in self._clients:
            options: dict[str, Any] = {  # the stubs of Config lack the last one
                "connect_timeout": _CONNECT_TIMEOUT_S,
                "read_timeout": _READ_TIMEOUT_S,
                "max_pool_connections": 2 * self.settings.workers,
                "retries": {"mode": "standard", "max_attempts": 3},
                "ignore_configured_endpoint_urls": self.settings.endpoint_url is None,
            }
            if self.settings.on_this_machine:  # TestState asks sync-HOST, and a local host has no such name
                options["inject_host_prefix"] = False
            make: Any = self._session.client  # its stubs know a signature for each service, none for all
            client = make(service, endpoint_url=self.settings.endpoint_url, config=Config(**options))
            client.meta.events.register("after-call", _refuse_a_cut_reply)
            self._clients[service] = client
        return self._clients[service]


def _refuse_a_cut_reply(http_response: Any, model: Any, **_: Any) -> None:
    """Raise ConnectionClosedError for a body shorter than announced, when its server died over it.

    botocore takes such a body for whole, and an empty one for a reply without members. Streams check
    their own length.
    """
    announced = http_response.headers.get("content-length")
    if announced is None or model.has_streaming_output or model.http.get("method") == "HEAD":
        return
    if len(http_response.content) < int(announced):
        raise exceptions.ConnectionClosedError(endpoint_url=http_response.url)


def code(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: exceptions.ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", "") or error)


def missing(error: exceptions.ClientError) -> bool:
    """The reply says that what was asked for does not exist, in any of AWS's ways of saying so."""
    if code(error) in {
        "404", "NoSuchKey", "NoSuchBucket", "NoSuchEntity", "NotFound", "NotFoundException",
        "ResourceNotFound", "ResourceNotFoundException", "StateMachineDoesNotExist", "ExecutionDoesNotExist",
    }:  # fmt: skip
        return True
    return code(error) == "ValidationException" and (
        "Could not find" in message(error) or "Requested resource not found" in message(error)
    )


def once_propagated(call: Callable[[], Result], *, poll_s: float) -> Result:
    """`call`, again and again while AWS says that a role made moments ago cannot be assumed yet."""
    deadline = time.monotonic() + _PROPAGATION_S
    while True:
        try:
            return call()
        except exceptions.ClientError as error:
            early = any(text in message(error).lower() for text in _NOT_YET_ASSUMABLE)
            if not early or time.monotonic() > deadline:
                raise
        time.sleep(poll_s)


@contextmanager
def explained(settings: Settings) -> Iterator[None]:
    """Turn what botocore raises into a WorkflowError; anything else passes."""
    where = settings.endpoint_url or "AWS"
    try:
        yield
    except exceptions.ClientError as error:
        raise WorkflowError(
            f"{error.operation_name} was refused: {message(error)} ({code(error)})"
        ) from error
    except exceptions.NoCredentialsError as error:
        raise WorkflowError(
            "no AWS credentials are configured", "aws configure, or set AWS_PROFILE"
        ) from error
    except (exceptions.EndpointConnectionError, exceptions.ConnectTimeoutError) as error:
        hint = "scones up" if settings.on_this_machine else "check the address, the network and the proxy"
        raise WorkflowError(f"nothing answers at {where}", hint) from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise WorkflowError(
            f"the connection to {where} broke: {error}", "repeat the command to go on"
        ) from error
    except exceptions.BotoCoreError as error:
        raise WorkflowError(f"talking to {where} failed: {error}") from error
