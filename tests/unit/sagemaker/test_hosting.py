"""Endpoints as their owner sees them, with real serving processes."""

import asyncio
import json
import os
import signal
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.sagemaker.limits import Limits

from .harness import IMAGE, ROLE, Harness, archive, eventually, run, started

MODEL = "s3://bucket/models/model.tar.gz"


def put_model(cloud: Harness, **files: bytes) -> None:
    content = {"weights.bin": b"w"} | {name.replace("__", "/"): body for name, body in files.items()}
    cloud.objects.stored["bucket", "models/model.tar.gz"] = archive(content)


async def tell(cloud: Harness, name: str, **members: Any) -> dict[str, Any]:
    reply = await cloud.invoke(name, b"tell", **members)
    about: dict[str, Any] = json.loads(reply["Body"])
    return about


async def model_error(cloud: Harness, name: str, body: bytes) -> ServiceError:
    error = await cloud.refusal("InvokeEndpoint", EndpointName=name, Body=body)
    assert error.code == "ModelError"
    assert error.status == 424
    return error


def test_an_endpoint_serves_its_model(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            put_model(cloud, code__inference=b"x")
            endpoint = await cloud.deploy("Mine", model=MODEL, environment={"COLOUR": "red"})
            assert endpoint["EndpointStatus"] == "InService", endpoint
            assert endpoint["EndpointArn"] == "arn:aws:sagemaker:us-east-1:000000000000:endpoint/mine"
            assert endpoint["EndpointConfigName"] == "Mine"
            (variant,) = endpoint["ProductionVariants"]
            assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
            assert variant["DeployedImages"][0]["SpecifiedImage"] == IMAGE

            reply = await cloud.invoke("Mine", b"picture", ContentType="image/png")
            assert reply == {
                "Body": b"[0.9, 0.1]",
                "ContentType": "application/json",
                "InvokedProductionVariant": "AllTraffic",
                "CustomAttributes": "from the container",
            }
            about = await tell(cloud, "Mine")
            assert about["model"] == ["code/inference", "weights.bin"]
            assert about["environment"]["COLOUR"] == "red"
            assert about["environment"]["BIND_HOST"] == "127.0.0.1"

    run(scenario())


def test_only_the_headers_of_the_contract_reach_the_container(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("e")
            about = await tell(
                cloud, "e", ContentType="image/png", Accept="*/*", CustomAttributes="mine", InferenceId="i-1"
            )
            headers = {name.lower(): value for name, value in about["headers"].items()}
            assert headers.pop("host").startswith("127.0.0.1:")
            assert headers == {
                "content-type": "image/png",
                "accept": "*/*",
                "x-amzn-sagemaker-custom-attributes": "mine",
                "x-amzn-sagemaker-inference-id": "i-1",
                "content-length": "4",
            }
            about = await tell(cloud, "e")
            assert about["headers"]["Content-Type"] == "application/octet-stream"

    run(scenario())


@pytest.mark.parametrize(("status", "kind"), [(400, "client"), (500, "server")])
def test_a_container_s_error_becomes_a_model_error_in_the_words_of_aws(
    tmp_path: Path, status: int, kind: str
) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("e")
            error = await model_error(cloud, "e", f"status {status}".encode())
            assert error.message == (
                f"Received {kind} error ({status}) from primary with message"
                ' "unable to evaluate payload provided". See https://us-east-1.console.aws.amazon.com/'
                "cloudwatch/home?region=us-east-1#logEventViewer:group=/aws/sagemaker/Endpoints/e"
                " in account 000000000000 for more information."
            )
            assert error.fields["OriginalStatusCode"] == status
            assert error.fields["OriginalMessage"] == "unable to evaluate payload provided"
            group = "arn:aws:logs:us-east-1:000000000000:log-group:/aws/sagemaker/Endpoints/e"
            assert error.fields["LogStreamArn"].startswith(f"{group}:log-stream:AllTraffic/i-")

    run(scenario())


def test_a_request_without_an_answer_in_time_is_a_model_error(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(invocation_s=0.3))) as cloud:
            await cloud.deploy("e")
            error = await model_error(cloud, "e", b"sleep 30")
            assert error.fields["OriginalStatusCode"] == 0
            assert "Your invocation timed out while waiting for a response" in error.message
            assert (await cloud.invoke("e"))["Body"] == b"[0.9, 0.1]"

    run(scenario())


def test_a_process_that_dies_is_replaced_and_the_next_request_waits_for_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("e")
            first = (await tell(cloud, "e"))["pid"]
            error = await model_error(cloud, "e", b"crash")
            assert "could not get a response" in error.message

            async def answer() -> dict[str, Any] | None:
                try:
                    return await tell(cloud, "e")
                except ServiceError:  # until its end is noticed
                    return None

            assert (await eventually(answer))["pid"] != first
            assert (await cloud.endpoint("e"))["EndpointStatus"] == "InService"

    run(scenario())


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (
            {"environment": {"REFUSE": "1"}},
            "The primary container for production variant AllTraffic did not pass the ping health check."
            " Please check CloudWatch logs for this endpoint. (the serving process ended, exit code 7. Its"
            " last output: the model cannot be loaded)",
        ),
        (
            {"model": MODEL},
            f'Failed to download model data for container "container_1" from URL: "{MODEL}". Please'
            " ensure that there is an object located at the URL and that the role passed to CreateModel has"
            " permissions to download the object.",
        ),
    ],
)
def test_an_endpoint_that_cannot_serve_fails_and_says_why(
    tmp_path: Path, setup: dict[str, Any], words: str
) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            put_model(cloud)
            await cloud.deploy("other", model=MODEL)
            del cloud.objects.stored["bucket", "models/model.tar.gz"]
            if "model" in setup:
                await cloud.do("CreateEndpoint", EndpointName="e", EndpointConfigName="other")
                endpoint = await cloud.endpoint("e")
            else:
                endpoint = await cloud.deploy("e", **setup)
            assert (endpoint["EndpointStatus"], endpoint["FailureReason"]) == ("Failed", words)
            error = await cloud.refusal("InvokeEndpoint", EndpointName="e", Body=b"")
            assert (error.code, error.message) == (
                "ValidationError",
                "Endpoint e of account 000000000000 not found.",
            )
            error = await cloud.refusal("UpdateEndpoint", EndpointName="e", EndpointConfigName="other")
            assert "in status Failed" in error.message
            await cloud.delete("e")

    run(scenario())


