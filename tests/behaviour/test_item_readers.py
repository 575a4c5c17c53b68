"""What distributed Maps read from S3 besides plain files, as boto3 sees it."""

import contextlib
import gzip
import io
import json
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.behaviour.test_distributed_map import PASS, WAIT, ended, map_run, output, reader, start, until

from scones.testing import LocalAWS

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

READINGS = [{"sensor": f"s{n}", "celsius": n / 10} for n in range(4)]


@pytest.fixture
def states(aws: LocalAWS) -> Any:
    return aws.client("stepfunctions")


@pytest.fixture
def bucket(aws: LocalAWS) -> str:
    name = f"items-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def put(aws: LocalAWS, bucket: str, **bodies: bytes | str) -> None:
    """Objects, by their keys."""
    for key, body in bodies.items():
        aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def parquet(rows: list[dict[str, Any]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), buffer)
    return buffer.getvalue()


def readers_alive() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # or a zombie
            if any("parquet_rows" in part for part in child.cmdline()):
                found.append(child)
    return found


def test_each_row_of_a_parquet_file_is_an_item(aws: LocalAWS, states: Any, bucket: str) -> None:
    put(aws, bucket, readings=parquet(READINGS))
    arn = start(
        states,
        {},
        ItemReader=reader(bucket, "getObject", {"InputType": "PARQUET"}, Key="readings"),
        ItemSelector={"row.$": "$$.Map.Item.Value", "from.$": "$$.Map.Item.Source"},
    )
    source = f"S3://{bucket}/readings"
    assert output(states, arn) == [{"row": row, "from": source} for row in READINGS]
    assert map_run(states, arn)["itemCounts"]["succeeded"] == 4


def test_the_files_of_an_athena_manifest_are_read_in_turn(aws: LocalAWS, states: Any, bucket: str) -> None:
    put(aws, bucket, one=parquet(READINGS[:2]), two=parquet(READINGS[2:]))
    put(aws, bucket, manifest=f"s3://{bucket}/one\ns3://{bucket}/two\n")
    config = {"ManifestType": "ATHENA_DATA", "InputType": "PARQUET"}
    arn = start(states, {}, ItemReader=reader(bucket, "getObject", config, Key="manifest"))
    assert output(states, arn) == READINGS


def test_an_athena_manifest_of_csv_takes_its_headers_from_the_definition(
    aws: LocalAWS, states: Any, bucket: str
) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key="one.gz", Body=gzip.compress(b"s0|0.0\ns1|0.1\n"))
    put(aws, bucket, manifest=f"s3://{bucket}/one.gz\n")
    config = {
        "ManifestType": "ATHENA_DATA",
        "InputType": "CSV",
        "CSVDelimiter": "PIPE",
        "CSVHeaderLocation": "GIVEN",
        "CSVHeaders": ["sensor", "celsius"],
    }
    arn = start(states, {}, ItemReader=reader(bucket, "getObject", config, Key="manifest"))
    assert output(states, arn) == [{"sensor": "s0", "celsius": "0.0"}, {"sensor": "s1", "celsius": "0.1"}]


def test_an_inventory_may_be_named_by_its_manifests_type(aws: LocalAWS, states: Any, bucket: str) -> None:
    manifest = {"fileFormat": "CSV", "fileSchema": "Bucket, Key", "files": [{"key": "data"}]}
    put(aws, bucket, data='"b","a.png"\n', manifest=json.dumps(manifest))
    config = {"ManifestType": "S3_INVENTORY"}
    arn = start(states, {}, ItemReader=reader(bucket, "getObject", config, Key="manifest"))
    assert output(states, arn) == [{"Bucket": "b", "Key": "a.png"}]


def test_the_pairs_of_a_json_object_are_items_with_keys(aws: LocalAWS, states: Any, bucket: str) -> None:
    put(aws, bucket, config=json.dumps({"servers": {"web": {"port": 80}, "db": {"port": 5432}}}))
    read = reader(bucket, "getObject", {"InputType": "JSON", "ItemsPointer": "/servers"}, Key="config")
    selector = {"name.$": "$$.Map.Item.Key", "port.$": "$$.Map.Item.Value.port"}
    arn = start(states, {}, ItemReader=read, ItemSelector=selector)
    assert output(states, arn) == [{"name": "web", "port": 80}, {"name": "db", "port": 5432}]
    whole = output(states, start(states, {}, ItemReader=read))
    assert whole[0] == {"Key": "web", "Value": {"port": 80}}


def test_items_of_the_input_come_from_the_state(states: Any) -> None:
    selector = {"of.$": "$$.Map.Item.Source"}
    assert output(states, start(states, [1], ItemSelector=selector)) == [{"of": "STATE_DATA"}]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ({"ExpectedBucketOwner": "111111111111"}, "AccessDenied"),
        ({"VersionId": "BcK42coT2jE1234VHLUvBV1yLNod2OEt"}, "Invalid version id specified"),
    ],
)
def test_another_owner_or_version_than_there_is_fails_the_reading(
    aws: LocalAWS, states: Any, bucket: str, more: dict[str, str], problem: str
) -> None:
    put(aws, bucket, items="[1]")
    arn = start(
        states, {}, ItemReader=reader(bucket, "getObject", {"InputType": "JSON"}, Key="items", **more)
    )
    described = ended(states, arn)
    assert described["error"] == "States.ItemReaderFailed"
    assert problem in described["cause"]


