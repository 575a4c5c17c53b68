"""Training jobs as their owner sees them, with real processes."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

from scones.cloud.services.sagemaker.limits import Limits

from .harness import IMAGE, Harness, channel, eventually, run, started, training_request


def statuses(job: dict[str, object]) -> list[str]:
    transitions = job["SecondaryStatusTransitions"]
    assert isinstance(transitions, list)
    return [t["Status"] for t in transitions]


def unpacked(archive: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        return {m.name: f.read() for m in tar if (f := tar.extractfile(m))}


def test_a_job_trains_on_its_channels_and_leaves_its_model_in_s3(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            objects = cloud.objects.stored
            objects["bucket", "data/train/a.txt"] = b"a"
            objects["bucket", "data/train/deep/b.txt"] = b"b"
            objects["bucket", "data/train/c.txt"] = b"c"
            objects["bucket", "data/train/"] = b""
            objects["bucket", "data/train.lst"] = b"list"
            reply = await cloud.train(
                "Job-1",
                HyperParameters={"do": "train", "epochs": "2"},
                Environment={"MINE": "yes"},
                InputDataConfig=[
                    channel("train", "s3://bucket/data/train/", ContentType="application/x-image"),
                    channel("train_lst", "s3://bucket/data/train.lst"),
                ],
            )
            assert reply == {"TrainingJobArn": "arn:aws:sagemaker:us-east-1:000000000000:training-job/job-1"}
            job = await cloud.job("Job-1")
            assert job["TrainingJobStatus"] == "Completed", job
            assert statuses(job) == [
                "Starting", "Pending", "Pending", "Downloading", "Downloading", "Training",
                "Uploading", "Completed",
            ]  # fmt: skip
            key = "models/Job-1/output/model.tar.gz"
            assert job["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://bucket/{key}"}
            seen = json.loads(unpacked(objects["bucket", key])["sub/files.json"])
            assert seen["files"] == {
                "train/a.txt": "a",
                "train/deep/b.txt": "b",
                "train/c.txt": "c",
                "train_lst/train.lst": "list",
            }
            environment = seen["environment"]
            assert environment["MINE"] == "yes"
            assert environment["TRAINING_JOB_NAME"] == "Job-1"
            assert environment["TRAINING_JOB_ARN"] == reply["TrainingJobArn"]
            assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:4566"
            assert [(m["MetricName"], m["Value"]) for m in job["FinalMetricDataList"]] == [
                ("validation:accuracy", 0.75)
            ]
            assert job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] >= 0
            assert job["OutputDataConfig"]["KmsKeyId"] == ""
            assert job["AlgorithmSpecification"]["MetricDefinitions"]
            (((group, stream), lines),) = cloud.logs.lines.items()
            assert group == "/aws/sagemaker/TrainingJobs"
            assert stream.startswith("Job-1/algo-1-")
            assert lines[:3] == ["Epoch[0] Validation-accuracy=0.500000", "  0%\r100%", " "]
            assert not list((tmp_path / "sagemaker/training").glob("*"))

    run(scenario())


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        (
            {"do": "fail", "code": "2", "text": "ClientError: no pictures"},
            "ClientError: no pictures, exit code: 2",
        ),
        ({"do": "fail", "code": "2", "text": "bad data"}, "ClientError: bad data, exit code: 2"),
        ({"do": "fail", "code": "1", "text": "it broke"}, "AlgorithmError: it broke, exit code: 1"),
        (
            {"do": "fail silently"},
            "AlgorithmError: the training process wrote no failure file; its last log line: this is the"
            " last line, exit code: 1",
        ),
        (
            {"do": "die"},
            "AlgorithmError: the training process was killed by signal 9 (SIGKILL), exit code: 137",
        ),
    ],
)  # fmt: skip
def test_a_failed_job_says_why(tmp_path: Path, parameters: dict[str, str], reason: str) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train("job", HyperParameters=parameters)
            job = await cloud.job("job")
            assert job["TrainingJobStatus"] == "Failed"
            assert job["FailureReason"] == reason
            assert job["ModelArtifacts"] == {"S3ModelArtifacts": ""}
            assert not cloud.objects.under("models/")

    run(scenario())


def test_a_stopped_job_keeps_the_model_it_has(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train("job", HyperParameters={"do": "hang"})
            await cloud.logged("hanging")
            await cloud.do("StopTrainingJob", TrainingJobName="job")
            job = await cloud.job("job")
            assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
            assert statuses(job)[-3:] == ["Stopping", "Uploading", "Stopped"]
            assert list(cloud.objects.under("models/")) == ["models/job/output/model.tar.gz"]
            error = await cloud.refusal("StopTrainingJob", TrainingJobName="job")
            assert error.message == "The request was rejected because the training job is in status Stopped."

    run(scenario())


def test_a_job_that_exceeds_its_time_is_stopped(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train(
                "job", HyperParameters={"do": "hang empty"}, StoppingCondition={"MaxRuntimeInSeconds": 1}
            )
            job = await cloud.job("job")
            assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
            assert statuses(job)[-2:] == ["Stopping", "MaxRuntimeExceeded"]

    run(scenario())


def test_jobs_beyond_the_slots_wait_their_turn_and_can_be_stopped_meanwhile(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            names = [f"job-{number}" for number in range(4)]
            for name in names:
                await cloud.train(name, HyperParameters={"do": "hang empty"})
            await cloud.logged("hanging")
            last = await cloud.job(names[-1], until=("Pending",))
            assert (
                last["SecondaryStatusTransitions"][-1]["StatusMessage"] == "Training job waiting for capacity"
            )
            for name in reversed(names):
                await cloud.do("StopTrainingJob", TrainingJobName=name)
            for name in names:
                assert (await cloud.job(name))["TrainingJobStatus"] == "Stopped"

    run(scenario())


def test_output_data_is_uploaded_next_to_the_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train("job", HyperParameters={"do": "report"})
            await cloud.job("job")
            stored = cloud.objects.under("models/job/output/")
            assert sorted(stored) == ["models/job/output/model.tar.gz", "models/job/output/output.tar.gz"]
            assert unpacked(stored["models/job/output/output.tar.gz"]) == {"report.txt": b"all is well"}

    run(scenario())


def test_no_line_of_a_loud_job_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train("job", HyperParameters={"do": "shout", "lines": "30000"})
            await cloud.job("job")
            (lines,) = cloud.logs.lines.values()
            assert [line for line in lines if line.startswith("line")] == [f"line {n}" for n in range(30000)]

    run(scenario())


def test_a_model_that_cannot_be_uploaded_fails_the_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.broken = True
            await cloud.train("job")
            job = await cloud.job("job")
            assert job["FailureReason"] == (
                "ClientError: Artifact upload failed: s3://bucket/models/job/output/model.tar.gz:"
                " The specified bucket does not exist"
            )

    run(scenario())


@pytest.mark.parametrize("key", ["data/../../escape", "data/a/./b", "data/x\0y", "data/" + "n" * 300])
def test_hostile_keys_fail_the_job_and_name_the_key(tmp_path: Path, key: str) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", key] = b"evil"
            await cloud.train("job", InputDataConfig=[channel("train", "s3://bucket/data/")])
            job = await cloud.job("job")
            assert job["FailureReason"].startswith(f'ClientError: Data download failed: the key "{key}"')

    run(scenario())


def test_a_metric_whose_expression_never_ends_costs_only_the_metric(tmp_path: Path) -> None:
    algorithm = {
        "TrainingInputMode": "File",
        "TrainingImage": IMAGE,
        "MetricDefinitions": [{"Name": "endless", "Regex": "^(([0-9A-Za-z_ ])+)+$"}],
    }

    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(metrics_s=0.5))) as cloud:
            await cloud.train(
                "job", AlgorithmSpecification=algorithm, HyperParameters={"do": "fail silently"}
            )
            job = await cloud.job("job")
            assert job["TrainingJobStatus"] == "Failed"
            assert "FinalMetricDataList" not in job

    run(scenario())


def refused() -> list[tuple[dict[str, object], str]]:
    algorithm = {"TrainingInputMode": "File", "TrainingImage": IMAGE}

    def source(mode: str, **changes: object) -> list[dict[str, object]]:
        feed = channel("c", "s3://bucket/data/x", InputMode=mode)
        feed["DataSource"]["S3DataSource"] |= changes
        return [feed]

    return [
        (
            {"AlgorithmSpecification": algorithm | {"TrainingImage": "mine:1"}},
            'The image "mine:1" cannot run',
        ),
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}}, "InstanceCount is 2"),
        ({"InputDataConfig": source("File", S3DataType="Converse")}, "S3DataType Converse"),
        ({"InputDataConfig": source("FastFile", S3DataType="ManifestFile")}, "FastFile"),
        (
            {
                "InputDataConfig": source(
                    "File", S3DataType="AugmentedManifestFile", AttributeNames=["source-ref"]
                )
            },
            "needs the input mode Pipe, found File",
        ),
        ({"InputDataConfig": source("Pipe", S3DataType="AugmentedManifestFile")}, "AttributeNames"),
        ({"InputDataConfig": source("Pipe", AttributeNames=["class"])}, "AttributeNames"),
        ({"InputDataConfig": source("Pipe", InstanceGroupNames=["a"])}, "InstanceGroupNames"),
        (
            {"InputDataConfig": [channel("c", "s3://bucket/data/", RecordWrapperType="RecordIO")]},
            'RecordWrapperType of channel "c" must be None in File mode',
        ),
        ({"InputDataConfig": [channel("..", "s3://bucket/data/")]}, 'found ".."'),
        ({"InputDataConfig": [channel("c", "s3://bucket/data/")] * 2}, "unique"),
        ({"InputDataConfig": [channel("c", "https://bucket/data/")]}, "s3://bucket/key"),
        ({"OutputDataConfig": {"S3OutputPath": "/here"}}, "OutputDataConfig.S3OutputPath"),
        ({"EnableNetworkIsolation": True}, "EnableNetworkIsolation"),
        ({"CheckpointConfig": {"S3Uri": "https://bucket/c"}}, "CheckpointConfig.S3Uri"),
        (
            {"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/opt/ml/checkpoints/../model"}},
            "CheckpointConfig.LocalPath",
        ),
        (
            {"CheckpointConfig": {"S3Uri": "s3://bucket/c", "LocalPath": "/tmp/c"}},
            "CheckpointConfig.LocalPath",
        ),
        ({"Environment": {"A": "x\0y"}}, '"A"'),
        (
            {"AlgorithmSpecification": algorithm | {"MetricDefinitions": [{"Name": "m", "Regex": "("}]}},
            'metric "m"',
        ),
    ]


@pytest.mark.parametrize(("changes", "words"), refused())
def test_what_cannot_be_honoured_is_refused_by_name(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            cloud.objects.stored["bucket", "data/x"] = b"x"
            error = await cloud.refusal("CreateTrainingJob", **training_request("job", **changes))
            assert error.code == "ValidationException"
            assert words in error.message
            assert (await cloud.do("ListTrainingJobs"))["TrainingJobSummaries"] == []

    run(scenario())


def test_an_empty_prefix_is_refused_in_the_words_of_aws(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            request = training_request("job", InputDataConfig=[channel("train", "s3://bucket/none/")])
            error = await cloud.refusal("CreateTrainingJob", **request)
            assert error.message == (
                'No S3 objects found under S3 URL "s3://bucket/none/" given in input data source. Please'
                " ensure that the bucket exists in the selected region (us-east-1), that objects exist"
                ' under that S3 prefix, and that the role "arn:aws:iam::000000000000:role/worker" has'
                ' "s3:ListBucket" permissions on bucket "bucket".'
            )

    run(scenario())


def test_names_are_unique_whatever_their_case(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.train("Job")
            error = await cloud.refusal("CreateTrainingJob", **training_request("jOB"))
            assert error.code == "ResourceInUse"
            await cloud.job("Job")

    run(scenario())


def test_listing_filters_sorts_and_pages(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            for name in ("b-one", "a-one", "c-two"):
                await cloud.train(name, HyperParameters={"do": "fail silently" if "two" in name else "train"})
            for name in ("b-one", "a-one", "c-two"):
                await cloud.job(name)

            async def names(**request: object) -> list[str]:
                reply = await cloud.do("ListTrainingJobs", **request)
                found = [job["TrainingJobName"] for job in reply["TrainingJobSummaries"]]
                if "NextToken" in reply:
                    found += await names(**request | {"NextToken": reply["NextToken"]})
                return found

            oldest_first = await names()  # those of one millisecond by name
            assert sorted(oldest_first) == ["a-one", "b-one", "c-two"]
            assert await names(SortOrder="Descending") == oldest_first[::-1]
            assert await names(MaxResults=1, SortBy="Name") == ["a-one", "b-one", "c-two"]
            assert await names(MaxResults=2, SortBy="Status", SortOrder="Descending") == [
                "c-two",
                "b-one",
                "a-one",
            ]
            assert sorted(await names(NameContains="ONE")) == ["a-one", "b-one"]
            assert await names(StatusEquals="Failed") == ["c-two"]
            assert (await cloud.refusal("ListTrainingJobs", NextToken="x")).code == "ValidationException"

    run(scenario())


@pytest.mark.parametrize(
    "point",
    [
        "sagemaker.training.downloading",
        "sagemaker.training.started",
        "sagemaker.training.uploading",
        "sagemaker.training.uploaded",
    ],
)
def test_a_job_completes_once_after_a_crash(tmp_path: Path, point: str) -> None:
    async def scenario() -> None:
        before = Harness(tmp_path / "state")
        before.objects.stored["bucket", "data/x"] = b"x"
        before.faults.point = point
        async with started(before):
            await before.train("job", InputDataConfig=[channel("train", "s3://bucket/data/")])
            await before.faults.reached.wait()
        async with started(before.after_crash()) as cloud:
            job = await cloud.job("job")
            assert job["TrainingJobStatus"] == "Completed"
            assert statuses(job).count("Completed") == 1
            restarted = point in ("sagemaker.training.downloading", "sagemaker.training.started")
            assert ("Restarting" in statuses(job)) is restarted
            assert len(cloud.objects.under("models/")) == 1

    run(scenario())


def test_a_job_that_was_running_at_close_runs_again_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = Harness(tmp_path / "state")
        async with started(cloud):
            flag = tmp_path / "flag"
            await cloud.train("job", HyperParameters={"do": "hang once", "flag": str(flag)})

            async def reached() -> bool | None:
                return flag.exists() or None

            await eventually(reached)
        async with started(cloud):
            assert (await cloud.job("job"))["TrainingJobStatus"] == "Completed"

    run(scenario())
