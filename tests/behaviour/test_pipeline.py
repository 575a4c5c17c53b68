"""The pipeline over a socket: a real training of tiny pictures, with a gate it passes and one it does not."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

from scones.testing import LocalAWS
from scones.workflow import drawn
from scones.workflow.aws import Aws
from scones.workflow.destroy import destroy
from scones.workflow.etl import etl
from scones.workflow.frames import png
from scones.workflow.pipeline import pipeline
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings

QUIET = Silent()


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


@pytest.mark.timeout(240)
def test_a_model_is_served_if_it_reaches_the_gate_and_destroy_takes_it_all(
    aws: LocalAWS, pictures: Path
) -> None:
    word = uuid4().hex[:8]
    settings = Settings(
        endpoint_url=aws.url,
        data=str(pictures),
        data_given=True,
        bucket=f"pictures-{word}",
        endpoint_name=f"endpoint-{word}",
        hyperparameters={"epochs": "1", "mini_batch_size": "8"},
    )
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
