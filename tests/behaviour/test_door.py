"""The whole way from an unmodified client over a socket to a service and back, with services made of air."""

import asyncio
import contextlib
import http.client
import random
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
import uvloop
from botocore.config import Config
from botocore.exceptions import ClientError

from scones.cloud.errors import ServiceError
from scones.cloud.gateway import Gateway
from scones.cloud.ports import Context, FileBody, Wire, chunks
from scones.cloud.server import Server, ServerError
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

KEY, SECRET = "AKIADOOR", "open sesame"
MB = 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()


class Ids:
    def uuid(self) -> str:
        return str(uuid.uuid4())

    def token(self, length: int) -> str:
        return uuid.uuid4().hex[:length]


class Service:
    """Anything with operations; a service of this name has no others."""

    name = ""

    def __init__(self) -> None:
        self.parts = (self,)

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class Objects(Service):
    name = "s3"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self.objects: dict[str, tuple[Path, Wire, dict[str, str]]] = {}
        self.unfinished = 0

    async def put_object(self, request: Wire, context: Context) -> Wire:
        path = self._folder / uuid.uuid4().hex
        try:
            with path.open("wb") as file:
                async for piece in chunks(request["Body"]):
                    file.write(piece)
        except BaseException:
            self.unfinished += 1
            path.unlink()
            raise
        self.objects[request["Key"]] = path, request, getattr(request["Body"], "trailers", {})
        return {"ETag": '"etag"'}

    async def get_object(self, request: Wire, context: Context) -> Wire:
        if request["Key"] not in self.objects:
            fields = {"Key": request["Key"]}
            raise ServiceError("NoSuchKey", "The specified key does not exist.", fields=fields)
        path, stored, _ = self.objects[request["Key"]]
        size = path.stat().st_size
        start, end = 0, size
        if "Range" in request:
            first, _, last = request["Range"].removeprefix("bytes=").partition("-")
            start, end = int(first), int(last) + 1
        return {
            "Body": FileBody(path, start, end - start),
            "ContentLength": end - start,
            "Metadata": stored.get("Metadata", {}),
            "ResponseMetadata": {"HTTPStatusCode": 206 if "Range" in request else 200},
        }

    async def head_object(self, request: Wire, context: Context) -> Wire:
        reply = await self.get_object(request, context)
        del reply["Body"]
        return reply

    def get_bucket_location(self, request: Wire, context: Context) -> Wire:
        return {"LocationConstraint": "eu-west-1"}


class Models(Service):
    name = "sagemaker"

    def create_model(self, request: Wire, context: Context) -> Wire:
        return {"ModelArn": f"arn:aws:sagemaker:us-east-1:000000000000:model/{request['ModelName']}"}

    async def list_models(self, request: Wire, context: Context) -> Wire:
        await asyncio.sleep(3600)
        return {"Models": []}


class Identity(Service):
    name = "sts"

    def get_caller_identity(self, request: Wire, context: Context) -> Wire:
        return {"Account": context.account_id, "Arn": "arn:aws:x", "UserId": context.access_key or "nobody"}


class Functions(Service):
    name = "lambda"

    async def invoke(self, request: Wire, context: Context) -> Wire:
        return {"StatusCode": 200, "Payload": request.get("Payload", b""), "ExecutedVersion": "$LATEST"}


class Door:
    """A gateway and its server on a thread of their own."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.settings = CloudSettings(**{"state_dir": folder, "port": 0, **settings})
        self.clock = Clock()
        self.s3 = Objects(folder)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port: int = self._do(self._open(folder))
        self.url = f"http://127.0.0.1:{self.port}"
        self._session = boto3.Session(KEY, SECRET, region_name="us-east-1")

    async def _open(self, folder: Path) -> int:
        self._db = Database(folder / "state.sqlite")
        gateway = Gateway(db=self._db, clock=self.clock, ids=Ids(), settings=self.settings)
        services: list[Any] = [self.s3, Models(), Identity(), Functions()]
        for service in services:
            gateway.add(service)
        self._server = Server(gateway, self.settings)
        return await self._server.start()

    async def _close(self) -> None:
        await self._server.close()
        self._db.close()

    def _do(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    def close(self) -> None:
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def client(self, service: str, **options: Any) -> Any:
        config = Config(**{"retries": {"max_attempts": 0}, **options.pop("config", {})})
        session: Any = self._session
        return session.client(service, config=config, **{"endpoint_url": self.url, **options})

    def send(
        self, method: str, target: str, body: Any = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        with contextlib.closing(connection):
            connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()

    def raw(self, data: bytes, *, half: bool = False) -> bytes:
        """What comes back for these bytes until the server is done or waits for more."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(data)
            if half:
                connection.shutdown(socket.SHUT_WR)
            received = b""
            with contextlib.suppress(OSError):
                while piece := connection.recv(65536):
                    received += piece
            return received


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    opened = Door(tmp_path_factory.mktemp("door"))
    yield opened
    opened.close()


