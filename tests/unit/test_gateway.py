import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.gateway import Gateway
from scones.cloud.ports import Context, Wire, chunks
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.wire.http import BytesStream, ClientGoneError, HttpRequest, HttpResponse

ROLE = "arn:aws:iam::123456789012:role/r"


class Clock:
    def now(self) -> datetime:
        return datetime(2026, 2, 3, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


class Ids:
    def uuid(self) -> str:
        return "00000000-0000-4000-8000-000000000001"

    def token(self, length: int) -> str:
        return "0" * length


class Models:
    """Just enough of SageMaker: rows of models in the state file."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self.seen: list[Context] = []

    def create_model(self, request: Wire, context: Context) -> Wire:
        self.seen.append(context)
        self._db.execute("INSERT INTO models VALUES (?)", (request["ModelName"],))
        if request["ModelName"] == "refused":
            raise ServiceError("ResourceLimitExceeded", "enough")
        if request["ModelName"] == "bug":
            raise KeyError("secret detail")
        return {"ModelArn": f"arn:aws:sagemaker:us-east-1:000000000000:model/{request['ModelName']}"}

    async def list_models(self, request: Wire, context: Context) -> Wire:
        await asyncio.sleep(0)
        return {"Models": []}

    def describe_model(self, request: Wire, context: Context) -> Wire:
        return None  # type: ignore[return-value]


class Objects:
    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}

    async def put_object(self, request: Wire, context: Context) -> Wire:
        self.bodies[request["Key"]] = b"".join([piece async for piece in chunks(request["Body"])])
        return {"ETag": '"x"'}


class Fake:
    def __init__(self, name: str, *parts: object) -> None:
        self.name = name
        self.parts = parts

    async def start(self) -> None: ...

    async def close(self) -> None: ...


class Cloud:
    def __init__(self, **settings: Any) -> None:
        self.db = Database(":memory:")
        self.db.execute("CREATE TABLE models (name TEXT PRIMARY KEY)")
        self.models, self.objects = Models(self.db), Objects()
        chosen = CloudSettings(state_dir=Path("/nowhere"), **settings)
        self.gateway = Gateway(db=self.db, clock=Clock(), ids=Ids(), settings=chosen)
        self.gateway.add(Fake("sagemaker", object(), self.models))
        self.gateway.add(Fake("s3", self.objects))
        self.gateway.add(Fake("iam"))

    def names(self) -> list[str]:
        return [row[0] for row in self.db.all("SELECT name FROM models")]

    def send(self, method: str, target: str, body: bytes = b"", **headers: str) -> HttpResponse:
        path, _, query = target.partition("?")
        request = HttpRequest(
            method=method,
            path=path,
            query_string=query,
            headers={"host": "127.0.0.1"} | {k.replace("_", "-"): v for k, v in headers.items()},
            body=BytesStream(body),
        )
        return asyncio.run(self.gateway.handle(request))

    def sagemaker(self, operation: str, request: Any, **headers: str) -> tuple[int, dict[str, Any]]:
        body = request if isinstance(request, bytes) else orjson.dumps(request)
        reply = self.send("POST", "/", body, x_amz_target=f"SageMaker.{operation}", **headers)
        assert isinstance(reply.body, bytes)
        return reply.status, orjson.loads(reply.body)

    def call(self, operation: str, request: Wire) -> Wire:
        return asyncio.run(self.gateway.call("sagemaker", operation, request))


def model(name: str) -> Wire:
    return {"ModelName": name, "ExecutionRoleArn": ROLE}


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


def scope(region: str, service: str) -> str:
    return f"AWS4-HMAC-SHA256 Credential=AKIA/20260203/{region}/{service}/aws4_request, SignedHeaders=a, Signature=b"


def test_a_request_reaches_the_method_of_its_operation(cloud: Cloud) -> None:
    status, reply = cloud.sagemaker("CreateModel", model("m"), authorization=scope("us-east-1", "sagemaker"))
    assert (status, reply["ModelArn"]) == (200, "arn:aws:sagemaker:us-east-1:000000000000:model/m")
    (context,) = cloud.models.seen
    assert (context.access_key, context.region, context.account_id) == ("AKIA", "us-east-1", "000000000000")
    assert context.headers["x-amz-target"] == "SageMaker.CreateModel"
    assert cloud.sagemaker("ListModels", {}) == (200, {"Models": []})


@pytest.mark.parametrize("name", ["refused", "bug"])
def test_a_plain_operation_that_raises_leaves_nothing(cloud: Cloud, name: str) -> None:
    cloud.sagemaker("CreateModel", model(name))
    assert cloud.names() == []
    cloud.sagemaker("CreateModel", model("kept"))
    assert cloud.names() == ["kept"]


def test_a_bug_is_logged_and_told_to_nobody(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    status, reply = cloud.sagemaker("CreateModel", model("bug"))
    assert (status, reply["__type"]) == (500, "InternalFailure")
    assert Ids().uuid() in reply["message"]
    assert "secret detail" not in str(reply)
    assert "secret detail" in caplog.text
    assert cloud.sagemaker("DescribeModel", {"ModelName": "m"})[0] == 500


def test_every_request_leaves_one_line(cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scones.cloud.gateway")
    cloud.sagemaker("ListModels", {})
    cloud.sagemaker("ListModels", b"{")
    lines = [r for r in caplog.records if getattr(r, "action", "") == "request"]
    assert [(getattr(r, "operation", ""), getattr(r, "status", 0)) for r in lines] == [
        ("sagemaker.ListModels", 200),
        ("sagemaker.ListModels", 400),
    ]


def test_what_is_missing_names_itself(cloud: Cloud) -> None:
    status, reply = cloud.sagemaker("CreateEndpoint", {"EndpointName": "e", "EndpointConfigName": "c"})
    assert (status, reply["__type"]) == (501, "NotImplemented")
    assert "sagemaker CreateEndpoint" in reply["message"]
    assert b"s3 PutObjectAcl" in cloud.send("PUT", "/b/k?acl").body  # type: ignore[operator]


def test_the_table_says_what_is_there(cloud: Cloud) -> None:
    rows = {(r.service, r.operation): r.implemented for r in cloud.gateway.table()}
    assert rows["sagemaker", "CreateModel"]
    assert rows["s3", "PutObject"]
    assert not rows["iam", "GetRole"]
    assert sum(rows.values()) == 4


def test_another_region_is_told_which_one_this_is(cloud: Cloud) -> None:
    status, reply = cloud.sagemaker("ListModels", {}, authorization=scope("eu-west-1", "sagemaker"))
    assert status == 400
    assert "AWS_DEFAULT_REGION=us-east-1" in reply["message"]
    reply_ = cloud.send("GET", "/b/k", authorization=scope("eu-west-1", "s3"))
    assert b"<Code>AuthorizationHeaderMalformed</Code>" in reply_.body  # type: ignore[operator]
    assert b"<Region>us-east-1</Region>" in reply_.body  # type: ignore[operator]
    assert reply_.headers["x-amz-bucket-region"] == "us-east-1"


def test_global_services_take_any_region(cloud: Cloud) -> None:
    form = b"Action=GetRole&Version=2010-05-08&RoleName=r"
    content_type = "application/x-www-form-urlencoded"
    for region in ("us-east-1", "eu-west-1", "aws-global"):
        reply = cloud.send("POST", "/", form, content_type=content_type, authorization=scope(region, "iam"))
        assert reply.status == 501


def test_a_body_beyond_the_limit_is_refused_unread(cloud: Cloud) -> None:
    status, reply = cloud.sagemaker("ListModels", b"x" * (33 * 1024 * 1024))
    assert (status, reply["__type"]) == (413, "RequestEntityTooLargeException")
    assert str(32 * 1024 * 1024) in reply["message"]


def test_a_stream_may_be_longer_than_that(cloud: Cloud) -> None:
    body = b"x" * (33 * 1024 * 1024)
    assert cloud.send("PUT", "/b/k", body).status == 200
    assert cloud.objects.bodies["k"] == body


def test_health_needs_no_signature_but_this_machine(cloud: Cloud) -> None:
    reply = cloud.send("GET", "/_scones/health")
    assert isinstance(reply.body, bytes)
    about = orjson.loads(reply.body)
    assert (about["region"], about["account_id"]) == ("us-east-1", "000000000000")
    assert about["services"] == ["iam", "s3", "sagemaker"]
    assert cloud.send("GET", "/_scones/health", host="evil.example").status == 403


def test_a_client_that_leaves_ends_its_request(cloud: Cloud) -> None:
    class Gone:
        length: int | None = 10

        async def __aiter__(self) -> Any:
            yield b"half"
            raise ClientGoneError

    request = HttpRequest(method="PUT", path="/b/k", headers={"host": "127.0.0.1"}, body=Gone())
    with pytest.raises(ClientGoneError):
        asyncio.run(cloud.gateway.handle(request))
    assert cloud.objects.bodies == {}


# --- the door within ----------------------------------------------------------------------------


def test_a_call_from_within_meets_the_same_checks(cloud: Cloud) -> None:
    assert cloud.call("CreateModel", model("m"))["ModelArn"].endswith("model/m")
    assert cloud.call("ListModels", {}) == {"Models": []}
    for request, code in (
        ({"ModelName": "a_b"}, "ValidationException"),
        ({"ModelName": 5}, "ValidationException"),
        ({**model("n"), "Colour": "red"}, "ValidationException"),
        (model("refused"), "ResourceLimitExceeded"),
    ):
        with pytest.raises(ServiceError) as refused:
            cloud.call("CreateModel", request)
        assert refused.value.code == code
    assert cloud.names() == ["m"]


@pytest.mark.parametrize(
    ("service", "operation"),
    [("dynamodb", "GetItem"), ("sagemaker", "MakeCoffee"), ("sagemaker", "StopTrainingJob")],
)
def test_a_call_to_what_is_missing_names_it(cloud: Cloud, service: str, operation: str) -> None:
    request = {"TrainingJobName": "t"} if operation == "StopTrainingJob" else {}
    with pytest.raises(ServiceError, match=service) as refused:
        asyncio.run(cloud.gateway.call(service, operation, request))
    assert refused.value.code == "NotImplemented"