def tar(member: tarfile.TarInfo, content: bytes = b"") -> bytes:
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member, BytesIO(content))
    return packed.getvalue()


def hostile() -> list[tuple[bytes, str]]:
    outside, absolute = tarfile.TarInfo("a/../../outside"), tarfile.TarInfo("/absolute")
    link, device = tarfile.TarInfo("link"), tarfile.TarInfo("device")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    device.type = tarfile.CHRTYPE
    large = tarfile.TarInfo("large")
    large.size = 3_000_000
    whole = archive({"f": b"x" * 1000})
    return [
        (tar(outside), "member 'a/../../outside' would leave the model folder"),
        (tar(absolute), "member '/absolute' would leave the model folder"),
        (tar(link), "member 'link' is neither a file nor a folder"),
        (tar(device), "member 'device' is neither a file nor a folder"),
        (tar(large, b"0" * large.size), "it unpacks to more than 1000000 bytes"),
        (b"no archive at all", "not a gzip file"),
        (whole[: len(whole) // 2], "ended"),
    ]


@pytest.mark.parametrize(("content", "words"), hostile(), ids=[words for _, words in hostile()])
def test_a_hostile_or_broken_model_archive_fails_the_endpoint(
    tmp_path: Path, content: bytes, words: str
) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path / "state", limits=Limits(model_bytes=1_000_000))) as cloud:
            cloud.objects.stored["bucket", "models/model.tar.gz"] = content
            endpoint = await cloud.deploy("e", model=MODEL)
            assert endpoint["EndpointStatus"] == "Failed"
            assert endpoint["FailureReason"].startswith(
                f'Failed to extract model data archive for container "container_1" from URL "{MODEL}".'
            )
            assert words in endpoint["FailureReason"]
            assert not list(tmp_path.rglob("outside"))

    run(scenario())


