"""Data capture: the files, their names, and that none is lost or delivered twice."""

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.services.sagemaker.capture import CapturePlan, Exchange, capture_record, file_key
from scones.cloud.services.sagemaker.limits import Limits

from .harness import Harness, eventually, run, started

# A line as a real endpoint wrote it (2023-03-04), the picture shortened.
RECORDED = (
    b'{"captureData":{"endpointInput":{"observedContentType":"image/png","mode":"INPUT","data":"iVBORw0K",'
    b'"encoding":"BASE64"},"endpointOutput":{"observedContentType":"application/json","mode":"OUTPUT","data":'
    b'"[0.06500816345214844, 0.9349917769432068]","encoding":"JSON"}},"eventMetadata":{"eventId":'
    b'"03c0d574-3365-4c5f-9d8f-e0c52f667656","inferenceTime":"2023-03-04T18:01:40Z"},"eventVersion":"0"}\n'
)
NAME = re.compile(
    r"(?P<endpoint>[^/]+)/(?P<variant>[^/]+)/\d{4}/\d\d/\d\d/\d\d/\d\d-\d\d-\d{3}"
    r"-[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.jsonl"
)
TIME = datetime(2023, 3, 4, 18, 1, 40, 30_000, tzinfo=UTC)


def config(**changes: Any) -> dict[str, Any]:
    return {
        "EnableCapture": True,
        "InitialSamplingPercentage": 100,
        "DestinationS3Uri": "s3://captures/data",
        "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
        "CaptureContentTypeHeader": {
            "CsvContentTypes": ["text/csv"],
            "JsonContentTypes": ["application/json"],
        },
    } | changes


def plan(**changes: Any) -> CapturePlan:
    found = CapturePlan.of(config(**changes))
    assert found is not None
    return found


def exchange(**changes: Any) -> Exchange:
    whole: dict[str, Any] = {
        "request": b"\x89PNG\r\n",
        "request_type": "image/png",
        "response": b"[0.06500816345214844, 0.9349917769432068]",
        "response_type": "application/json",
        "inference_id": None,
        "custom_attributes": None,
    }
    return Exchange(**whole | changes)


def records(cloud: Harness) -> Iterator[dict[str, Any]]:
    for body in cloud.objects.under("data/").values():
        assert body.endswith(b"\n")
        yield from map(json.loads, body.splitlines())


def test_a_record_is_to_the_byte_what_a_real_endpoint_writes() -> None:
    record = capture_record(plan(), exchange(), "03c0d574-3365-4c5f-9d8f-e0c52f667656", TIME)
    assert record == RECORDED


def test_a_file_is_named_after_its_first_record() -> None:
    key = file_key(plan(), "endpoint", "AllTraffic", TIME, "4b98caf7-29c2-4d1c-8d49-415d07d9c343")
    assert (
        key == "data/endpoint/AllTraffic/2023/03/04/18/01-40-030-4b98caf7-29c2-4d1c-8d49-415d07d9c343.jsonl"
    )


@pytest.mark.parametrize(
    ("content_type", "body", "encoding", "data"),
    [
        ("text/csv; charset=utf-8", b"1,2", "CSV", "1,2"),
        ("Application/JSON", b"{}", "JSON", "{}"),
        ("application/jsonlines", b"{}", "BASE64", b64encode(b"{}").decode()),
        ("text/csv", b"\xff", "BASE64", b64encode(b"\xff").decode()),
    ],
)
def test_the_content_type_decides_the_encoding(
    content_type: str, body: bytes, encoding: str, data: str
) -> None:
    line = capture_record(plan(), exchange(request=body, request_type=content_type), "id", TIME)
    captured = json.loads(line)["captureData"]["endpointInput"]
    assert (captured["encoding"], captured["data"]) == (encoding, data)
    assert captured["observedContentType"] == content_type


def test_without_content_types_everything_is_base64() -> None:
    captured = json.loads(capture_record(plan(CaptureContentTypeHeader={}), exchange(), "id", TIME))
    assert captured["captureData"]["endpointOutput"]["encoding"] == "BASE64"


@pytest.mark.parametrize(
    ("modes", "sides"),
    [
        (["Input"], ["endpointInput"]),
        (["Output"], ["endpointOutput"]),
        (["InputAndOutput"], ["endpointInput", "endpointOutput"]),
    ],
)
def test_only_the_modes_asked_for_are_captured(modes: list[str], sides: list[str]) -> None:
    options = [{"CaptureMode": mode} for mode in modes]
    captured = json.loads(capture_record(plan(CaptureOptions=options), exchange(), "id", TIME))
    assert list(captured["captureData"]) == sides


