"""The workflow's steps over a socket: each makes what it says, and repeating it makes nothing more."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from scones.testing import LocalAWS
from scones.workflow import drawn, store
from scones.workflow.aws import Aws
from scones.workflow.deploy import deploy
from scones.workflow.destroy import destroy
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import etl
from scones.workflow.evaluate import evaluate
from scones.workflow.execute import LOW_CONFIDENCE, execute
from scones.workflow.fan_out import fan_out, results
from scones.workflow.frames import png
from scones.workflow.monitor import await_delivery, monitor
from scones.workflow.orchestrate import orchestrate
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings
from scones.workflow.train import train

QUIET = Silent()


def picture_folder(place: Path, train: int, test: int) -> Path:
    dataset = drawn.draw({"train": train, "test": test})
    for split, frame in (("train", dataset.train), ("test", dataset.test)):
        for index, name in enumerate(frame.filenames):
            folder = place / split / dataset.classes[frame.labels[index]]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png(frame.rows[index]))
    return place


def workplace(cloud: LocalAWS, data: Path, **settings: Any) -> Aws:
    word = uuid4().hex[:8]
    chosen: dict[str, Any] = {
        "bucket": f"pictures-{word}",
        "endpoint_name": f"endpoint-{word}",
        "workers": 4,
    } | settings
    return Aws(Settings(endpoint_url=cloud.url, data=str(data), data_given=True, **chosen))


def keys(work: Aws, prefix: str = "") -> set[str]:
    pages = work.client("s3").get_paginator("list_objects_v2").paginate(Bucket=work.bucket, Prefix=prefix)
    return {entry["Key"] for page in pages for entry in page.get("Contents", [])}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return picture_folder(tmp_path_factory.mktemp("pictures"), train=40, test=6)


@pytest.fixture(scope="module")
def served(aws: LocalAWS, pictures: Path) -> Iterator[Aws]:
    """Everything up to the endpoint, from a training of one epoch."""
    work = workplace(
        aws, pictures, hyperparameters={"epochs": "1", "mini_batch_size": "8"}, capture_percent=100
    )
    etl(work, QUIET)
    train(work, QUIET)
    deploy(work, QUIET)
    orchestrate(work, QUIET)
    yield work
    destroy(work, QUIET)


def test_etl_puts_pictures_lists_and_names(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures)
    result = etl(work, QUIET)
    assert (result.train, result.test, result.uploaded, result.unchanged) == (80, 12, 95, 0)
    assert len(keys(work, "train/")) == 81
    body = work.client("s3").get_object(Bucket=work.bucket, Key="test.lst")["Body"].read().decode()
    rows = [line.split("\t") for line in body.splitlines()]
    assert [row[0] for row in rows] == [str(index) for index in range(12)]
    assert {row[1] for row in rows} == {"0", "1"}
    assert {f"test/{row[2]}" for row in rows} == keys(work, "test/")


def test_etl_again_sends_nothing_and_mends_what_is_missing(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures)
    first = etl(work, QUIET)
    again = etl(work, QUIET)
    assert (again.uploaded, again.unchanged, again.digest) == (0, 95, first.digest)
    work.client("s3").delete_object(Bucket=work.bucket, Key=sorted(keys(work, "test/"))[0])
    assert etl(work, QUIET).uploaded == 1


def test_etl_of_other_pictures_removes_only_what_it_put(
    aws: LocalAWS, pictures: Path, tmp_path: Path
) -> None:
    work = workplace(aws, pictures)
    etl(work, QUIET)
    work.client("s3").put_object(Bucket=work.bucket, Key="train/mine.txt", Body=b"mine")
    smaller = picture_folder(tmp_path, train=10, test=2)
    other = Aws(replace(work.settings, data=str(smaller)))
    assert etl(other, QUIET).removed == 60 + 8
    assert len(keys(work, "train/")) == 20 + 1 + 1
    assert "train/mine.txt" in keys(work)


def test_steps_out_of_order_name_the_one_before(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures)
    for step, verb in ((train, "etl"), (deploy, "train"), (evaluate, "etl")):
        with pytest.raises(WorkflowError) as caught:
            step(work, QUIET)
        assert caught.value.hint == f"run `scones {verb}` first"


def test_a_wrong_hyperparameter_fails_the_job_with_its_reason(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures, hyperparameters={"epochs": "-1"})
    etl(work, QUIET)
    with pytest.raises(WorkflowError, match="epochs"):
        train(work, QUIET)


def test_the_same_content_is_trained_once(served: Aws) -> None:
    result = train(served, QUIET)
    assert result.reused
    assert result.epochs == 1
    assert result.accuracy is not None


def test_a_lost_model_is_trained_anew(served: Aws, aws: LocalAWS, pictures: Path) -> None:
    first = store.need(served, store.TRAINED)
    bucket, _, key = first["model_data"].removeprefix("s3://").partition("/")
    body = served.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    served.client("s3").delete_object(Bucket=bucket, Key=key)
    try:
        result = train(served, QUIET)
        assert result.job == f"{first['job']}-2"
        assert not result.reused
    finally:
        served.client("s3").put_object(Bucket=bucket, Key=key, Body=body)


def test_deploying_again_changes_nothing_and_another_share_updates_in_place(served: Aws) -> None:
    deploy(served, QUIET)
    before = deploy(served, QUIET)
    assert not before.changed
    changed = deploy(Aws(replace(served.settings, capture_percent=99)), QUIET)
    assert changed.changed
    assert (changed.endpoint, changed.config != before.config) == (before.endpoint, True)
    assert deploy(served, QUIET).config == before.config


def test_publishing_again_changes_only_what_differs(served: Aws) -> None:
    orchestrate(served, QUIET)
    assert orchestrate(served, QUIET).changed == ()
    other = Aws(replace(served.settings, threshold=0.5))
    assert orchestrate(other, QUIET).changed == ("scones-filter",)
    assert orchestrate(served, QUIET).changed == ("scones-filter",)


def test_low_confidence_fails_the_execution_and_says_why(served: Aws) -> None:
    work = Aws(replace(served.settings, threshold=1.0))
    orchestrate(work, QUIET)
    key = sorted(keys(work, "test/"))[0]
    result = execute(work, [key], uuid4().hex, QUIET)
    (execution,) = result.executions
    assert (execution.status, execution.error, execution.verdict) == (
        "FAILED",
        LOW_CONFIDENCE,
        "low confidence",
    )
    assert "below the threshold 1" in execution.cause
    assert execution.states[:4] == ("One or many", "Serialize", "Classify", "Filter")
    assert "Publish failure" in execution.states


def test_a_confident_image_passes_and_a_missing_one_breaks(served: Aws) -> None:
    work = Aws(replace(served.settings, threshold=0.0))
    orchestrate(work, QUIET)
    key = sorted(keys(work, "test/"))[0]
    result = execute(work, [key, "test/none.png"], uuid4().hex, QUIET)
    assert (result.passed, result.low_confidence, result.broken) == (1, 0, 1)
    passed, broken = result.executions
    assert len(passed.output["inferences"]) == 2
    assert passed.output["s3_key"] == key
    assert broken.error == "ImageNotFound"
    assert "test/none.png" in broken.cause


def test_many_images_fan_out_and_low_confidence_stops_none(served: Aws) -> None:
    scores = evaluate(served, QUIET).answers
    middle = sorted(answer.confidence for answer in scores)[len(scores) // 2]
    work = Aws(replace(served.settings, threshold=middle))
    orchestrate(work, QUIET)
    result = execute(work, [answer.key for answer in scores], uuid4().hex, QUIET, fan_out=True)
    (execution,) = result.executions
    assert execution.status == "SUCCEEDED"
    passed = {item["s3_key"] for item in execution.output["passed"]}
    failed = {item["s3_key"]: item["error"] for item in execution.output["failed"]}
    assert passed == {answer.key for answer in scores if answer.confidence >= middle}
    assert set(failed) == {answer.key for answer in scores if answer.confidence < middle}
    assert set(failed.values()) <= {LOW_CONFIDENCE}


def test_every_image_under_a_prefix_is_an_execution_of_a_map_run(served: Aws) -> None:
    scores = evaluate(served, QUIET).answers
    middle = sorted(answer.confidence for answer in scores)[len(scores) // 2]
    work = Aws(replace(served.settings, threshold=middle))
    orchestrate(work, QUIET)
    work.client("s3").put_object(Bucket=work.bucket, Key="test/none.png", Body=b"")
    try:
        name = uuid4().hex
        result = fan_out(work, QUIET, prefix="test/", concurrency=4, name=name)
        again = fan_out(work, QUIET, prefix="test/", concurrency=4, name=name)
    finally:
        work.client("s3").delete_object(Bucket=work.bucket, Key="test/none.png")
    confident = {answer.key for answer in scores if answer.confidence >= middle}
    assert (result.status, result.images, result.passed) == ("SUCCEEDED", 13, len(confident))
    assert (result.low_confidence, result.broken) == (12 - len(confident), {"InvalidEvent": 1})
    key = result.manifest.removeprefix(f"s3://{work.bucket}/")
    found = [json.loads(entry["Output"]) for entry in results(work, key, "SUCCEEDED")]
    assert {entry["s3_key"] for entry in found} == confident
    assert again == result


def test_the_same_run_starts_no_execution_twice(served: Aws) -> None:
    orchestrate(served, QUIET)
    run_id, some = uuid4().hex, sorted(keys(served, "test/"))[:3]
    first = execute(served, some, run_id, QUIET)
    again = execute(served, some, run_id, QUIET)
    assert [(one.arn, one.started, one.status) for one in first.executions] == [
        (one.arn, one.started, one.status) for one in again.executions
    ]
    pages = served.client("stepfunctions").get_paginator("list_executions")
    names = [
        entry["name"]
        for page in pages.paginate(stateMachineArn=first.state_machine)
        for entry in page["executions"]
        if entry["name"].startswith(run_id)
    ]
    assert len(names) == 3


def test_evaluation_and_captures_agree(served: Aws) -> None:
    started = datetime.now(UTC)
    found = evaluate(served, QUIET)
    assert found.count == 12
    assert sum(map(sum, found.confusion)) == 12
    assert await_delivery(served, found.finished, QUIET, longest_s=60)
    seen = monitor(served, QUIET, since=started)
    asked = {tuple(round(score, 5) for score in answer.scores) for answer in found.answers}
    recorded = {tuple(round(score, 5) for score in record.scores) for record in seen.records}
    assert asked <= recorded
    assert seen.unusable == 0
    assert seen.classes == ("bicycle", "motorcycle")


def test_destroy_removes_everything_and_says_what(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures, bucket="")
    etl(work, QUIET)
    orchestrate(work, QUIET)
    removed = destroy(work, QUIET).removed
    assert f"bucket {work.bucket}" in removed
    assert {"state machine scones-image-classification", "state machine scones-fan-out"} <= set(removed)
    assert {"role scones-lambda", "topic scones-failures", "function scones-filter"} <= set(removed)
    assert destroy(work, QUIET).removed == []


def test_destroy_leaves_what_it_did_not_make(aws: LocalAWS, pictures: Path) -> None:
    work = workplace(aws, pictures)
    etl(work, QUIET)
    work.client("s3").put_object(Bucket=work.bucket, Key="mine.txt", Body=b"mine")
    result = destroy(work, QUIET)
    assert keys(work) == {"mine.txt"}
    assert work.bucket in json.dumps(result.kept)
