"""SageMaker without a socket: the service, a state folder, and stand-ins for S3 and CloudWatch Logs."""

import asyncio
import contextlib
import random
import secrets
import shutil
import sqlite3
import tarfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

from botocore import xform_name

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire, chunks
from scones.cloud.services.sagemaker import SageMaker, SageMakerRuntime
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

_T = TypeVar("_T")
ALGORITHM = Path(__file__).parent / "fixtures" / "algorithm"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
DEADLINE_S = 30.0


class RealClock:
    def now(self) -> datetime:
        now = datetime.now(UTC)
        return now.replace(microsecond=now.microsecond // 1000 * 1000)

    def monotonic(self) -> float:
        return time.monotonic()


class RandomIds:
    def uuid(self) -> str:
        return str(uuid.uuid4())

    def token(self, length: int) -> str:
        return secrets.token_hex(length)[:length]


class Snapshot:
    """At the named point, copies what kill -9 at that very moment would leave on disk."""

    def __init__(self, state_dir: Path) -> None:
        self._from = state_dir
        self.point = ""
        self.reached = asyncio.Event()
        self.to = state_dir.with_name(f"{state_dir.name}-after-crash")

    def reach(self, point: str) -> None:
        if point != self.point or self.reached.is_set():
            return
        shutil.copytree(self._from, self.to, ignore=shutil.ignore_patterns("state.sqlite*"))
        with (
            contextlib.closing(sqlite3.connect(self._from / "state.sqlite")) as source,
            contextlib.closing(sqlite3.connect(self.to / "state.sqlite")) as target,
        ):
            source.backup(target)
        self.reached.set()


class Background:
    """What the runtime gives services to spawn with; a failed task fails the test that closes it."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self.errors: list[BaseException] = []

    def spawn(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self.errors.append(error)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        assert not self.errors


class Objects:
    """The part of S3 that SageMaker calls; `broken` makes every write fail."""

    def __init__(self) -> None:
        self.stored: dict[tuple[str, str], bytes] = {}
        self.puts: list[str] = []
        self.broken = False

    async def list_objects_v2(self, request: Wire) -> Wire:
        keys = sorted(
            k for b, k in self.stored if b == request["Bucket"] and k.startswith(request.get("Prefix", ""))
        )
        start = int(request.get("ContinuationToken", 0))
        end = start + min(request.get("MaxKeys", 1000), 2)  # small pages, so that paging is used
        reply: Wire = {"Contents": [{"Key": k} for k in keys[start:end]], "IsTruncated": end < len(keys)}
        return reply | ({"NextContinuationToken": str(end)} if end < len(keys) else {})

    async def get_object(self, request: Wire) -> Wire:
        try:
            return {"Body": self.stored[request["Bucket"], request["Key"]]}
        except KeyError:
            raise ServiceError("NoSuchKey", "The specified key does not exist.", status=404) from None

    async def put_object(self, request: Wire) -> Wire:
        if self.broken:
            raise ServiceError("NoSuchBucket", "The specified bucket does not exist", status=404)
        body = b"".join([piece async for piece in chunks(request["Body"])])
        self.stored[request["Bucket"], request["Key"]] = body
        self.puts.append(request["Key"])
        return {}

    def under(self, prefix: str) -> dict[str, bytes]:
        return {key: body for (_, key), body in self.stored.items() if key.startswith(prefix)}


class LogGroups:
    def __init__(self) -> None:
        self.lines: dict[tuple[str, str], list[str]] = {}

    async def create_log_group(self, request: Wire) -> Wire:
        return {}

    async def create_log_stream(self, request: Wire) -> Wire:
        return {}

    async def put_log_events(self, request: Wire) -> Wire:
        lines = self.lines.setdefault((request["logGroupName"], request["logStreamName"]), [])
        lines += [event["message"] for event in request["logEvents"]]
        return {}


class Harness:
    def __init__(self, folder: Path, *, limits: Limits | None = None, **settings: Any) -> None:
        defaults: dict[str, Any] = {
            "capture_window_s": 0.1,
            "algorithms": {"image-classification": ALGORITHM},
        }
        folder.mkdir(exist_ok=True)
        self.settings = CloudSettings(**defaults | settings, state_dir=folder)
        self.limits = limits
        self.faults = Snapshot(folder)
        self.objects = Objects()
        self.logs = LogGroups()

    async def start(self) -> None:
        self.db = Database(self.settings.state_dir / "state.sqlite")
        self.background = Background()
        processes = Processes(self.db, self.settings.worker_python)
        processes.reap_strays()
        self.sagemaker = SageMaker(
            db=self.db,
            clock=RealClock(),
            ids=RandomIds(),
            settings=self.settings,
            call=self.call,
            spawn=self.background.spawn,
            faults=self.faults,
            processes=processes,
            endpoint_url=lambda: "http://127.0.0.1:4566",
            limits=self.limits,
            draw=random.Random(1),
        )
        self.runtime = SageMakerRuntime(self.sagemaker)
        await self.sagemaker.start()

    async def close(self) -> None:
        await self.sagemaker.close()
        await self.background.close()
        self.db.close()

    def after_crash(self) -> "Harness":
        """A cloud that starts from the snapshot, beside the same S3 and logs."""
        harness = Harness(self.faults.to, capture_window_s=self.settings.capture_window_s)
        harness.objects, harness.logs = self.objects, self.logs
        return harness

    async def call(self, service: str, operation: str, request: Wire) -> Wire:
        part = {"s3": self.objects, "logs": self.logs}[service]
        reply: Wire = await getattr(part, xform_name(operation))(request)
        return reply

    async def do(self, operation: str, **request: Any) -> Wire:
        """One operation, as the gateway runs it."""
        name = xform_name(operation)
        parts = (*self.sagemaker.parts, *self.runtime.parts)
        method = next(getattr(part, name) for part in parts if hasattr(part, name))
        context = Context(request_id="r-1", account_id="000000000000", region="us-east-1")
        if asyncio.iscoroutinefunction(method):
            return dict(await method(request, context))
        with self.db.transaction():
            return dict(method(request, context))

    async def refusal(self, operation: str, **request: Any) -> ServiceError:
        try:
            reply = await self.do(operation, **request)
        except ServiceError as error:
            return error
        raise AssertionError(f"{operation} was accepted: {reply}")

    async def train(self, name: str, **changes: Any) -> Wire:
        return await self.do("CreateTrainingJob", **training_request(name, **changes))

    async def job(self, name: str, *, until: tuple[str, ...] = ("Completed", "Failed", "Stopped")) -> Wire:
        async def look() -> Wire | None:
            job = await self.do("DescribeTrainingJob", TrainingJobName=name)
            return job if job["TrainingJobStatus"] in until or job["SecondaryStatus"] in until else None

        return await eventually(look)

    async def logged(self, line: str) -> None:
        """Wait until some worker has printed a line."""

        async def look() -> bool | None:
            return True if any(line in lines for lines in self.logs.lines.values()) else None

        await eventually(look)

    async def deploy(self, name: str, *, wait: bool = True, **variant: Any) -> Wire:
        """Model, configuration and endpoint of one name; `capture` and `environment` are taken out."""
        capture = variant.pop("capture", None)
        container: Wire = {"Image": IMAGE, "Environment": variant.pop("environment", {})}
        if url := variant.pop("model", None):
            container["ModelDataUrl"] = url
        await self.do("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
        await self.configure(name, name, capture=capture, **variant)
        await self.do("CreateEndpoint", EndpointName=name, EndpointConfigName=name)
        return await self.endpoint(name) if wait else {}

    async def configure(self, name: str, model: str, *, capture: Wire | None = None, **variant: Any) -> None:
        whole = {
            "VariantName": "AllTraffic",
            "ModelName": model,
            "InitialInstanceCount": 1,
            "InstanceType": "ml.m5.large",
        }
        request: Wire = {"EndpointConfigName": name, "ProductionVariants": [whole | variant]}
        await self.do("CreateEndpointConfig", **request | ({"DataCaptureConfig": capture} if capture else {}))

    async def endpoint(self, name: str, *, until: tuple[str, ...] = ("InService", "Failed")) -> Wire:
        async def look() -> Wire | None:
            endpoint = await self.do("DescribeEndpoint", EndpointName=name)
            return endpoint if endpoint["EndpointStatus"] in until else None

        return await eventually(look)

    async def delete(self, name: str) -> None:
        """Delete an endpoint and wait until it is gone."""
        await self.do("DeleteEndpoint", EndpointName=name)

        async def look() -> bool | None:
            left = (await self.do("ListEndpoints", NameContains=name))["Endpoints"]
            return all(endpoint["EndpointName"] != name for endpoint in left) or None

        await eventually(look)

    async def invoke(self, name: str, body: bytes = b"", **members: Any) -> Wire:
        return await self.do("InvokeEndpoint", EndpointName=name, Body=body, **members)


def archive(files: dict[str, bytes]) -> bytes:
    """A model.tar.gz."""
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, BytesIO(content))
    return packed.getvalue()


def training_request(name: str, **changes: Any) -> Wire:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {"TrainingInputMode": "File", "TrainingImage": IMAGE},
        "RoleArn": ROLE,
        "InputDataConfig": [],
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/models"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {},
    } | changes


def channel(name: str, uri: str, **changes: Any) -> Wire:
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}} | changes


async def eventually(look: Callable[[], Awaitable[_T | None]]) -> _T:
    """The first result of `look` that is not None."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if (found := await look()) is not None:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("it did not come to pass in time")


@contextlib.asynccontextmanager
async def started(harness: Harness) -> AsyncIterator[Harness]:
    await harness.start()
    try:
        yield harness
    finally:
        await harness.close()


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scenario)
