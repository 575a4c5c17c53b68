"""Positions in a stream: pages neither lose nor repeat an event, even while it grows."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context
from scones.cloud.services.logs import Logs
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

CONTEXT = Context(request_id="r", account_id="123456789012", region="us-east-1")
NAMES = {"logGroupName": "/g", "logStreamName": "s"}
NOW = 1_800_000_000_000


class StillClock:
    def now(self) -> datetime:
        return datetime.fromtimestamp(NOW / 1000, UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class NoIds:
    def uuid(self) -> str:
        raise AssertionError

    def token(self, length: int) -> str:
        raise AssertionError


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    service = Logs(
        db=Database(":memory:"), clock=StillClock(), ids=NoIds(), settings=CloudSettings(state_dir=tmp_path)
    )
    service.create_log_group({"logGroupName": "/g"}, CONTEXT)
    service.create_log_stream(NAMES, CONTEXT)
    return service


def put(logs: Logs, *events: tuple[int, str]) -> dict[str, Any]:
    batch = [{"timestamp": NOW + at, "message": message} for at, message in events]
    return logs.put_log_events(NAMES | {"logEvents": batch}, CONTEXT)


def get(logs: Logs, **request: Any) -> tuple[list[str], str, str]:
    page = logs.get_log_events(NAMES | request, CONTEXT)
    messages = [event["message"] for event in page["events"]]
    return messages, page["nextForwardToken"], page["nextBackwardToken"]


def test_forward_pages_end_with_the_token_they_were_asked_with(logs: Logs) -> None:
    put(logs, *((i // 3, f"m{i}") for i in range(10)))
    seen: list[str] = []
    token = ""
    for _ in range(20):
        options: dict[str, Any] = {"nextToken": token} if token else {"startFromHead": True}
        messages, following, _ = get(logs, limit=4, **options)
        if not messages:
            assert following == token
            break
        seen, token = seen + messages, following
    assert seen == [f"m{i}" for i in range(10)]


def test_kept_forward_token_finds_what_came_since(logs: Logs) -> None:
    _, token, _ = get(logs)  # nothing there, and not from the head
    put(logs, (0, "a"), (5, "b"))
    messages, token, _ = get(logs, nextToken=token)
    assert messages == ["a", "b"]
    assert get(logs, nextToken=token) == ([], token, get(logs, nextToken=token)[2])
    put(logs, (5, "c"), (6, "d"))
    assert get(logs, nextToken=token)[0] == ["c", "d"]


def test_backward_pages_reach_the_head(logs: Logs) -> None:
    put(logs, *((i, f"m{i}") for i in range(5)))
    messages, _, token = get(logs, limit=2)
    assert messages == ["m3", "m4"]
    messages, _, token = get(logs, limit=2, nextToken=token)
    assert messages == ["m1", "m2"]
    messages, _, token = get(logs, limit=2, nextToken=token)
    assert messages == ["m0"]
    empty, forward, same = get(logs, limit=2, nextToken=token)
    assert (empty, same) == ([], token)
    assert get(logs, limit=2, nextToken=forward)[0] == ["m0", "m1"]


def test_turning_round_at_the_end_repeats_the_last_event(logs: Logs) -> None:
    put(logs, (0, "a"), (1, "b"))
    _, token, _ = get(logs, startFromHead=True)
    empty, _, backward = get(logs, nextToken=token)
    assert empty == []
    assert get(logs, nextToken=backward)[0] == ["a", "b"]


def test_events_are_ordered_by_time_then_arrival(logs: Logs) -> None:
    put(logs, (10, "c"), (20, "e"))
    put(logs, (5, "a"), (5, "b"), (10, "d"))
    assert get(logs, startFromHead=True)[0] == ["a", "b", "c", "d", "e"]
    assert get(logs, startFromHead=True, startTime=NOW + 10, endTime=NOW + 20)[0] == ["c", "d"]


def test_page_holds_at_most_a_megabyte(logs: Logs) -> None:
    for i in range(3):
        put(logs, (i, str(i) * 500_000))
    messages, token, _ = get(logs, startFromHead=True)
    assert [m[0] for m in messages] == ["0", "1"]
    assert [m[0] for m in get(logs, nextToken=token)[0]] == ["2"]


@pytest.mark.parametrize("token", ["x", "f/1", "f/" + "9" * 56, "b/" + "é" * 56 + "/s"])
def test_made_up_tokens_are_refused(logs: Logs, token: str) -> None:
    with pytest.raises(ServiceError, match="nextToken is invalid"):
        get(logs, nextToken=token)
    for operation in (logs.describe_log_groups, logs.describe_log_streams, logs.filter_log_events):
        with pytest.raises(ServiceError, match="nextToken is invalid"):
            operation({"logGroupName": "/g", "nextToken": token}, CONTEXT)


def test_streams_page_by_name_and_by_time_without_a_last_token(logs: Logs) -> None:
    names = [f"job/{i}" for i in range(5)]
    for name in reversed(names):
        logs.create_log_stream({"logGroupName": "/g", "logStreamName": name}, CONTEXT)
        batch = [{"timestamp": NOW - int(name[-1]), "message": "m"}]
        logs.put_log_events({"logGroupName": "/g", "logStreamName": name, "logEvents": batch}, CONTEXT)

    def pages(**request: Any) -> list[list[str]]:
        found: list[list[str]] = []
        token = None
        while True:
            more: dict[str, Any] = {"nextToken": token} if token else {}
            page = logs.describe_log_streams({"logGroupName": "/g"} | request | more, CONTEXT)
            found.append([s["logStreamName"] for s in page["logStreams"]])
            token = page.get("nextToken")
            if token is None:
                return found

    assert pages(logStreamNamePrefix="job/") == [names]
    assert pages(logStreamNamePrefix="job/", limit=5) == [names]
    assert pages(logStreamNamePrefix="job/", limit=2, descending=True) == [
        ["job/4", "job/3"], ["job/2", "job/1"], ["job/0"]
    ]  # fmt: skip
    by_time = pages(orderBy="LastEventTime", descending=True, limit=4)
    assert by_time == [["job/0", "job/1", "job/2", "job/3"], ["job/4", "s"]]
    with pytest.raises(ServiceError, match="Cannot order by LastEventTime with a logStreamNamePrefix"):
        pages(orderBy="LastEventTime", logStreamNamePrefix="job/")


def test_filter_pages_over_streams_by_time(logs: Logs) -> None:
    other = {"logGroupName": "/g", "logStreamName": "t"}
    logs.create_log_stream(other, CONTEXT)
    put(logs, (1, "ERROR a"), (3, "ok"), (5, "ERROR c"))
    batch = [{"timestamp": NOW + 4, "message": "ERROR b"}]
    logs.put_log_events(other | {"logEvents": batch}, CONTEXT)
    request: dict[str, Any] = {"logGroupName": "/g", "filterPattern": "ERROR", "limit": 2}
    first = logs.filter_log_events(request, CONTEXT)
    assert [(e["message"], e["logStreamName"]) for e in first["events"]] == [
        ("ERROR a", "s"), ("ERROR b", "t")
    ]  # fmt: skip
    second = logs.filter_log_events(request | {"nextToken": first["nextToken"]}, CONTEXT)
    assert [e["message"] for e in second["events"]] == ["ERROR c"]
    assert "nextToken" not in second
    only = logs.filter_log_events({"logGroupName": "/g", "logStreamNames": ["t"]}, CONTEXT)
    assert [e["message"] for e in only["events"]] == ["ERROR b"]
    ranged = {"logGroupName": "/g", "startTime": NOW + 3, "endTime": NOW + 4}
    assert len(logs.filter_log_events(ranged, CONTEXT)["events"]) == 2


def test_old_and_future_events_are_counted_not_kept(logs: Logs) -> None:
    hour = 3600 * 1000
    reply = put(logs, (-15 * 24 * hour, "old"))
    assert reply["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    reply = put(logs, (0, "now"), (3 * hour, "new"))
    assert reply["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    assert get(logs, startFromHead=True)[0] == ["now"]


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([(5, "b"), (1, "a")], "chronological order"),
        ([(-25 * 3600 * 1000, "a"), (0, "b")], "24 hours"),
        ([(0, "x" * 600_000), (0, "y" * 600_000)], "Upload too large"),
    ],
)
def test_batches_that_aws_refuses(logs: Logs, events: list[tuple[int, str]], words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        put(logs, *events)
    assert get(logs, startFromHead=True)[0] == []


def test_half_a_surrogate_pair_is_stored_as_a_question_mark(logs: Logs) -> None:
    put(logs, (0, "a\ud800b"))
    assert get(logs, startFromHead=True)[0] == ["a?b"]
