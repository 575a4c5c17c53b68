"""Batch transform as an unmodified boto3, awscli and state machine see it; and kill -9 of the whole cloud."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.asking import unique, until
from tests.dying import dying

from scones.client_env import client_environment
from scones.testing import LocalAWS

ALGORITHM = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
ALGORITHMS = {"image-classification": ALGORITHM}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    state = tmp_path_factory.mktemp("transform")
    with LocalAWS(state, algorithms=ALGORITHMS) as started:
        prepare(started)
        yield started


def prepare(cloud: Any) -> None:
    """The bucket, three pictures, one that is refused, and a model."""
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="bucket")
    for name in ("a", "b", "c"):
        s3.put_object(Bucket="bucket", Key=f"pictures/{name}.png", Body=b"picture")
    s3.put_object(Bucket="bucket", Key="wrong/d.png", Body=b"status 400")
    cloud.client("sagemaker").create_model(
        ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE}
    )


def job(name: str, folder: str = "pictures") -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://bucket/{folder}/"}
    return {
        "TransformJobName": name,
        "ModelName": "model",
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "image/png"},
        "TransformOutput": {"S3OutputPath": f"s3://bucket/{name}", "Accept": "application/json"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


def ended(cloud: Any, name: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = cloud.client("sagemaker").describe_transform_job(TransformJobName=name)
        return None if found["TransformJobStatus"] in ("InProgress", "Stopping") else found

    return until(look)


def outputs(cloud: Any, name: str) -> dict[str, bytes]:
    s3 = cloud.client("s3")
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket="bucket", Prefix=f"{name}/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {
        key.removeprefix(f"{name}/"): s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys
    }


def start(cloud: Any, action: str, parameters: dict[str, Any]) -> str:
    """An execution of a machine whose one state is the task."""
    states = cloud.client("stepfunctions")
    resource = f"arn:aws:states:::sagemaker:{action}"
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    machine = states.create_state_machine(
        name=unique("job"), roleArn=ROLE, definition=json.dumps({"StartAt": "T", "States": {"T": task}})
    )
    arn: str = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    return arn


def over(cloud: Any, arn: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = cloud.client("stepfunctions").describe_execution(executionArn=arn)
        return None if found["status"] == "RUNNING" else found

    return until(look)


def test_boto3_transforms_waits_and_lists(cloud: LocalAWS) -> None:
    sagemaker, name = cloud.client("sagemaker"), unique("job")
    arn = sagemaker.create_transform_job(**job(name), Tags=[{"Key": "who", "Value": "me"}])["TransformJobArn"]
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    described = sagemaker.describe_transform_job(TransformJobName=name)
    assert {member: described[member] for member in job(name)} == job(name)
    assert outputs(cloud, name) == {f"{letter}.png.out": b"[0.9, 0.1]" for letter in "abc"}
    head = cloud.client("s3").head_object(Bucket="bucket", Key=f"{name}/a.png.out")
    assert head["ContentType"] == "application/json"
    (summary,) = sagemaker.list_transform_jobs(NameContains=name)["TransformJobSummaries"]
    assert (summary["TransformJobArn"], summary["TransformJobStatus"]) == (arn, "Completed")
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "why", "Value": "so"}])
    tags = sagemaker.list_tags(ResourceArn=arn)["Tags"]
    assert tags == [{"Key": "who", "Value": "me"}, {"Key": "why", "Value": "so"}]


def test_eventbridge_is_told_of_every_status(cloud: LocalAWS) -> None:
    states, events, name = cloud.client("stepfunctions"), cloud.client("events"), unique("job")
    definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Pass", "End": True}}})
    machine = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    pattern = {
        "detail-type": ["SageMaker Transform Job State Change"],
        "detail": {"TransformJobName": [name]},
    }
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": machine, "RoleArn": ROLE}])
    cloud.client("sagemaker").create_transform_job(**job(name), Tags=[{"Key": "who", "Value": "me"}])
    described = ended(cloud, name)

    def told() -> list[Any] | None:
        runs = states.list_executions(stateMachineArn=machine)["executions"]
        inputs = [states.describe_execution(executionArn=run["executionArn"])["input"] for run in runs]
        return [json.loads(text) for text in inputs] if len(runs) == 2 else None

    found = {event["detail"]["TransformJobStatus"]: event for event in until(told)}
    assert set(found) == {"InProgress", "Completed"}
    last = found["Completed"]
    assert last["resources"] == [described["TransformJobArn"]]
    assert last["detail"]["TransformEndTime"] == round(described["TransformEndTime"].timestamp() * 1000)
    assert [event["detail"]["Tags"] for event in found.values()] == [{"who": "me"}] * 2


def test_the_log_tells_what_failed(cloud: LocalAWS) -> None:
    name = unique("job")
    cloud.client("sagemaker").create_transform_job(**job(name, "wrong"))
    described = ended(cloud, name)
    assert described["TransformJobStatus"] == "Failed"
    assert described["FailureReason"] == "ClientError: See job logs for more information"
    group = "/aws/sagemaker/TransformJobs"
    events = cloud.client("logs").filter_log_events(logGroupName=group, logStreamNamePrefix=f"{name}/")[
        "events"
    ]
    lines = [event["message"] for event in events]
    assert any(line.endswith("[sagemaker logs]: bucket/wrong/d.png: ClientError: 400") for line in lines)
    assert any("POST /invocations" in line for line in lines)


def test_awscli_transforms(cloud: LocalAWS, tmp_path: Path) -> None:
    name = unique("job")
    (tmp_path / "job.json").write_text(json.dumps(job(name)))
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)} | client_environment(
        cloud.url, region="us-east-1", account_id="000000000000"
    )

    def aws(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "aws"), "sagemaker", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    created = json.loads(aws("create-transform-job", "--cli-input-json", f"file://{tmp_path / 'job.json'}"))
    assert created["TransformJobArn"].endswith(f":transform-job/{name}")
    ended(cloud, name)  # awscli itself looks only once a minute
    aws("wait", "transform-job-completed-or-stopped", "--transform-job-name", name)
    described = json.loads(aws("describe-transform-job", "--transform-job-name", name))
    assert described["TransformJobStatus"] == "Completed"


def test_a_task_waits_for_its_transform_job(cloud: LocalAWS) -> None:
    name = unique("job")
    output = json.loads(over(cloud, start(cloud, "createTransformJob.sync", job(name)))["output"])
    assert (output["TransformJobName"], output["TransformJobStatus"]) == (name, "Completed")
    described = cloud.client("sagemaker").describe_transform_job(TransformJobName=name)
    assert output["TransformEndTime"] == round(described["TransformEndTime"].timestamp() * 1000)
    tags = cloud.client("sagemaker").list_tags(ResourceArn=described["TransformJobArn"])["Tags"]
    assert tags == [{"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"}]


def test_a_task_does_not_wait_or_fails_with_its_transform_job(cloud: LocalAWS) -> None:
    name = unique("job")
    output = json.loads(over(cloud, start(cloud, "createTransformJob", job(name)))["output"])
    assert output["TransformJobArn"].endswith(f"/{name}")
    execution = over(cloud, start(cloud, "createTransformJob.sync", job(unique("job"), "wrong")))
    assert (execution["status"], execution["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(execution["cause"])["FailureReason"].startswith("ClientError")
    execution = over(cloud, start(cloud, "createTransformJob.sync", job(name)))
    assert execution["error"] == "SageMaker.ResourceInUseException"


def test_stopping_the_execution_stops_the_transform_job(cloud: LocalAWS) -> None:
    name = unique("job")
    cloud.client("s3").put_object(Bucket="bucket", Key=f"{name}-in/slow", Body=b"sleep 600")
    arn = start(cloud, "createTransformJob.sync", job(name, f"{name}-in"))
    states = cloud.client("stepfunctions")

    def submitted() -> bool:
        events = states.get_execution_history(executionArn=arn)["events"]
        return any(event["type"] == "TaskSubmitted" for event in events)

    until(submitted)
    states.stop_execution(executionArn=arn)
    assert ended(cloud, name)["TransformJobStatus"] == "Stopped"


@pytest.mark.parametrize("fault", ["s3.object.committed:6", "sagemaker.transform.written"])
def test_after_kill_9_every_output_is_there_and_whole(tmp_path: Path, fault: str) -> None:
    """The first fault strikes as the first of the results are on their way, after five uploads."""
    with dying(tmp_path, fault, ALGORITHMS) as doomed:
        prepare(doomed)
        doomed.client("s3").put_object(Bucket="bucket", Key="pictures/e.png", Body=b"picture")
        doomed.client("sagemaker").create_transform_job(**job("job"))
    with LocalAWS(tmp_path, algorithms=ALGORITHMS) as aws:
        assert ended(aws, "job")["TransformJobStatus"] == "Completed"
        assert outputs(aws, "job") == {f"{letter}.png.out": b"[0.9, 0.1]" for letter in "abce"}
