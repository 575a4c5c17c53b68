"""Temporary credentials: given out for roles that exist, good until they expire."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from tests.bench import CountedIds, SteppedClock

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context
from scones.cloud.services.iam import Iam
from scones.cloud.services.sts import Sts
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

ACCOUNT = "000000000000"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole"


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def sts(db: Database, clock: SteppedClock, tmp_path: Path) -> Sts:
    """The service in an account that has just been started."""
    ids = CountedIds()
    asyncio.run(Iam(db=db, clock=clock, ids=ids, settings=CloudSettings(state_dir=tmp_path)).start())
    return Sts(db=db, clock=clock, ids=ids)


def context(access_key: str = "anything") -> Context:
    return Context(request_id="r", account_id=ACCOUNT, region="us-east-1", access_key=access_key)


def assume(sts: Sts, **changes: object) -> dict[str, str]:
    request = {"RoleArn": ROLE, "RoleSessionName": "night-run"} | changes
    credentials: dict[str, str] = sts.assume_role(request, context())["Credentials"]
    return credentials


def test_a_caller_with_plain_keys_appears_as_the_default_role(sts: Sts) -> None:
    identity = sts.get_caller_identity({}, context())
    assert identity["Account"] == ACCOUNT
    assert identity["Arn"] == (f"arn:aws:sts::{ACCOUNT}:assumed-role/AmazonSageMaker-ExecutionRole/SageMaker")
    assert identity["UserId"].startswith("AROA")
    assert identity["UserId"].endswith(":SageMaker")


def test_a_caller_in_an_account_without_the_default_role_is_its_root(db: Database) -> None:
    sts = Sts(db=db, clock=SteppedClock(), ids=CountedIds())
    assert sts.get_caller_identity({}, context())["Arn"] == f"arn:aws:iam::{ACCOUNT}:root"


def test_assumed_credentials_identify_their_session(sts: Sts) -> None:
    credentials = assume(sts)
    identity = sts.get_caller_identity({}, context(credentials["AccessKeyId"]))
    assert identity["Arn"].endswith(":assumed-role/AmazonSageMaker-ExecutionRole/night-run")
    expected = (credentials["SecretAccessKey"], credentials["SessionToken"])
    assert sts.credentials(credentials["AccessKeyId"]) == expected


def test_credentials_end_at_their_expiration(sts: Sts, clock: SteppedClock) -> None:
    credentials = assume(sts, DurationSeconds=900)
    assert credentials["Expiration"] == clock.moment.replace(microsecond=0) + timedelta(seconds=900)
    clock.moment += timedelta(seconds=899)
    assert sts.credentials(credentials["AccessKeyId"])
    clock.moment += timedelta(seconds=1)
    assert sts.credentials(credentials["AccessKeyId"]) is None


def test_expired_credentials_are_forgotten_at_start(sts: Sts, clock: SteppedClock, db: Database) -> None:
    assume(sts, DurationSeconds=900)
    clock.moment += timedelta(days=1)
    asyncio.run(sts.start())
    assert db.all("SELECT * FROM sts_sessions") == []


def test_unknown_keys_have_no_credentials(sts: Sts) -> None:
    assert sts.credentials("test") is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"RoleArn": f"arn:aws:iam::{ACCOUNT}:role/nobody"}, "AccessDenied"),
        ({"RoleArn": "a string that is no ARN"}, "ValidationError"),
        ({"DurationSeconds": 3601}, "ValidationError"),
        ({"Policy": "{"}, "MalformedPolicyDocument"),
        ({"Policy": "[" * 100_000}, "MalformedPolicyDocument"),
    ],
)
def test_what_cannot_be_assumed_gives_no_credentials(
    sts: Sts, db: Database, changes: dict[str, object], code: str
) -> None:
    with pytest.raises(ServiceError) as raised:
        assume(sts, **changes)
    assert raised.value.code == code
    assert db.all("SELECT * FROM sts_sessions") == []


def test_a_session_token_is_of_the_caller_and_gives_no_further_token(sts: Sts) -> None:
    credentials = sts.get_session_token({}, context())["Credentials"]
    inside = context(credentials["AccessKeyId"])
    assert sts.get_caller_identity({}, inside) == sts.get_caller_identity({}, context())
    with pytest.raises(ServiceError, match="session credentials"):
        sts.get_session_token({}, inside)
