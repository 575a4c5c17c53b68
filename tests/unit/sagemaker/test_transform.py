"""Transform jobs as their owner sees them, with real processes."""

import asyncio
import gzip
import json
import os
import signal
from pathlib import Path
from typing import Any

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.limits import Limits

from .harness import IMAGE, ROLE, Harness, archive, eventually, run, started

GROUP = "/aws/sagemaker/TransformJobs"


async def model(cloud: Harness, name: str = "model", **environment: str) -> None:
    cloud.objects.stored["bucket", "model.tar.gz"] = archive({"weights": b"1"})
    container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/model.tar.gz", "Environment": environment}
    await cloud.do("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)


def request(name: str = "job", **changes: Any) -> Wire:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}
    return {
        "TransformJobName": name,
        "ModelName": "model",
        "TransformInput": {"DataSource": source} | changes.pop("input", {}),
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"} | changes.pop("output", {}),
        "TransformResources": {
            "InstanceType": "ml.m5.large",
            "InstanceCount": changes.pop("instances", 1),
        },
    } | changes


async def ended(cloud: Harness, name: str = "job") -> Wire:
    async def look() -> Wire | None:
        job = await cloud.do("DescribeTransformJob", TransformJobName=name)
        return None if job["TransformJobStatus"] in ("InProgress", "Stopping") else job

    return await eventually(look)


async def transform(cloud: Harness, name: str = "job", **changes: Any) -> Wire:
    await cloud.do("CreateTransformJob", **request(name, **changes))
    return await ended(cloud, name)


def put(cloud: Harness, **bodies: bytes) -> None:
    for name, body in bodies.items():
        cloud.objects.stored["bucket", f"in/{name}"] = body


def data_log(cloud: Harness, name: str = "job") -> list[str]:
    """What the job told of its data, without the times."""
    (lines,) = [
        lines
        for (group, stream), lines in cloud.logs.lines.items()
        if group == GROUP and stream.startswith(f"{name}/") and stream.endswith("/data-log")
    ]
    return [line.partition(":[sagemaker logs]: ")[2] for line in lines]


