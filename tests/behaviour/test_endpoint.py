"""An endpoint under traffic, change and harm, as boto3 and bare sockets see it."""

import concurrent.futures
import io
import json
import os
import signal
import socket
import struct
import tarfile
import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psutil
import pytest
from botocore.exceptions import ClientError
from PIL import Image

from scones.testing import LocalAWS

_T = TypeVar("_T")
OBEDIENT = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"
SHIPPED = Path(__file__).parents[2] / "src/scones/shipped/algorithm"
REGISTRY = "811284229777.dkr.ecr.us-east-1.amazonaws.com"
ROLE = "arn:aws:iam::000000000000:role/worker"
DEADLINE_S = 40.0
MOST_IN_PROGRESS = 100  # at one serving process


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    """Two algorithms: one that obeys each request's body, and the shipped one."""
    algorithms = {"obedient": OBEDIENT, "image-classification": SHIPPED}
    with LocalAWS(
        tmp_path_factory.mktemp("endpoint"), algorithms=algorithms, capture_window_s=0.2
    ) as started:
        yield started


@pytest.fixture(scope="module")
def classifier(cloud: LocalAWS, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An endpoint of the shipped algorithm whose model answers with the shares of red and green."""
    torch = pytest.importorskip("torch")
    from scones.shipped.algorithm.artefact import describe, save
    from scones.shipped.algorithm.export import export

    network = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(3, 2))
    with torch.no_grad():
        network[2].weight.copy_(torch.tensor([[0.02, 0, 0], [0, 0.02, 0]]))
        network[2].bias.zero_()
    shape = (3, 32, 32)
    folder = tmp_path_factory.mktemp("model")
    graph = export(network, 1.0, [np.full(shape, 9, dtype=np.uint8)], shape)
    save(folder, graph, describe(graph, shape, ["red", "green"], {}, {}))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in folder.iterdir():
            tar.add(file, file.name)
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="classifier")
    s3.put_object(Bucket="classifier", Key="model.tar.gz", Body=archive.getvalue())
    return deploy(
        cloud,
        "image-classification",
        model_data="s3://classifier/model.tar.gz",
        capture="s3://classifier/data",
    )


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def eventually(look: Callable[[], _T | None]) -> _T:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come to pass in time")


def configure(
    cloud: LocalAWS,
    repository: str,
    *,
    instances: int = 1,
    model_data: str = "",
    capture: str = "",
    environment: dict[str, str] | None = None,
) -> str:
    """A model and an endpoint configuration of one name."""
    sagemaker, name = cloud.client("sagemaker"), unique("config")
    container: dict[str, Any] = {"Image": f"{REGISTRY}/{repository}:1", "Environment": environment or {}}
    if model_data:
        container["ModelDataUrl"] = model_data
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "ModelName": name, "InstanceType": "ml.m5.large"}
    wanted: dict[str, Any] = {"ProductionVariants": [variant | {"InitialInstanceCount": instances}]}
    if capture:
        wanted["DataCaptureConfig"] = {
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": capture,
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        }
    sagemaker.create_endpoint_config(EndpointConfigName=name, **wanted)
    return name


def settled(cloud: LocalAWS, endpoint: str) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        found: dict[str, Any] = cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint)
        return None if found["EndpointStatus"] in ("Creating", "Updating") else found

    found = eventually(look)
    assert found["EndpointStatus"] == "InService", found
    return found


def deploy(cloud: LocalAWS, repository: str, **wanted: Any) -> str:
    name = unique("endpoint")
    config = configure(cloud, repository, **wanted)
    cloud.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=config)
    settled(cloud, name)
    return name


def tell(runtime: Any, endpoint: str) -> dict[str, Any]:
    """What the obedient algorithm says of itself."""
    about: dict[str, Any] = json.loads(
        runtime.invoke_endpoint(EndpointName=endpoint, Body=b"tell")["Body"].read()
    )
    return about


def picture(colour: tuple[int, int, int] = (200, 50, 0), form: str = "PNG", side: int = 32) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), colour).save(file, form)
    return file.getvalue()


# --- forms of requests and answers --------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        ("image/png", "PNG"),
        ("image/jpeg", "JPEG"),
        ("application/x-image", "PNG"),
        ("application/x-image", "JPEG"),
    ],
)
def test_pictures_of_every_documented_type_are_classified(
    cloud: LocalAWS, classifier: str, content_type: str, form: str
) -> None:
    reply = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=classifier, Body=picture(form=form), ContentType=content_type
    )
    assert reply["ContentType"] == "application/json"
    assert reply["InvokedProductionVariant"] == "AllTraffic"
    assert json.loads(reply["Body"].read()) == pytest.approx([0.953, 0.047], abs=0.01)


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("application/jsonlines", "application/jsonlines"),
        ("application/jsonlines;verbose", "application/jsonlines"),
    ],
)
def test_the_answer_has_the_form_that_is_accepted(
    cloud: LocalAWS, classifier: str, accept: str, answered: str
) -> None:
    reply = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=classifier, Body=picture(), ContentType="image/png", Accept=accept
    )
    assert reply["ContentType"] == answered
    found = json.loads(reply["Body"].read())
    row = found["prediction"] if answered == "application/jsonlines" else found
    assert row == pytest.approx([0.953, 0.047], abs=0.01)


def test_what_the_caller_notes_is_captured_with_the_inference(cloud: LocalAWS, classifier: str) -> None:
    noted = unique("inference")
    cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=classifier,
        Body=picture(),
        ContentType="image/png",
        InferenceId=noted,
        CustomAttributes="trace=1",
    )
    s3 = cloud.client("s3")

    def captured() -> dict[str, Any] | None:
        for item in s3.list_objects_v2(Bucket="classifier", Prefix="data/").get("Contents", ()):
            body = s3.get_object(Bucket="classifier", Key=item["Key"])["Body"].read()
            for record in map(json.loads, body.splitlines()):
                if record["eventMetadata"].get("inferenceId") == noted:
                    return dict(record)
        return None

    record = eventually(captured)
    assert record["eventMetadata"]["customAttributes"] == ["trace=1"]
    assert record["captureData"]["endpointInput"]["observedContentType"] == "image/png"


def original_status(error: ClientError) -> int:
    response: Any = error.response
    assert response["Error"]["Code"] == "ModelError"
    return int(response["OriginalStatusCode"])


def bomb(side: int) -> bytes:
    """A PNG file of side * side white or black pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("image/png", picture()[:-30], 400),
        ("image/png", picture(form="GIF"), 400),
        ("image/jpeg", b"\xff\xd8\xff\xe0" + b"\0" * 100, 400),
        ("image/png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0", 400),
        ("text/csv", b"1,2,3", 415),
        ("application/jsonlines", b"{}", 415),
    ],
    ids=["cut", "gif", "zeros", "huge-header", "csv", "jsonlines"],
)
def test_hostile_bodies_are_refused_and_the_next_picture_is_classified(
    cloud: LocalAWS, classifier: str, content_type: str, body: bytes, status: int
) -> None:
    runtime = cloud.client("sagemaker-runtime")
    with pytest.raises(ClientError) as caught:
        runtime.invoke_endpoint(EndpointName=classifier, Body=body, ContentType=content_type)
    assert original_status(caught.value) == status
    runtime.invoke_endpoint(EndpointName=classifier, Body=picture(), ContentType="image/png")


