"""Distributed Maps, their map runs and child executions, as boto3 sees them."""

import contextlib
import json
import sqlite3
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

ROLE = "arn:aws:iam::000000000000:role/states"
PASS: dict[str, Any] = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
FAIL_NEGATIVE = {
    "StartAt": "C",
    "States": {
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericLessThan": 0, "Next": "F"}],
            "Default": "P",
        },
        "F": {"Type": "Fail", "Error": "Negative", "Cause": "below zero"},
        "P": {"Type": "Pass", "End": True},
    },
}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}


@pytest.fixture
def states(aws: LocalAWS) -> Any:
    return aws.client("stepfunctions")


@pytest.fixture
def bucket(aws: LocalAWS) -> str:
    name = f"items-{uuid.uuid4().hex[:12]}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def until(check: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def start(states: Any, given: Any, processor: Any = PASS, kind: str = "STANDARD", **fields: Any) -> str:
    """An execution of a machine that is one distributed Map; its ARN."""
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    state = {"Type": "Map", "End": True, "ItemProcessor": {"ProcessorConfig": config} | processor} | fields
    definition: dict[str, Any] = {"StartAt": "M", "States": {"M": state}}
    if "Catch" in fields:
        definition["States"] |= {"Caught": {"Type": "Pass", "End": True}}
    created = states.create_state_machine(
        name=f"map-{uuid.uuid4().hex[:12]}", roleArn=ROLE, definition=json.dumps(definition)
    )
    started = states.start_execution(stateMachineArn=created["stateMachineArn"], input=json.dumps(given))
    arn: str = started["executionArn"]
    return arn


def ended(states: Any, arn: str) -> dict[str, Any]:
    def over() -> Any:
        described = states.describe_execution(executionArn=arn)
        return described if described["status"] != "RUNNING" else None

    described: dict[str, Any] = until(over)
    return described


def output(states: Any, arn: str) -> Any:
    described = ended(states, arn)
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


def map_run(states: Any, arn: str) -> dict[str, Any]:
    """The execution's only map run, described."""
    (run,) = states.list_map_runs(executionArn=arn)["mapRuns"]
    described: dict[str, Any] = states.describe_map_run(mapRunArn=run["mapRunArn"])
    return described


def types(states: Any, arn: str) -> list[str]:
    return [event["type"] for event in states.get_execution_history(executionArn=arn)["events"]]


def test_results_come_in_the_order_of_the_items_whatever_finishes_first(states: Any) -> None:
    slow_first = {
        "StartAt": "W",
        "States": {
            "W": {"Type": "Wait", "SecondsPath": "$.wait", "Next": "P"},
            "P": {"Type": "Pass", "End": True},
        },
    }
    items = [{"wait": 1, "n": 0}, {"wait": 0, "n": 1}, {"wait": 0, "n": 2}]
    assert output(states, start(states, items, slow_first)) == items


def test_each_item_is_an_execution_with_a_history_of_its_own(states: Any) -> None:
    arn = start(states, [10, 20, 30], Label="each")
    assert output(states, arn) == [10, 20, 30]
    machine = states.describe_execution(executionArn=arn)["stateMachineArn"]
    run = map_run(states, arn)
    assert run["mapRunArn"].split(":mapRun:")[1].startswith(f"{machine.rpartition(':')[2]}/each:")
    children = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
    assert len(children) == 3
    assert {child["stateMachineArn"] for child in children} == {f"{machine}/each"}
    assert {child["itemCount"] for child in children} == {1}
    child = states.describe_execution(executionArn=children[-1]["executionArn"])
    assert child["mapRunArn"] == run["mapRunArn"]
    assert (child["input"], child["output"]) == ("10", "10")
    assert types(states, child["executionArn"]) == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "ExecutionSucceeded",
    ]
    for_child = states.describe_state_machine_for_execution(executionArn=child["executionArn"])
    assert json.loads(for_child["definition"]) == PASS
    assert (for_child["label"], for_child["mapRunArn"]) == ("each", run["mapRunArn"])


