"""What data capture wrote -> rows of scores. Pure: text in, values out.

A file holds one JSON document per line. What cannot be scored (an input-only capture, an answer that is no
list of numbers, a line cut short) is counted and left out, never fatal: captures outlive their writers.
"""

import base64
import binascii
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Captures", "Record", "novelty", "parse"]


@dataclass(frozen=True, slots=True)
class Record:
    """One inference: when it was asked for and what the endpoint said."""

    event_id: str
    time: datetime
    """Aware UTC; captures have whole seconds."""
    scores: tuple[float, ...]
    content_type: str = ""
    """Of the request."""
    inference_id: str = ""
    novelty: float | None = None
    """How unlike the training pictures the endpoint found it; None where it did not say."""

    @property
    def confidence(self) -> float:
        return max(self.scores)

    @property
    def label(self) -> int:
        """Index of the likeliest class."""
        return self.scores.index(self.confidence)


@dataclass(frozen=True, slots=True)
class Captures:
    """The records in the order of time, and how many lines could not be used."""

    records: tuple[Record, ...]
    unusable: int = 0


def parse(files: Iterable[str | bytes]) -> Captures:
    """The records of capture files in any order; an event that was delivered twice counts once.

    Records of the same second keep the order in which they were written.
    """
    records: dict[str, Record] = {}
    unusable = 0
    for content in files:
        text = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
        for line in text.splitlines():
            if not line.strip():
                continue
            if record := _record(line):
                records.setdefault(record.event_id, record)
            else:
                unusable += 1
    return Captures(tuple(sorted(records.values(), key=lambda record: record.time)), unusable)


def _record(line: str) -> Record | None:
    try:
        document = json.loads(line)
        event, capture = document["eventMetadata"], document["captureData"]
        time = datetime.fromisoformat(event["inferenceTime"])
        scores = _scores(capture["endpointOutput"])
        source = capture.get("endpointInput") or {}
        return Record(
            event_id=str(event["eventId"]),
            time=time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC),
            scores=scores,
            content_type=str(source.get("observedContentType", "")),
            inference_id=str(event.get("inferenceId", "")),
            novelty=novelty(event.get("customAttributes") or ()),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def novelty(attributes: Iterable[Any]) -> float | None:
    """The number in `novelty=0.412`, among attributes between commas; None where there is none."""
    for attribute in ",".join(str(text) for text in attributes).split(","):
        name, _, value = attribute.strip().partition("=")
        if name == "novelty":
            try:
                found = float(value)
            except ValueError:
                return None
            return found if math.isfinite(found) else None
    return None


def _scores(output: dict[str, Any]) -> tuple[float, ...]:
    """The numbers of one answer, recorded as JSON, CSV or base64. Raises ValueError when there are none."""
    text = output["data"]
    if output.get("encoding") == "BASE64":
        try:
            text = base64.b64decode(text, validate=True).decode()
        except binascii.Error as error:
            raise ValueError("not base64") from error
    values = text.split(",") if output.get("encoding") == "CSV" else _json_scores(text)
    scores = tuple(float(value) for value in values)
    if not scores or not all(math.isfinite(score) for score in scores):
        raise ValueError("no scores")
    return scores


def _json_scores(text: str) -> list[Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return text.split(",")  # CSV whose content type the capture was not told
    if isinstance(value, dict):
        value = value["prediction"]  # the form of application/jsonlines
    if not isinstance(value, list):
        raise ValueError("no list")
    if any(isinstance(entry, bool) for entry in value):
        raise ValueError("truth values are no scores")
    return value
