"""Tasks that ask SageMaker, as boto3 sees them: jobs waited for, refused, stopped, and taken up after a kill."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError
from tests.dying import dying
from tests.stepfunctions import ROLE, create, ended, single, start, types, unique, until

from scones.testing import LocalAWS

ALGORITHMS = {"image-classification": Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"}
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
SYNC = "createTrainingJob.sync"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    state = tmp_path_factory.mktemp("sagemaker")
    with LocalAWS(state, algorithms=ALGORITHMS) as started:
        started.client("s3").create_bucket(Bucket="bucket")
        yield started


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


def begin(cloud: Any, action: str, parameters: dict[str, Any]) -> str:
    """An execution of a machine whose one state is the task."""
    states = cloud.client("stepfunctions")
    resource = f"arn:aws:states:::sagemaker:{action}"
    task = {"Type": "Task", "Resource": resource, "Parameters": parameters}
    return start(states, create(states, single(task)))


def end(cloud: Any, arn: str) -> dict[str, Any]:
    return ended(cloud.client("stepfunctions"), arn)


def kinds(cloud: Any, arn: str) -> list[str]:
    return types(cloud.client("stepfunctions"), arn)


def status(cloud: Any, name: str) -> str | None:
    sagemaker = cloud.client("sagemaker")
    names = [entry["TrainingJobName"] for entry in sagemaker.list_training_jobs()["TrainingJobSummaries"]]
    if name not in names:
        return None
    found: str = sagemaker.describe_training_job(TrainingJobName=name)["TrainingJobStatus"]
    return found


def test_a_job_waited_for_ends_the_task_with_its_description(cloud: LocalAWS) -> None:
    name = unique("job")
    arn = begin(cloud, SYNC, job(name))
    output = json.loads(end(cloud, arn)["output"])
    assert (output["TrainingJobName"], output["TrainingJobStatus"]) == (name, "Completed")
    described = cloud.client("sagemaker").describe_training_job(TrainingJobName=name)
    assert output["CreationTime"] == round(described["CreationTime"].timestamp() * 1000)
    assert output["ModelArtifacts"] == described["ModelArtifacts"]
    assert kinds(cloud, arn)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    tags = cloud.client("sagemaker").list_tags(ResourceArn=described["TrainingJobArn"])["Tags"]
    assert {"Key": "MANAGED_BY_AWS", "Value": "STARTED_BY_STEP_FUNCTIONS"} in tags


def test_a_failed_job_fails_the_task_with_its_description(cloud: LocalAWS) -> None:
    described = end(cloud, begin(cloud, SYNC, job(unique("job"), do="fail silently")))
    assert (described["status"], described["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(described["cause"])["TrainingJobStatus"] == "Failed"


def test_the_job_of_somebody_else_is_refused(cloud: LocalAWS) -> None:
    name = unique("job")
    cloud.client("sagemaker").create_training_job(**job(name))
    described = end(cloud, begin(cloud, SYNC, job(name)))
    assert described["error"] == "SageMaker.ResourceInUseException"
    assert "(Service: AmazonSageMaker; Status Code: 400; Error Code: ResourceInUse;" in described["cause"]


def test_an_unwaited_job_answers_with_its_arn_and_a_wrong_one_with_a_general_error(cloud: LocalAWS) -> None:
    name = unique("job")
    output = json.loads(end(cloud, begin(cloud, "createTrainingJob", job(name)))["output"])
    assert output["TrainingJobArn"].endswith(f"/{name}")
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    endpoint = {"EndpointName": unique("job"), "EndpointConfigName": "none"}
    for action in ("createEndpoint", "updateEndpoint"):
        error = end(cloud, begin(cloud, action, endpoint))["error"]
        assert error == "SageMaker.AmazonSageMakerException"


def test_models_and_configurations_answer_with_their_arns(cloud: LocalAWS) -> None:
    name = unique("job")
    end(cloud, begin(cloud, SYNC, job(name)))
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://bucket/models/{name}/output/model.tar.gz"}
    model = {"ModelName": name, "ExecutionRoleArn": ROLE, "PrimaryContainer": container}
    assert json.loads(end(cloud, begin(cloud, "createModel", model))["output"])["ModelArn"]
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    config = {"EndpointConfigName": name, "ProductionVariants": [variant]}
    output = json.loads(end(cloud, begin(cloud, "createEndpointConfig", config))["output"])
    assert output["EndpointConfigArn"].endswith(f"/{name}")


def test_stopping_the_execution_stops_the_job(cloud: LocalAWS) -> None:
    name = unique("job")
    arn = begin(cloud, SYNC, job(name, do="hang"))
    until(lambda: "TaskSubmitted" in kinds(cloud, arn))
    cloud.client("stepfunctions").stop_execution(executionArn=arn)
    assert until(lambda: status(cloud, name) in ("Stopped", "Stopping"))


@pytest.mark.parametrize("point", ["stepfunctions.task.answered", "sagemaker.training.started"])
def test_after_a_kill_the_task_goes_on_with_the_job_it_began(tmp_path: Path, point: str) -> None:
    name = unique("job")
    with dying(tmp_path, point, ALGORITHMS) as doomed:
        doomed.client("s3").create_bucket(Bucket="bucket")
        with contextlib.suppress(BotoCoreError):  # it may die before it answers
            begin(doomed, SYNC, job(name))
    with LocalAWS(tmp_path, algorithms=ALGORITHMS) as aws:
        states = aws.client("stepfunctions")
        (machine,) = states.list_state_machines()["stateMachines"]
        executions = states.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]
        arn = executions[0]["executionArn"]
        assert json.loads(end(aws, arn)["output"])["TrainingJobName"] == name
        assert kinds(aws, arn)[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


def test_after_a_kill_the_job_of_a_stopped_execution_is_stopped(tmp_path: Path) -> None:
    name = unique("job")
    with dying(tmp_path, "stepfunctions.stop.journaled", ALGORITHMS) as doomed:
        doomed.client("s3").create_bucket(Bucket="bucket")
        arn = begin(doomed, SYNC, job(name, do="hang"))
        until(lambda: "TaskSubmitted" in kinds(doomed, arn))
        with contextlib.suppress(BotoCoreError):  # it dies before it answers
            doomed.client("stepfunctions").stop_execution(executionArn=arn)
    with LocalAWS(tmp_path, algorithms=ALGORITHMS) as aws:
        assert end(aws, arn)["status"] == "ABORTED"
        assert until(lambda: status(aws, name) == "Stopped")
