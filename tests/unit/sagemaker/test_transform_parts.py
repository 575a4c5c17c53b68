"""What batch transform does to bytes: records, payloads, filters, names. Pure."""

import asyncio
import gzip
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.errors import ServiceError
from scones.cloud.services.sagemaker.job import JOB_STATUS_MOVES, JobStatus
from scones.cloud.services.sagemaker.records import IllegalTransitionError
from scones.cloud.services.sagemaker.transform.checks import check_request
from scones.cloud.services.sagemaker.transform.inputs import output_name
from scones.cloud.services.sagemaker.transform.joining import Joining, JoiningError
from scones.cloud.services.sagemaker.transform.payloads import PayloadError, payloads
from scones.cloud.services.sagemaker.transform.records import (
    Plan,
    TransformJob,
)
from scones.cloud.services.sagemaker.transform.selection import PathError, Selection


def asked(**changes: Any) -> dict[str, Any]:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/in/"}}
    request: dict[str, Any] = {
        "TransformJobName": "job",
        "ModelName": "model",
        "TransformInput": {"DataSource": source} | changes.pop("input", {}),
        "TransformOutput": {"S3OutputPath": "s3://bucket/out"} | changes.pop("output", {}),
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    return request | changes


PLAN = Plan.of(asked(), {})


def cut(
    content: bytes, *, size: int = 7, split: str = "Line", single: bool = False, limit: int = 100, **plan: Any
) -> list[bytes]:
    """The payloads of an object that arrives in pieces of `size` bytes."""
    whole = replace(PLAN, split=split, single=single, payload_bytes=limit, **plan)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), size):
            yield content[start : start + size]

    async def collect() -> list[bytes]:
        return [payload async for payload in payloads(pieces(), whole)]

    return asyncio.run(collect())


def test_unsplit_objects_are_one_payload() -> None:
    assert cut(b"a\nb\n", split="None") == [b"a\nb\n"]
    assert cut(b"", split="None") == [b""]


def test_lines_are_packed_up_to_the_limit() -> None:
    assert cut(b"aaaa\nbbbb\ncccc\n", limit=9) == [b"aaaa\nbbbb", b"cccc"]
    assert cut(b"aaaa\n\nbbbb", limit=100) == [b"aaaa\nbbbb"]
    assert cut(b"") == []


def test_single_records_go_alone() -> None:
    assert cut(b"a\nb\n\nc", single=True) == [b"a", b"b", b"c"]


@given(lines=st.lists(st.binary(min_size=1, max_size=20).filter(lambda line: b"\n" not in line)),
       size=st.integers(1, 30), limit=st.integers(20, 60))  # fmt: skip
def test_no_line_is_lost_however_an_object_arrives(lines: list[bytes], size: int, limit: int) -> None:
    found = cut(b"\n".join(lines), size=size, limit=limit)
    assert [line for payload in found for line in payload.split(b"\n")] == lines
    assert all(len(payload) <= limit for payload in found)


@pytest.mark.parametrize("split", ["None", "Line"])
def test_what_is_larger_than_a_payload_is_refused(split: str) -> None:
    with pytest.raises(PayloadError, match="larger than MaxPayloadInMB"):
        cut(b"a" * 11, split=split, limit=10)


def test_gzip_is_unpacked_member_by_member() -> None:
    content = gzip.compress(b"a\nb\n") + gzip.compress(b"c\n")
    assert cut(content, gzip=True) == [b"a\nb\nc"]


@pytest.mark.parametrize("content", [b"", b"no gzip", gzip.compress(b"a\n" * 90, mtime=0)[:-9]])
def test_damaged_gzip_is_refused(content: bytes) -> None:
    with pytest.raises(PayloadError, match="gzip"):
        cut(content, gzip=True)


def test_a_small_file_that_unpacks_to_a_huge_one_is_stopped_at_the_limit() -> None:
    with pytest.raises(PayloadError, match="larger than MaxPayloadInMB"):
        cut(gzip.compress(bytes(50_000_000)), size=65536, limit=1_000_000, gzip=True)


def test_a_file_that_holds_nothing_but_much_of_it_leaves_turns_to_others() -> None:
    async def scenario() -> int:
        async def pieces() -> AsyncIterator[bytes]:
            yield gzip.compress(b"\n" * 4_000_000)

        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        beside = asyncio.ensure_future(other())
        plan = replace(PLAN, split="Line", gzip=True)
        assert [payload async for payload in payloads(pieces(), plan)] == []
        beside.cancel()
        return turns

    assert asyncio.run(scenario()) > 10


def recordio(*parts: tuple[int, bytes]) -> bytes:
    """Parts as MXNet frames them: (kind, content)."""
    return b"".join(
        struct.pack("<II", 0xCED7230A, kind << 29 | len(content)) + content + bytes(-len(content) % 4)
        for kind, content in parts
    )


