"""Classifying a folder of pictures by a job, over a socket, with a container that answers as it is told."""

import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from scones.testing import LocalAWS
from scones.workflow import store
from scones.workflow.aws import Aws
from scones.workflow.destroy import destroy
from scones.workflow.errors import WorkflowError
from scones.workflow.images import image_classification
from scones.workflow.progress import Advance, Silent
from scones.workflow.settings import Settings
from scones.workflow.transform import transform

ALGORITHM = Path(__file__).parents[1] / "unit/sagemaker/fixtures/algorithm"


class Counting(Silent):
    """Remembers how far each bar went."""

    def __init__(self) -> None:
        self.bars: dict[str, tuple[int, int | None]] = {}

    def bar(self, what: str, total: int | None) -> AbstractContextManager[Advance]:
        self.bars[what] = (0, total)

        def advance(steps: int = 1, /, *, note: str = "") -> None:
            self.bars[what] = (self.bars[what][0] + steps, total)

        return nullcontext(advance)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    with LocalAWS(
        tmp_path_factory.mktemp("cloud"), algorithms={"image-classification": ALGORITHM}
    ) as started:
        yield started


@pytest.fixture
def work(cloud: LocalAWS) -> Aws:
    """A bucket in which `etl` and `train` have left their documents and twelve pictures."""
    word = uuid.uuid4().hex[:8]
    work = Aws(Settings(endpoint_url=cloud.url, bucket=f"pictures-{word}", endpoint_name=f"endpoint-{word}"))
    s3 = work.client("s3")
    s3.create_bucket(Bucket=work.bucket)
    for number in range(12):
        s3.put_object(Bucket=work.bucket, Key=f"test/p{number:02}.png", Body=b"picture")
    labels = {f"test/p{number:02}.png": number % 4 // 3 for number in range(8)}
    objects = {f"test/p{number:02}.png": "" for number in range(12)}
    store.put(
        work, store.MANIFEST, {"test": labels, "classes": ["bicycle", "motorcycle"], "objects": objects}
    )
    trained = {"job": f"scones-image-classification-{word}", "image": image_classification(work.region)}
    store.put(work, store.TRAINED, trained | {"classes": ["bicycle", "motorcycle"], "model_data": ""})
    work.client("sagemaker").create_model(
        ModelName=trained["job"],
        ExecutionRoleArn=work.role_arn("scones-sagemaker"),
        PrimaryContainer={"Image": trained["image"]},
    )
    return work


def test_every_picture_is_classified_and_the_results_are_added_up(work: Aws, tmp_path: Path) -> None:
    progress, table = Counting(), tmp_path / "table.jsonl"
    result = transform(work, progress, prefix="test", instances=2, instance_type="ml.m5.xlarge", table=table)
    assert result.count == 12
    assert result.predicted == {"bicycle": 12, "motorcycle": 0}
    assert result.mean_confidence == pytest.approx(0.9)
    assert (result.labelled, result.accuracy) == (8, 0.75)
    assert (result.threshold, result.coverage) == (0.93, 0.0)
    assert progress.bars == {"classifying": (12, 12), "reading the results": (12, 12)}
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert rows[0] == {"key": "test/p00.png", "class": "bicycle", "confidence": 0.9}
    assert len(rows) == 12
    body = work.client("s3").get_object(Bucket=work.bucket, Key=f"transform/{result.job}/p11.png.out")["Body"]
    assert body.read() == b"[0.9, 0.1]"

    destroy(work, Silent())
    left = work.client("s3").list_objects_v2(Bucket=work.bucket).get("Contents", [])
    assert [item["Key"] for item in left] == []


def test_a_picture_that_is_refused_is_counted_and_the_log_is_named(work: Aws) -> None:
    work.client("s3").put_object(Bucket=work.bucket, Key="test/wrong.png", Body=b"status 400")
    with pytest.raises(
        WorkflowError, match=r"See job logs .*; 12 of 13 pictures have their result"
    ) as caught:
        transform(work, Silent(), prefix="test/", instances=1, instance_type="ml.m5.xlarge")
    assert "/aws/sagemaker/TransformJobs" in caught.value.hint


def test_an_empty_folder_is_told(work: Aws) -> None:
    with pytest.raises(WorkflowError, match=f"nothing under s3://{work.bucket}/nowhere/"):
        transform(work, Silent(), prefix="nowhere", instances=1, instance_type="ml.m5.xlarge")
