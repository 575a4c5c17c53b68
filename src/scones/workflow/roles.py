"""The three roles of the workflow, each allowed what its service needs and no more."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, code, missing
from scones.workflow.progress import Progress

__all__ = ["ROLES", "ensure_role"]

_POLICY = "scones"

Statement = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Role:
    service: str
    """Who may assume it."""
    statements: Callable[[Aws], list[Statement]]


def _allow(actions: list[str], resources: list[str]) -> Statement:
    return {"Effect": "Allow", "Action": actions, "Resource": resources}


def _bucket(aws: Aws, *keys: str) -> list[str]:
    return [f"arn:{aws.partition}:s3:::{aws.bucket}{key}" for key in keys or ("",)]


def _logs(aws: Aws, group: str) -> Statement:
    return _allow(
        ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
        [aws.arn("logs", f"log-group:{group}"), aws.arn("logs", f"log-group:{group}:*")],
    )


def _sagemaker(aws: Aws) -> list[Statement]:
    return [
        _allow(["s3:ListBucket", "s3:GetBucketLocation"], _bucket(aws)),
        _allow(["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], _bucket(aws, "/*")),
        _logs(aws, "/aws/sagemaker/*"),
        # Neither of these can be limited to a resource.
        _allow(["cloudwatch:PutMetricData", "ecr:GetAuthorizationToken"], ["*"]),
        # The images lie in accounts of AWS.
        _allow(
            ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            [
                f"arn:{aws.partition}:ecr:{aws.region}:*:repository/{name}"
                for name in ("image-classification", "pytorch-training")
            ],
        ),
    ]


def _functions(aws: Aws) -> list[Statement]:
    return [
        _allow(["s3:GetObject"], _bucket(aws, "/*")),
        _allow(["s3:ListBucket"], _bucket(aws)),  # without it a missing key reads as a denied one
        _allow(
            ["sagemaker:InvokeEndpoint"],
            [aws.arn("sagemaker", f"endpoint/{aws.settings.endpoint_name.lower()}")],
        ),
        _logs(aws, "/aws/lambda/scones-*"),
    ]


def _states(aws: Aws) -> list[Statement]:
    functions = [aws.arn("lambda", "function:scones-*"), aws.arn("lambda", "function:scones-*:*")]
    return [
        _allow(["lambda:InvokeFunction"], functions),
        _allow(["sns:Publish"], [aws.arn("sns", "scones-failures")]),
        *_fan_out(aws),
        *_pipeline(aws),
    ]


def _fan_out(aws: Aws) -> list[Statement]:
    """What a distributed Map does: list images, begin and stop executions, write their results."""
    machine, execution = "stateMachine:scones-fan-out", "execution:scones-fan-out"
    return [
        _allow(["s3:ListBucket"], _bucket(aws)),
        _allow(["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"], _bucket(aws, "/runs/fan-out/*")),
        _allow(["states:StartExecution"], [aws.arn("states", machine)]),
        _allow(
            ["states:DescribeExecution", "states:StopExecution"],
            [aws.arn("states", f"{execution}:*"), aws.arn("states", f"{execution}/*")],
        ),
    ]


def _pipeline(aws: Aws) -> list[Statement]:
    """What the pipeline's machine does in SageMaker, and how Step Functions hears that a job has ended."""
    jobs = ("Processing", "Training")
    names = ("processing-job/scones-*", "training-job/scones-*", "model/scones-*", "endpoint/*",
             "endpoint-config/*")  # fmt: skip
    actions = ["AddTags", *(f"{verb}{kind}Job" for kind in jobs for verb in ("Create", "Describe", "Stop")),
               "CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint",
               "DescribeEndpoint"]  # fmt: skip
    rules = [aws.arn("events", f"rule/StepFunctionsGetEventsForSageMaker{kind}JobsRule") for kind in jobs]
    return [
        _allow([f"sagemaker:{action}" for action in actions], [aws.arn("sagemaker", name) for name in names]),
        _allow(["iam:PassRole"], [aws.role_arn("scones-sagemaker")]),
        _allow(["events:PutTargets", "events:PutRule", "events:DescribeRule"], rules),
    ]


ROLES = {
    "scones-sagemaker": _Role("sagemaker.amazonaws.com", _sagemaker),
    "scones-lambda": _Role("lambda.amazonaws.com", _functions),
    "scones-states": _Role("states.amazonaws.com", _states),
}


def ensure_role(aws: Aws, name: str, progress: Progress) -> str:
    """The role's ARN, made or brought up to date."""
    iam, role = aws.client("iam"), ROLES[name]
    trust = json.dumps(
        _document({"Effect": "Allow", "Principal": {"Service": role.service}, "Action": "sts:AssumeRole"})
    )
    try:
        arn: str = iam.get_role(RoleName=name)["Role"]["Arn"]
    except ClientError as error:
        if not missing(error):
            raise
        arn = _create(iam, name, trust)
        progress.say(f"made role {name}")
    policy = json.dumps(_document(*role.statements(aws)))
    iam.put_role_policy(RoleName=name, PolicyName=_POLICY, PolicyDocument=policy)
    return arn


def _create(iam: Any, name: str, trust: str) -> str:
    try:
        reply = iam.create_role(
            RoleName=name, AssumeRolePolicyDocument=trust, Description="Made by the Scones workflow"
        )
    except ClientError as error:
        if code(error) != "EntityAlreadyExists":  # somebody else was faster
            raise
        reply = iam.get_role(RoleName=name)
    arn: str = reply["Role"]["Arn"]
    return arn


def _document(*statements: Statement) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}