def test_recordio_is_split_with_frames_or_without() -> None:
    content = recordio((0, b"abcde"), (0, b"1234"))
    assert cut(content, split="RecordIO", single=True) == [b"abcde", b"1234"]
    assert cut(content, split="RecordIO") == [content]
    assert cut(content, split="RecordIO", limit=20) == [recordio((0, b"abcde")), recordio((0, b"1234"))]


def test_a_record_that_held_the_magic_is_put_together_again() -> None:
    content = recordio((1, b"ab"), (2, b"cd"), (3, b"ef"))
    magic = struct.pack("<I", 0xCED7230A)
    assert cut(content, split="RecordIO", single=True) == [magic.join([b"ab", b"cd", b"ef"])]


@pytest.mark.parametrize(
    "content",
    [b"nonsense", recordio((0, b"abcd"))[:-1], recordio((1, b"ab")), recordio((2, b"ab")), recordio((5, b"a"))],
)  # fmt: skip
def test_damaged_recordio_is_refused(content: bytes) -> None:
    with pytest.raises(PayloadError, match="RecordIO"):
        cut(content, split="RecordIO")


RECORD = {"id": 7, "features": [1, 2, 3], "more": {"a": 1, "b": 2}, "SageMakerOutput": [0.5]}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", RECORD),
        ("$.features", [1, 2, 3]),
        ("$['id','SageMakerOutput']", {"id": 7, "SageMakerOutput": [0.5]}),
        ("$.more['a']", 1),
        ("$.more.['a','b']", {"a": 1, "b": 2}),
        ("$.more.*", [1, 2]),
        ("$.features[1:]", [2, 3]),
        ("$.features[-1]", 3),
        ("$.features[0,2]", [1, 3]),
        ("$.features[0,1:]", [1, 2, 3]),
        ("$.features[:2]", [1, 2]),
    ],
)
def test_filters_select(path: str, found: object) -> None:
    assert Selection.parse(path).select(RECORD) == found


@pytest.mark.parametrize(
    "path", ["$.missing", "$.features[3]", "$.features[-4]", "$.id[0]", "$.id.x", "$.id.*"]
)
def test_filters_that_find_nothing_say_so(path: str) -> None:
    with pytest.raises(PathError):
        Selection.parse(path).select(RECORD)


@pytest.mark.parametrize(
    "path", ["", "id", "$..id", "$.a[?(@.b)]", "$[", "$[x]", "$[-:]", "$.", "$[1:2:3]", "$ "]
)
def test_other_paths_are_refused(path: str) -> None:
    with pytest.raises(PathError):
        Selection.parse(path)


def joining(kind: str, *, split: str = "Line", **processing: str) -> Joining:
    found = Joining.of(asked(input={"ContentType": kind, "SplitType": split},
                             output={"Accept": kind}, DataProcessing=processing))  # fmt: skip
    assert found
    return found


def test_nothing_asked_leaves_payloads_as_they_are() -> None:
    everything = {"InputFilter": "$", "OutputFilter": "$", "JoinSource": "None"}
    assert Joining.of(asked(DataProcessing=everything)) is None


