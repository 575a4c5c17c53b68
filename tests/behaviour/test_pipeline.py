"""The pipeline over a socket: a real training of tiny pictures, with a gate it passes and one it does not."""

import io
import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest

from scones.testing import LocalAWS
from scones.workflow import drawn
from scones.workflow.aws import Aws
from scones.workflow.destroy import destroy
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import etl
from scones.workflow.frames import png
from scones.workflow.pipeline import pipeline
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings

QUIET = Silent()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn pictures in the published archive's layout, between those of a third class."""
    path = tmp_path_factory.mktemp("archive") / "drawn.tar.gz"
    dataset = drawn.draw({"train": 16, "test": 4})
    members: dict[str, dict[bytes, Any]] = {
        "meta": {b"fine_label_names": [b"apple", *(name.encode() for name in dataset.classes)]}
    }
    for split, frame in (("train", dataset.train), ("test", dataset.test)):
        members[split] = {
            b"filenames": [b"apple.png", *(name.encode() for name in frame.filenames)],
            b"fine_labels": [0, *(frame.labels + 1).tolist()],
            b"data": np.concatenate([frame.rows[:1], frame.rows]),
        }
    with tarfile.open(path, "w:gz") as file:
        for name, values in members.items():
            content = pickle.dumps(values, protocol=2)
            entry = tarfile.TarInfo(f"cifar-100-python/{name}")
            entry.size = len(content)
            file.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    dataset = drawn.draw({"train": 16, "test": 4})
    for index, name in enumerate(dataset.train.filenames):
        folder = place / "train" / dataset.classes[dataset.train.labels[index]]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(png(dataset.train.rows[index]))
    for index, name in enumerate(dataset.test.filenames):
        for kind in dataset.classes:  # each picture under both names: half of them are always wrong
            folder = place / "test" / kind
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{kind}-{name}").write_bytes(png(dataset.test.rows[index]))
    return place


def a_short_training(aws: LocalAWS, data: Path) -> Settings:
    word = uuid4().hex[:8]
    return Settings(
        endpoint_url=aws.url,
        data=str(data),
        data_given=True,
        bucket=f"pipeline-{word}",
        endpoint_name=f"pipeline-{word}",
        hyperparameters={"epochs": "1", "mini_batch_size": "8"},
    )


@pytest.mark.timeout(240)
def test_a_model_is_served_if_it_reaches_the_gate_and_destroy_takes_it_all(
    aws: LocalAWS, pictures: Path
) -> None:
    settings = a_short_training(aws, pictures)
    work = Aws(settings)
    etl(work, QUIET)

    refused = pipeline(work, QUIET, gate=0.9)
    assert (refused.status, refused.error) == ("FAILED", "VALIDATION_ACCURACY_BELOW_GATE")
    assert "is below the gate 0.9" in refused.cause
    assert refused.states[-3:] == ("Below the gate", "Publish failure", "Failed")

    created = pipeline(work, QUIET, gate=0.0)
    assert (created.status, created.error) == ("SUCCEEDED", "")
    assert "Create endpoint" in created.states
    assert created.accuracy is not None
    updated = pipeline(work, QUIET, gate=0.0)
    assert (updated.status, "Update endpoint" in updated.states) == ("SUCCEEDED", True)
    endpoint = work.client("sagemaker").describe_endpoint(EndpointName=settings.endpoint_name)
    config = work.client("sagemaker").describe_endpoint_config(
        EndpointConfigName=endpoint["EndpointConfigName"]
    )
    assert endpoint["EndpointStatus"] == "InService"
    assert json.dumps(config["ProductionVariants"]).count(updated.job) == 1

    removed = destroy(work, QUIET).removed
    assert {"state machine scones-pipeline", f"endpoint {settings.endpoint_name}"} <= set(removed)
    assert {f"model {created.job}", f"model {updated.job}"} <= set(removed)
    assert destroy(work, QUIET).removed == []


@pytest.mark.timeout(240)
def test_the_machine_makes_pictures_of_an_archive_before_it_trains(aws: LocalAWS, archive: Path) -> None:
    """From nothing but an archive to an endpoint; the bucket holds what `etl` would have put there."""
    settings = a_short_training(aws, archive)
    work = Aws(settings)
    wrong = Aws(replace(settings, classes=("motorcycle", "apple")))
    refused = pipeline(wrong, QUIET, gate=1.0, archive=True)
    assert refused.error == "VALIDATION_ACCURACY_BELOW_GATE"

    result = pipeline(work, QUIET, gate=0.0, archive=True)
    assert (result.status, result.error) == ("SUCCEEDED", "")
    assert result.states[:5] == ("Take the order", "Archive first?", "Prepare", "Count", "Train")
    job = work.client("sagemaker").describe_training_job(TrainingJobName=result.job)
    assert {name: job["HyperParameters"][name] for name in ("num_classes", "num_training_samples")} == {
        "num_classes": "2",
        "num_training_samples": "32",
    }
    again = etl(work, QUIET)
    assert (again.train, again.uploaded, again.removed) == (32, 0, 0)
    listed = work.client("s3").list_objects_v2(Bucket=settings.bucket, Prefix="train/")["Contents"]
    assert not [item["Key"] for item in listed if "apple" in item["Key"]]
    destroy(work, QUIET)
    assert work.client("s3").list_objects_v2(Bucket=settings.bucket)["KeyCount"] == 0


def test_an_archive_that_the_job_cannot_read_says_why(aws: LocalAWS, archive: Path) -> None:
    settings = Settings(
        endpoint_url=aws.url,
        data=str(archive),
        bucket=f"archive-{uuid4().hex[:8]}",
        classes=("apple", "pear"),
    )
    result = pipeline(Aws(settings), QUIET, archive=True)
    assert (result.status, result.states[-2:]) == ("FAILED", ("Publish failure", "Failed"))
    assert json.loads(result.cause)["ExitMessage"] == "the archive has no class 'pear'"


def test_a_folder_is_no_archive(aws: LocalAWS, pictures: Path) -> None:
    with pytest.raises(WorkflowError, match="is a folder"):
        pipeline(Aws(Settings(endpoint_url=aws.url, data=str(pictures))), QUIET, archive=True)
