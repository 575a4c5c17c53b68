"""What SNS accepts, and that what it accepted is delivered: again after a failure, and after a crash."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from tests.bench import ServiceBench, until

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.sns import Sns
from scones.cloud.services.sns import store as sns_store
from scones.cloud.services.sns.sending import RETRY_PAUSES_S

TOPIC = "arn:aws:sns:us-east-1:000000000000:failures"
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:listener"


class Bench(ServiceBench[Sns]):
    def postponed(self) -> bool:
        """The one pending delivery waits for its next attempt."""
        return [row["due"] / 1000 > self.clock.moment.timestamp() for row in self.pending()] == [True]

    def advance(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.service._runner.wake()

    def events(self) -> list[Wire]:
        return [json.loads(request["Payload"])["Records"][0]["Sns"] for request in self.asked]

    def publish(self, **message: Any) -> Wire:
        """The reply; what it was to deliver has been delivered."""

        async def scenario() -> Wire:
            async with self.running():
                reply = self("publish", TopicArn=TOPIC, **message)
                await self.delivered()
            return reply

        return asyncio.run(scenario())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(Sns, tmp_path)
    bench("create_topic", Name="failures")
    yield bench
    bench.db.close()


def test_a_topic_is_made_once(bench: Bench) -> None:
    assert bench("create_topic", Name="failures")["TopicArn"] == TOPIC
    assert bench("list_topics")["Topics"] == [{"TopicArn": TOPIC}]
    assert bench.code_of("create_topic", Name="failures", Attributes={"DisplayName": "x"}) == (
        "InvalidParameter"
    )


@pytest.mark.parametrize("name", ["", "a b", "x" * 257, "in.order.fifo", "straße"])
def test_bad_topic_names_are_refused(bench: Bench, name: str) -> None:
    assert bench.code_of("create_topic", Name=name) == "InvalidParameter"


def test_what_a_topic_cannot_do_is_refused_by_name(bench: Bench) -> None:
    with pytest.raises(ServiceError, match="KmsMasterKeyId"):
        bench("create_topic", Name="other", Attributes={"KmsMasterKeyId": "alias/aws/sns"})
    with pytest.raises(ServiceError, match="FilterPolicy"):
        bench(
            "subscribe",
            TopicArn=TOPIC,
            Protocol="lambda",
            Endpoint=FUNCTION,
            Attributes={"FilterPolicy": "{}"},
        )


def test_topic_attributes_count_subscriptions(bench: Bench) -> None:
    bench("set_topic_attributes", TopicArn=TOPIC, AttributeName="DisplayName", AttributeValue="Failures")
    arn = bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)["SubscriptionArn"]
    bench("subscribe", TopicArn=TOPIC, Protocol="http", Endpoint="http://127.0.0.1:9/x")
    attributes = bench("get_topic_attributes", TopicArn=TOPIC)["Attributes"]
    assert (attributes["SubscriptionsConfirmed"], attributes["SubscriptionsPending"]) == ("1", "1")
    assert attributes["DisplayName"] == "Failures"
    bench("unsubscribe", SubscriptionArn=arn)
    bench("unsubscribe", SubscriptionArn=arn)
    attributes = bench("get_topic_attributes", TopicArn=TOPIC)["Attributes"]
    assert (attributes["SubscriptionsConfirmed"], attributes["SubscriptionsDeleted"]) == ("0", "1")


@pytest.mark.parametrize(
    ("protocol", "endpoint"),
    [
        ("sqs", "arn:aws:sqs:us-east-1:000000000000:queue"),
        ("email", "someone@example.com"),
        ("sms", "+15550100"),
        ("pigeon", "roof"),
        ("lambda", "listener"),
        ("http", "http://example.com/"),
        ("http", "http://10.0.0.1/"),
        ("http", "http://127.0.0.1@example.com/"),
        ("http", "https://127.0.0.1/"),
        ("http", "http://127.0.0.1:99999/"),
        ("http", "http://["),
    ],
)
def test_endpoints_it_cannot_reach_are_refused(bench: Bench, protocol: str, endpoint: str) -> None:
    request = {"TopicArn": TOPIC, "Protocol": protocol, "Endpoint": endpoint}
    assert bench.code_of("subscribe", **request) == "InvalidParameter"
    assert bench("list_subscriptions")["Subscriptions"] == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"TopicArn": TOPIC + "x"}, "NotFound"),
        ({"TopicArn": TOPIC.replace("us-east-1", "eu-west-1")}, "NotFound"),
        ({"TopicArn": "failures"}, "InvalidParameter"),
        ({"Message": ""}, "InvalidParameter"),
        ({"Message": "é" * (128 * 1024 + 1)}, "InvalidParameter"),
        ({"Subject": "two\nlines"}, "InvalidParameter"),
        ({"Subject": "x" * 101}, "InvalidParameter"),
        ({"MessageStructure": "xml"}, "InvalidParameter"),
        ({"MessageStructure": "json"}, "InvalidParameter"),
        ({"MessageStructure": "json", "Message": '{"lambda": "x"}'}, "InvalidParameter"),
        ({"MessageStructure": "json", "Message": r'{"default": "\ud800"}'}, "InvalidParameter"),
        ({"MessageStructure": "json", "Message": "[" * 100_000}, "InvalidParameter"),
        ({"MessageDeduplicationId": "1"}, "InvalidParameter"),
        ({"PhoneNumber": "+15550100"}, "InvalidParameter"),
        ({"MessageAttributes": {"a": {"DataType": "Word", "StringValue": "x"}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a": {"DataType": "Number", "StringValue": "x"}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a": {"DataType": "Binary", "StringValue": "x"}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a": {"DataType": "String", "StringValue": ""}}}, "ParameterValueInvalid"),
        ({"MessageAttributes": {"a b": {"DataType": "String", "StringValue": "x"}}}, "ParameterValueInvalid"),
        (
            {"MessageAttributes": {"a": {"DataType": "String.Array", "StringValue": "[{}]"}}},
            "ParameterValueInvalid",
        ),
    ],
)
def test_a_bad_publish_leaves_no_message(bench: Bench, changes: dict[str, Any], code: str) -> None:
    assert bench.code_of("publish", **{"TopicArn": TOPIC, "Message": "m"} | changes) == code
    assert bench.db.all("SELECT * FROM sns_messages") == []


def test_a_message_without_listeners_is_kept(bench: Bench) -> None:
    message_id = bench("publish", TopicArn=TOPIC, Message="m", Subject="s")["MessageId"]
    (row,) = bench.db.all("SELECT * FROM sns_messages")
    assert (row["message_id"], row["subject"], json.loads(row["message"])) == (
        message_id,
        "s",
        {"default": "m"},
    )


def test_only_the_newest_messages_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sns_store, "MESSAGES_KEPT", 3)
    sent = [bench("publish", TopicArn=TOPIC, Message=str(number))["MessageId"] for number in range(5)]
    rows = bench.db.all("SELECT message_id FROM sns_messages ORDER BY sequence")
    assert [row[0] for row in rows] == sent[-3:]


def test_a_batch_tells_good_from_bad(bench: Bench) -> None:
    entries = [{"Id": "good", "Message": "m"}, {"Id": "bad", "Message": ""}]
    reply = bench("publish_batch", TopicArn=TOPIC, PublishBatchRequestEntries=entries)
    assert [entry["Id"] for entry in reply["Successful"]] == ["good"]
    assert [(entry["Id"], entry["Code"]) for entry in reply["Failed"]] == [("bad", "InvalidParameter")]
    assert len(bench.db.all("SELECT * FROM sns_messages")) == 1


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ([], "EmptyBatchRequest"),
        ([{"Id": str(number), "Message": "m"} for number in range(11)], "TooManyEntriesInBatchRequest"),
        ([{"Id": "a", "Message": "m"}, {"Id": "a", "Message": "n"}], "BatchEntryIdsNotDistinct"),
        ([{"Id": "a b", "Message": "m"}], "InvalidBatchEntryId"),
        ([{"Id": str(n), "Message": "m" * 200_000} for n in range(2)], "BatchRequestTooLong"),
    ],
)
def test_a_batch_that_breaks_the_rules_sends_nothing(
    bench: Bench, entries: list[dict[str, str]], code: str
) -> None:
    request = {"TopicArn": TOPIC, "PublishBatchRequestEntries": entries}
    assert bench.code_of("publish_batch", **request) == code
    assert bench.db.all("SELECT * FROM sns_messages") == []


def test_a_function_receives_the_event_of_aws(bench: Bench) -> None:
    arn = bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)["SubscriptionArn"]
    attributes = {
        "word": {"DataType": "String", "StringValue": "é"},
        "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    message_id = bench.publish(Message="low", Subject="s", MessageAttributes=attributes)["MessageId"]
    (request,) = bench.asked
    assert (request["FunctionName"], request["InvocationType"]) == (FUNCTION, "Event")
    (record,) = json.loads(request["Payload"])["Records"]
    assert (record["EventSource"], record["EventVersion"]) == ("aws:sns", "1.0")
    assert record["EventSubscriptionArn"] == arn
    expected = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": TOPIC,
        "Subject": "s",
        "Message": "low",
        "Timestamp": "2026-01-02T03:04:05.678Z",
        "MessageAttributes": {
            "word": {"Type": "String", "Value": "é"},
            "bytes": {"Type": "Binary", "Value": base64.b64encode(b"\x00\xff").decode()},
        },
    }
    assert {key: record["Sns"][key] for key in expected} == expected


def test_each_protocol_receives_its_own_text(bench: Bench) -> None:
    bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)
    texts = json.dumps({"default": "to all", "lambda": "to functions"})
    bench.publish(Message=texts, MessageStructure="json")
    assert [event["Message"] for event in bench.events()] == ["to functions"]


def test_what_was_published_before_a_crash_is_delivered_after_it(bench: Bench) -> None:
    bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)
    for number in range(20):
        bench("publish", TopicArn=TOPIC, Message=str(number))
    assert bench.asked == []

    async def scenario() -> None:
        async with bench.running():
            await bench.delivered()

    asyncio.run(scenario())
    assert sorted(int(event["Message"]) for event in bench.events()) == list(range(20))


def test_a_throttled_delivery_is_repeated_with_pauses_and_then_given_up(bench: Bench) -> None:
    bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)
    bench.error = ServiceError("TooManyRequestsException", "Rate Exceeded.", status=429)

    async def scenario() -> None:
        async with bench.running():
            bench("publish", TopicArn=TOPIC, Message="m")
            for pause_s in RETRY_PAUSES_S:
                await until(bench.postponed)
                bench.advance(pause_s)
            await bench.delivered()

    asyncio.run(scenario())
    assert len(bench.asked) == len(RETRY_PAUSES_S) + 1


def test_a_missing_function_is_not_asked_twice(bench: Bench) -> None:
    bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)
    bench.error = ServiceError("ResourceNotFoundException", "Function not found", status=404)
    bench.publish(Message="m")
    assert len(bench.asked) == 1


def test_a_deleted_topic_takes_its_deliveries_along(bench: Bench) -> None:
    bench("subscribe", TopicArn=TOPIC, Protocol="lambda", Endpoint=FUNCTION)
    bench("publish", TopicArn=TOPIC, Message="m")
    bench("delete_topic", TopicArn=TOPIC)
    bench("delete_topic", TopicArn=TOPIC)
    assert bench.pending() == []
    assert bench("list_subscriptions")["Subscriptions"] == []
    assert bench.code_of("publish", TopicArn=TOPIC, Message="m") == "NotFound"


@contextlib.asynccontextmanager
async def listener(statuses: list[int]) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], str]]]]:
    """An http endpoint that answers the given statuses, then 200; and what it was sent."""
    received: list[tuple[dict[str, str], str]] = []

    async def receive(request: web.Request) -> web.Response:
        received.append((dict(request.headers), await request.text()))
        status = statuses.pop(0) if statuses else 200
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})

    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http://127.0.0.1:{port}/hook", received
    finally:
        await runner.cleanup()


def test_an_http_endpoint_confirms_before_it_receives(bench: Bench) -> None:
    async def scenario() -> list[tuple[dict[str, str], str]]:
        async with listener([]) as (url, received), bench.running():
            reply = bench("subscribe", TopicArn=TOPIC, Protocol="http", Endpoint=url)
            assert reply["SubscriptionArn"] == "pending confirmation"
            bench("publish", TopicArn=TOPIC, Message="too early")
            await until(lambda: len(received) == 1)
            token = json.loads(received[0][1])["Token"]
            assert bench.code_of("confirm_subscription", TopicArn=TOPIC, Token="f" * 64) == (
                "InvalidParameter"
            )
            bench("confirm_subscription", TopicArn=TOPIC, Token=token)
            bench("publish", TopicArn=TOPIC, Message="now", Subject="s")
            await until(lambda: len(received) == 2)
            return received

    (first_headers, first), (second_headers, second) = asyncio.run(scenario())
    assert first_headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert "Action=ConfirmSubscription" in json.loads(first)["SubscribeURL"]
    assert second_headers["x-amz-sns-message-type"] == "Notification"
    assert second_headers["x-amz-sns-topic-arn"] == TOPIC
    assert second_headers["x-amz-sns-subscription-arn"].startswith(TOPIC + ":")
    notification = json.loads(second)
    assert (notification["Type"], notification["Message"], notification["Subject"]) == (
        "Notification",
        "now",
        "s",
    )


@pytest.mark.parametrize(("status", "attempts"), [(200, 1), (302, 1), (403, 1), (500, 2), (429, 2)], ids=str)
def test_an_http_endpoint_is_asked_again_only_where_that_may_help(
    bench: Bench, status: int, attempts: int
) -> None:
    async def scenario() -> list[str]:
        async with listener([200, status]) as (url, received), bench.running():
            attributes = {"RawMessageDelivery": "true"}
            bench("subscribe", TopicArn=TOPIC, Protocol="http", Endpoint=url, Attributes=attributes)
            await until(lambda: len(received) == 1)
            bench("confirm_subscription", TopicArn=TOPIC, Token=json.loads(received[0][1])["Token"])
            bench("publish", TopicArn=TOPIC, Message="raw")
            await until(lambda: len(received) == 2)
            await until(lambda: not bench.pending() or bench.postponed())
            bench.advance(RETRY_PAUSES_S[0])
            await bench.delivered()
            return [body for _, body in received[1:]]

    assert asyncio.run(scenario()) == ["raw"] * attempts


# --- FIFO topics --------------------------------------------------------------------------------

FIFO = f"{TOPIC}.fifo"


def ordered(bench: Bench, **attributes: str) -> None:
    bench("create_topic", Name="failures.fifo", Attributes={"FifoTopic": "true"} | attributes)


def said(bench: Bench, message: str, group: str = "g", **more: str) -> tuple[str, int]:
    reply = bench("publish", TopicArn=FIFO, Message=message, MessageGroupId=group, **more)
    return reply["MessageId"], int(reply["SequenceNumber"])


def test_messages_of_a_fifo_topic_are_numbered(bench: Bench) -> None:
    ordered(bench)
    numbers = [said(bench, "m", MessageDeduplicationId=str(n))[1] for n in range(3)]
    assert numbers == sorted(set(numbers))
    assert all(len(str(number)) == 20 for number in numbers)


def test_the_same_deduplication_id_is_the_same_message_for_five_minutes(bench: Bench) -> None:
    ordered(bench)
    first = said(bench, "one", MessageDeduplicationId="a")
    bench.clock.step(299)
    assert said(bench, "two", "another", MessageDeduplicationId="a") == first
    bench.clock.step(1)
    again = said(bench, "two", MessageDeduplicationId="a")
    assert again[0] != first[0]
    assert again[1] > first[1]


def test_content_tells_messages_apart_where_the_topic_says_so(bench: Bench) -> None:
    ordered(bench, ContentBasedDeduplication="true")
    first = said(bench, "one")
    assert said(bench, "one") == first
    assert said(bench, "two") != first
    assert said(bench, "one", MessageDeduplicationId="explicit") != first


def test_deduplication_may_be_within_a_group(bench: Bench) -> None:
    ordered(bench, ContentBasedDeduplication="true", FifoThroughputScope="MessageGroup")
    assert said(bench, "one", "a") == said(bench, "one", "a") != said(bench, "one", "b")


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "The MessageGroupId parameter is required for FIFO topics"),
        ({"MessageGroupId": "g"}, "The topic should either have ContentBasedDeduplication enabled or"),
        ({"MessageGroupId": "a group", "MessageDeduplicationId": "d"}, "MessageGroupId Reason"),
        ({"MessageGroupId": "g", "MessageDeduplicationId": "x" * 129}, "MessageDeduplicationId Reason"),
    ],
)
def test_a_message_needs_its_place(bench: Bench, request_: Wire, message: str) -> None:
    ordered(bench)
    entry = {"Id": "1", "Message": "m"} | request_
    fine = {"Id": "2", "Message": "m", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    with pytest.raises(ServiceError, match=message):
        bench("publish", TopicArn=FIFO, Message="m", **request_)
    with pytest.raises(ServiceError, match=message):
        bench("publish_batch", TopicArn=FIFO, PublishBatchRequestEntries=[fine, entry])
    assert bench.db.all("SELECT * FROM sns_messages") == []


def test_a_batch_is_numbered_and_deduplicated_too(bench: Bench) -> None:
    ordered(bench, ContentBasedDeduplication="true")
    entries = [
        {"Id": str(n), "Message": text, "MessageGroupId": "g"} for n, text in enumerate(("one", "two", "one"))
    ]
    told = bench("publish_batch", TopicArn=FIFO, PublishBatchRequestEntries=entries)["Successful"]
    assert told[0]["SequenceNumber"] == told[2]["SequenceNumber"] < told[1]["SequenceNumber"]
    assert told[0]["MessageId"] == told[2]["MessageId"]


def test_only_queues_may_subscribe_to_a_fifo_topic(bench: Bench) -> None:
    ordered(bench)
    with pytest.raises(ServiceError, match="Invalid protocol type: lambda"):
        bench("subscribe", TopicArn=FIFO, Protocol="lambda", Endpoint=FUNCTION)
    with pytest.raises(ServiceError, match="this cloud cannot deliver to sqs"):
        bench("subscribe", TopicArn=FIFO, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:1:q.fifo")


def test_a_topic_stays_what_it_is(bench: Bench) -> None:
    ordered(bench)
    shown = bench("get_topic_attributes", TopicArn=FIFO)["Attributes"]
    assert (shown["FifoTopic"], shown["ContentBasedDeduplication"]) == ("true", "false")
    change = {"AttributeName": "ContentBasedDeduplication", "AttributeValue": "true"}
    bench("set_topic_attributes", TopicArn=FIFO, **change)
    assert said(bench, "one") == said(bench, "one")
    assert bench.code_of("set_topic_attributes", TopicArn=TOPIC, **change) == "InvalidParameter"
    fifo = {"AttributeName": "FifoTopic", "AttributeValue": "false"}
    assert bench.code_of("set_topic_attributes", TopicArn=FIFO, **fifo) == "InvalidParameter"
    wrong = {"Name": "plain", "Attributes": {"FifoTopic": "true"}}
    assert bench.code_of("create_topic", **wrong) == "InvalidParameter"
    wrong = {"Name": "plain", "Attributes": {"ContentBasedDeduplication": "true"}}
    assert bench.code_of("create_topic", **wrong) == "InvalidParameter"
    assert bench.code_of("publish", TopicArn=TOPIC, Message="m", MessageDeduplicationId="d") == (
        "InvalidParameter"
    )
