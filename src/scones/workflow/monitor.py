"""The captures of any period, read back from S3."""

import math
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from scones.workflow import store
from scones.workflow.aws import Aws
from scones.workflow.captures import Captures, Record, parse
from scones.workflow.deploy import CAPTURE_PREFIX, VARIANT
from scones.workflow.errors import WorkflowError
from scones.workflow.parallel import each
from scones.workflow.progress import Progress

__all__ = ["Monitor", "await_delivery", "moment", "monitor"]

_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_HOUR = re.compile(r"/(\d{4})/(\d{2})/(\d{2})/(\d{2})/[^/]+$")


@dataclass(frozen=True, slots=True)
class Monitor:
    """What the endpoint saw and said in a period, as far as it was captured."""

    endpoint: str
    classes: tuple[str, ...]
    since: datetime | None
    files: int
    captured: int
    unusable: int
    threshold: float
    at_or_above: int
    mean_confidence: float | None
    records: list[Record] = field(repr=False)
    novel: int | None = None
    """Inferences more novel than the limit; None where none says."""


def moment(text: str, now: datetime) -> datetime:
    """A date and time in ISO 8601 (UTC where it has no zone), or how long ago: 90s, 15m, 2h, 1d."""
    if found := _AGO.fullmatch(text.strip()):
        return now - timedelta(seconds=float(found[1]) * _UNIT_S[found[2]])
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise WorkflowError(
            f"{text!r} is no moment", "a date and time such as 2026-01-31T12:00, or how long ago: 15m, 2h, 1d"
        ) from None
    return time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)


def monitor(aws: Aws, progress: Progress, *, since: datetime | None = None) -> Monitor:
    """Every usable record from `since` on (None: from the first)."""
    objects = _objects(aws, since)
    with progress.bar("reading captures", len(objects)) as advance:
        s3 = aws.client("s3")
        contents = each(
            lambda key: s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read(),
            sorted(objects),
            workers=aws.settings.workers,
            done=advance,
        )
    found = parse(contents)
    records = [record for record in found.records if since is None or record.time >= _second(since)]
    return _summary(aws, since, len(objects), found, records)


def _summary(aws: Aws, since: datetime | None, files: int, found: Captures, records: list[Record]) -> Monitor:
    threshold = aws.settings.threshold
    count = len(records)
    novelties = [record.novelty for record in records if record.novelty is not None]
    return Monitor(
        endpoint=aws.settings.endpoint_name,
        classes=_classes(aws, records),
        since=since,
        files=files,
        captured=count,
        unusable=found.unusable,
        threshold=threshold,
        at_or_above=sum(record.confidence >= threshold for record in records),
        novel=sum(novelty > aws.settings.novelty_limit for novelty in novelties) if novelties else None,
        mean_confidence=sum(record.confidence for record in records) / count if count else None,
        records=records,
    )


def await_delivery(aws: Aws, last: datetime, progress: Progress, *, longest_s: float) -> bool:
    """Wait until captures of inferences up to `last` have been delivered; returns whether they surely have.

    A capture file is delivered about a minute after its first record and takes up every record until then,
    so a file delivered after `last` closes what came before it. S3 tells whole seconds: a file of the very
    second of `last` may have come before it, and settles the matter only when no other follows in time.
    """
    deadline, second = time.monotonic() + longest_s, _second(last)
    with progress.bar("waiting for captures (delivered about 60 s after the first)", None) as advance:
        while True:
            delivered = max(_objects(aws, last - timedelta(hours=1)).values(), default=None)
            if delivered and delivered > second:
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return delivered == second
            advance(0, note=f"{math.ceil(left / 10) * 10} s at most")
            time.sleep(min(2 * aws.settings.poll_s, left))


def _objects(aws: Aws, since: datetime | None) -> dict[str, datetime]:
    """Key -> when it was delivered, of the capture files that may hold records from `since` on."""
    prefix = f"{CAPTURE_PREFIX}/{aws.settings.endpoint_name}/{VARIANT}/"
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix)
    return {
        entry["Key"]: entry["LastModified"]
        for page in pages
        for entry in page.get("Contents", [])
        if entry["Key"].endswith(".jsonl") and (since is None or _may_hold(entry["Key"], since))
    }


def _may_hold(key: str, since: datetime) -> bool:
    """A file lies in the folder of its first record's hour and may reach into the next one."""
    found = _HOUR.search(key)
    if not found:
        return True
    year, month, day, hour = (int(part) for part in found.groups())
    return datetime(year, month, day, hour, tzinfo=UTC) + timedelta(hours=2) > since


def _second(time: datetime) -> datetime:
    """Captures and S3 have whole seconds."""
    return time.replace(microsecond=0)


def _classes(aws: Aws, records: list[Record]) -> tuple[str, ...]:
    """The names of the deployed model's classes, or numbers where they are unknown."""
    document: dict[str, Any] = store.get(aws, store.DEPLOYED) or store.get(aws, store.MANIFEST) or {}
    names = tuple(document.get("classes", ()))
    width = max((len(record.scores) for record in records), default=len(names))
    return names if len(names) == width else tuple(f"class {label}" for label in range(width))