def test_a_decompression_bomb_costs_no_memory(cloud: LocalAWS, classifier: str) -> None:
    """400 million pixels would be 1.2 GB in colour."""
    body = bomb(20_000)
    assert len(body) < 100_000
    serving = [p for p in psutil.Process().children(recursive=True) if "serve" in p.cmdline()]
    before = max(p.memory_info().rss for p in serving)
    with pytest.raises(ClientError) as caught:
        cloud.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=classifier, Body=body, ContentType="image/png"
        )
    assert original_status(caught.value) == 400
    assert max(p.memory_info().rss for p in serving) < before + 200e6


# --- traffic ------------------------------------------------------------------------------------


def test_an_update_fails_no_request_and_moves_all_traffic(cloud: LocalAWS) -> None:
    endpoint = deploy(cloud, "obedient", environment={"COLOUR": "red"})
    blue = configure(cloud, "obedient", environment={"COLOUR": "blue"}, instances=2)
    runtime, over = cloud.client("sagemaker-runtime", max_pool_connections=4), threading.Event()

    def keep_asking() -> list[str]:
        seen = []
        while not over.is_set():
            seen.append(tell(runtime, endpoint)["environment"]["COLOUR"])
        return seen

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(keep_asking) for _ in range(4)]
        try:
            cloud.client("sagemaker").update_endpoint(EndpointName=endpoint, EndpointConfigName=blue)
            settled(cloud, endpoint)
        finally:
            over.set()
        seen = [asked.result() for asked in asking]  # raises what any request raised
    for colours in seen:
        assert colours == sorted(colours, reverse=True), "the old deployment answered after the new one"
    assert tell(runtime, endpoint)["environment"]["COLOUR"] == "blue"


