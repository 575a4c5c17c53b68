"""SageMaker as an unmodified boto3 sees it, over a socket, with an algorithm that does as it is told."""

import io
import json
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

_T = TypeVar("_T")
ALGORITHM = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    algorithms = {"image-classification": ALGORITHM}
    state = tmp_path_factory.mktemp("sagemaker")
    with LocalAWS(state, algorithms=algorithms, capture_window_s=0.2) as started:
        yield started


@pytest.fixture
def bucket(cloud: LocalAWS) -> str:
    name = f"bucket-{uuid.uuid4()}"
    cloud.client("s3").create_bucket(Bucket=name)
    return name


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def eventually(look: Callable[[], _T | None]) -> _T:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass in time")


def train(cloud: LocalAWS, bucket: str, **hyperparameters: str) -> dict[str, Any]:
    """Run a job to its end and describe it."""
    sagemaker = cloud.client("sagemaker")
    name = unique("job")
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{bucket}/data/"}
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        HyperParameters=hyperparameters,
        InputDataConfig=[{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
        OutputDataConfig={"S3OutputPath": f"s3://{bucket}/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )

    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return None if job["TrainingJobStatus"] in ("InProgress", "Stopping") else job

    return eventually(ended)


def deploy(cloud: LocalAWS, model_data: str, bucket: str) -> str:
    sagemaker = cloud.client("sagemaker")
    name = unique("endpoint")
    container = {"Image": IMAGE, "ModelDataUrl": model_data}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": name,
                "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
                "InitialVariantWeight": 1,
            }
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": f"s3://{bucket}/captures",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)

    def settled() -> dict[str, Any] | None:
        endpoint: dict[str, Any] = sagemaker.describe_endpoint(EndpointName=name)
        return None if endpoint["EndpointStatus"] == "Creating" else endpoint

    endpoint = eventually(settled)
    assert endpoint["EndpointStatus"] == "InService", endpoint
    return name


def test_from_training_to_captured_inferences(cloud: LocalAWS, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="data/a.txt", Body=b"a")
    job = train(cloud, bucket)
    assert job["TrainingJobStatus"] == "Completed"
    url = f"s3://{bucket}/models/{job['TrainingJobName']}/output/model.tar.gz"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == url
    packed = s3.get_object(Bucket=bucket, Key=url.removeprefix(f"s3://{bucket}/"))["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        model = json.loads((tar.extractfile("sub/files.json") or io.BytesIO()).read())
    assert model["files"] == {"train/a.txt": "a"}
    assert model["environment"]["AWS_ENDPOINT_URL"] == cloud.url

    name = deploy(cloud, url, bucket)
    runtime = cloud.client("sagemaker-runtime")
    reply = runtime.invoke_endpoint(EndpointName=name, Body=b"picture", ContentType="image/png")
    assert reply["Body"].read() == b"[0.9, 0.1]"
    assert reply["ContentType"] == "application/json"
    assert reply["InvokedProductionVariant"] == "AllTraffic"

    def captured() -> list[bytes] | None:
        keys = s3.list_objects_v2(Bucket=bucket, Prefix=f"captures/{name}/AllTraffic/").get("Contents")
        return [s3.get_object(Bucket=bucket, Key=k["Key"])["Body"].read() for k in keys] if keys else None

    (line,) = eventually(captured)
    output = json.loads(line)["captureData"]["endpointOutput"]
    assert output == {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": "[0.9, 0.1]",
        "encoding": "JSON",
    }
    cloud.client("sagemaker").delete_endpoint(EndpointName=name)


def test_logs_of_a_job_are_found_as_the_sdk_looks_for_them(cloud: LocalAWS, bucket: str) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key="data/a.txt", Body=b"a")
    job = train(cloud, bucket)
    logs = cloud.client("logs")
    group = "/aws/sagemaker/TrainingJobs"
    (stream,) = logs.describe_log_streams(
        logGroupName=group, logStreamNamePrefix=f"{job['TrainingJobName']}/", orderBy="LogStreamName", limit=1
    )["logStreams"]
    events = logs.get_log_events(
        logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True
    )["events"]
    assert [e["message"] for e in events][-1] == "Epoch[1] Validation-accuracy=0.750000"
    times = [e["timestamp"] for e in events]
    assert times == sorted(times)


def test_a_refused_picture_is_a_model_error_with_its_fields(cloud: LocalAWS, bucket: str) -> None:
    cloud.client("s3").put_object(Bucket=bucket, Key="data/a.txt", Body=b"a")
    name = deploy(cloud, train(cloud, bucket)["ModelArtifacts"]["S3ModelArtifacts"], bucket)
    with pytest.raises(ClientError) as caught:
        cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=name, Body=b"status 400")
    response: dict[str, Any] = dict(caught.value.response)
    assert response["Error"]["Code"] == "ModelError"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 400
    assert response["OriginalMessage"] == "unable to evaluate payload provided"
    assert response["LogStreamArn"].startswith("arn:aws:logs:us-east-1:000000000000:log-group:")
    cloud.client("sagemaker").delete_endpoint(EndpointName=name)


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        (
            "describe_training_job",
            {"TrainingJobName": "nobody"},
            "Requested resource not found.",
        ),
        (
            "delete_endpoint",
            {"EndpointName": "Nobody"},
            'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/nobody".',
        ),
        (
            "create_endpoint",
            {"EndpointName": "e", "EndpointConfigName": "Nobody"},
            "Could not find endpoint configuration"
            ' "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/nobody".',
        ),
    ],
)
def test_strangers_are_refused_in_the_words_of_aws(
    cloud: LocalAWS, operation: str, request_: dict[str, str], message: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(cloud.client("sagemaker"), operation)(**request_)
    assert caught.value.response["Error"] == {"Code": "ValidationException", "Message": message}


def test_an_unknown_endpoint_is_a_validation_error_of_the_runtime(cloud: LocalAWS) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="nobody", Body=b"x")
    error = caught.value.response["Error"]
    assert error == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 000000000000 not found.",
    }