@pytest.mark.parametrize(
    ("where", "problem"),
    [("b", "The arguments of ItemReader must be an object."),
     ({"Bucket": "b", "Key": "k", "Range": "r"}, "The field Range of ItemReader is not supported."),
     ({"Bucket": "b"}, "The field Key of an ItemReader must be a string.")],
)  # fmt: skip
def test_arguments_that_only_an_expression_tells_are_checked_as_they_come(
    states: Any, where: Any, problem: str
) -> None:
    read = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON"},
        "Arguments": "{% $states.input %}",
    }
    described = ended(states, start(states, where, QueryLanguage="JSONata", ItemReader=read))
    assert (described["error"], described["cause"]) == ("States.ItemReaderFailed", problem)


def test_what_is_no_parquet_fails_the_map_run_and_can_be_caught(
    aws: LocalAWS, states: Any, bucket: str
) -> None:
    put(aws, bucket, readings="sensor,celsius\ns0,0.0\n")
    read = reader(bucket, "getObject", {"InputType": "PARQUET"}, Key="readings")
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Caught"}]
    caught = output(states, start(states, {}, ItemReader=read, Catch=catch))
    assert caught["Cause"].startswith(f"The Parquet file S3://{bucket}/readings cannot be read")


def test_a_reader_waits_for_those_that_run(aws: LocalAWS, states: Any, bucket: str) -> None:
    rows = [{"n": n, "text": "x" * 60} for n in range(40_000)]
    put(aws, bucket, many=parquet(rows))
    arn = start(
        states,
        {},
        {
            "StartAt": "P",
            "States": {"P": {"Type": "Pass", "Parameters": {"n.$": "$.Items[*].n"}, "End": True}},
        },
        ItemReader=reader(bucket, "getObject", {"InputType": "PARQUET"}, Key="many"),
        ItemBatcher={"MaxItemsPerBatch": 2000},
        MaxConcurrency=1,
    )
    found = output(states, arn)
    assert [n for batch in found for n in batch["n"]] == list(range(40_000))


def test_stopping_the_execution_ends_the_reader_of_its_file(aws: LocalAWS, states: Any, bucket: str) -> None:
    put(aws, bucket, many=parquet([{"n": n, "text": "x" * 1000} for n in range(20_000)]))
    read = reader(bucket, "getObject", {"InputType": "PARQUET"}, Key="many")
    arn = start(states, {}, WAIT, ItemReader=read, MaxConcurrency=1)
    until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
    until(lambda: map_run(states, arn)["executionCounts"]["running"])
    assert readers_alive()
    states.stop_execution(executionArn=arn)
    until(lambda: not readers_alive())


def test_a_stopped_cloud_goes_on_with_the_rows_that_are_left(tmp_path: Path) -> None:
    waits = {
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "P"}, "P": {"Type": "Pass", "End": True}},
    }
    rows = [{"n": n} for n in range(6)]
    with LocalAWS(tmp_path) as cloud:
        cloud.client("s3").create_bucket(Bucket="items")
        put(cloud, "items", rows=parquet(rows))
        states = cloud.client("stepfunctions")
        read = reader("items", "getObject", {"InputType": "PARQUET"}, Key="rows")
        arn = start(states, {}, waits, ItemReader=read, MaxConcurrency=2)
        until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
        until(lambda: map_run(states, arn)["executionCounts"]["running"] == 2)
    left = tmp_path / "stepfunctions" / "left-by-a-crash"
    left.write_bytes(b"PAR1")
    with LocalAWS(tmp_path) as cloud:
        assert output(cloud.client("stepfunctions"), arn) == rows
    assert not list(left.parent.glob("*"))


def test_readers_are_validated_as_they_are_created(states: Any) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}

    def diagnostics(read: dict[str, Any]) -> list[Any]:
        state = {"Type": "Map", "End": True, "ItemProcessor": {"ProcessorConfig": config} | PASS}
        definition = {"StartAt": "M", "States": {"M": state | {"ItemReader": read}}}
        found = states.validate_state_machine_definition(definition=json.dumps(definition))
        return [(problem["location"], problem["message"]) for problem in found["diagnostics"]]

    assert diagnostics(reader("b", "getObject", {"InputType": "PARQUET"}, Key="k")) == []
    (found,) = diagnostics(reader("b", "getObject", {"InputType": "PARQUET"}, Key="k", VersionId="v"))
    assert found == (
        "/States/M/ItemReader/Parameters",
        "Field 'VersionId' is not supported for Parquet files",
    )