def test_capacities_change_without_a_failed_request(cloud: LocalAWS) -> None:
    endpoint = deploy(cloud, "obedient")
    runtime = cloud.client("sagemaker-runtime")
    cloud.client("sagemaker").update_endpoint_weights_and_capacities(
        EndpointName=endpoint,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 2}],
    )
    while cloud.client("sagemaker").describe_endpoint(EndpointName=endpoint)["EndpointStatus"] == "Updating":
        tell(runtime, endpoint)
    described = settled(cloud, endpoint)
    assert described["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    pids: set[int] = set()

    def both_have_answered() -> bool | None:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:  # while one is busy, the other is asked
            pids.update(about["pid"] for about in pool.map(lambda _: tell(runtime, endpoint), range(8)))
        return True if len(pids) == 2 else None

    eventually(both_have_answered)


def test_requests_at_a_process_that_is_killed_are_answered_and_the_next_find_a_new_one(
    cloud: LocalAWS,
) -> None:
    endpoint = deploy(cloud, "obedient")
    runtime = cloud.client("sagemaker-runtime", max_pool_connections=8)
    first = tell(runtime, endpoint)["pid"]

    def ask() -> str:
        try:
            runtime.invoke_endpoint(EndpointName=endpoint, Body=b"sleep 5")
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "answered"

    def connected() -> bool | None:
        wires = psutil.Process(first).net_connections(kind="tcp")
        return sum(wire.status == psutil.CONN_ESTABLISHED for wire in wires) >= 4 or None

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask) for _ in range(4)]
        eventually(connected)
        os.kill(first, signal.SIGKILL)
        found = [each.result(DEADLINE_S) for each in asked]
    assert "ModelError" in found
    assert set(found) <= {"ModelError", "answered"}  # one that comes late finds the new process
    assert tell(runtime, endpoint)["pid"] != first


def test_overload_is_told_at_once_and_the_rest_is_answered(cloud: LocalAWS) -> None:
    endpoint = deploy(cloud, "obedient")
    beyond = 12
    wires = []
    try:
        for _ in range(MOST_IN_PROGRESS + beyond):
            wires.append(open_socket(cloud))
            wires[-1].sendall(invocation(endpoint, b"sleep 3"))
        found = [Answers(wire).next() for wire in wires]
    finally:
        for wire in wires:
            wire.close()
    refused = [answer for answer in found if answer[0] == 503]
    assert len(refused) == beyond
    assert sum(answer[0] == 200 for answer in found) == MOST_IN_PROGRESS
    assert all(b"too many requests in progress" in body for _, _, body in refused)
    assert {headers["x-amzn-errortype"] for _, headers, _ in refused} == {"ServiceUnavailable"}


# --- on the wire --------------------------------------------------------------------------------


def open_socket(cloud: LocalAWS) -> socket.socket:
    host, _, port = cloud.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), DEADLINE_S)


def invocation(endpoint: str, body: bytes, *lines: str, method: str = "POST", length: bool = True) -> bytes:
    head = [f"{method} /endpoints/{endpoint}/invocations HTTP/1.1", "Host: localhost", *lines]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode() + body


class Answers:
    """What comes back on a connection, answer by answer: status, headers, body."""

    def __init__(self, wire: socket.socket) -> None:
        self._wire = wire
        self._received = b""

    def next(self) -> tuple[int, dict[str, str], bytes]:
        head = self._until(lambda: self._received.find(b"\r\n\r\n") + 4 or None)
        status, *lines = head.decode().strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", 0))
        body = self._until(lambda: length if len(self._received) >= length else None)
        return int(status.split()[1]), headers, body

    def _until(self, complete: Callable[[], int | None]) -> bytes:
        while (end := complete() if self._received else None) in (None, 3):
            if complete() == 0:
                return b""
            piece = self._wire.recv(65536)
            assert piece, f"closed after {self._received!r}"
            self._received += piece
        assert end is not None
        taken, self._received = self._received[:end], self._received[end:]
        return taken


