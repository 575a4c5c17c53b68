"""STS and IAM as boto3 sees them."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.asking import unique

from scones.testing import LocalAWS

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}
MANAGED = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def test_the_caller_is_a_role_that_iam_knows(aws: LocalAWS) -> None:
    arn = aws.client("sts").get_caller_identity()["Arn"]
    assert ":assumed-role/" in arn
    role = aws.client("iam").get_role(RoleName=arn.split("/")[1])["Role"]
    services = role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"]
    assert "sagemaker.amazonaws.com" in services


def test_a_role_lives_and_ends_with_its_policies(aws: LocalAWS) -> None:
    iam, name = aws.client("iam"), unique("role")
    made = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=[{"Key": "k", "Value": "v"}]
    )["Role"]
    assert made["AssumeRolePolicyDocument"] == TRUST
    assert iam.get_role(RoleName=name)["Role"] == made
    iam.attach_role_policy(RoleName=name, PolicyArn=MANAGED)
    with pytest.raises(iam.exceptions.DeleteConflictException):
        iam.delete_role(RoleName=name)
    iam.detach_role_policy(RoleName=name, PolicyArn=MANAGED)
    iam.delete_role(RoleName=name)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName=name)


def test_a_policy_that_is_no_policy_is_refused(aws: LocalAWS) -> None:
    iam = aws.client("iam")
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException):
        iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument="{}")


def test_roles_are_paged(aws: LocalAWS) -> None:
    iam, path = aws.client("iam"), f"/{unique('many')}/"
    names = sorted(unique("role") for _ in range(5))
    for name in names:
        iam.create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=json.dumps(TRUST))
    pages = iam.get_paginator("list_roles").paginate(PathPrefix=path, PaginationConfig={"PageSize": 2})
    assert [role["RoleName"] for page in pages for role in page["Roles"]] == names


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    """A cloud that knows one key and verifies every signature."""
    with LocalAWS(tmp_path_factory.mktemp("keyed"), credentials={"AKIDEXAMPLE": "secret"}) as cloud:
        yield cloud


def identity(url: str, key: str, secret: str, token: str | None = None) -> str:
    session = boto3.Session(key, secret, token, region_name="us-east-1")
    arn: str = session.client("sts", endpoint_url=url).get_caller_identity()["Arn"]
    return arn


def test_temporary_credentials_sign_for_their_role(keyed: LocalAWS) -> None:
    session = boto3.Session("AKIDEXAMPLE", "secret", region_name="us-east-1")
    iam = session.client("iam", endpoint_url=keyed.url)
    role = iam.create_role(RoleName=unique("role"), AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    sts = session.client("sts", endpoint_url=keyed.url)
    given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="night-run")["Credentials"]
    key, secret, token = given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"]
    arn = identity(keyed.url, key, secret, token)
    assert arn == f"arn:aws:sts::000000000000:assumed-role/{role['RoleName']}/night-run"
    for wrong in (
        (key, secret, "another token"),
        (key, "another secret", token),
        ("ASIANOBODY", secret, token),
    ):
        with pytest.raises(ClientError) as raised:
            identity(keyed.url, *wrong)
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_identities_survive_a_restart(tmp_path: Path) -> None:
    name = unique("role")
    with LocalAWS(tmp_path) as cloud:
        made = cloud.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
        caller = cloud.client("sts").get_caller_identity()["UserId"]
    with LocalAWS(tmp_path) as cloud:
        assert cloud.client("iam").get_role(RoleName=name)["Role"] == made["Role"]
        assert cloud.client("sts").get_caller_identity()["UserId"] == caller