def test_paginators_walk_every_listing(cloud: LocalAWS) -> None:
    sagemaker = cloud.client("sagemaker")
    prefix = unique("m")
    names = [f"{prefix}-{number:02}" for number in range(15)]
    for name in names:
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains=prefix, SortBy="Name", SortOrder="Ascending"
    )
    assert [model["ModelName"] for page in pages for model in page["Models"]] == names


def heard(cloud: LocalAWS, pattern: Any) -> Callable[[], list[Any]]:
    """Starts a state machine with each event of a pattern; gives the events heard so far, in their order."""
    states, events, name = cloud.client("stepfunctions"), cloud.client("events"), unique("heard")
    definition = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Pass", "End": True}}})
    machine = states.create_state_machine(name=name, definition=definition, roleArn=ROLE)["stateMachineArn"]
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "t", "Arn": machine, "RoleArn": ROLE}])

    def told() -> list[Any]:
        started = states.list_executions(stateMachineArn=machine)["executions"]
        described = [states.describe_execution(executionArn=run["executionArn"]) for run in started]
        found = [json.loads(run["input"]) for run in described]
        return sorted(found, key=lambda event: event["detail"]["LastModifiedTime"])

    return told


def test_the_states_of_jobs_and_endpoints_are_told_to_eventbridge(cloud: LocalAWS, bucket: str) -> None:
    s3 = cloud.client("s3")
    s3.put_object(Bucket=bucket, Key="data/a.txt", Body=b"a")
    jobs = heard(cloud, {"source": ["aws.sagemaker"], "detail-type": ["SageMaker Training Job State Change"]})
    endpoints = heard(cloud, {"detail-type": ["SageMaker Endpoint State Change"]})
    job = train(cloud, bucket)
    name = deploy(cloud, job["ModelArtifacts"]["S3ModelArtifacts"], bucket)
    cloud.client("sagemaker").delete_endpoint(EndpointName=name)

    def of(event: Any) -> Any:
        return event["detail"]["TrainingJobStatus"], event["detail"]["SecondaryStatus"]

    eventually(lambda: [e for e in jobs() if of(e) == ("Completed", "Completed")] or None)
    eventually(lambda: [e for e in endpoints() if e["detail"]["EndpointStatus"] == "DELETING"] or None)
    told = jobs()
    assert {("InProgress", "Downloading"), ("InProgress", "Training"), ("InProgress", "Uploading")} <= {
        of(event) for event in told
    }
    (last,) = [event for event in told if of(event) == ("Completed", "Completed")]
    assert last["resources"] == [job["TrainingJobArn"]]
    assert last["detail"]["ModelArtifacts"] == job["ModelArtifacts"]
    assert last["detail"]["TrainingEndTime"] == round(job["TrainingEndTime"].timestamp() * 1000)
    assert last["detail"]["Tags"] == {}
    statuses = [event["detail"]["EndpointStatus"] for event in endpoints()]
    assert statuses == ["CREATING", "IN_SERVICE", "DELETING"]
    assert {event["detail"]["EndpointName"] for event in endpoints()} == {name}