def test_every_object_gets_its_output(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, MINE="model", YOURS="model")
            put(cloud, a=b"tell", b=b"picture", folder=b"")
            cloud.objects.stored["bucket", "in/deep/c.png"] = b"picture"
            cloud.objects.stored["bucket", "in/deep/"] = b""
            reply = await cloud.do(
                "CreateTransformJob",
                **request(
                    "Job-1",
                    input={"ContentType": "image/png"},
                    output={"Accept": "application/json"},
                    Environment={"MINE": "job"},
                    MaxPayloadInMB=2,
                    BatchStrategy="SingleRecord",
                    Tags=[{"Key": "k", "Value": "v"}],
                ),
            )
            arn = "arn:aws:sagemaker:us-east-1:000000000000:transform-job/job-1"
            assert reply == {"TransformJobArn": arn}
            job = await ended(cloud, "Job-1")
            assert job["TransformJobStatus"] == "Completed", job
            assert job["TransformStartTime"] <= job["TransformEndTime"]
            assert job["Environment"] == {"MINE": "job"}
            outputs = cloud.objects.under("out/")
            assert set(outputs) == {"out/a.out", "out/b.out", "out/folder.out", "out/deep/c.png.out"}
            assert outputs["out/b.out"] == b"[0.9, 0.1]"
            told = json.loads(outputs["out/a.out"])
            assert told["headers"] | {"Host": ""} == {
                "Host": "",
                "Content-Type": "image/png",
                "Accept": "application/json",
                "Content-Length": "4",
            }
            assert told["model"] == ["weights"]
            environment = told["environment"]
            assert (environment["MINE"], environment["YOURS"]) == ("job", "model")
            assert environment["SAGEMAKER_BATCH"] == "true"
            assert environment["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
            assert environment["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "2"
            assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in environment
            assert data_log(cloud, "Job-1") == [
                "MaxConcurrentTransforms=1, MaxPayloadInMB=2, BatchStrategy=SINGLE_RECORD"
            ]
            tags = await cloud.do("ListTags", ResourceArn=arn)
            assert tags["Tags"] == [{"Key": "k", "Value": "v"}]
            assert not list(tmp_path.glob("sagemaker/transform/*"))

    run(scenario())


def test_lines_are_batched_and_their_results_keep_their_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, ANSWER="lengths", PARAMETERS='{"MaxConcurrentTransforms": 3}')
            lines = [b"x" * (number % 50 + 1) for number in range(2000)]
            content = b"\n".join(lines)
            put(cloud, **{"a.csv": content, "b.csv.gz": content})
            cloud.objects.stored["bucket", "zipped/b.gz"] = gzip.compress(content)
            wanted = b"".join(b"%d\n" % len(line) for line in lines)
            line = {"SplitType": "Line", "ContentType": "text/csv"}
            job = await transform(
                cloud, "single", instances=2, BatchStrategy="SingleRecord", input=line,
                output={"AssembleWith": "Line", "S3OutputPath": "s3://bucket/single/"},
            )  # fmt: skip
            assert job["TransformJobStatus"] == "Completed", data_log(cloud, "single")
            assert cloud.objects.stored["bucket", "single/a.csv.out"] == wanted
            zipped = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/zipped"}}
            job = await transform(
                cloud, "multi", input={"DataSource": zipped, "CompressionType": "Gzip", **line},
                output={"AssembleWith": "Line", "Accept": "text/csv"},
                DataProcessing={"JoinSource": "Input", "OutputFilter": "$[1]"},
            )  # fmt: skip
            assert job["TransformJobStatus"] == "Completed", data_log(cloud, "multi")
            assert cloud.objects.stored["bucket", "out/b.gz.out"] == wanted

    run(scenario())


def test_a_result_too_large_for_memory_is_put_whole(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, ANSWER="echo")
            content = b"".join(b"%06d %s\n" % (number, b"y" * 993) for number in range(3000))
            put(cloud, big=content)
            job = await transform(
                cloud, MaxPayloadInMB=1, input={"SplitType": "Line"}, output={"AssembleWith": "Line"}
            )
            assert job["TransformJobStatus"] == "Completed", data_log(cloud)
            assert cloud.objects.stored["bucket", "out/big.out"] == content

    run(scenario())


def test_a_manifest_names_the_objects(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, ANSWER="echo")
            put(cloud, a=b"a", b=b"b", c=b"c")
            manifests = {
                "good": b'[{"prefix": "s3://bucket/in/"}, "a", "c"]',
                "bad": b'{"prefix": "s3://bucket/in/"}',
                "missing": b'[{"prefix": "s3://bucket/in/"}, "nothing"]',
            }
            jobs = {}
            for name, manifest in manifests.items():
                cloud.objects.stored["bucket", f"{name}.manifest"] = manifest
                uri = f"s3://bucket/{name}.manifest"
                source = {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": uri}}
                jobs[name] = await transform(cloud, name, input={"DataSource": source})
            assert cloud.objects.under("out/") == {"out/a.out": b"a", "out/c.out": b"c"}
            assert jobs["good"]["TransformJobStatus"] == "Completed"
            assert jobs["bad"]["FailureReason"].startswith(
                "ClientError: The manifest s3://bucket/bad.manifest"
            )
            assert jobs["missing"]["FailureReason"] == "ClientError: See job logs for more information"
            assert "bucket/in/nothing: The specified key does not exist." in data_log(cloud, "missing")

    run(scenario())


def test_an_object_that_fails_is_told_and_the_others_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud)
            put(cloud, a=b"picture", b=b"status 400", c=b"x" * 1024 * 1024 + b"x", d=b"picture")
            job = await transform(cloud, MaxPayloadInMB=1)
            assert job["TransformJobStatus"] == "Failed"
            assert job["FailureReason"] == "ClientError: See job logs for more information"
            assert set(cloud.objects.under("out/")) == {"out/a.out", "out/d.out"}
            assert data_log(cloud)[1:] == [
                "bucket/in/b: ClientError: 400",
                "bucket/in/b: ",
                "bucket/in/b: Message:",
                "bucket/in/b: unable to evaluate payload provided",
                "bucket/in/c: ClientError",
                "bucket/in/c: ",
                "bucket/in/c: Message:",
                "bucket/in/c: the object is larger than MaxPayloadInMB, 1048576 bytes",
            ]

    run(scenario())


def test_failing_requests_are_tried_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud)
            put(cloud, a=b"once %s" % str(tmp_path / "flag").encode(), b=b"picture")
            job = await transform(cloud)
            assert job["TransformJobStatus"] == "Completed", data_log(cloud)
            put(cloud, a=b"once %s" % str(tmp_path / "other").encode())
            job = await transform(cloud, "never", ModelClientConfig={"InvocationsMaxRetries": 0})
            assert job["FailureReason"] == "AlgorithmError: See job logs for more information"

    run(scenario())


def test_a_container_that_does_not_answer_ends_the_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(ready_s=0.5))) as cloud:
            await model(cloud)
            put(cloud, a=b"crash")
            patience = {"InvocationsMaxRetries": 1, "InvocationsTimeoutInSeconds": 1}
            job = await transform(cloud, ModelClientConfig=patience)
            assert job["FailureReason"].startswith("AlgorithmError: Unable to get response from algorithm: ")
            put(cloud, a=b"sleep 600")
            job = await transform(cloud, "slow", ModelClientConfig=patience | {"InvocationsMaxRetries": 0})
            assert job["FailureReason"].endswith("no answer within 1 s")

    run(scenario())


