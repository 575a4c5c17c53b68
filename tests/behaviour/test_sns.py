"""SNS as boto3 sees it, with a real function and a real listener at the other end."""

import contextlib
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError
from tests.asking import unique, until
from tests.keeper import Keeper
from tests.killable import KillableCloud, persist

from scones.testing import LocalAWS


@pytest.fixture
def topic(aws: LocalAWS) -> str:
    arn: str = aws.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    return arn


class Listener(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers), body.decode()))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[tuple[str, list[tuple[dict[str, str], str]]]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Listener)
    server.received = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", server.received  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_topic_is_listed_described_and_deleted(aws: LocalAWS) -> None:
    sns, name = aws.client("sns"), unique("topic")
    arn = sns.create_topic(Name=name, Attributes={"DisplayName": "Failures"})["TopicArn"]
    assert sns.create_topic(Name=name)["TopicArn"] == arn
    pages = sns.get_paginator("list_topics").paginate()
    assert arn in [topic["TopicArn"] for page in pages for topic in page["Topics"]]
    assert sns.get_topic_attributes(TopicArn=arn)["Attributes"]["DisplayName"] == "Failures"
    sns.delete_topic(TopicArn=arn)
    with pytest.raises(sns.exceptions.NotFoundException, match="Topic does not exist"):
        sns.publish(TopicArn=arn, Message="m")


def test_subscriptions_come_in_pages(aws: LocalAWS, topic: str) -> None:
    sns = aws.client("sns")
    arns = {
        sns.subscribe(
            TopicArn=topic,
            Protocol="lambda",
            Endpoint=f"arn:aws:lambda:us-east-1:000000000000:function:f{number}",
        )["SubscriptionArn"]
        for number in range(105)
    }
    pages = list(sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic))
    assert [len(page["Subscriptions"]) for page in pages] == [100, 5]
    assert {entry["SubscriptionArn"] for page in pages for entry in page["Subscriptions"]} == arns
    sns.delete_topic(TopicArn=topic)


def test_queues_and_mail_are_refused_by_name(aws: LocalAWS, topic: str) -> None:
    sns = aws.client("sns")
    with pytest.raises(sns.exceptions.InvalidParameterException, match="sqs"):
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:q")


def test_a_listener_confirms_by_its_link_and_then_receives(
    aws: LocalAWS, topic: str, listener: tuple[str, list[tuple[dict[str, str], str]]]
) -> None:
    sns, (url, received) = aws.client("sns"), listener
    assert sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)["SubscriptionArn"] == (
        "pending confirmation"
    )
    until(lambda: received)
    request = json.loads(received[0][1])
    with urllib.request.urlopen(request["SubscribeURL"], timeout=10) as reply:
        assert b"ConfirmSubscriptionResult" in reply.read()
    message_id = sns.publish(TopicArn=topic, Message="grüße", Subject="s")["MessageId"]
    until(lambda: len(received) == 2)
    headers, body = received[1]
    assert headers["x-amz-sns-message-id"] == message_id
    assert json.loads(body)["Message"] == "grüße"
    arn = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]
    sns.unsubscribe(SubscriptionArn=arn)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


def test_messages_outlive_kill_9(
    tmp_path: Path, listener: tuple[str, list[tuple[dict[str, str], str]]]
) -> None:
    """The cloud dies once after a listener has taken the third message, before it has noted that."""
    url, received = listener
    cloud = KillableCloud(tmp_path)
    cloud.start("sns.delivered:4")  # the first is the request for confirmation
    sns, accepted = cloud.client("sns"), []
    try:
        topic = persist(sns.create_topic, Name="topic")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=url)
        until(lambda: received)
        sns.confirm_subscription(TopicArn=topic, Token=json.loads(received[0][1])["Token"])
        with contextlib.suppress(BotoCoreError):  # it died while it answered
            for number in range(12):
                accepted.append(sns.publish(TopicArn=topic, Message=str(number))["MessageId"])
        cloud.kill(after_s=20)
        cloud.start()
        until(lambda: {headers["x-amz-sns-message-id"] for headers, _ in received} >= set(accepted))
    finally:
        cloud.kill()
    assert len(accepted) >= 2


@pytest.mark.timeout(90)
def test_a_function_is_invoked_with_what_was_published(aws: LocalAWS, topic: str, keeper: Keeper) -> None:
    sns = aws.client("sns")
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=keeper.arn)
    attributes = {"colour": {"DataType": "String", "StringValue": "red"}}
    message_id = sns.publish(TopicArn=topic, Message="low", MessageAttributes=attributes)["MessageId"]
    event = until(keeper.events)[0]["Records"][0]
    assert event["EventSource"] == "aws:sns"
    assert (event["Sns"]["MessageId"], event["Sns"]["Message"]) == (message_id, "low")
    assert event["Sns"]["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
