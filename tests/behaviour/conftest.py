"""Clients that many of these tests ask, and who hears what they send."""

from collections.abc import Iterator
from typing import Any

import pytest
from tests.keeper import Keeper

from scones.testing import LocalAWS


@pytest.fixture
def states(aws: LocalAWS) -> Any:
    return aws.client("stepfunctions")


@pytest.fixture
def keeper(aws: LocalAWS) -> Iterator[Keeper]:
    made = Keeper(aws)
    yield made
    made.close()