def test_the_machines_own_list_has_no_child_executions(states: Any) -> None:
    arn = start(states, [1, 2])
    output(states, arn)
    machine = states.describe_execution(executionArn=arn)["stateMachineArn"]
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    assert [execution["executionArn"] for execution in listed] == [arn]


def test_child_executions_are_listed_in_pages_and_by_status(states: Any) -> None:
    arn = start(states, [1, -1, 2, -2, 3], FAIL_NEGATIVE, ToleratedFailureCount=2)
    output(states, arn)
    run = {"mapRunArn": map_run(states, arn)["mapRunArn"]}
    first = states.list_executions(**run, maxResults=3)
    second = states.list_executions(**run, maxResults=3, nextToken=first["nextToken"])
    assert len(first["executions"]) + len(second["executions"]) == 5
    assert "nextToken" not in second
    failed = states.list_executions(**run, statusFilter="FAILED")["executions"]
    assert len(failed) == 2


def test_express_children_are_counted_and_listed_and_leave_no_history(states: Any) -> None:
    arn = start(states, [1, 2, 3], kind="EXPRESS")
    assert output(states, arn) == [1, 2, 3]
    run = map_run(states, arn)
    assert run["executionCounts"]["succeeded"] == 3
    children = states.list_executions(mapRunArn=run["mapRunArn"], statusFilter="SUCCEEDED")["executions"]
    assert len(children) == 3
    for child in children:
        assert (child["mapRunArn"], child["itemCount"]) == (run["mapRunArn"], 1)
        with pytest.raises(ClientError, match="Resource type not valid in this context: express"):
            states.get_execution_history(executionArn=child["executionArn"])


def test_an_item_selector_sees_the_state_the_variables_and_the_item(states: Any) -> None:
    selector = {
        "index.$": "$$.Map.Item.Index",
        "value.$": "$$.Map.Item.Value",
        "folder.$": "$.folder",
        "of.$": "$$.Execution.Input.folder",
    }
    given = {"folder": "train", "items": ["a", "b"]}
    found = output(states, start(states, given, ItemsPath="$.items", ItemSelector=selector))
    assert found == [
        {"index": 0, "value": "a", "folder": "train", "of": "train"},
        {"index": 1, "value": "b", "folder": "train", "of": "train"},
    ]


def test_a_child_sees_itself_in_its_context_object(states: Any) -> None:
    shows = {
        "StartAt": "P",
        "States": {
            "P": {
                "Type": "Pass",
                "Parameters": {"machine.$": "$$.StateMachine.Name", "input.$": "$$.Execution.Input"},
                "End": True,
            }
        },
    }
    arn = start(states, ["x"], shows, Label="mine")
    (found,) = output(states, arn)
    machine = states.describe_execution(executionArn=arn)["stateMachineArn"].rpartition(":")[2]
    assert found == {"machine": f"{machine}/mine", "input": "x"}


# Reading from S3 ----------------------------------------------------------------------------------


def reader(bucket: str, action: str, config: dict[str, Any] | None = None, **where: str) -> dict[str, Any]:
    return {
        "Resource": f"arn:aws:states:::s3:{action}",
        "Parameters": {"Bucket": bucket, **where},
        **({"ReaderConfig": config} if config else {}),
    }


def test_the_pictures_under_a_prefix_are_items(aws: LocalAWS, states: Any, bucket: str) -> None:
    for name in ("bicycle.png", "motorcycle.png"):
        aws.client("s3").put_object(Bucket=bucket, Key=f"test/{name}", Body=name.encode())
    aws.client("s3").put_object(Bucket=bucket, Key="train/other.png", Body=b"x")
    arn = start(states, {}, ItemReader=reader(bucket, "listObjectsV2", Prefix="test/"))
    found = output(states, arn)
    assert [(item["Key"], item["Size"]) for item in found] == [
        ("test/bicycle.png", 11),
        ("test/motorcycle.png", 14),
    ]
    assert set(found[0]) == {"Etag", "Key", "LastModified", "Size", "StorageClass"}


