"""CloudWatch Logs as boto3 sees it: AWS's messages, groups and streams, tags."""

import time
import uuid
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS


@pytest.fixture
def logs(aws: LocalAWS) -> Any:
    return aws.client("logs")


@pytest.fixture
def group(logs: Any) -> str:
    name = f"/test/{uuid.uuid4().hex}"
    logs.create_log_group(logGroupName=name, tags={"team": "a"})
    return name


def refused(operation: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        operation()
    reply: Any = raised.value.response
    assert reply["ResponseMetadata"]["HTTPStatusCode"] == 400
    return reply["Error"]["Code"], reply["Error"]["Message"]


def test_absent_and_present_are_said_in_aws_words(logs: Any, group: str) -> None:
    missing, exists = "ResourceNotFoundException", "ResourceAlreadyExistsException"
    no_group = (missing, "The specified log group does not exist.")
    no_stream = (missing, "The specified log stream does not exist.")
    assert refused(partial(logs.describe_log_streams, logGroupName="/none")) == no_group
    assert refused(partial(logs.delete_log_group, logGroupName="/none")) == no_group
    assert refused(partial(logs.filter_log_events, logGroupName="/none")) == no_group
    one = {"logGroupName": group, "logStreamName": "s"}
    assert refused(partial(logs.get_log_events, **one)) == no_stream
    event = {"timestamp": 1, "message": "m"}
    assert refused(partial(logs.put_log_events, **one, logEvents=[event])) == no_stream
    assert refused(partial(logs.create_log_group, logGroupName=group)) == (
        exists,
        "The specified log group already exists",
    )
    logs.create_log_stream(**one)
    assert refused(partial(logs.create_log_stream, **one)) == (
        exists,
        "The specified log stream already exists",
    )


def test_events_come_back_as_they_were_put(logs: Any, group: str) -> None:
    one = {"logGroupName": group, "logStreamName": "job/algo-1"}
    logs.create_log_stream(**one)
    now = int(time.time() * 1000)
    messages = ["one", "zwei\ttabs ☃", "x" * 1000]
    events = [{"timestamp": now + i, "message": m} for i, m in enumerate(messages)]
    logs.put_log_events(**one, logEvents=events)
    got = logs.get_log_events(**one, startFromHead=True)
    assert [(e["timestamp"], e["message"]) for e in got["events"]] == list(
        zip(range(now, now + 3), messages, strict=True)
    )
    assert all(e["ingestionTime"] >= now - 1000 for e in got["events"])
    again = logs.get_log_events(**one, startFromHead=True, nextToken=got["nextForwardToken"])
    assert (again["events"], again["nextForwardToken"]) == ([], got["nextForwardToken"])
    [stream] = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="job/")["logStreams"]
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (now, now + 2)
    by_arn = logs.get_log_events(
        logGroupIdentifier=stream["arn"].split(":log-stream:")[0], logStreamName="job/algo-1"
    )
    assert len(by_arn["events"]) == 3


def test_groups_are_listed_by_prefix_and_pattern_with_tags(logs: Any, group: str) -> None:
    [found] = logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    arn = f"arn:aws:logs:us-east-1:000000000000:log-group:{group}"
    assert (found["arn"], found["logGroupArn"], found["storedBytes"]) == (f"{arn}:*", arn, 0)
    [same] = logs.describe_log_groups(logGroupNamePattern=group[10:30])["logGroups"]
    assert same == found
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a"}
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.untag_resource(resourceArn=arn, tagKeys=["team"])
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    for _ in range(3):
        logs.create_log_group(logGroupName=f"{group}/{uuid.uuid4().hex}")
    pages = logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=group, limit=2)
    assert [len(page["logGroups"]) for page in pages] == [2, 2]
    logs.delete_log_group(logGroupName=group)
    assert group not in [
        g["logGroupName"] for g in logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    ]


def test_deleted_stream_takes_its_events_with_it(logs: Any, group: str) -> None:
    one = {"logGroupName": group, "logStreamName": "s"}
    logs.create_log_stream(**one)
    event = {"timestamp": int(time.time() * 1000), "message": "m"}
    logs.put_log_events(**one, logEvents=[event])
    logs.delete_log_stream(**one)
    logs.create_log_stream(**one)
    assert logs.get_log_events(**one, startFromHead=True)["events"] == []
    assert logs.filter_log_events(logGroupName=group)["events"] == []


def test_times_beyond_every_clock_are_no_reason_to_fail(logs: Any, group: str) -> None:
    one = {"logGroupName": group, "logStreamName": "s"}
    logs.create_log_stream(**one)
    assert logs.get_log_events(**one, endTime=2**63 - 1, startTime=0)["events"] == []
    assert logs.filter_log_events(logGroupName=group, endTime=2**63 - 1)["events"] == []
    event = {"timestamp": 2**63 - 1, "message": "m"}
    reply = logs.put_log_events(**one, logEvents=[event])
    assert reply["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 0}


@pytest.mark.parametrize("options", [{"kmsKeyId": "arn:aws:kms:x"}, {"deletionProtectionEnabled": True}])
def test_what_cannot_be_honoured_is_refused_by_name(logs: Any, options: dict[str, Any]) -> None:
    code, message = refused(
        partial(logs.create_log_group, logGroupName=f"/test/{uuid.uuid4().hex}", **options)
    )
    assert code == "InvalidParameterException"
    assert next(iter(options)) in message
