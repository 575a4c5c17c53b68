"""Capture files -> records, whatever wrote them."""

import base64
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scones.workflow.captures import parse

PICTURE = {
    "observedContentType": "image/png",
    "mode": "INPUT",
    "data": base64.b64encode(b"a picture").decode(),
    "encoding": "BASE64",
}


def line(output: Any = "[0.25, 0.75]", encoding: str = "JSON", event: str = "1", **metadata: Any) -> str:
    answer = {
        "observedContentType": "application/json",
        "mode": "OUTPUT",
        "data": output,
        "encoding": encoding,
    }
    return json.dumps(
        {
            "captureData": {"endpointInput": PICTURE, "endpointOutput": answer},
            "eventMetadata": {"eventId": event, "inferenceTime": "2026-01-02T03:04:05Z"} | metadata,
            "eventVersion": "0",
        }
    )


def test_a_record_holds_time_scores_and_label() -> None:
    (record,) = parse([line(inferenceId="mine") + "\n"]).records
    assert record.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert record.scores == (0.25, 0.75)
    assert (record.confidence, record.label) == (0.75, 1)
    assert (record.content_type, record.inference_id) == ("image/png", "mine")


@pytest.mark.parametrize(
    ("attributes", "novelty"),
    [
        (["trace=1", "novelty=0.5"], 0.5),
        (["a,novelty=-2"], -2.0),
        (["novelty=x"], None),
        ([], None),
        (None, None),
    ],
)
def test_the_novelty_is_read_from_the_attributes(attributes: Any, novelty: float | None) -> None:
    assert parse([line(customAttributes=attributes)]).records[0].novelty == novelty


@pytest.mark.parametrize(
    ("output", "encoding"),
    [
        ("[0.5,0.5]", "JSON"),
        ("0.5,0.5", "CSV"),
        (base64.b64encode(b"[0.5, 0.5]").decode(), "BASE64"),
        ('{"prediction": [0.5, 0.5]}', "JSON"),
        ("0.5,0.5\n", "JSON"),
    ],
)
def test_scores_are_found_in_every_encoding(output: str, encoding: str) -> None:
    assert parse([line(output, encoding)]).records[0].scores == (0.5, 0.5)


@pytest.mark.parametrize(
    "bad",
    [
        "{",
        "[]",
        "null",
        "{}",
        line("[]"),
        line("[true]"),
        line("[NaN]"),
        line('{"a": 1}'),
        line("7"),
        line("?", "BASE64"),
        line(None),
        line(inferenceTime="yesterday"),
        line(inferenceTime=None),
        json.dumps({"captureData": {"endpointInput": PICTURE}, "eventMetadata": {}, "eventVersion": "0"}),
    ],
)
def test_what_has_no_scores_is_counted_and_left_out(bad: str) -> None:
    found = parse([bad + "\n" + line()])
    assert len(found.records) == 1
    assert found.unusable == 1


def test_records_come_in_order_of_time_and_each_event_once() -> None:
    late, early = line(event="b", inferenceTime="2026-01-02T03:04:06Z"), line(event="a")
    assert [record.event_id for record in parse([f"{late}\n", f"{early}\n{late}\n", b""]).records] == [
        "a",
        "b",
    ]


def test_recordings_of_real_endpoints() -> None:
    place = os.environ.get("SCONES_AWS_RECORDINGS")
    if not place:
        pytest.skip("SCONES_AWS_RECORDINGS names no folder")
    files = sorted((Path(place) / "captures").glob("*.jsonl"))
    found = parse(file.read_bytes() for file in files)
    lines = sum(len(file.read_text().splitlines()) for file in files)
    assert (len(found.records), found.unusable) == (lines, 0)
    images = [record for record in found.records if record.content_type != "text/csv"]
    assert all(abs(sum(record.scores) - 1) < 1e-4 for record in images)