def test_an_update_switches_all_traffic_and_a_failed_one_none(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("e", environment={"COLOUR": "red"})
            for colour, environment in (("blue", {"COLOUR": "blue"}), ("broken", {"REFUSE": "1"})):
                container = {"Image": IMAGE, "Environment": environment}
                await cloud.do(
                    "CreateModel", ModelName=colour, ExecutionRoleArn=ROLE, PrimaryContainer=container
                )
                await cloud.configure(colour, colour)

            await cloud.do("UpdateEndpoint", EndpointName="e", EndpointConfigName="blue")
            updating = await cloud.do("DescribeEndpoint", EndpointName="e")
            assert updating["EndpointStatus"] == "Updating"
            assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == "blue"
            for operation in ("DeleteEndpoint", "UpdateEndpoint"):
                extra = {"EndpointConfigName": "e"} if operation == "UpdateEndpoint" else {}
                error = await cloud.refusal(operation, EndpointName="e", **extra)
                arn = updating["EndpointArn"]
                assert error.message == f'Cannot update in-progress endpoint "{arn}".'
            while updating["EndpointStatus"] == "Updating":  # somebody answers all the time
                assert (await tell(cloud, "e"))["environment"]["COLOUR"] in ("red", "blue")
                updating = await cloud.do("DescribeEndpoint", EndpointName="e")
            assert (await tell(cloud, "e"))["environment"]["COLOUR"] == "blue"

            await cloud.do("UpdateEndpoint", EndpointName="e", EndpointConfigName="broken")
            endpoint = await cloud.endpoint("e")
            assert (endpoint["EndpointStatus"], endpoint["EndpointConfigName"]) == ("InService", "blue")
            assert "did not pass the ping health check" in endpoint["FailureReason"]
            assert (await tell(cloud, "e"))["environment"]["COLOUR"] == "blue"

    run(scenario())


def test_variants_share_the_traffic_by_weight(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            container = {"Image": IMAGE}
            await cloud.do("CreateModel", ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
            variants = [
                {
                    "VariantName": name,
                    "ModelName": "m",
                    "InstanceType": "ml.m5.large",
                    "InitialVariantWeight": weight,
                }
                for name, weight in (("Often", 3.0), ("Seldom", 1.0), ("Never", 0.0))
            ]
            await cloud.do("CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=variants)
            await cloud.do("CreateEndpoint", EndpointName="e", EndpointConfigName="c")
            await cloud.endpoint("e")
            invoked = [(await cloud.invoke("e"))["InvokedProductionVariant"] for _ in range(200)]
            assert 120 < invoked.count("Often") < 180
            assert invoked.count("Often") + invoked.count("Seldom") == 200
            assert (await cloud.invoke("e", TargetVariant="Never"))["InvokedProductionVariant"] == "Never"
            error = await cloud.refusal("InvokeEndpoint", EndpointName="e", Body=b"", TargetVariant="Nobody")
            assert error.code == "ValidationError"

            weights = [{"VariantName": "Often", "DesiredWeight": 0.0}]
            await cloud.do(
                "UpdateEndpointWeightsAndCapacities", EndpointName="e", DesiredWeightsAndCapacities=weights
            )
            await cloud.endpoint("e")
            assert {(await cloud.invoke("e"))["InvokedProductionVariant"] for _ in range(50)} == {"Seldom"}

    run(scenario())


def test_instances_are_processes_up_to_a_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("e", InitialInstanceCount=2)
            both = await asyncio.gather(
                *(cloud.invoke("e", body) for body in (b"sleep 0.2", b"sleep 0.2")),
                tell(cloud, "e"),
                tell(cloud, "e"),
            )
            assert len({about["pid"] for about in both[2:]}) == 2
            variant = {
                "VariantName": "A",
                "ModelName": "e",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 5,
            }
            error = await cloud.refusal(
                "CreateEndpointConfig", EndpointConfigName="c", ProductionVariants=[variant]
            )
            assert error.code == "ResourceLimitExceeded"

    run(scenario())


def children() -> set[psutil.Process]:
    """This test process's descendants; other tests' clouds may own some of them."""
    return set(psutil.Process().children(recursive=True))


def test_an_endpoint_outlives_its_config_its_model_and_its_data(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = Harness(tmp_path)
        async with started(cloud):
            put_model(cloud)
            await cloud.deploy("e", model=MODEL)
            await cloud.do("DeleteEndpointConfig", EndpointConfigName="e")
            await cloud.do("DeleteModel", ModelName="e")
            cloud.objects.stored.clear()
        others = children()
        async with started(cloud):  # and a restart: requests wait until it answers again
            assert (await cloud.endpoint("e"))["EndpointStatus"] == "InService"
            assert (await tell(cloud, "e"))["model"] == ["weights.bin"]
            processes = children() - others
            assert processes
            await cloud.delete("e")
            for _ in range(1000):  # the kernel takes a moment to forget a process
                if not any(process.is_running() for process in processes):
                    break
                await asyncio.sleep(0.01)
            else:
                raise AssertionError(f"of {processes} some still run")
            assert not list((tmp_path / "sagemaker/endpoints").rglob("weights.bin"))
            error = await cloud.refusal("DescribeEndpoint", EndpointName="e")
            assert error.message == (
                'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/e".'
            )

    run(scenario())


def test_an_endpoint_on_its_way_gets_there_after_a_crash(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = Harness(tmp_path / "state")
        before.faults.point = "sagemaker.endpoint.started"
        async with started(before):
            await before.deploy("e", wait=False)
            await before.faults.reached.wait()
        async with started(before.after_crash()) as cloud:
            assert (await cloud.endpoint("e"))["EndpointStatus"] == "InService"
            assert (await cloud.invoke("e"))["Body"] == b"[0.9, 0.1]"

    run(scenario())


def test_an_oversize_body_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, payload_limit_bytes=10)) as cloud:
            await cloud.deploy("e")
            assert (await cloud.invoke("e", b"0" * 10))["Body"]
            error = await cloud.refusal("InvokeEndpoint", EndpointName="e", Body=b"0" * 11)
            assert (error.code, error.message) == ("ValidationError", "Request r-1 has oversize body.")

    run(scenario())


def test_duplicates_and_strangers_are_refused_in_the_words_of_aws(tmp_path: Path) -> None:
    prefix = "arn:aws:sagemaker:us-east-1:000000000000"
    variant = {"VariantName": "A", "ModelName": "E", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}

    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            await cloud.deploy("E")

            async def said(operation: str, **request: Any) -> str:
                return (await cloud.refusal(operation, **request)).message

            assert (
                await said("CreateModel", ModelName="E", PrimaryContainer={"Image": IMAGE})
                == f'Cannot create already existing model "{prefix}:model/e".'
            )
            assert (
                await said("CreateEndpointConfig", EndpointConfigName="E", ProductionVariants=[variant])
                == f'Cannot create already existing endpoint configuration "{prefix}:endpoint-config/e".'
            )
            assert (
                await said("CreateEndpoint", EndpointName="E", EndpointConfigName="E")
                == f'Cannot create already existing endpoint "{prefix}:endpoint/e".'
            )
            assert await said("DescribeModel", ModelName="X") == f'Could not find model "{prefix}:model/x".'
            assert (
                await said("DeleteEndpointConfig", EndpointConfigName="X")
                == f'Could not find endpoint configuration "{prefix}:endpoint-config/x".'
            )
            assert (
                await said("CreateEndpoint", EndpointName="N", EndpointConfigName="X")
                == f'Could not find endpoint configuration "{prefix}:endpoint-config/x".'
            )
            cloud.objects.stored["bucket", "none.tar.gz.old"] = b""
            container = {"Image": IMAGE, "ModelDataUrl": "s3://bucket/none.tar.gz"}
            assert (
                await said("CreateModel", ModelName="N", PrimaryContainer=container)
                == "Could not find model data at s3://bucket/none.tar.gz."
            )
            assert "cannot run on this cloud. Known images: " in await said(
                "CreateModel", ModelName="N", PrimaryContainer={"Image": "mine"}
            )

    run(scenario())


def test_too_many_requests_at_once_are_turned_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(in_flight=2))) as cloud:
            await cloud.deploy("e")
            calls = [cloud.invoke("e", b"sleep 0.3") for _ in range(5)]
            results = await asyncio.gather(*calls, return_exceptions=True)
            errors = [r for r in results if isinstance(r, ServiceError)]
            assert [error.code for error in errors] == ["ServiceUnavailable"] * 3

    run(scenario())


def test_no_more_wait_for_a_restart_than_may_be_in_progress(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def ended() -> bool | None:
        return True if "ended, exit code -9" in caplog.text else None

    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(in_flight=2))) as cloud:
            await cloud.deploy("e")
            pid = (await tell(cloud, "e"))["pid"]
            os.kill(pid, signal.SIGKILL)
            await eventually(ended)
            results = await asyncio.gather(*(cloud.invoke("e") for _ in range(5)), return_exceptions=True)
            errors = [r for r in results if isinstance(r, ServiceError)]
            assert [error.code for error in errors] == ["ServiceUnavailable"] * 3
            assert all("too many requests in progress" in error.message for error in errors)

    run(scenario())


def test_tags_live_and_die_with_their_resource(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            tags = [{"Key": "team", "Value": "scones"}]
            arn = (
                await cloud.do("CreateModel", ModelName="m", PrimaryContainer={"Image": IMAGE}, Tags=tags)
            )["ModelArn"]
            await cloud.do("AddTags", ResourceArn=arn, Tags=[{"Key": "cost", "Value": "0"}])
            await cloud.do("DeleteTags", ResourceArn=arn, TagKeys=["team"])
            assert (await cloud.do("ListTags", ResourceArn=arn))["Tags"] == [{"Key": "cost", "Value": "0"}]
            await cloud.do("DeleteModel", ModelName="m")
            assert (await cloud.refusal("ListTags", ResourceArn=arn)).code == "ValidationException"
            await cloud.do("CreateModel", ModelName="m", PrimaryContainer={"Image": IMAGE})
            assert (await cloud.do("ListTags", ResourceArn=arn))["Tags"] == []
            reserved = [{"Key": "aws:x", "Value": ""}]
            assert "reserved" in (await cloud.refusal("AddTags", ResourceArn=arn, Tags=reserved)).message

    run(scenario())
