"""Tasks that ask SageMaker, as boto3 sees them: jobs waited for, refused, stopped, and taken up after a kill."""

import contextlib
import json
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError

from scones.testing import LocalAWS

_T = TypeVar("_T")
ALGORITHM = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
SYNC = "createTrainingJob.sync"
DOOMED = """
import asyncio, sys
from pathlib import Path
from scones.cloud.runtime import running
from scones.cloud.settings import CloudSettings

async def main(state, algorithm, fault):
    algorithms = {"image-classification": Path(algorithm)}
    settings = CloudSettings(state_dir=Path(state), port=0, algorithms=algorithms, fault=fault)
    async with running(settings) as cloud:
        print(cloud.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""
"""A cloud that kills itself at a point."""


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    state = tmp_path_factory.mktemp("sagemaker")
    with LocalAWS(state, algorithms={"image-classification": ALGORITHM}) as started:
        started.client("s3").create_bucket(Bucket="bucket")
        yield started


class Remote:
    """Clients of a cloud in another process."""

    def __init__(self, session: Any, url: str) -> None:
        self._session = session
        self._url = url

    def client(self, service: str) -> Any:
        config = Config(retries={"max_attempts": 0})
        return self._session.client(service, endpoint_url=self._url, config=config)


def until(check: Callable[[], _T | None], seconds: float = 30) -> _T:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


def job(name: str, **hyperparameters: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE,
        "HyperParameters": hyperparameters,
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }


def start(cloud: Any, action: str, parameters: dict[str, Any]) -> str:
    """An execution of a machine whose one state is the task."""
    states = cloud.client("stepfunctions")
    resource = f"arn:aws:states:::sagemaker:{action}"
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
    machine = states.create_state_machine(
        name=f"machine-{uuid.uuid4().hex[:12]}",
        roleArn=ROLE,
        definition=json.dumps({"StartAt": "T", "States": {"T": task}}),
    )
    arn: str = states.start_execution(stateMachineArn=machine["stateMachineArn"])["executionArn"]
    return arn


def ended(cloud: Any, arn: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = cloud.client("stepfunctions").describe_execution(executionArn=arn)
        return None if found["status"] == "RUNNING" else found

    return until(look)


def kinds(cloud: Any, arn: str) -> list[str]:
    events = cloud.client("stepfunctions").get_execution_history(executionArn=arn)["events"]
    return [event["type"] for event in events]


def status(cloud: Any, name: str) -> str | None:
    sagemaker = cloud.client("sagemaker")
    names = [entry["TrainingJobName"] for entry in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    if name not in names:
        return None
    found: str = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
    return found


def unique() -> str:
    return f"job-{uuid.uuid4().hex[:12]}"


def test_a_job_waited_for_ends_the_task_with_its_description(cloud: LocalAWS) -> None:
    name = unique()
    arn = start(cloud, SYNC, job(name))
    output = json.loads(ended(cloud, arn)["output"])
    assert (output["TrainingJobName"], output["TrainingJobStatus"]) == (name, "Completed")
    described = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert output["CreationTime"] == round(described["CreationTime"].timestamp() * 1000)
    assert output["ModelArtifacts"] == described["ModelArtifacts"]
    assert kinds(cloud, arn)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    tags = cloud.client("sagemaker").list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    assert {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"} in tags


def test_a_failed_job_fails_the_task_with_its_description(cloud: LocalAWS) -> None:
    described = ended(cloud, start(cloud, SYNC, job(unique(), do="fail silently")))
    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(described["cause"])["TrainingJobStatus"] == "Failed"


def test_the_job_of_somebody_else_is_refused(cloud: LocalAWS) -> None:
    name = unique()
    cloud.client("sagemaker").create_training_job(**job(name))
    described = ended(cloud, start(cloud, SYNC, job(name)))
    assert described["error"] == "SageMaker.ResourceInUseException"
    assert "(Service: AmazonSageMaker; Status Code: 400; Error Code: ResourceInUse;" in described["cause"]


def test_an_unwaited_job_answers_with_its_arn_and_a_wrong_one_with_a_general_error(cloud: LocalAWS) -> None:
    name = unique()
    output = json.loads(ended(cloud, start(cloud, "createTrainingJob", job(name)))["output"])
    assert output["TrainingJobArn"].endswith(f"/{name}")
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    endpoint = {"EndpointName": unique(), "EndpointConfigName": "none"}
    for action in ("createEndpoint", "updateEndpoint"):
        error = ended(cloud, start(cloud, action, endpoint))["error"]
        assert error == "SageMaker.AmazonSageMakerException"


def test_models_and_configurations_answer_with_their_arns(cloud: LocalAWS) -> None:
    name = unique()
    ended(cloud, start(cloud, SYNC, job(name)))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/models/{name}/output/model.tar.gz"}
    model = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    assert json.loads(ended(cloud, start(cloud, "createModel", model))["output"])["ModelArn"]
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    config = {"EndpointConfigName": name, "ProductionVariants": [variant]}
    output = json.loads(ended(cloud, start(cloud, "createEndpointConfig", config))["output"])
    assert output["EndpointConfigArn"].endswith(f"/{name}")


def test_stopping_the_execution_stops_the_job(cloud: LocalAWS) -> None:
    name = unique()
    arn = start(cloud, SYNC, job(name, do="hang"))
    until(lambda: "TaskSubmitted" in kinds(cloud, arn))
    cloud.client("stepfunctions").stop_execution(executionArn=arn)
    assert until(lambda: status(cloud, name) in ("Stopped", "Stopping"))


@pytest.mark.parametrize("point", ["stepfunctions.task.answered", "sagemaker.training.started"])
def test_after_a_kill_the_task_goes_on_with_the_job_it_began(tmp_path: Path, point: str) -> None:
    name = unique()
    command = [sys.executable, "-c", DOOMED, str(tmp_path), str(ALGORITHM), point]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        session: Any = boto3.Session("test", "test", region_name="us-east-1")
        url = process.stdout.readline().strip()
        doomed = Remote(session, url)
        doomed.client("s3").create_bucket(Bucket="bucket")
        with contextlib.suppress(BotoCoreError):  # it may die before it answers
            start(doomed, SYNC, job(name))
        assert process.wait(30) == -signal.SIGKILL
    with LocalAWS(tmp_path, algorithms={"image-classification": ALGORITHM}) as aws:
        states = aws.client("stepfunctions")
        (machine,) = states.list_state_machines()["stateMachines"]
        executions = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        arn = executions[0]["executionArn"]
        assert json.loads(ended(aws, arn)["output"])["TrainingJobName"] == name
        assert kinds(aws, arn)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
