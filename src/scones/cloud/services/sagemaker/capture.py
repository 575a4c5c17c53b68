"""Data capture: what endpoints were asked and said, as JSON Lines in S3.

A record is journaled before its request is answered, so no crash loses one. A file's name is fixed by
a row before its first record, so delivering it twice writes one object. Capturing never fails an
inference.
"""

import asyncio
import logging
import random
from binascii import b2a_base64
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Self

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.journal import Journal
from scones.cloud.services.sagemaker.store import CaptureFile
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["CapturePlan", "Captures", "Exchange", "capture_record", "file_key"]

_log = logging.getLogger(__name__)

_FILE_BYTES = 8 * 1024**2  # a file is delivered before its window ends when it grows beyond this
_BACKLOG_BYTES = 1024**3  # undelivered records beyond this are dropped: S3 has refused them for long
_RETRY_LONGEST_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CapturePlan:
    """A DataCaptureConfig that is switched on; each deployment has one of its own."""

    percentage: int
    input: bool
    output: bool
    csv_types: frozenset[str]
    json_types: frozenset[str]
    destination: S3Uri

    @classmethod
    def of(cls, config: Wire | None) -> Self | None:
        if not config or not config.get("EnableCapture", True):
            return None
        modes = {option["CaptureMode"] for option in config["CaptureOptions"]}
        types = config.get("CaptureContentTypeHeader", {})
        return cls(
            percentage=config["InitialSamplingPercentage"],
            input=bool(modes & {"Input", "InputAndOutput"}),
            output=bool(modes & {"Output", "InputAndOutput"}),
            csv_types=frozenset(_media_type(t) for t in types.get("CsvContentTypes", ())),
            json_types=frozenset(_media_type(t) for t in types.get("JsonContentTypes", ())),
            destination=S3Uri.parse(config["DestinationS3Uri"], "DestinationS3Uri"),
        )

    def encoding(self, content_type: str) -> str:
        media_type = _media_type(content_type)
        if media_type in self.csv_types:
            return "CSV"
        return "JSON" if media_type in self.json_types else "BASE64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One answered inference: the bytes the endpoint saw and said."""

    request: bytes
    request_type: str
    response: bytes
    response_type: str
    inference_id: str | None
    custom_attributes: str | None
    answered_attributes: str | None = None


def capture_record(plan: CapturePlan, exchange: Exchange, event_id: str, time: datetime) -> bytes:
    """One line of a capture file, with its newline."""
    sides = []
    if plan.input:
        sides.append(b'"endpointInput":' + _side(plan, exchange.request, exchange.request_type, b"INPUT"))
    if plan.output:
        sides.append(b'"endpointOutput":' + _side(plan, exchange.response, exchange.response_type, b"OUTPUT"))
    metadata: Wire = {"eventId": event_id}
    if attributes := [text for text in (exchange.custom_attributes, exchange.answered_attributes) if text]:
        metadata["customAttributes"] = attributes
    if exchange.inference_id:
        metadata["inferenceId"] = exchange.inference_id
    metadata["inferenceTime"] = f"{time.isoformat()[:19]}Z"
    return b'{"captureData":{%b},"eventMetadata":%b,"eventVersion":"0"}\n' % (
        b",".join(sides),
        orjson.dumps(metadata),
    )


def file_key(plan: CapturePlan, endpoint: str, variant: str, first: datetime, unique: str) -> str:
    """The key of the file whose first record is of the time `first`."""
    name = f"{first:%M-%S}-{first.microsecond // 1000:03d}-{unique}.jsonl"
    return plan.destination.join(endpoint, variant, *f"{first:%Y/%m/%d/%H}".split("/"), name).key


def _side(plan: CapturePlan, body: bytes, content_type: str, mode: bytes) -> bytes:
    """A JSON object. Base64 goes in as it is: looking for what to escape would cost as much as making it."""
    encoding, data = plan.encoding(content_type), b""
    if encoding != "BASE64":
        try:
            data = orjson.dumps(body.decode())
        except UnicodeDecodeError:  # it says text and is none: keep the bytes
            encoding = "BASE64"
    return b'{"observedContentType":%b,"mode":"%b","data":%b,"encoding":"%b"}' % (
        orjson.dumps(content_type),
        mode,
        data or b'"%b"' % b2a_base64(body, newline=False),
        encoding.encode(),
    )


@lru_cache(maxsize=64)
def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