def test_ids_and_attributes_of_the_caller_are_kept() -> None:
    line = capture_record(plan(), exchange(inference_id="i-1", custom_attributes="a=b"), "id", TIME)
    metadata = json.loads(line)["eventMetadata"]
    assert (metadata["inferenceId"], metadata["customAttributes"]) == ("i-1", ["a=b"])
    both = exchange(custom_attributes="a=b", answered_attributes="c=d")
    metadata = json.loads(capture_record(plan(), both, "id", TIME))["eventMetadata"]
    assert metadata["customAttributes"] == ["a=b", "c=d"]


def test_a_switched_off_config_captures_nothing() -> None:
    assert CapturePlan.of(config(EnableCapture=False)) is None
    assert CapturePlan.of(None) is None


def test_answered_requests_are_captured_and_failed_ones_are_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path)) as cloud:
            endpoint = await cloud.deploy("Mine", capture=config())
            assert endpoint["DataCaptureConfig"] == {
                "EnableCapture": True,
                "CaptureStatus": "Started",
                "CurrentSamplingPercentage": 100,
                "DestinationS3Uri": "s3://captures/data",
                "KmsKeyId": "",
            }
            for number in range(3):
                await cloud.invoke("Mine", f"{number}".encode(), ContentType="text/csv")
            await cloud.refusal("InvokeEndpoint", EndpointName="Mine", Body=b"status 400")

            async def delivered() -> list[dict[str, Any]] | None:
                found = list(records(cloud))
                return found if len(found) == 3 else None

            found = await eventually(delivered)
            assert [r["captureData"]["endpointInput"]["data"] for r in found] == ["0", "1", "2"]
            assert {r["captureData"]["endpointOutput"]["data"] for r in found} == {"[0.9, 0.1]"}
            assert len({r["eventMetadata"]["eventId"] for r in found}) == 3
            for key in cloud.objects.under("data/"):
                name = NAME.fullmatch(key.removeprefix("data/"))
                assert name
                assert (name["endpoint"], name["variant"]) == ("Mine", "AllTraffic")
            await cloud.delete("Mine")
            assert len(list(records(cloud))) == 3

    run(scenario())


def test_sampling_keeps_about_the_percentage(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, capture_window_s=60)) as cloud:
            await cloud.deploy("e", capture=config(InitialSamplingPercentage=20))
            for _ in range(200):
                await cloud.invoke("e")
            await cloud.delete("e")  # which delivers at once
            assert 20 <= len(list(records(cloud))) <= 60

    run(scenario())


def test_closing_delivers_what_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        cloud = Harness(tmp_path, capture_window_s=60)
        async with started(cloud):
            await cloud.deploy("e", capture=config())
            await cloud.invoke("e")
        assert len(list(records(cloud))) == 1
        async with started(cloud):
            await cloud.invoke("e")
        assert len(list(records(cloud))) == 2
        assert len(cloud.objects.puts) == 2

    run(scenario())


def test_a_crash_loses_no_record_and_delivers_none_twice(tmp_path: Path) -> None:
    async def scenario() -> None:
        before = Harness(tmp_path / "state", capture_window_s=60)
        async with started(before):
            await before.deploy("e", capture=config())
            for _ in range(5):
                await before.invoke("e")
            before.faults.point = "now"
            before.faults.reach("now")
            assert not list(records(before))
        assert len(list(records(before))) == 5  # it was not a crash for the first one: it delivers too
        async with started(before.after_crash()) as cloud:

            async def again() -> bool | None:
                return len(cloud.objects.puts) == 2 or None

            await eventually(again)
            assert len(set(cloud.objects.puts)) == 1
            assert len(list(records(cloud))) == 5

    run(scenario())


def test_captures_wait_for_s3_and_never_fail_an_inference(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with started(Harness(tmp_path, limits=Limits(capture_retry_s=0.05))) as cloud:
            await cloud.deploy("e", capture=config())
            cloud.objects.broken = True
            for _ in range(3):
                assert (await cloud.invoke("e"))["Body"] == b"[0.9, 0.1]"
                await asyncio.sleep(0)
            assert not list(records(cloud))
            cloud.objects.broken = False

            async def delivered() -> bool | None:
                return len(list(records(cloud))) == 3 or None

            await eventually(delivered)
            assert cloud.db.all("SELECT * FROM sagemaker_capture_files") == []
            assert not list((tmp_path / "sagemaker/captures").iterdir())

    run(scenario())
