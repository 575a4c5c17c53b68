"""SNS as boto3 sees it, with a real function and a real listener at the other end."""

import io
import json
import threading
import time
import urllib.request
import uuid
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scones.testing import LocalAWS

HANDLER = """
import json, os
import boto3

def lambda_handler(event, context):
    record = event["Records"][0]["Sns"]
    boto3.client("s3").put_object(
        Bucket=os.environ["BUCKET"], Key=record["MessageId"], Body=json.dumps(event).encode()
    )
"""


def unique(kind: str) -> str:
    return f"{kind}-{uuid.uuid4().hex[:12]}"


def eventually(check: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        if found := check():
            return found
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.05)


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
    eventually(lambda: received)
    request = json.loads(received[0][1])
    with urllib.request.urlopen(request["SubscribeURL"], timeout=10) as reply:
        assert b"ConfirmSubscriptionResult" in reply.read()
    message_id = sns.publish(TopicArn=topic, Message="grüße", Subject="s")["MessageId"]
    eventually(lambda: len(received) == 2)
    headers, body = received[1]
    assert headers["x-amz-sns-message-id"] == message_id
    assert json.loads(body)["Message"] == "grüße"
    arn = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"][0]["SubscriptionArn"]
    sns.unsubscribe(SubscriptionArn=arn)
    assert sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"] == []


@pytest.mark.timeout(90)
def test_a_function_is_invoked_with_what_was_published(aws: LocalAWS, topic: str) -> None:
    sns, s3, functions = aws.client("sns"), aws.client("s3"), aws.client("lambda")
    bucket, name = unique("bucket"), unique("listener")
    s3.create_bucket(Bucket=bucket)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("listener.py", HANDLER)
    arn = functions.create_function(
        FunctionName=name,
        Runtime="python3.12",
        Handler="listener.lambda_handler",
        Role="arn:aws:iam::000000000000:role/service-role/AmazonSageMaker-ExecutionRole",
        Code={"ZipFile": code.getvalue()},
        Timeout=30,
        Environment={"Variables": {"BUCKET": bucket}},
    )["FunctionArn"]
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=arn)
    attributes = {"colour": {"DataType": "String", "StringValue": "red"}}
    message_id = sns.publish(TopicArn=topic, Message="low", MessageAttributes=attributes)["MessageId"]

    def stored() -> bool:
        return message_id in [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]

    eventually(stored)
    event = json.loads(s3.get_object(Bucket=bucket, Key=message_id)["Body"].read())["Records"][0]
    assert event["EventSource"] == "aws:sns"
    assert event["Sns"]["Message"] == "low"
    assert event["Sns"]["MessageAttributes"] == {"colour": {"Type": "String", "Value": "red"}}
    functions.delete_function(FunctionName=name)