def refusal(call: Any, **parameters: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    error, metadata = refused.value.response["Error"], refused.value.response["ResponseMetadata"]
    return metadata["HTTPStatusCode"], error["Code"], error["Message"]


def key() -> str:
    return f"{uuid.uuid4()} é+&.bin"


# --- there and back -----------------------------------------------------------------------------


def test_an_object_goes_there_and_back(door: Door) -> None:
    s3, name = door.client("s3"), key()
    s3.put_object(Bucket="bucket", Key=name, Body=b"hello", Metadata={"colour": "red"})
    got = s3.get_object(Bucket="bucket", Key=name)
    assert (got["Body"].read(), got["Metadata"]) == (b"hello", {"colour": "red"})
    part = s3.get_object(Bucket="bucket", Key=name, Range="bytes=1-3")
    assert (part["Body"].read(), part["ResponseMetadata"]["HTTPStatusCode"]) == (b"ell", 206)
    assert s3.head_object(Bucket="bucket", Key=name)["ContentLength"] == 5
    assert s3.get_bucket_location(Bucket="bucket")["LocationConstraint"] == "eu-west-1"


def test_a_long_object_streams_both_ways(door: Door) -> None:
    s3, name, body = door.client("s3"), key(), random.Random(1).randbytes(20 * MB + 7)
    s3.put_object(Bucket="bucket", Key=name, Body=body)
    assert s3.get_object(Bucket="bucket", Key=name)["Body"].read() == body


def test_the_client_never_waits_for_its_100_continue(door: Door) -> None:
    s3 = door.client("s3")
    s3.put_object(Bucket="bucket", Key=key(), Body=b"x")
    started = time.monotonic()
    for _ in range(5):
        s3.put_object(Bucket="bucket", Key=key(), Body=b"x")
    assert time.monotonic() - started < 4  # botocore gives a silent server one second for each


def test_a_short_reply_comes_in_one_piece(door: Door) -> None:
    """So that nobody gets its head alone when the cloud dies."""
    asked = (
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        b"Content-Length: 43\r\n\r\nAction=GetCallerIdentity&Version=2011-06-15"
    )
    with socket.create_connection(("127.0.0.1", door.port), timeout=10) as connection:
        for _ in range(20):
            connection.sendall(asked)
            head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            assert b"content-length: %d\r\n" % len(body) in head + b"\r\n"


def test_every_protocol_goes_there_and_back(door: Door) -> None:
    sagemaker, functions = door.client("sagemaker"), door.client("lambda")
    model = sagemaker.create_model(ModelName="m", ExecutionRoleArn="arn:aws:iam::123456789012:role/r")
    assert model["ModelArn"].endswith(":model/m")
    assert model["ResponseMetadata"]["RequestId"]
    who = door.client("sts").get_caller_identity()
    assert (who["Account"], who["UserId"]) == ("000000000000", KEY)
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    got = functions.invoke(FunctionName=arn, Payload=b'{"a":1}')
    assert (got["Payload"].read(), got["ExecutedVersion"]) == (b'{"a":1}', "$LATEST")


def test_an_aws_chunked_body_is_unwrapped(door: Door) -> None:
    body = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n"
    status, _, _ = door.send(
        "PUT",
        "/bucket/chunked",
        body,
        Content_Encoding="gzip,aws-chunked",
        X_Amz_Decoded_Content_Length="5",
        X_Amz_Trailer="x-amz-checksum-crc32",
    )
    assert status == 200
    path, request, trailers = door.s3.objects["chunked"]
    assert path.read_bytes() == b"hello"
    assert (request["ContentEncoding"], request["ContentLength"]) == ("gzip", 5)
    assert trailers == {"x-amz-checksum-crc32": "NhCmhg=="}


def test_a_body_without_a_length_streams_too(door: Door) -> None:
    assert door.send("PUT", "/bucket/pieces", iter([b"a" * 70_000, b"b"]))[0] == 200
    assert door.s3.objects["pieces"][0].read_bytes() == b"a" * 70_000 + b"b"


def test_a_virtual_host_names_the_bucket(door: Door) -> None:
    status, _, _ = door.send("PUT", "/virtual", b"x", Host=f"pictures.localhost:{door.port}")
    assert status == 200
    assert door.s3.objects["virtual"][1]["Bucket"] == "pictures"


def test_health_says_what_runs(door: Door) -> None:
    status, headers, body = door.send("GET", "/_scones/health")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert b'"services":["lambda","s3","sagemaker","sts"]' in body


# --- refusals -----------------------------------------------------------------------------------


def test_errors_are_read_by_the_client(door: Door) -> None:
    s3 = door.client("s3")
    status, code, _ = refusal(s3.get_object, Bucket="bucket", Key="absent")
    assert (status, code) == (404, "NoSuchKey")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket="bucket", Key="absent")
    assert refusal(s3.head_object, Bucket="bucket", Key="absent")[:2] == (404, "404")


