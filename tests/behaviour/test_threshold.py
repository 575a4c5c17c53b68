"""Thresholds that are proven, and pictures that are neither class, over a socket."""

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from scones.testing import LocalAWS
from scones.workflow import drawn
from scones.workflow.aws import Aws
from scones.workflow.deploy import deploy
from scones.workflow.destroy import destroy
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import etl
from scones.workflow.evaluate import Evaluate, evaluate
from scones.workflow.execute import LOW_CONFIDENCE, OUT_OF_DISTRIBUTION, execute
from scones.workflow.fan_out import fan_out
from scones.workflow.frames import Frame, png
from scones.workflow.held_out import record_of, served_model
from scones.workflow.monitor import await_delivery, monitor
from scones.workflow.orchestrate import orchestrate
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings
from scones.workflow.threshold import settle, threshold
from scones.workflow.train import train

QUIET = Silent()
BLANK = "test/blank.png"


def write(place: Path, frame: Frame) -> Path:
    for index, name in enumerate(frame.filenames):
        folder = place / drawn.CLASSES[frame.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(frame.rows[index]))
    return place


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place, dataset = tmp_path_factory.mktemp("pictures"), drawn.draw({"train": 100, "test": 10})
    write(place / "train", dataset.train)
    write(place / "test", dataset.test)
    return place


@pytest.fixture(scope="module")
def served(aws: LocalAWS, pictures: Path) -> Iterator[Aws]:
    """An endpoint whose model kept 20 pictures aside; and a blank frame in the bucket."""
    word = uuid4().hex[:8]
    work = Aws(
        Settings(
            endpoint_url=aws.url,
            data=str(pictures),
            data_given=True,
            bucket=f"pictures-{word}",
            endpoint_name=f"endpoint-{word}",
            workers=4,
            hyperparameters={"epochs": "2"},
            capture_percent=100,
        )
    )
    etl(work, QUIET)
    train(work, QUIET)
    deploy(work, QUIET)
    blank = png(np.full(3072, 128, np.uint8))
    work.client("s3").put_object(Bucket=work.bucket, Key=BLANK, Body=blank)
    yield work
    destroy(work, QUIET)


@pytest.fixture(scope="module")
def evaluated(served: Aws) -> Evaluate:
    return evaluate(served, QUIET)


def test_the_model_tells_what_it_said_of_the_pictures_kept_aside(served: Aws) -> None:
    heights, right = record_of(served, served_model(served)[1])
    assert len(heights) == len(right) == 20
    assert all(0.5 <= height <= 1 for height in heights)


def test_what_twenty_pictures_cannot_prove_is_not_proposed(served: Aws) -> None:
    found = threshold(served, QUIET)
    assert (found.proven, found.threshold, found.labelled) == (False, None, 20)
    assert found.attainable == pytest.approx(0.05 ** (1 / 20))
    assert found.sources == ["20 training pictures held out from training"]
    auto = Aws(replace(served.settings, threshold_proposed=True, precision=0.99))
    with pytest.raises(WorkflowError, match="20 labelled pictures cannot prove"):
        settle(auto, QUIET)


def test_a_proven_threshold_is_published(served: Aws) -> None:
    found = threshold(Aws(replace(served.settings, precision=0.3)), QUIET)
    assert found.proven
    auto = settle(Aws(replace(served.settings, threshold_proposed=True)), QUIET)
    assert auto.settings.threshold == found.threshold
    orchestrate(auto, QUIET)
    variables = served.client("lambda").get_function_configuration(FunctionName="scones-filter")[
        "Environment"
    ]
    assert float(variables["Variables"]["THRESHOLD"]) == found.threshold


def test_labelled_pictures_of_ones_own_and_the_test_split_can_judge(
    served: Aws, pictures: Path, evaluated: Evaluate
) -> None:
    lower = Aws(replace(served.settings, precision=0.3))
    found = threshold(lower, QUIET, on=["test", str(pictures / "test")])
    assert found.labelled == 2 * evaluated.count
    assert found.sources == ["the test split", f"labelled pictures in {pictures / 'test'}"]
    assert found.threshold is not None
    assert found.accepted == 2 * sum(answer.confidence >= found.threshold for answer in evaluated.answers)
    with pytest.raises(WorkflowError, match="there is no folder"):
        threshold(lower, QUIET, on=["nowhere"])


