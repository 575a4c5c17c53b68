"""Operations of other services as tasks of a state machine, as boto3 sees them."""

import json
from typing import Any

import pytest
from tests.stepfunctions import create, ended, single, start, unique

from scones.testing import LocalAWS


@pytest.fixture
def bucket(aws: LocalAWS) -> str:
    name = unique("bucket")
    aws.client("s3").create_bucket(Bucket=name)
    return name


def run(states: Any, operation: str, **parameters: Any) -> dict[str, Any]:
    """The description of an execution of one task, once it is over."""
    task = {
        "Type": "Task",
        "Resource": f"arn:aws:states:::aws-sdk:{operation}",
        "Parameters": parameters,
    }
    return ended(states, start(states, create(states, single(task))))


@pytest.mark.parametrize(("body", "stored"), [("text", b'"text"'), ({"a": 1}, b'{"a":1}'), (0, b"0")])
def test_an_object_is_put_and_got(aws: LocalAWS, states: Any, bucket: str, body: Any, stored: bytes) -> None:
    put = json.loads(run(states, "s3:putObject", Bucket=bucket, Key="k", Body=body)["output"])
    assert aws.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read() == stored
    got = json.loads(run(states, "s3:getObject", Bucket=bucket, Key="k")["output"])
    assert got["Body"] == stored.decode()
    assert got["ETag"] == put["ETag"]
    assert got["LastModified"].endswith("Z")


def test_a_services_refusal_is_the_tasks_error(states: Any, bucket: str) -> None:
    described = run(states, "s3:getObject", Bucket=bucket, Key="none")
    assert described["error"] == "S3.NoSuchKeyException"
    assert "(Service: S3, Status Code: 404, Request ID: " in described["cause"]
    described = run(states, "sfn:sendTaskSuccess", TaskToken="none", Output="{}")
    assert described["error"] == "Sfn.InvalidTokenException"


def test_members_are_in_pascal_case_whatever_the_service_calls_them(states: Any) -> None:
    output = json.loads(run(states, "sfn:listStateMachines", MaxResults=1)["output"])
    assert output["StateMachines"][0]["StateMachineArn"].startswith("arn:aws:states:")


def test_an_operation_that_is_not_here_fails_by_its_name(states: Any) -> None:
    described = run(states, "sagemaker:createLabelingJob", LabelingJobName="j")
    assert described["status"] == "FAILED"
    assert "CreateLabelingJob" in described["cause"]


def test_an_operation_that_aws_has_not_is_refused_with_the_definition(states: Any) -> None:
    resource = "arn:aws:states:::aws-sdk:s3:getObjects"
    told = f"The resource provided {resource} is not recognized. The value is not a valid resource ARN,"
    with pytest.raises(states.exceptions.InvalidDefinition, match=told):
        create(states, single({"Type": "Task", "Resource": resource}))