def test_what_is_missing_names_itself(door: Door) -> None:
    for service, call, parameters, name in (
        ("s3", "put_object_acl", {"Bucket": "bucket", "Key": "k", "ACL": "private"}, "s3 PutObjectAcl"),
        ("s3", "create_multipart_upload", {"Bucket": "bucket", "Key": "k"}, "s3 CreateMultipartUpload"),
        ("sagemaker", "list_endpoints", {}, "sagemaker ListEndpoints"),
        ("lambda", "list_functions", {}, "lambda ListFunctions"),
        ("sts", "get_session_token", {}, "sts GetSessionToken"),
        ("dynamodb", "list_tables", {}, "DynamoDB_20120810"),
        ("batch", "describe_jobs", {"jobs": ["j"]}, "batch"),
    ):
        status, code, message = refusal(getattr(door.client(service), call), **parameters)
        assert (status, code) == (501, "NotImplemented")
        assert name in message


def test_validation_speaks_as_aws_does(door: Door) -> None:
    status, code, message = refusal(door.client("sagemaker").create_model, ModelName="a_b")
    assert (status, code) == (400, "ValidationException")
    assert message == (
        "1 validation error detected: Value 'a_b' at 'modelName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [a-zA-Z0-9]([\-a-zA-Z0-9]*[a-zA-Z0-9])?"
    )


def test_another_region_is_told_which_one_this_is(door: Door) -> None:
    status, code, message = refusal(
        door.client("sagemaker", region_name="eu-west-1").create_model, ModelName="m"
    )
    assert (status, code) == (400, "InvalidSignatureException")
    assert "AWS_DEFAULT_REGION=us-east-1" in message
    s3, name = door.client("s3", region_name="eu-west-1"), key()
    s3.put_object(Bucket="bucket", Key=name, Body=b"boto3 follows S3's hint")
    assert s3.head_object(Bucket="bucket", Key=name)["ContentLength"] == 23
    assert refusal(s3.list_buckets)[:2] == (400, "AuthorizationHeaderMalformed")
    assert door.client("sts", region_name="eu-west-1").get_caller_identity()["UserId"] == KEY


def test_other_hosts_and_other_sites_pages_are_refused(door: Door) -> None:
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"evil.example:{door.port}"},
        {"Origin": "http://evil.example"},
    ):
        status, _, body = door.send("GET", "/", **headers)
        assert status == 403
        assert b"evil.example" in body


