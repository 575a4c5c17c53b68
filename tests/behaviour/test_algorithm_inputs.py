"""The algorithm through the cloud's own doors: pipes, many labels, earlier models, broken jobs."""

import io
import json
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from tests.behaviour.test_algorithm import draw, finish, lay_out, png, start, train

from scones.testing import LocalAWS

_T = TypeVar("_T")
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/worker"
DEADLINE_S = 90.0


def card(base: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((base / "model/model.json").read_text())
    return found


def test_a_killed_job_goes_on_and_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    for base in (straight, broken):
        lay_out(base, 16, 4, epochs="4", mini_batch_size="8")
    (broken / "checkpoints").mkdir()
    process = start(broken, "train")
    assert process.stdout is not None
    for line in process.stdout:  # a checkpoint is written after this line, so the kill comes in a later epoch
        if "Epoch[1] Validation-accuracy" in line:
            break
    process.kill()
    finish(process)
    assert not (broken / "model/model.onnx").exists()
    status, log = train(broken)
    assert status == 0, log
    assert "Resuming from the checkpoint of epoch" in log
    assert "Epoch[0] Train-accuracy" not in log
    assert train(straight)[0] == 0
    whole, resumed = card(straight), card(broken)
    assert resumed["training"]["epochs_resumed"] > 0
    assert resumed["graph"] == whole["graph"]
    assert resumed["weights"] == whole["weights"]
    assert resumed["calibration"] == whole["calibration"]


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    with LocalAWS(tmp_path_factory.mktemp("inputs")) as started:
        started.client("s3").create_bucket(Bucket="pictures")
        yield started


def eventually(look: Callable[[], _T | None]) -> _T:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not come to pass in time")


def job(
    cloud: LocalAWS, name: str, channels: list[dict[str, Any]], hyperparameters: dict[str, str]
) -> dict[str, Any]:
    """Run a training job to its end and describe it."""
    sagemaker = cloud.client("sagemaker")
    sagemaker.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "Pipe"},
        RoleArn=ROLE,
        HyperParameters=hyperparameters,
        InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": "s3://pictures/models"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )

    def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = sagemaker.describe_training_job(TrainingJobName=name)
        return None if found["TrainingJobStatus"] == "InProgress" else found

    return eventually(ended)


def manifest(cloud: LocalAWS, split: str, labels: list[Any], content_type: str) -> dict[str, Any]:
    """Put pictures and an augmented manifest into S3; the channel that reads them."""
    s3 = cloud.client("s3")
    lines = []
    for number, label in enumerate(labels):
        key = f"{split}/{number}.png"
        s3.put_object(Bucket="pictures", Key=key, Body=png(draw(number % 2, number)))
        lines.append({"source-ref": f"s3://pictures/{key}", "class": label, "class-metadata": {"by": "me"}})
    body = "\n".join(map(json.dumps, lines)).encode()
    s3.put_object(Bucket="pictures", Key=f"{split}.manifest", Body=body)
    source = {
        "S3DataType": "AugmentedManifestFile",
        "S3Uri": f"s3://pictures/{split}.manifest",
        "AttributeNames": ["source-ref", "class"],
    }
    return {
        "ChannelName": split,
        "DataSource": {"S3DataSource": source},
        "ContentType": content_type,
        "RecordWrapperType": "RecordIO",
        "ShuffleConfig": {"Seed": 3},
    }


def model(cloud: LocalAWS, described: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """The card and the graph of a job that is done."""
    assert described["TrainingJobStatus"] == "Completed", described
    key = described["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://pictures/")
    packed = cloud.client("s3").get_object(Bucket="pictures", Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        files = {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
    found: dict[str, Any] = json.loads(files["model.json"])
    return found, files["model.onnx"]


def test_an_augmented_manifest_of_many_labels_trains_and_a_second_job_goes_on(cloud: LocalAWS) -> None:
    import onnxruntime  # type: ignore[import-untyped]

    kind = "application/x-recordio; label-format=class-id"
    labels: list[Any] = [[0, 2] if number % 2 == 0 else [1, 2] for number in range(16)]
    channels = [manifest(cloud, split, labels, kind) for split in ("train", "validation")]
    hyperparameters = {
        "image_shape": "3,32,32",
        "num_classes": "3",
        "num_training_samples": "16",
        "mini_batch_size": "8",
        "epochs": "8",
        "multi_label": "1",
        "use_weighted_loss": "1",
    }
    first = job(cloud, "first", channels, hyperparameters)
    found, graph = model(cloud, first)
    assert found["training"]["data"]["train"]["pictures"] == 16
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    pixels = np.stack([np.asarray(draw(label, 99)).transpose(2, 0, 1) for label in (0, 1)])
    (scores,) = session.run(None, {"image": pixels})
    assert scores[0, 0] > scores[1, 0]
    assert scores[1, 1] > scores[0, 1]
    assert scores[:, 2].min() > 0.5  # what every picture has
    assert not np.allclose(scores.sum(axis=1), 1.0)

    earlier = {
        "ChannelName": "model",
        "InputMode": "File",
        "ContentType": "application/x-sagemaker-model",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": first["ModelArtifacts"]["S3ModelArtifacts"],
            }
        },
    }
    second = job(cloud, "second", [*channels, earlier], hyperparameters | {"epochs": "1"})
    again, _ = model(cloud, second)
    beginning = again["training"]["beginning"]
    assert beginning == {"from": "model channel", "sha256": found["weights"]["sha256"]}
    refused = job(cloud, "refused", [*channels, earlier], hyperparameters | {"num_layers": "20"})
    assert refused["TrainingJobStatus"] == "Failed"
    assert refused["FailureReason"].startswith(
        "ClientError: The model in the model channel has num_layers none"
    )


def test_a_picture_that_is_none_fails_the_job_and_is_named(cloud: LocalAWS) -> None:
    channels = [manifest(cloud, split, ["0", "1"], "image/png") for split in ("train", "validation")]
    cloud.client("s3").put_object(Bucket="pictures", Key="train/1.png", Body=b"\x89PNG and no more")
    channels[0].pop("ShuffleConfig")
    least = {
        "image_shape": "3,32,32",
        "num_classes": "2",
        "num_training_samples": "2",
        "mini_batch_size": "2",
    }
    described = job(cloud, "broken", channels, least)
    assert described["FailureReason"].startswith("ClientError: The picture 1 (train_0) cannot be used: ")
    assert described["FailureReason"].endswith("exit code: 2")