def test_lines_of_listed_objects_are_items_when_they_are_loaded(
    aws: LocalAWS, states: Any, bucket: str
) -> None:
    for n in range(3):
        aws.client("s3").put_object(
            Bucket=bucket, Key=f"day/{n}.jsonl", Body=f'{{"n":{n}}}\n{{"n":{n + 10}}}\n'.encode()
        )
    config = {"InputType": "JSONL", "Transformation": "LOAD_AND_FLATTEN"}
    arn = start(
        states,
        {},
        ItemReader=reader(bucket, "listObjectsV2", config, Prefix="day/"),
        ItemSelector={"n.$": "$$.Map.Item.Value.n", "from.$": "$$.Map.Item.Source"},
    )
    found = output(states, arn)
    assert [item["n"] for item in found] == [0, 10, 1, 11, 2, 12]
    assert found[0]["from"] == f"S3://{bucket}/day/0.jsonl"


def test_a_table_is_read_row_by_row(aws: LocalAWS, states: Any, bucket: str) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key="labels.csv", Body=b"file,label\na.png,0\nb.png,1\n")
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
    arn = start(states, {}, ItemReader=reader(bucket, "getObject", config, Key="labels.csv"))
    assert output(states, arn) == [{"file": "a.png", "label": "0"}, {"file": "b.png", "label": "1"}]


@pytest.mark.parametrize(
    ("key", "problem"), [("absent.json", "NoSuchKey"), ("broken.json", "not valid JSON")]
)
def test_what_cannot_be_read_fails_the_map_run_and_can_be_caught(
    aws: LocalAWS, states: Any, bucket: str, key: str, problem: str
) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key="broken.json", Body=b'[{"n": 1}, {"n"')
    catch = [{"ErrorEquals": ["States.ItemReaderFailed"], "Next": "Caught"}]
    arn = start(
        states, {}, ItemReader=reader(bucket, "getObject", {"InputType": "JSON"}, Key=key), Catch=catch
    )
    caught = output(states, arn)
    assert caught["Error"] == "States.ItemReaderFailed"
    assert problem in caught["Cause"]
    assert "MapRunFailed" in types(states, arn)
    assert map_run(states, arn)["status"] == "FAILED"


# Batches, results, failures -----------------------------------------------------------------------


def test_batches_hold_as_many_items_as_they_may(states: Any) -> None:
    batcher = {"MaxItemsPerBatch": 2, "BatchInput": {"of.$": "$.of"}}
    arn = start(states, {"of": "x", "items": [1, 2, 3]}, ItemsPath="$.items", ItemBatcher=batcher)
    assert output(states, arn) == [
        {"BatchInput": {"of": "x"}, "Items": [1, 2]},
        {"BatchInput": {"of": "x"}, "Items": [3]},
    ]
    run = map_run(states, arn)
    assert (run["itemCounts"]["total"], run["executionCounts"]["total"]) == (3, 2)


def test_batches_are_no_longer_than_their_bytes(states: Any) -> None:
    found = output(states, start(states, ["a" * 40] * 5, ItemBatcher={"MaxInputBytesPerBatch": 100}))
    assert [len(batch["Items"]) for batch in found] == [2, 2, 1]


