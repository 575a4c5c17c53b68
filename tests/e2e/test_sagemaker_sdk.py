"""The SageMaker Python SDK v2, unmodified, in a process of its own: from Session to Transformer and Processor."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scones.client_env import client_environment, misleading
from scones.testing import LocalAWS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("sagemaker") is None, reason="needs the extra: pip install scones[sdk]"
)

PROGRAM = """
import io, json, sys, time
import boto3, sagemaker
from PIL import Image
from sagemaker import image_uris
from sagemaker.estimator import Estimator
from sagemaker.inputs import TrainingInput
from sagemaker.model_monitor import DataCaptureConfig
from sagemaker.predictor import Predictor
from sagemaker.s3 import S3Downloader
from sagemaker.serializers import IdentitySerializer

found = {}
session = sagemaker.Session()
bucket = found["bucket"] = session.default_bucket()
assert sagemaker.Session().default_bucket() == bucket
role = found["role"] = sagemaker.get_execution_role()
region = session.boto_region_name
image = found["image"] = image_uris.retrieve("image-classification", region, version="latest")
name = "sdk-" + str(time.time_ns())


def png(row):
    picture, file = Image.new("RGB", (32, 32), ((200, 40, 40), (40, 40, 200))[row % 2]), io.BytesIO()
    picture.putpixel((row % 32, row // 32), (255, 255, 255))
    picture.save(file, "PNG")
    return file.getvalue()


for split, count in ("train", 40), ("test", 8):
    rows = [f"{row}\\t{row % 2}\\tp{row:03}.png" for row in range(count)]
    session.upload_string_as_file_body("\\n".join(rows) + "\\n", bucket, f"{name}/{split}.lst")
    for row in range(count):
        boto3.client("s3").put_object(Bucket=bucket, Key=f"{name}/{split}/p{row:03}.png", Body=png(row))

estimator = Estimator(
    image_uri=image, role=role, instance_count=1, instance_type="ml.p3.2xlarge",
    output_path=f"s3://{bucket}/{name}/models", sagemaker_session=session,
)
estimator.set_hyperparameters(image_shape="3,32,32", num_classes=2, num_training_samples=40, epochs=2)
estimator.fit({
    channel: TrainingInput(f"s3://{bucket}/{name}/{key}", content_type="application/x-image")
    for channel, key in {
        "train": "train/", "validation": "test/", "train_lst": "train.lst", "validation_lst": "test.lst",
    }.items()
})
found["model_data"] = estimator.model_data
found["attached"] = Estimator.attach(estimator.latest_training_job.name, session).model_data

captures = f"s3://{bucket}/{name}/captures"
predictor = estimator.deploy(
    initial_instance_count=1, instance_type="ml.m5.xlarge", endpoint_name=name,
    serializer=IdentitySerializer("image/png"),
    data_capture_config=DataCaptureConfig(
        enable_capture=True, sampling_percentage=100, destination_s3_uri=captures, sagemaker_session=session,
    ),
)
again = Predictor(name, sagemaker_session=session)
again.serializer = IdentitySerializer("image/png")
found["scores"] = [json.loads(predictor.predict(png(0))), json.loads(again.predict(png(1)))]
found["sent"] = len(png(0))

deadline = time.monotonic() + 60
records = []
while len(records) < 2 and time.monotonic() < deadline:
    time.sleep(0.5)
    files = S3Downloader.list(captures, sagemaker_session=session)
    texts = [S3Downloader.read_file(file, sagemaker_session=session) for file in files]
    records = [json.loads(line) for text in texts for line in text.splitlines()]
found["records"] = records
S3Downloader.download(captures, sys.argv[1], sagemaker_session=session)
found["capture_keys"] = [file.removeprefix(captures + "/") for file in files]

transformer = estimator.transformer(
    instance_count=1, instance_type="ml.m5.xlarge", accept="application/jsonlines",
    output_path=f"s3://{bucket}/{name}/transformed",
)
transformer.transform(f"s3://{bucket}/{name}/test/", content_type="application/x-image", wait=False, logs=False)
transformer.wait(logs=False)
found["transformed"] = {
    uri.rpartition("/")[2]: json.loads(S3Downloader.read_file(uri, sagemaker_session=session))["prediction"]
    for uri in S3Downloader.list(transformer.output_path, sagemaker_session=session)
}
transformer.delete_model()

predictor.delete_model()
predictor.delete_endpoint()
print("FOUND" + json.dumps(found))
"""


def run(program: str, *arguments: str, aws: LocalAWS, timeout_s: float) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in misleading(os.environ)}
    client = client_environment(aws.url, region="us-east-1", account_id="000000000000")
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, env=kept | client, capture_output=True, text=True, timeout=timeout_s)


@pytest.mark.timeout(300)
def test_the_sdk_trains_deploys_predicts_and_reads_its_captures(aws: LocalAWS, tmp_path: Path) -> None:
    result = run(PROGRAM, str(tmp_path), aws=aws, timeout_s=240)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    shown, _, text = result.stdout.rpartition("FOUND")
    found = json.loads(text)

    assert found["bucket"] == "sagemaker-us-east-1-000000000000"
    assert found["role"].startswith("arn:aws:iam::000000000000:role/")
    assert found["image"] == "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
    assert found["model_data"].endswith("/output/model.tar.gz")
    assert found["attached"] == found["model_data"]
    assert "Training job completed" in shown
    assert "Validation-accuracy" in shown
    assert "Billable seconds: " in shown

    assert [len(scores) for scores in found["scores"]] == [2, 2]
    assert all(abs(sum(scores) - 1) < 1e-3 for scores in found["scores"])
    answers = [json.loads(record["captureData"]["endpointOutput"]["data"]) for record in found["records"]]
    assert answers == found["scores"]
    assert all("/AllTraffic/" in key for key in found["capture_keys"])
    assert len(list(tmp_path.rglob("*.jsonl"))) == len(found["capture_keys"])
    assert set(found["transformed"]) == {f"p{row:03}.png.out" for row in range(8)}
    assert found["transformed"]["p000.png.out"] == found["scores"][0]  # test's first picture is sent above
    assert "telemetry" not in result.stderr.lower().replace("telemetryoptout", "")


PROCESSING = """
import json, pathlib, sys, tempfile
import sagemaker
from sagemaker.exceptions import UnexpectedStatusException
from sagemaker.processing import ProcessingInput, ProcessingOutput
from sagemaker.pytorch.processing import PyTorchProcessor
from sagemaker.s3 import S3Downloader, S3Uploader
from sagemaker.sklearn.processing import SKLearnProcessor

found = {}
session = sagemaker.Session()
role = sagemaker.get_execution_role()
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "data.csv").write_text("wheels\\n2\\n2\\n3\\n")
(folder / "count.py").write_text('''
import argparse, pandas
parser = argparse.ArgumentParser()
parser.add_argument("--wheels", type=int)
rows = pandas.read_csv("/opt/ml/processing/input/data.csv")
print("rows", len(rows))
pandas.DataFrame({"n": [int((rows.wheels == parser.parse_args().wheels).sum())]}).to_json(
    "/opt/ml/processing/count/count.json"
)
''')
processor = SKLearnProcessor(
    framework_version="1.2-1", role=role, instance_type="ml.m5.large", instance_count=1,
    base_job_name="count", sagemaker_session=session,
)
processor.run(
    code=str(folder / "count.py"),
    inputs=[ProcessingInput(source=str(folder / "data.csv"), destination="/opt/ml/processing/input")],
    outputs=[ProcessingOutput(output_name="count", source="/opt/ml/processing/count")],
    arguments=["--wheels", "2"],
)
described = processor.jobs[-1].describe()
found["status"] = described["ProcessingJobStatus"]
(where,) = [output.destination for output in processor.jobs[-1].outputs]
found["count"] = json.loads(S3Downloader.read_file(where + "/count.json", sagemaker_session=session))

(folder / "bad.py").write_text("raise SystemExit('no wheels')")
try:
    processor.run(code=str(folder / "bad.py"))
except UnexpectedStatusException as error:
    found["error"] = str(error)

(folder / "source").mkdir()
(folder / "source" / "helper.py").write_text("WORD = 'helped'")
(folder / "source" / "main.py").write_text('''
import sys, helper
open("/opt/ml/processing/out/word", "w").write(helper.WORD + " " + sys.argv[1])
''')
framework = PyTorchProcessor(
    framework_version="2.0.0", py_version="py310", role=role, instance_type="ml.m5.large", instance_count=1,
    sagemaker_session=session,
)
framework.run(
    code="main.py", source_dir=str(folder / "source"), arguments=["me"],
    outputs=[ProcessingOutput(output_name="out", source="/opt/ml/processing/out")], logs=False,
)
(where,) = [output.destination for output in framework.latest_job.outputs]
found["word"] = S3Downloader.read_file(where + "/word", sagemaker_session=session)
print("FOUND" + json.dumps(found))
"""


@pytest.mark.timeout(300)
def test_the_sdk_s_processors_run_scripts_wait_and_tell(aws: LocalAWS, tmp_path: Path) -> None:
    result = run(PROCESSING, aws=aws, timeout_s=240)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    shown, _, text = result.stdout.rpartition("FOUND")
    found = json.loads(text)
    assert (found["status"], found["count"]) == ("Completed", {"n": {"0": 2}})
    assert "rows 3" in shown
    assert "AlgorithmError: no wheels, exit code: 1" in found["error"]
    assert found["word"] == "helped me"
