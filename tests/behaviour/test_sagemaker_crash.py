"""kill -9 of the whole cloud: what runs is run again, and nothing is lost or doubled."""

import json
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.asking import until
from tests.dying import dying

from scones.testing import LocalAWS

ALGORITHM = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
ALGORITHMS = {"image-classification": ALGORITHM}


def revived(state: Path) -> LocalAWS:
    return LocalAWS(state, algorithms=ALGORITHMS, capture_window_s=0.2)


@pytest.mark.parametrize("point", ["sagemaker.training.started", "sagemaker.training.uploaded"])
def test_a_training_job_completes_after_the_cloud_was_killed(tmp_path: Path, point: str) -> None:
    with dying(tmp_path, point, ALGORITHMS) as cloud:
        cloud.client("s3").create_bucket(Bucket="bucket")
        cloud.client("sagemaker").create_training_job(
            TrainingJobName="job",
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/models"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
    with revived(tmp_path) as aws:

        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = aws.client("sagemaker").describe_training_job(TrainingJobName="job")
            return None if job["TrainingJobStatus"] == "InProgress" else job

        job = until(ended)
        assert job["TrainingJobStatus"] == "Completed"
        statuses = [t["Status"] for t in job["SecondaryStatusTransitions"]]
        assert ("Restarting" in statuses) is (point == "sagemaker.training.started")
        keys = [o["Key"] for o in aws.client("s3").list_objects_v2(Bucket="bucket")["Contents"]]
        assert keys == ["models/job/output/model.tar.gz"]


def test_a_training_job_goes_on_from_its_checkpoint_after_the_cloud_was_killed(tmp_path: Path) -> None:
    with dying(tmp_path, "", ALGORITHMS) as cloud:
        s3, sagemaker = cloud.client("s3"), cloud.client("sagemaker")
        s3.create_bucket(Bucket="bucket")
        sagemaker.create_training_job(
            TrainingJobName="job",
            AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            HyperParameters={"do": "count", "steps": "9", "hang at": "4"},
            RoleArn=ROLE,
            OutputDataConfig={"S3OutputPath": "s3://bucket/models"},
            CheckpointConfig={"S3Uri": "s3://bucket/checkpoints/"},
            ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
            StoppingCondition={"MaxRuntimeInSeconds": 600},
        )
        key = "checkpoints/deep/steps"

        def stored() -> bool | None:
            keys = [o["Key"] for o in s3.list_objects_v2(Bucket="bucket").get("Contents", ())]
            return key in keys or None

        until(stored)
        cloud.kill()
    with revived(tmp_path) as aws:

        def ended() -> dict[str, Any] | None:
            job: dict[str, Any] = aws.client("sagemaker").describe_training_job(TrainingJobName="job")
            return None if job["TrainingJobStatus"] == "InProgress" else job

        assert until(ended)["TrainingJobStatus"] == "Completed"
        logs = aws.client("logs").filter_log_events(logGroupName="/aws/sagemaker/TrainingJobs")["events"]
        said = [event["message"] for event in logs if event["message"].startswith("from step")]
        assert said == ["from step 0", "from step 4"]
        assert aws.client("s3").get_object(Bucket="bucket", Key=key)["Body"].read() == b"9"


def test_an_endpoint_answers_again_and_every_answered_request_is_captured(tmp_path: Path) -> None:
    with dying(tmp_path, "", ALGORITHMS) as cloud:
        cloud.client("s3").create_bucket(Bucket="bucket")
        sagemaker, runtime = cloud.client("sagemaker"), cloud.client("sagemaker-runtime")
        deploy(sagemaker)
        for number in range(7):
            runtime.invoke_endpoint(EndpointName="e", Body=f"{number}".encode(), ContentType="text/csv")
        told = runtime.invoke_endpoint(EndpointName="e", Body=b"tell", ContentType="text/csv")
        worker = json.loads(told["Body"].read())["pid"]
        cloud.kill()
    with revived(tmp_path) as aws:
        endpoint = aws.client("sagemaker").describe_endpoint(EndpointName="e")
        assert endpoint["EndpointStatus"] == "InService"
        reply = aws.client("sagemaker-runtime").invoke_endpoint(EndpointName="e", Body=b"last")
        assert reply["Body"].read() == b"[0.9, 0.1]"
        assert not alive(worker)
        s3 = aws.client("s3")

        def captured() -> list[dict[str, Any]] | None:
            keys = [o["Key"] for o in s3.list_objects_v2(Bucket="bucket").get("Contents", ())]
            bodies = [s3.get_object(Bucket="bucket", Key=key)["Body"].read() for key in keys]
            records = [json.loads(line) for body in bodies for line in body.splitlines()]
            return records if len(records) >= 9 else None

        records = until(captured)
        assert len({record["eventMetadata"]["eventId"] for record in records}) == 9
        inputs = [record["captureData"]["endpointInput"]["data"] for record in records]
        assert inputs[:7] == [f"{number}" for number in range(7)]


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def deploy(sagemaker: Any) -> None:
    sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE})
    sagemaker.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {"VariantName": "V", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://bucket/captures",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"]},
        },
    )
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")

    def serving() -> bool | None:
        return sagemaker.describe_endpoint(EndpointName="e")["EndpointStatus"] == "InService" or None

    until(serving)
