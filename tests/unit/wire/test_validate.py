from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.wire.model import load
from scones.cloud.wire.validate import refuse_unknown, validate

ROLE = "arn:aws:iam::123456789012:role/r"


def refusal(service: str, operation: str, request: dict[str, Any]) -> tuple[str, str]:
    with pytest.raises(ServiceError) as refused:
        validate(load(service).operation(operation), request)
    return refused.value.code, refused.value.message


def test_a_good_request_passes() -> None:
    request = {"ModelName": "m", "ExecutionRoleArn": ROLE, "Tags": [{"Key": "é ü", "Value": ""}]}
    validate(load("sagemaker").operation("CreateModel"), request)


def test_a_pattern_is_quoted_as_aws_does() -> None:
    assert refusal("sagemaker", "DeleteModel", {"ModelName": "a_b"}) == (
        "ValidationException",
        "1 validation error detected: Value 'a_b' at 'modelName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?",
    )


def test_an_enum_lists_its_values() -> None:
    request = {"stateMachineArn": "arn:x", "statusFilter": "succeeded"}
    code, message = refusal("stepfunctions", "ListExecutions", request)
    assert code == "ValidationException"
    assert message.startswith(
        "1 validation error detected: Value 'succeeded' at 'statusFilter' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, "Value null at 'modelName' failed to satisfy constraint: Member must not be null"),
        ({"ModelName": None}, "Value null at 'modelName'"),
        ({"ModelName": "m" * 64}, "Member must have length less than or equal to 63"),
        ({"ModelName": "m", "Tags": [{"Key": "", "Value": "v"}]}, "at 'tags.1.member.key' failed"),
        ({"ModelName": "m", "Tags": [{"Value": "v"}]}, "Value null at 'tags.1.member.key'"),
        ({"ModelName": "m", "Tags": [{"Key": "k", "Value": "v"}] * 51}, "less than or equal to 50"),
        ({"ModelName": 5}, "Member must be a string"),
        ({"ModelName": "m", "Tags": {"k": "v"}}, "Member must be a list"),
        ({"ModelName": "m", "Tags": ["k"]}, "Member must be an object"),
        ({"ModelName": "m", "PrimaryContainer": {"Environment": {"a b": "v"}}}, "Map keys must satisfy"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(request_: dict[str, Any], said: str) -> None:
    assert said in refusal("sagemaker", "CreateModel", request_)[1]


def test_a_number_out_of_range_is_refused() -> None:
    assert "value less than or equal to 100" in refusal("sagemaker", "ListModels", {"MaxResults": 101})[1]
    assert "greater than or equal to 1" in refusal("sagemaker", "ListModels", {"MaxResults": 0})[1]
    assert "Member must be an integer" in refusal("sagemaker", "ListModels", {"MaxResults": True})[1]


def test_everything_wrong_is_counted() -> None:
    message = refusal("sagemaker", "CreateModel", {"ModelName": "a_b", "ExecutionRoleArn": "x"})[1]
    assert message.startswith("3 validation errors detected: ")  # too short and no ARN: two of one value


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("sagemaker", "CreateModel", "ValidationException"),
        ("sagemaker-runtime", "InvokeEndpoint", "ValidationError"),
        ("lambda", "CreateFunction", "ValidationException"),
        ("logs", "CreateLogGroup", "InvalidParameterException"),
        ("sts", "AssumeRole", "ValidationError"),
        ("iam", "GetRole", "ValidationError"),
        ("sns", "CreateTopic", "InvalidParameter"),
        ("s3", "GetObject", "InvalidArgument"),
    ],
)
def test_each_service_has_its_own_code(service: str, operation: str, code: str) -> None:
    assert refusal(service, operation, {})[0] == code


def test_a_secret_is_not_repeated() -> None:
    assert "hunter2" not in refusal("stepfunctions", "StartExecution", {"stateMachineArn": "a", "name": "",
                                    "input": "hunter2" * 100_000})[1]  # fmt: skip


def test_requests_from_within_may_not_invent_members() -> None:
    operation = load("sns").operation("Publish")
    refuse_unknown(operation, {"Message": "m"})
    with pytest.raises(ServiceError, match="'Massage'"):
        refuse_unknown(operation, {"Massage": "m"})


def test_a_document_of_s3_that_breaks_its_schema_is_malformed() -> None:
    request = {"Bucket": "b", "Delete": {"Objects": [{"VersionId": "v"}]}}
    code, message = refusal("s3", "DeleteObjects", request)
    assert code == "MalformedXML"
    assert "'delete.objects.1.member.key'" in message
    assert refusal("s3", "DeleteObjects", {"Delete": {"Objects": []}})[0] == "InvalidArgument"