def test_an_archive_without_a_record_or_damaged_is_named(served: Aws) -> None:
    def put(name: str, body: bytes) -> str:
        served.client("s3").put_object(Bucket=served.bucket, Key=f"runs/{name}", Body=body)
        return f"s3://{served.bucket}/runs/{name}"

    def packed(name: str, content: bytes) -> bytes:
        buffer, entry = io.BytesIO(), tarfile.TarInfo(name)
        entry.size = len(content)
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            archive.addfile(entry, io.BytesIO(content))
        return buffer.getvalue()

    assert record_of(served, put("other", packed("model.params", b"mxnet"))) == ([], [])
    whole = packed("./model.json", json.dumps({"held_out": {"confidence": [0.9], "right": [True]}}).encode())
    assert record_of(served, put("whole", whole)) == ([0.9], [True])
    wrong = packed("model.json", b'{"held_out": {"confidence": [0.9, 2], "right": [true]}}')
    for name, body in {"cut": whole[:40], "junk": b"no archive", "wrong": wrong}.items():
        with pytest.raises(WorkflowError, match="cannot be read as a model's archive"):
            record_of(served, put(name, body))
    with pytest.raises(WorkflowError, match="is gone"):
        record_of(served, f"s3://{served.bucket}/runs/none")


def test_an_answer_carries_its_novelty_beside_an_unchanged_body(served: Aws, evaluated: Evaluate) -> None:
    def ask(key: str) -> tuple[list[float], str]:
        body = served.client("s3").get_object(Bucket=served.bucket, Key=key)["Body"].read()
        reply = served.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=served.settings.endpoint_name, ContentType="image/png", Body=body
        )
        return json.loads(reply["Body"].read()), reply["CustomAttributes"]

    scores, attributes = ask(BLANK)
    assert len(scores) == 2
    assert sum(scores) == pytest.approx(1, abs=1e-5)
    name, _, novelty = attributes.partition("=")
    assert name == "novelty"
    assert float(novelty) > 1
    assert evaluated.novel is not None
    assert evaluated.novel <= evaluated.count // 3, "test pictures are like training pictures"


def test_a_confident_blank_frame_ends_with_an_error_of_its_own(served: Aws, evaluated: Evaluate) -> None:
    familiar = next(a.key for a in evaluated.answers if a.novelty is not None and a.novelty < 0.8)
    work = Aws(replace(served.settings, threshold=0.0))
    orchestrate(work, QUIET)
    found = execute(work, [BLANK, familiar], uuid4().hex, QUIET)
    assert (found.passed, found.low_confidence, found.out_of_distribution, found.broken) == (1, 0, 1, 0)
    blank, known = found.executions
    assert (blank.error, blank.verdict) == (OUT_OF_DISTRIBUTION, "out of distribution")
    assert "above the limit 1" in blank.cause
    assert blank.states[-4:] == ("Read refusal", "Flatten refusal", "Publish failure", "Failed")
    assert known.output["novelty"] < 0.8
    (many,) = execute(work, [BLANK, familiar], uuid4().hex, QUIET, fan_out=True).executions
    assert [item["s3_key"] for item in many.output["passed"]] == [familiar]
    assert [item["error"] for item in many.output["failed"]] == [OUT_OF_DISTRIBUTION]


def test_a_fan_out_counts_what_is_out_of_distribution(served: Aws, evaluated: Evaluate) -> None:
    work = Aws(replace(served.settings, threshold=0.0))
    orchestrate(work, QUIET)
    found = fan_out(work, QUIET, prefix="test/", concurrency=4, name=uuid4().hex)
    assert evaluated.novel is not None
    assert (found.out_of_distribution, found.low_confidence, found.broken) == (evaluated.novel + 1, 0, {})
    assert found.passed == evaluated.count - evaluated.novel


def test_low_confidence_comes_first_and_no_limit_lets_everything_confident_pass(served: Aws) -> None:
    orchestrate(Aws(replace(served.settings, threshold=1.0)), QUIET)
    (execution,) = execute(served, [BLANK], uuid4().hex, QUIET).executions
    assert execution.error == LOW_CONFIDENCE
    orchestrate(Aws(replace(served.settings, threshold=0.0, novelty_limit=float("inf"))), QUIET)
    assert execute(served, [BLANK], uuid4().hex, QUIET).passed == 1


def test_captures_hold_the_novelty(served: Aws) -> None:
    started = datetime.now(UTC)
    asked = evaluate(served, QUIET)
    assert await_delivery(served, asked.finished, QUIET, longest_s=60)
    seen = monitor(served, QUIET, since=started)
    assert {round(a.novelty, 3) for a in asked.answers if a.novelty is not None} <= {
        r.novelty for r in seen.records
    }
    assert seen.novel is not None
