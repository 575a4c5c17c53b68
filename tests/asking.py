"""What tests of any service do again and again."""

import time
import uuid
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

__all__ = ["code", "refusal", "unique", "until"]

_T = TypeVar("_T")


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def until(check: Callable[[], _T | None], seconds: float = 60, what: str = "waited too long") -> _T:
    """What `check` gives once it gives something; else the test fails and says `what`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return found


def refusal(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    """Code and message of the error that a call must give."""
    with pytest.raises(ClientError) as problem:
        call(**request)
    error = problem.value.response["Error"]
    return error["Code"], error["Message"]


def code(call: Callable[..., Any], **request: Any) -> str:
    return refusal(call, **request)[0]