def writer(bucket: str) -> dict[str, Any]:
    """A ResultWriter that exports under out/."""
    return {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": bucket, "Prefix": "out"}}


def test_results_are_written_to_s3_with_a_manifest(aws: LocalAWS, states: Any, bucket: str) -> None:
    arn = start(states, [1, -2, 3], FAIL_NEGATIVE, ToleratedFailurePercentage=50, ResultWriter=writer(bucket))
    found = output(states, arn)
    described = map_run(states, arn)
    assert described["itemCounts"]["resultsWritten"] == described["executionCounts"]["resultsWritten"] == 3
    run = described["mapRunArn"]
    key = f"out/{run.rpartition(':')[2]}/manifest.json"
    assert found == {"MapRunArn": run, "ResultWriterDetails": {"Bucket": bucket, "Key": key}}

    def load(key: str) -> Any:
        return json.loads(aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())

    files = load(key)["ResultFiles"]
    assert (len(files["SUCCEEDED"]), len(files["FAILED"]), files["PENDING"]) == (1, 1, [])
    succeeded = load(files["SUCCEEDED"][0]["Key"])
    assert [(entry["Input"], entry["Output"], entry["Status"]) for entry in succeeded] == [
        ("1", "1", "SUCCEEDED"),
        ("3", "3", "SUCCEEDED"),
    ]
    (failed,) = load(files["FAILED"][0]["Key"])
    assert (failed["Input"], failed["Error"], failed["Cause"]) == ("-2", "Negative", "below zero")
    assert (failed["RedriveCount"], failed["RedriveStatus"]) == (0, "REDRIVABLE_BY_MAP_RUN")


def test_many_results_are_one_file(aws: LocalAWS, states: Any, bucket: str) -> None:
    s3 = aws.client("s3")
    lines = [json.dumps({"n": n, "text": "x" * 200_000}) for n in range(45)]
    s3.put_object(Bucket=bucket, Key="items.jsonl", Body="\n".join(lines))
    write = writer(bucket) | {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}}
    read = reader(bucket, "getObject", {"InputType": "JSONL"}, Key="items.jsonl")
    manifest = output(states, start(states, {}, ItemReader=read, ResultWriter=write))["ResultWriterDetails"]
    told = json.loads(s3.get_object(Bucket=bucket, Key=manifest["Key"])["Body"].read())
    (file,) = told["ResultFiles"]["SUCCEEDED"]
    body = s3.get_object(Bucket=bucket, Key=file["Key"])["Body"].read()
    assert len(body) == file["Size"] > 8 * 1024 * 1024
    assert body.decode().splitlines() == [line.replace(": ", ":").replace(", ", ",") for line in lines]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_what_a_writer_has_written_is_counted_whatever_became_of_it(states: Any, bucket: str) -> None:
    """Items in batches of two; the second batch fails, the last is never begun."""
    first_of_batch = json.loads(json.dumps(FAIL_NEGATIVE).replace('"$"', '"$.Items[0]"'))
    arn = start(
        states, [1, 2, -3, 4, 5, 6], first_of_batch, MaxConcurrency=1,
        ItemBatcher={"MaxItemsPerBatch": 2}, ResultWriter=writer(bucket),
    )  # fmt: skip
    assert ended(states, arn)["error"] == "States.ExceedToleratedFailureThreshold"
    run = map_run(states, arn)
    counted = {
        kind: [run[kind][name] for name in ("succeeded", "failed", "pending", "resultsWritten")]
        for kind in ("itemCounts", "executionCounts")
    }
    assert (run["status"], counted) == (
        "FAILED", {"itemCounts": [2, 2, 2, 4], "executionCounts": [1, 1, 1, 2]},
    )  # fmt: skip


def test_results_that_nobody_was_given_are_not_counted_as_written(states: Any) -> None:
    arn = start(states, [1], ResultWriter=writer(f"absent-{uuid.uuid4().hex[:12]}"))
    assert ended(states, arn)["error"] == "States.ResultWriterFailed"
    assert map_run(states, arn)["itemCounts"]["resultsWritten"] == 0
    arn = start(states, [1, -1], FAIL_NEGATIVE)
    assert ended(states, arn)["status"] == "FAILED"
    assert map_run(states, arn)["itemCounts"]["resultsWritten"] == 0


def test_results_can_be_flattened_in_the_states_own_output(states: Any) -> None:
    flat = {"WriterConfig": {"Transformation": "FLATTEN", "OutputType": "JSON"}}
    assert output(states, start(states, [[1, 2], [3], 4], ResultWriter=flat)) == [1, 2, 3, 4]


def test_a_writer_that_cannot_write_fails_the_state_by_its_own_name(states: Any) -> None:
    described = ended(states, start(states, [1], ResultWriter=writer(f"absent-{uuid.uuid4().hex[:12]}")))
    assert (described["status"], described["error"]) == ("FAILED", "States.ResultWriterFailed")
    assert "NoSuchBucket" in described["cause"]