def test_a_body_beyond_the_limit_is_refused_by_its_announcement(door: Door) -> None:
    head = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Amz-Target: SageMaker.CreateModel\r\nConnection: close\r\n"
    )
    got = door.raw(head + b"Content-Length: 40000000\r\nExpect: 100-continue\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 413 ")
    assert b"33554432" in got


def test_a_refused_upload_spoils_no_later_request(door: Door) -> None:
    s3 = door.client("s3", config={"max_pool_connections": 1})
    for _ in range(3):
        code = refusal(s3.put_object_acl, Bucket="bucket", Key="k", ACL="private")[1]
        assert code == "NotImplemented"
        assert refusal(s3.put_object, Bucket="bucket", Key="k", Body=b"x" * MB, StorageClass="NONE")[0] == 400
        name = key()
        s3.put_object(Bucket="bucket", Key=name, Body=b"x")
        assert s3.get_object(Bucket="bucket", Key=name)["Body"].read() == b"x"


def test_a_body_that_is_not_what_was_signed_stores_nothing(door: Door) -> None:
    status, _, body = door.send("PUT", "/bucket/forged", b"hello", X_Amz_Content_SHA256="0" * 64)
    assert status == 400
    assert b"<Code>XAmzContentSHA256Mismatch</Code>" in body
    assert "forged" not in door.s3.objects


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        ("/", {"X-Amz-Target": "SageMaker.CreateModel", "Content-Type": "application/x-amz-json-1.1"}),
        ("/", {"Content-Type": "application/x-www-form-urlencoded"}),
        ("/2015-03-31/functions", {"Content-Type": "application/json"}),
        ("/bucket?delete", {"Content-Type": "application/xml"}),
        ("/bucket/key?uploadId=1", {"Content-Type": "application/xml"}),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\x00\xff\xfe",
        b"<",
        b"<Delete>",
        b"<a/>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><Delete>&b;</Delete>',
        b"Action=",
        b"Action=GetCallerIdentity&Version=%FF",
        b"&&==&&%",
        b"[" * 100_000,
        b'{"ModelName":' * 10_000,
        b'{"ModelName":1e999}',
        b'{"Tags":[null,{"Key":null}]}',
    ],
)
def test_malformed_bodies_are_the_senders_fault(
    door: Door, target: str, headers: dict[str, str], body: bytes
) -> None:
    status, reply_headers, reply = door.send("POST", target, body, **headers)
    assert 400 <= status < 500 or b"NotImplemented" in reply
    assert b"Traceback" not in reply
    assert "x-amzn-requestid" in reply_headers or "x-amz-request-id" in reply_headers


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /%ff/%zz?%ff=%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /b/%ff HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET /b/\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET // HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET http://localhost/b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"BREW /pot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"TRACE /pot HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: \xff\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: AWS4-HMAC-SHA256 \xff,=,,\r\nConnection: close\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        b"X-Amz-Target: SageMaker.CreateModel\r\nContent-Length: 2\r\n\r\n{}",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_garbage_on_the_socket_is_never_a_server_error(door: Door, data: bytes) -> None:
    got = door.raw(data, half=True)
    assert got == b"" or b" 4" in got.split(b"\r\n", 1)[0] or b"NotImplemented" in got
    assert b"Traceback" not in got
    assert door.send("GET", "/_scones/health")[0] == 200