def test_a_container_that_dies_once_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, PARAMETERS='{"MaxConcurrentTransforms": 4}')
            put(cloud, **{f"p{number}": b"sleep 0.05" for number in range(40)})
            await cloud.do("CreateTransformJob", **request(output={"S3OutputPath": "s3://bucket/out"}))

            async def first() -> int | None:
                row = cloud.db.one("SELECT pid FROM workers WHERE purpose LIKE '%transform%'")
                return row["pid"] if row and cloud.objects.under("out/") else None

            os.kill(await eventually(first), signal.SIGKILL)
            job = await ended(cloud)
            assert job["TransformJobStatus"] == "Completed", data_log(cloud)
            assert len(cloud.objects.under("out/")) == 40

    run(scenario())


def test_a_container_that_does_not_start_fails_the_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud, REFUSE="yes")
            await model(cloud, "odd", PARAMETERS='{"MaxConcurrentTransforms": "many"}')
            put(cloud, a=b"picture")
            job = await transform(cloud, instances=2)
            assert job["FailureReason"].startswith(
                "AlgorithmError: Model container failed to respond to ping"
            )
            assert "the model cannot be loaded" in job["FailureReason"]
            job = await transform(cloud, "odd", ModelName="odd")
            assert "/execution-parameters" in job["FailureReason"]
            del cloud.objects.stored["bucket", "model.tar.gz"]
            job = await transform(cloud, "gone", ModelName="odd")
            assert job["FailureReason"].startswith("ClientError: Failed to download model data")

    run(scenario())


def test_a_bucket_that_takes_nothing_ends_the_job(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud)
            put(cloud, a=b"picture")
            cloud.objects.broken = True
            job = await transform(cloud)
            reason = "ClientError: s3://bucket/out/a.out: The specified bucket does not exist"
            assert (job["TransformJobStatus"], job["FailureReason"]) == ("Failed", reason)

    run(scenario())


def test_a_job_stops_at_work_and_while_it_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await model(cloud)
            put(cloud, a=b"picture", b=b"sleep 600")
            for name in ("one", "two", "three"):
                await cloud.do("CreateTransformJob", **request(name))
            await cloud.do("StopTransformJob", TransformJobName="three")
            job = await ended(cloud, "three")
            assert job["TransformJobStatus"] == "Stopped"
            assert "TransformStartTime" not in job

            async def written() -> bool | None:
                return True if cloud.objects.under("out/") else None

            await eventually(written)
            await cloud.do("StopTransformJob", TransformJobName="one")
            assert (await ended(cloud, "one"))["TransformJobStatus"] == "Stopped"
            assert (await cloud.do("DescribeTransformJob", TransformJobName="two"))[
                "TransformJobStatus"
            ] == "InProgress"
            refusal = await cloud.refusal("StopTransformJob", TransformJobName="one")
            assert "in status Stopped" in refusal.message
            await cloud.do("StopTransformJob", TransformJobName="two")
            await ended(cloud, "two")
            assert not cloud.db.all("SELECT * FROM workers")

    run(scenario())


def test_what_does_not_exist_or_exists_already_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            refusal = await cloud.refusal("CreateTransformJob", **request())
            assert 'Could not find model "arn:aws:sagemaker:' in refusal.message
            await model(cloud)
            refusal = await cloud.refusal("CreateTransformJob", **request())
            assert 'No S3 objects found under S3 URL "s3://bucket/in/"' in refusal.message
            for operation in ("DescribeTransformJob", "StopTransformJob"):
                refusal = await cloud.refusal(operation, TransformJobName="job")
                assert refusal.code == "ValidationException"
                assert refusal.message == "Could not find requested job with name: job"
            put(cloud, a=b"picture")
            await transform(cloud)
            refusal = await cloud.refusal("CreateTransformJob", **request("JOB"))
            assert refusal.code == "ResourceInUse"
            await cloud.do("DeleteModel", ModelName="model")
            found = await cloud.do("ListTransformJobs", StatusEquals="Completed")
            assert [job["TransformJobName"] for job in found["TransformJobSummaries"]] == ["job"]

    run(scenario())


def test_after_a_crash_the_job_is_run_again(tmp_path: Path) -> None:
    """With half of the outputs written, with all of them, and with none."""

    async def scenario(point: str) -> None:
        state = tmp_path / point
        cloud = Harness(state)
        cloud.faults.point = f"sagemaker.transform.{point}"
        async with started(cloud):
            await model(cloud)
            put(cloud, a=b"picture", b=b"picture", c=b"picture")
            await cloud.do("CreateTransformJob", **request())
            await asyncio.wait_for(cloud.faults.reached.wait(), 30)
            await ended(cloud)
        again = cloud.after_crash()
        before = len(again.objects.puts)
        async with started(again):
            job = await ended(again)
            assert job["TransformJobStatus"] == "Completed", job
            assert len(again.objects.puts) - before == 3
            assert set(again.objects.under("out/")) == {"out/a.out", "out/b.out", "out/c.out"}

    for point in ("started", "written"):
        run(scenario(point))
