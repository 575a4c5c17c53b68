"""Policy documents are checked for form; roles and policies follow IAM's rules of removal."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from tests.bench import CountedIds, SteppedClock

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.iam import Iam
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

CONTEXT = Context(request_id="r", account_id="000000000000", region="us-east-1")
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        },
    }
)
ACCESS = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
)
MANAGED = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
Operate = Callable[..., Wire]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "state.sqlite")
    yield database
    database.close()


@pytest.fixture
def iam(db: Database, tmp_path: Path) -> Iam:
    return Iam(db=db, clock=SteppedClock(), ids=CountedIds(), settings=CloudSettings(state_dir=tmp_path))


@pytest.fixture
def operate(iam: Iam, db: Database) -> Operate:
    """operate("get_role", RoleName=...) as the gateway would."""

    def run(operation: str, **request: Any) -> Wire:
        (method,) = [getattr(part, operation) for part in iam.parts if hasattr(part, operation)]
        with db.transaction():
            reply: Wire = method(request, CONTEXT)
        return reply

    return run


def code_of(operate: Operate, operation: str, **request: Any) -> str:
    with pytest.raises(ServiceError) as raised:
        operate(operation, **request)
    return raised.value.code


def statement(**changes: Any) -> str:
    kept = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"} | changes
    return json.dumps({"Statement": [{key: value for key, value in kept.items() if value is not None}]})


def test_the_default_role_is_there_from_the_first_start_and_once(iam: Iam, operate: Operate) -> None:
    asyncio.run(iam.start())
    asyncio.run(iam.start())
    (role,) = operate("list_roles")["Roles"]
    assert role["Arn"] == "arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole"
    attached = operate("list_attached_role_policies", RoleName=role["RoleName"])["AttachedPolicies"]
    assert "AmazonSageMakerFullAccess" in {policy["PolicyName"] for policy in attached}


def test_a_role_comes_back_as_it_was_made(operate: Operate) -> None:
    made = operate(
        "create_role",
        RoleName="baker",
        AssumeRolePolicyDocument=TRUST,
        Path="/kitchen/",
        Description="bakes",
        MaxSessionDuration=7200,
        Tags=[{"Key": "team", "Value": "scones"}],
    )["Role"]
    assert operate("get_role", RoleName="baker")["Role"] == made
    assert made["Arn"] == "arn:aws:iam::000000000000:role/kitchen/baker"
    assert unquote(made["AssumeRolePolicyDocument"]) == TRUST
    assert "{" not in made["AssumeRolePolicyDocument"]


def test_names_that_differ_by_case_alone_are_the_same_role(operate: Operate) -> None:
    operate("create_role", RoleName="Baker", AssumeRolePolicyDocument=TRUST)
    assert (
        code_of(operate, "create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
        == "EntityAlreadyExists"
    )
    assert operate("get_role", RoleName="BAKER")["Role"]["RoleName"] == "Baker"


def test_a_role_leaves_only_after_its_policies(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    operate("put_role_policy", RoleName="baker", PolicyName="in", PolicyDocument=ACCESS)
    operate("attach_role_policy", RoleName="baker", PolicyArn=MANAGED)
    assert code_of(operate, "delete_role", RoleName="baker") == "DeleteConflict"
    operate("delete_role_policy", RoleName="baker", PolicyName="in")
    assert code_of(operate, "delete_role", RoleName="baker") == "DeleteConflict"
    operate("detach_role_policy", RoleName="baker", PolicyArn=MANAGED)
    operate("delete_role", RoleName="baker")
    assert code_of(operate, "get_role", RoleName="baker") == "NoSuchEntity"


def test_an_inline_policy_is_replaced_by_its_name(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    narrow = statement(Action="s3:GetObject")
    operate("put_role_policy", RoleName="baker", PolicyName="in", PolicyDocument=ACCESS)
    operate("put_role_policy", RoleName="baker", PolicyName="in", PolicyDocument=narrow)
    assert operate("list_role_policies", RoleName="baker")["PolicyNames"] == ["in"]
    kept = operate("get_role_policy", RoleName="baker", PolicyName="in")
    assert unquote(kept["PolicyDocument"]) == narrow
    assert code_of(operate, "get_role_policy", RoleName="baker", PolicyName="x") == "NoSuchEntity"
    assert code_of(operate, "delete_role_policy", RoleName="baker", PolicyName="x") == "NoSuchEntity"


def test_a_managed_policy_stays_while_it_is_attached(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    arn = operate("create_policy", PolicyName="oven", PolicyDocument=ACCESS)["Policy"]["Arn"]
    operate("attach_role_policy", RoleName="baker", PolicyArn=arn)
    operate("attach_role_policy", RoleName="baker", PolicyArn=arn)
    assert operate("get_policy", PolicyArn=arn)["Policy"]["AttachmentCount"] == 1
    assert code_of(operate, "delete_policy", PolicyArn=arn) == "DeleteConflict"
    operate("detach_role_policy", RoleName="baker", PolicyArn=arn)
    assert code_of(operate, "detach_role_policy", RoleName="baker", PolicyArn=arn) == "NoSuchEntity"
    version = operate("get_policy_version", PolicyArn=arn, VersionId="v1")["PolicyVersion"]
    assert unquote(version["Document"]) == ACCESS
    operate("delete_policy", PolicyArn=arn)
    assert operate("list_policies")["Policies"] == []


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("arn:aws:iam::000000000000:policy/not-made", "NoSuchEntity"),
        ("arn:aws:iam::aws:policy/", "InvalidInput"),
        ("arn:aws:s3:::a-bucket-it-is", "InvalidInput"),
    ],
)
def test_only_policies_that_can_exist_are_attached(operate: Operate, arn: str, code: str) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    assert code_of(operate, "attach_role_policy", RoleName="baker", PolicyArn=arn) == code
    assert operate("list_attached_role_policies", RoleName="baker")["AttachedPolicies"] == []


def test_an_eleventh_policy_is_not_attached(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    for number in range(10):
        operate("attach_role_policy", RoleName="baker", PolicyArn=f"arn:aws:iam::aws:policy/P{number}")
    assert code_of(operate, "attach_role_policy", RoleName="baker", PolicyArn=MANAGED) == "LimitExceeded"
    assert len(operate("list_attached_role_policies", RoleName="baker")["AttachedPolicies"]) == 10


def test_lists_come_in_pages_that_join_without_gap_or_repeat(operate: Operate) -> None:
    names = [f"role-{number}" for number in range(7)]
    for name in names:
        operate("create_role", RoleName=name, AssumeRolePolicyDocument=TRUST, Path="/many/")
    seen: list[str] = []
    marker: dict[str, str] = {}
    while True:
        reply = operate("list_roles", PathPrefix="/many/", MaxItems=3, **marker)
        seen += [role["RoleName"] for role in reply["Roles"]]
        if not reply["IsTruncated"]:
            break
        marker = {"Marker": reply["Marker"]}
    assert seen == names
    assert operate("list_roles", PathPrefix="/none/")["Roles"] == []


def test_attached_policies_are_filtered_by_path(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    operate("attach_role_policy", RoleName="baker", PolicyArn=MANAGED)
    operate("attach_role_policy", RoleName="baker", PolicyArn="arn:aws:iam::aws:policy/Plain")
    filtered = operate("list_attached_role_policies", RoleName="baker", PathPrefix="/service-role/")
    assert [policy["PolicyArn"] for policy in filtered["AttachedPolicies"]] == [MANAGED]


def test_tags_are_added_replaced_and_taken_away(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    operate("tag_role", RoleName="baker", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    operate("tag_role", RoleName="baker", Tags=[{"Key": "a", "Value": "3"}])
    operate("untag_role", RoleName="baker", TagKeys=["b"])
    assert operate("list_role_tags", RoleName="baker")["Tags"] == [{"Key": "a", "Value": "3"}]
    many = [{"Key": str(number), "Value": ""} for number in range(50)]
    assert code_of(operate, "tag_role", RoleName="baker", Tags=many) == "LimitExceeded"


def test_a_role_changes_its_trust_and_its_description(operate: Operate) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    other = TRUST.replace("lambda", "states")
    operate("update_assume_role_policy", RoleName="baker", PolicyDocument=other)
    operate("update_role", RoleName="baker", Description="now orchestrates")
    role = operate("get_role", RoleName="baker")["Role"]
    assert (unquote(role["AssumeRolePolicyDocument"]), role["Description"]) == (other, "now orchestrates")


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        "[" * 100_000,
        "[]",
        "{}",
        statement(Effect="Perhaps"),
        statement(Action=None),
        statement(Action=[]),
        statement(Action=[1]),
        statement(Resource=None),
        statement(Resource={"a": "b"}),
        statement(NotResource="*"),
        statement(Principal="*"),
        statement(Colour="red"),
        statement(Condition="always"),
        json.dumps({"Version": "1999-01-01", "Statement": []}),
    ],
)
def test_malformed_identity_policies_are_refused(operate: Operate, document: str) -> None:
    operate("create_role", RoleName="baker", AssumeRolePolicyDocument=TRUST)
    request = {"RoleName": "baker", "PolicyName": "in", "PolicyDocument": document}
    assert code_of(operate, "put_role_policy", **request) == "MalformedPolicyDocument"
    assert operate("list_role_policies", RoleName="baker")["PolicyNames"] == []


@pytest.mark.parametrize(
    "document",
    [ACCESS, TRUST.replace("Allow", "Sometimes"), TRUST.replace("Principal", "Resource"), "{"],
)
def test_malformed_trust_policies_make_no_role(operate: Operate, document: str) -> None:
    request = {"RoleName": "baker", "AssumeRolePolicyDocument": document}
    assert code_of(operate, "create_role", **request) == "MalformedPolicyDocument"
    assert code_of(operate, "get_role", RoleName="baker") == "NoSuchEntity"


def test_lists_of_aws_policies_are_refused_by_name(operate: Operate) -> None:
    with pytest.raises(ServiceError, match="Scope"):
        operate("list_policies", Scope="AWS")