@dataclass(slots=True)
class _OpenFile:
    file: CaptureFile
    size: int = 0


_Place = tuple[str, str, CapturePlan]  # endpoint, variant


class Captures:
    def __init__(self, tools: Tools, draw: random.Random | None = None) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._ids = tools.ids
        self._call = tools.call
        self._spawn = tools.spawn
        self._journal = Journal(tools.root / "captures", sync=tools.settings.sync == "full")
        self._window_s = tools.settings.capture_window_s
        self._limits = tools.limits
        self._draw = draw or random.Random()
        self._open: dict[_Place, _OpenFile] = {}
        self._backlog = 0
        self._closed = False

    async def start(self) -> None:
        """Deliver what an earlier cloud left."""
        self._closed = False
        files = self._store.capture_files()
        self._journal.repair([file.id for file in files])
        for file in files:
            self._backlog += self._journal.size(file.id)
            self._spawn(self._deliver_at_last(file), name=f"capture {file.key}")

    async def close(self) -> None:
        """Deliver what can be delivered now; the rest waits for the next start."""
        self._closed = True
        await self.flush()
        self._journal.close()

    def keep(self, plan: CapturePlan, endpoint: str, variant: str, exchange: Exchange) -> None:
        """Record a sampled exchange. Never raises: an inference does not fail for its capture."""
        if self._draw.random() * 100 >= plan.percentage or not (plan.input or plan.output):
            return
        try:
            self._keep(plan, endpoint, variant, exchange)
        except Exception:
            _log.exception("a capture of endpoint %s is lost", endpoint)

    async def flush(self, endpoint: str | None = None) -> None:
        """Deliver the open files of an endpoint, or all."""
        places = [place for place in self._open if endpoint is None or place[0].lower() == endpoint.lower()]
        for opened in [self._open.pop(place) for place in places]:
            await self._deliver_soon(opened.file)

    def _keep(self, plan: CapturePlan, endpoint: str, variant: str, exchange: Exchange) -> None:
        now = self._clock.now()
        record = capture_record(plan, exchange, self._ids.uuid(), now)
        if self._backlog + len(record) > _BACKLOG_BYTES:
            _log.error("too many captures wait for S3: one of endpoint %s is dropped", endpoint)
            return
        place = (endpoint, variant, plan)
        opened = self._open.get(place) or self._begin(place, now)
        self._journal.append(opened.file.id, record)
        opened.size += len(record)
        self._backlog += len(record)
        if opened.size >= _FILE_BYTES:
            del self._open[place]
            self._spawn(self._deliver_soon(opened.file), name=f"capture {opened.file.key}")

    def _begin(self, place: _Place, now: datetime) -> _OpenFile:
        endpoint, variant, plan = place
        key = file_key(plan, endpoint, variant, now, self._ids.uuid())
        opened = _OpenFile(self._store.add_capture_file(endpoint, plan.destination.bucket, key))
        self._open[place] = opened
        self._spawn(self._end_of_window(place, opened), name=f"capture {key}")
        return opened

    async def _end_of_window(self, place: _Place, opened: _OpenFile) -> None:
        await asyncio.sleep(self._window_s)
        if self._open.get(place) is opened:
            del self._open[place]
            await self._deliver_soon(opened.file)

    async def _deliver_soon(self, file: CaptureFile) -> None:
        if not await self._deliver(file) and not self._closed:
            self._spawn(self._deliver_at_last(file), name=f"capture {file.key}")

    async def _deliver_at_last(self, file: CaptureFile) -> None:
        delay = self._limits.capture_retry_s
        while not await self._deliver(file):
            await asyncio.sleep(delay)
            delay = min(2 * delay, _RETRY_LONGEST_S)

    async def _deliver(self, file: CaptureFile) -> bool:
        """Put the file into S3 and forget it; nobody else delivers it meanwhile."""
        size = self._journal.size(file.id)
        if size:  # else a crash came between the row and its first record
            request = {"Bucket": file.bucket, "Key": file.key, "Body": self._journal.body(file.id)}
            try:
                await self._call("s3", "PutObject", request)
            except ServiceError as error:
                where = f"s3://{file.bucket}/{file.key}"
                _log.warning("captures cannot be delivered to %s: %s", where, error)
                return False
        with self._db.transaction():
            self._store.delete_capture_file(file)
        self._journal.delete(file.id)
        self._backlog -= size
        return True