def test_csv_rows_are_joined_with_their_results() -> None:
    """The example of the Developer Guide: an id that the model does not get to see."""
    by_id = joining("text/csv", InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    payload = b'id-1,5,"a,b"\nid-2,6,c\n'
    assert asyncio.run(by_id.filtered(payload)) == b'5,"a,b"\n6,c'
    assert asyncio.run(by_id.joined(payload, b"0.5\n0.75\n")) == b"id-1,0.5\nid-2,0.75"


def test_json_lines_are_joined_with_their_results() -> None:
    processing = joining(
        "application/jsonlines",
        InputFilter="$.features",
        JoinSource="Input",
        OutputFilter="$['id','SageMakerOutput']",
    )
    payload = b'{"id":1,"features":[1,2]}\n{"id":2,"features":[3]}'
    assert asyncio.run(processing.filtered(payload)) == b"[1,2]\n[3]"
    told = asyncio.run(processing.joined(payload, b'{"label":1}\n{"label":0}'))
    assert [json.loads(line) for line in told.split(b"\n")] == [
        {"id": 1, "SageMakerOutput": {"label": 1}},
        {"id": 2, "SageMakerOutput": {"label": 0}},
    ]


def test_json_that_is_no_object_is_joined_in_a_new_one() -> None:
    whole = joining("application/json", split="None", JoinSource="Input")
    assert json.loads(asyncio.run(whole.joined(b"[1,\n2]", b"[0.5]"))) == {
        "SageMakerInput": [1, 2],
        "SageMakerOutput": [0.5],
    }


@pytest.mark.parametrize(
    ("payload", "result", "message"),
    [
        (b"1,2\n3,4", b"0.5", "2 records got 1 results"),
        (b'"1,2', b"0.5", "Failed to parse line"),
        (b"1", b"\xff", "Failed to parse line"),
        (b"1", b"2", "finds nothing"),
    ],
)
def test_records_and_results_that_do_not_fit_are_told(payload: bytes, result: bytes, message: str) -> None:
    with pytest.raises(JoiningError, match=message):
        asyncio.run(joining("text/csv", JoinSource="Input", OutputFilter="$[5]").joined(payload, result))


@pytest.mark.parametrize("payload", [b"{", b"[" * 100_000, b"1" * 5000])
def test_hostile_json_is_told_and_not_raised(payload: bytes) -> None:
    with pytest.raises(JoiningError):
        asyncio.run(joining("application/json", split="None", InputFilter="$.a").filtered(payload))


@pytest.mark.parametrize(
    ("prefix", "key", "name"),
    [
        ("in/", "in/a.png", "a.png"),
        ("in/", "in/sub/a.png", "sub/a.png"),
        ("in", "in/a.png", "a.png"),
        ("in/pic", "in/picture.png", "picture.png"),
        ("in/a.csv", "in/a.csv", "a.csv"),
        ("", "a/b", "a/b"),
        ("in/", "in//a", "/a"),
    ],
)
def test_outputs_are_named_after_what_follows_the_prefix(prefix: str, key: str, name: str) -> None:
    assert output_name(prefix, key) == name


def test_the_request_goes_before_the_container_and_the_container_before_the_default() -> None:
    offered = {"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
    assert str(PLAN) == "MaxConcurrentTransforms=1, MaxPayloadInMB=6, BatchStrategy=MULTI_RECORD"
    assert str(Plan.of(asked(), offered)) == (
        "MaxConcurrentTransforms=8, MaxPayloadInMB=3, BatchStrategy=SINGLE_RECORD"
    )
    own = asked(MaxConcurrentTransforms=2, BatchStrategy="MultiRecord", MaxPayloadInMB=9)
    assert str(Plan.of(own, offered)) == (
        "MaxConcurrentTransforms=2, MaxPayloadInMB=9, BatchStrategy=MULTI_RECORD"
    )


@pytest.mark.parametrize(
    "offered", [{"MaxConcurrentTransforms": "x"}, {"BatchStrategy": 3}, {"MaxPayloadInMB": 500}]
)
def test_an_offer_out_of_bounds_is_refused(offered: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(offered))):
        Plan.of(asked(), offered)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"DataCaptureConfig": {"DestinationS3Uri": "s3://b/c"}}, "DataCaptureConfig"),
        ({"input": {"SplitType": "TFRecord"}}, "TFRecord"),
        ({"MaxPayloadInMB": 0}, "MaxPayloadInMB 0"),
        ({"input": {"ContentType": "a\rX-Other: b"}}, "ContentType holds a line break"),
        ({"MaxPayloadInMB": 30, "MaxConcurrentTransforms": 4}, "120"),
        ({"output": {"S3OutputPath": "https://b/c"}}, "S3OutputPath"),
        ({"TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 9}}, "InstanceCount is 9"),
        ({"DataProcessing": {"JoinSource": "Input"}}, "ContentType"),
        ({"DataProcessing": {"InputFilter": "id"}}, "InputFilter"),
        ({"DataProcessing": {"JoinSource": "Input"}, "input": {"ContentType": "text/csv"},
          "output": {"Accept": "application/json"}}, "one format"),
        ({"input": {"DataSource": {"S3DataSource": {"S3DataType": "AugmentedManifestFile",
                                                    "S3Uri": "s3://b/c"}}}}, "AugmentedManifestFile"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    request = asked()
    for group, member in ("input", "TransformInput"), ("output", "TransformOutput"):
        request[member] = request[member] | changes.get(group, {})
    request |= {name: value for name, value in changes.items() if name not in ("input", "output")}
    with pytest.raises(ServiceError, match=message):
        check_request(request)


@pytest.mark.parametrize("start", JobStatus)
@pytest.mark.parametrize("target", JobStatus)
def test_a_transform_job_makes_only_legal_moves(start: JobStatus, target: JobStatus) -> None:
    job = TransformJob(name="j", arn="a", request={}, container={}, status=start, created=0, modified=0)
    if target in JOB_STATUS_MOVES[start]:
        assert job.advance(target, 5).ended == (5 if target.final else None)
    else:
        with pytest.raises(IllegalTransitionError):
            job.advance(target, 5)