def test_random_bytes_never_break_the_door(door: Door) -> None:
    chance = random.Random(7)
    start = b"POST /b/k?uploadId=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"
    for _ in range(150):
        data = bytearray(start)
        for _ in range(chance.randrange(1, 8)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        got = door.raw(bytes(data), half=True)
        assert not got.startswith(b"HTTP/1.1 500"), bytes(data)
    assert door.send("GET", "/_scones/health")[0] == 200


def test_a_client_that_leaves_mid_body_leaves_nothing(door: Door) -> None:
    before = door.s3.unfinished
    with socket.create_connection(("127.0.0.1", door.port)) as connection:
        connection.sendall(
            b"PUT /bucket/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999999\r\n\r\nhalf"
        )
    deadline = time.monotonic() + 10
    while door.s3.unfinished == before and time.monotonic() < deadline:
        door.send("GET", "/_scones/health")
    assert door.s3.unfinished == before + 1
    assert "half" not in door.s3.objects


# --- keys ---------------------------------------------------------------------------------------


def test_a_presigned_url_expires_even_where_any_key_passes(door: Door) -> None:
    name = key()
    door.client("s3").put_object(Bucket="bucket", Key=name, Body=b"signed")
    urls = [
        urlsplit(
            door.client("s3", config={"signature_version": version}).generate_presigned_url(
                "get_object", Params={"Bucket": "bucket", "Key": name}, ExpiresIn=300
            )
        )
        for version in ("s3", "s3v4")
    ]
    for url in urls:
        assert door.send("GET", f"{url.path}?{url.query}")[2] == b"signed"
    door.clock.ahead = timedelta(seconds=320)
    try:
        for url in urls:
            status, _, body = door.send("GET", f"{url.path}?{url.query}")
            assert status == 403
            assert b"Request has expired" in body
    finally:
        door.clock.ahead = timedelta()


def test_configured_keys_must_verify(tmp_path: Path) -> None:
    door = Door(tmp_path, credentials={KEY: SECRET})
    try:
        s3, name = door.client("s3"), key()
        s3.put_object(Bucket="bucket", Key=name, Body=b"verified")
        assert s3.get_object(Bucket="bucket", Key=name)["Body"].read() == b"verified"
        assert door.client("sts").get_caller_identity()["UserId"] == KEY
        url = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "bucket", "Key": name}))
        assert door.send("GET", f"{url.path}?{url.query}")[2] == b"verified"
        assert door.send("GET", f"{url.path}x?{url.query}")[0] == 403
        wrong = door.client("s3", aws_secret_access_key="close sesame", aws_access_key_id=KEY)
        assert refusal(wrong.list_objects_v2, Bucket="bucket")[:2] == (403, "SignatureDoesNotMatch")
        unknown = door.client("sts", aws_access_key_id="AKIANOBODY", aws_secret_access_key=SECRET)
        assert refusal(unknown.get_caller_identity)[:2] == (403, "InvalidClientTokenId")
        assert door.send("PUT", "/bucket/unsigned", b"x")[0] == 403
        assert "unsigned" not in door.s3.objects
        assert door.send("GET", "/_scones/health")[0] == 200
        door.clock.ahead = timedelta(minutes=20)
        assert refusal(s3.list_objects_v2, Bucket="bucket")[:2] == (403, "RequestTimeTooSkewed")
    finally:
        door.close()


# --- listening ----------------------------------------------------------------------------------


class Nobody:
    async def handle(self, request: Any) -> Any:
        raise NotImplementedError


def test_a_port_in_use_is_told(door: Door, tmp_path: Path) -> None:
    server = Server(Nobody(), CloudSettings(state_dir=tmp_path, port=door.port))
    with pytest.raises(ServerError, match=f"port {door.port} on 127.0.0.1 is in use"):
        server.bind()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_beyond_loopback_it_needs_keys(tmp_path: Path, host: str) -> None:
    with pytest.raises(ServerError, match="without credentials"):
        Server(Nobody(), CloudSettings(state_dir=tmp_path, host=host, port=0)).bind()


def test_an_address_that_is_not_ours_is_told(tmp_path: Path) -> None:
    settings = CloudSettings(state_dir=tmp_path, host="192.0.2.1", port=0, credentials={KEY: SECRET})
    with pytest.raises(ServerError, match=r"192\.0\.2\.1"):
        Server(Nobody(), settings).bind()


def test_closing_is_quick_and_tells_who_waits(tmp_path: Path) -> None:
    door = Door(tmp_path)
    replies: list[int] = []
    waiting = threading.Thread(
        target=lambda: replies.append(door.send("POST", "/", b"{}", X_Amz_Target="SageMaker.ListModels")[0])
    )
    waiting.start()
    idle = socket.create_connection(("127.0.0.1", door.port))
    door.send("GET", "/_scones/health")
    started = time.monotonic()
    door.close()
    assert time.monotonic() - started < 15
    waiting.join(10)
    idle.close()
    assert replies == [503]
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", door.port)).close()