@pytest.fixture(scope="module")
def obedient(cloud: LocalAWS) -> str:
    return deploy(cloud, "obedient")


def test_a_request_may_come_byte_by_byte(cloud: LocalAWS, obedient: str) -> None:
    with open_socket(cloud) as wire:
        wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in invocation(obedient, b"hello"):
            wire.sendall(bytes([byte]))
        assert Answers(wire).next()[2] == b"[0.9, 0.1]"


def test_requests_may_come_before_the_answers_to_others(cloud: LocalAWS, obedient: str) -> None:
    with open_socket(cloud) as wire:
        wire.sendall(
            invocation(obedient, b"status 400") + invocation(obedient, b"a") + invocation(obedient, b"b")
        )
        answers = Answers(wire)
        assert [answers.next()[0] for _ in range(3)] == [424, 200, 200]


def test_a_connection_serves_other_operations_before_and_after(cloud: LocalAWS, obedient: str) -> None:
    health = b"GET /_scones/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with open_socket(cloud) as wire:
        answers = Answers(wire)
        for request, word in (
            (invocation(obedient, b"a"), b"0.9"),
            (invocation(obedient, b"b"), b"0.9"),
            (health, b"version"),
            (invocation(obedient, b"c"), b"0.9"),
        ):
            wire.sendall(request)
            status, _, body = answers.next()
            assert status == 200
            assert word in body


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        (["Content-Encoding: aws-chunked", "X-Amz-Decoded-Content-Length: 5", "Content-Length: 15"],
         b"5\r\nhello\r\n0\r\n\r\n"),
    ],
    ids=["chunked", "aws-chunked"],
)  # fmt: skip
def test_bodies_in_chunks_are_put_together(
    cloud: LocalAWS, obedient: str, lines: list[str], body: bytes
) -> None:
    with open_socket(cloud) as wire:
        wire.sendall(invocation(obedient, body, *lines, length=False))
        assert Answers(wire).next()[2] == b"[0.9, 0.1]"


def test_a_large_body_and_leave_to_send_it(cloud: LocalAWS, obedient: str) -> None:
    body = b"a" * 3_000_000
    head, _, _ = invocation(obedient, body, "Expect: 100-continue").partition(b"\r\n\r\n")
    with open_socket(cloud) as wire:
        answers = Answers(wire)
        wire.sendall(head + b"\r\n\r\n")
        assert answers.next()[0] == 100
        wire.sendall(body)
        assert answers.next()[2] == b"[0.9, 0.1]"


def test_an_oversize_body_is_refused(cloud: LocalAWS, obedient: str) -> None:
    with pytest.raises(ClientError) as caught:
        cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName=obedient, Body=b"a" * (6 * 2**20 + 1))
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_a_client_that_asks_for_the_end_gets_it(cloud: LocalAWS, obedient: str) -> None:
    with open_socket(cloud) as wire:
        wire.sendall(invocation(obedient, b"a", "Connection: close"))
        assert Answers(wire).next()[0] == 200
        assert wire.recv(1) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"POST /endpoints/e/invocations HTTP/1.1\r\nHost localhost\r\n\r\n",
        b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /endpoints/e/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /endpoints/\xff\r\n\r\n",
        b"POST /endpoints/" + b"e" * 4000 + b"\r\n\r\n",
    ],
)
def test_garbage_is_refused(cloud: LocalAWS, garbage: bytes) -> None:
    with open_socket(cloud) as wire:
        wire.sendall(garbage)
        assert Answers(wire).next()[0] in (400, 403)


def test_a_stranger_s_page_may_not_invoke(cloud: LocalAWS, obedient: str) -> None:
    with open_socket(cloud) as wire:
        wire.sendall(invocation(obedient, b"a", "Origin: https://example.com"))
        assert Answers(wire).next()[0] == 403