def test_more_results_than_a_state_may_hold_fail_it(states: Any) -> None:
    grows = {
        "StartAt": "P",
        "States": {"P": {"Type": "Pass", "Parameters": {"a.$": "$", "b.$": "$"}, "End": True}},
    }
    described = ended(states, start(states, ["x" * 60_000] * 3, grows))
    assert described["error"] == "States.DataLimitExceeded"


def test_one_failed_item_fails_the_state_unless_it_is_tolerated(states: Any) -> None:
    described = ended(states, start(states, [1, -1, 2], FAIL_NEGATIVE))
    assert (described["status"], described["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")
    assert described["cause"] == "The specified tolerated failure threshold was exceeded"
    assert output(states, start(states, [1, -1, 2], FAIL_NEGATIVE, ToleratedFailureCount=1)) == [1, 2]
    assert output(states, start(states, [1, -1], FAIL_NEGATIVE, ToleratedFailurePercentage=50)) == [1]


def test_a_failed_map_run_is_run_anew_when_its_state_is_retried(states: Any) -> None:
    retry = [{"ErrorEquals": ["States.ExceedToleratedFailureThreshold"], "MaxAttempts": 1}]
    arn = start(states, [-1], FAIL_NEGATIVE, Retry=retry)
    assert ended(states, arn)["status"] == "FAILED"
    assert types(states, arn).count("MapRunStarted") == 2
    runs = states.list_map_runs(executionArn=arn)["mapRuns"]
    assert len({run["mapRunArn"] for run in runs}) == 2


def test_no_more_items_run_at_once_than_are_allowed_and_the_limit_can_be_raised(states: Any) -> None:
    arn = start(states, [1, 2, 3, 4, 5], WAIT, MaxConcurrency=2)

    def running() -> int:
        count: int = map_run(states, arn)["executionCounts"]["running"]
        return count

    until(lambda: running() == 2)
    run = map_run(states, arn)
    assert run["itemCounts"] == {
        "pending": 3, "running": 2, "succeeded": 0, "failed": 0, "timedOut": 0, "aborted": 0,
        "total": 5, "resultsWritten": 0, "pendingRedrive": 0,
    }  # fmt: skip
    states.update_map_run(mapRunArn=run["mapRunArn"], maxConcurrency=4)
    until(lambda: running() == 4)
    assert map_run(states, arn)["maxConcurrency"] == 4
    states.stop_execution(executionArn=arn)


def test_stopping_the_execution_stops_the_map_run_and_all_it_began(states: Any) -> None:
    arn = start(states, [1, 2, 3], WAIT)
    until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
    until(lambda: map_run(states, arn)["executionCounts"]["running"] == 3)
    states.stop_execution(executionArn=arn)
    until(lambda: map_run(states, arn)["executionCounts"]["aborted"] == 3)
    assert map_run(states, arn)["status"] == "ABORTED"


def test_an_item_selector_that_takes_long_keeps_nobody_waiting(states: Any) -> None:
    """The execution is stopped before it has begun the first sixty-four items, which begin together."""
    selector = {"sum": "{% $sum([1..9000].($ + 1)) %}"}
    arn = start(states, list(range(100)), QueryLanguage="JSONata", ItemSelector=selector)
    until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
    states.stop_execution(executionArn=arn)
    counts = map_run(states, arn)["executionCounts"]
    assert (counts["aborted"], counts["running"], counts["succeeded"]) == (0, 0, 0)


def test_a_sibling_that_fails_aborts_the_map_run(states: Any) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    mapped = {"Type": "Map", "End": True, "ItemProcessor": {"ProcessorConfig": config} | WAIT}
    fails = {
        "StartAt": "S",
        "States": {
            "S": {"Type": "Wait", "Seconds": 1, "Next": "F"},
            "F": {"Type": "Fail", "Error": "Sibling"},
        },
    }
    branches = [{"StartAt": "M", "States": {"M": mapped}}, fails]
    definition = {"StartAt": "B", "States": {"B": {"Type": "Parallel", "Branches": branches, "End": True}}}
    created = states.create_state_machine(
        name=f"map-{uuid.uuid4().hex[:12]}", roleArn=ROLE, definition=json.dumps(definition)
    )
    arn = states.start_execution(stateMachineArn=created["stateMachineArn"], input="[1,2]")["executionArn"]
    assert ended(states, arn)["error"] == "Sibling"
    told = types(states, arn)[-4:]
    assert told == ["MapRunAborted", "MapStateAborted", "ParallelStateFailed", "ExecutionFailed"]
    until(lambda: map_run(states, arn)["executionCounts"]["aborted"] == 2)


def test_a_stopped_cloud_goes_on_with_its_map_runs_where_they_were(tmp_path: Path) -> None:
    waits = {
        "StartAt": "W",
        "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "P"}, "P": {"Type": "Pass", "End": True}},
    }
    items = list(range(12))
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        arn = start(states, items, waits, MaxConcurrency=5, ItemBatcher={"MaxItemsPerBatch": 2})
        until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
        until(lambda: map_run(states, arn)["executionCounts"]["running"] == 5)
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        found = output(states, arn)
        assert [item for batch in found for item in batch["Items"]] == items
        counts = map_run(states, arn)["executionCounts"]
        assert (counts["succeeded"], counts["total"]) == (6, 6)


def test_an_execution_that_cannot_go_on_after_a_restart_leaves_no_map_run(tmp_path: Path) -> None:
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        arn = start(states, [1, 2], WAIT)
        until(lambda: states.list_map_runs(executionArn=arn)["mapRuns"])
        until(lambda: map_run(states, arn)["executionCounts"]["running"] == 2)
    with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as file, file:
        file.execute("UPDATE sfn_turns SET steps = 0 WHERE execution IN (SELECT execution FROM sfn_map_runs)")
    with LocalAWS(tmp_path) as cloud:
        states = cloud.client("stepfunctions")
        assert ended(states, arn)["status"] == "FAILED"
        until(lambda: map_run(states, arn)["executionCounts"]["aborted"] == 2)
        assert map_run(states, arn)["status"] == "ABORTED"


def test_a_map_run_that_is_not_there_or_over_is_refused(states: Any) -> None:
    arn = start(states, [1])
    output(states, arn)
    run = map_run(states, arn)["mapRunArn"]
    with pytest.raises(ClientError, match="cannot be updated"):
        states.update_map_run(mapRunArn=run, maxConcurrency=1)
    with pytest.raises(ClientError) as missing:
        states.describe_map_run(mapRunArn=f"{run[:-4]}0000")
    assert missing.value.response["Error"]["Code"] == "ResourceNotFound"
    with pytest.raises(ClientError) as wrong:
        states.describe_map_run(mapRunArn=arn)
    assert wrong.value.response["Error"]["Code"] == "InvalidArn"


def test_labels_are_unique_in_a_definition(states: Any) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    first = {"Type": "Map", "Label": "same", "Next": "N", "ItemProcessor": {"ProcessorConfig": config} | PASS}
    second = first | {
        "End": True,
        "ItemProcessor": {
            "ProcessorConfig": config,
            "StartAt": "Q",
            "States": {"Q": {"Type": "Pass", "End": True}},
        },
    }
    del second["Next"]
    definition = json.dumps({"StartAt": "M", "States": {"M": first, "N": second}})
    found = states.validate_state_machine_definition(definition=definition)
    assert [problem["code"] for problem in found["diagnostics"]] == ["DUPLICATE_LABEL_NAME"]


def test_an_express_machine_has_no_distributed_map(states: Any) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}
    waits = {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "End": True}
    processor = {"ProcessorConfig": config, "StartAt": "T", "States": {"T": waits}}
    state = {"Type": "Map", "End": True, "ItemProcessor": processor}
    definition = json.dumps({"StartAt": "M", "States": {"M": state}})

    def places(type_: str) -> list[str]:
        found = states.validate_state_machine_definition(definition=definition, type=type_)
        return [problem["location"] for problem in found["diagnostics"]]

    task = "/States/M/ItemProcessor/States/T/Resource"
    assert places("EXPRESS") == ["/States/M", task]
    assert places("STANDARD") == [task]
