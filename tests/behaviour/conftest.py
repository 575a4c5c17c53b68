"""Clients that many of these tests ask."""

from typing import Any

import pytest

from scones.testing import LocalAWS


@pytest.fixture
def states(aws: LocalAWS) -> Any:
    return aws.client("stepfunctions")
