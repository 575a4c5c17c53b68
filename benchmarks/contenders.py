"""The servers that `endpoint.py` compares, each running while it is needed, and the model they share."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from PIL import Image

HERE = Path(__file__).parent
PEERS = HERE / "peers"
OWN_ENVIRONMENT = {"mlserver": "mlserver==1.7.1", "bentoml": "bentoml==1.4.40", "kserve": "kserve==0.21.0"}
WITH_THEM = ["onnxruntime==1.32.0", "numpy==2.4.6", "pillow==13.0.0"]
ALL_PEERS = ("mosec", "litserve", "mlserver", "bentoml", "kserve")
INSTANCES = 2
CAPTURES = (0, 40, 100)  # percent
KEY, SECRET = "test", "secret"
ROLE = "arn:aws:iam::000000000000:role/benchmark"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
START_S = 120.0


@dataclass(kw_only=True)
class Contender:
    """One row's server. requests: whole HTTP requests, one for each picture."""

    name: str
    port: int
    process: psutil.Process
    requests: Callable[[], list[bytes]]
    runs: dict[int, list[dict[str, Any]]] = field(default_factory=dict)


def pictures(count: int = 64) -> list[bytes]:
    """PNG files of 32x32 pixels in colour, as hard to decode as photographs."""
    random = np.random.default_rng(0)
    found = []
    for number in range(count):
        wave = 127 + 100 * np.sin(np.arange(32) * 0.8 + random.uniform(0, 6))
        stripes = np.tile(wave, (32, 1)) if number % 2 else np.tile(wave[:, None], (1, 32))
        pixels = stripes[..., None] * random.uniform(0.5, 1, 3) + random.normal(0, 10, (32, 32, 3))
        file = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "PNG")
        found.append(file.getvalue())
    return found


def http_request(port: int, path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines, f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode() + body


# --- the model ----------------------------------------------------------------------------------


def train(folder: Path) -> None:
    """A model of the default recipe, after two epochs on the pictures: how good it is matters not."""
    for split in ("train", "validation"):
        frames, lists = folder / "input/data" / split, folder / f"input/data/{split}_lst"
        frames.mkdir(parents=True)
        lists.mkdir()
        for number, body in enumerate(pictures()):
            (frames / f"{number}.png").write_bytes(body)
        rows = (f"{number}\t{number % 2}\t{number}.png\n" for number in range(64))
        (lists / f"{split}.lst").write_text("".join(rows))
    settings = {"image_shape": "3,32,32", "num_classes": "2", "num_training_samples": "64", "epochs": "2"}
    channels = ("train", "validation", "train_lst", "validation_lst")
    (folder / "input/config").mkdir()
    (folder / "input/config/hyperparameters.json").write_text(json.dumps(settings))
    (folder / "input/config/inputdataconfig.json").write_text(
        json.dumps({name: {"ContentType": "application/x-image"} for name in channels})
    )
    subprocess.run(
        [sys.executable, HERE.parent / "src/scones/shipped/algorithm", "train"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(folder)},
        stdout=subprocess.DEVNULL,
        check=True,
    )


def model_folder(archive: Path | None, folder: Path) -> Path:
    if archive is None:
        train(folder)
    else:
        with tarfile.open(archive) as tar:
            tar.extractall(folder / "model", filter="data")
    return folder / "model"


# --- servers ------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], log: Path, **environment: str) -> Iterator[psutil.Process]:
    """A process with all that it starts, ended together."""
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=file, cwd=PEERS, env=os.environ | environment, start_new_session=True
        )
    try:
        yield psutil.Process(process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def await_answer(contender: Contender, log: Path) -> None:
    """Ask until the answer is 200."""
    deadline = time.monotonic() + START_S
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", contender.port), 5) as wire:
            wire.sendall(contender.requests()[0])
            if wire.recv(64).split()[1:2] == [b"200"]:
                return
        if not contender.process.is_running() or time.monotonic() > deadline:
            raise SystemExit(f"{contender.name} does not answer; its log: {log.read_text()[-2000:]}")
        time.sleep(0.2)


def environment_of(peer: str, folder: Path) -> Path:
    """The folder of programs of a peer's environment, made when it is not there."""
    if peer not in OWN_ENVIRONMENT:
        return Path(sys.executable).parent
    place = folder / OWN_ENVIRONMENT[peer]
    done = place / "complete"
    if not done.exists():
        print(f"making an environment for {peer} in {place}", file=sys.stderr)
        venv.create(place, with_pip=True, clear=True)
        wanted = [OWN_ENVIRONMENT[peer], *WITH_THEM]
        subprocess.run([place / "bin/python", "-m", "pip", "install", "--quiet", *wanted], check=True)
        done.touch()
    return place / "bin"


@contextlib.contextmanager
def peer(name: str, model: Path, environments: Path, folder: Path) -> Iterator[Contender]:
    programs, port, log = environment_of(name, environments), free_port(), folder / f"{name}.log"
    python, script = str(programs / "python"), f"serve_{name}.py"
    command, path, form = {
        "mosec": ([python, script, "--address", "127.0.0.1", "--port", str(port)], "/inference", "{}"),
        "litserve": ([python, script, str(port)], "/predict", '{"b64": "%s"}'),
        "mlserver": ([python, script, str(port)], "/classify", "{}"),
        "bentoml": (
            [str(programs / "bentoml"), "serve", "serve_bentoml:Classify", "--port", str(port)],
            "/classify",
            "{}",
        ),
        "kserve": (
            [python, script, "--http_port", str(port), "--enable_latency_logging", "false"],
            "/v1/models/m:predict",
            '{"instances": [{"b64": "%s"}]}',
        ),
    }[name]

    def requests() -> list[bytes]:
        if form == "{}":
            return [http_request(port, path, body, "Content-Type: image/png") for body in pictures()]
        documents = [(form % base64.b64encode(body).decode()).encode() for body in pictures()]
        return [http_request(port, path, text, "Content-Type: application/json") for text in documents]

    with running(command, log, MODEL=str(model)) as process:
        contender = Contender(name=name, port=port, process=process, requests=requests)
        await_answer(contender, log)
        yield contender


@contextlib.contextmanager
def cloud(
    model: Path, folder: Path, captures: tuple[int, ...], *, keys: bool = False
) -> Iterator[list[Contender]]:
    """A local cloud with one endpoint for each percentage of captures. keys: it verifies signatures."""
    port, label = free_port(), "scones, signatures verified" if keys else "scones"
    log, state = folder / f"{label}.log", folder / label
    command = [sys.executable, "-m", "scones", "up", "--port", str(port), "--state", str(state)]
    with running(command + (["--key", f"{KEY}:{SECRET}"] if keys else []), log) as process:
        url = f"http://127.0.0.1:{port}"
        await_health(url)
        session = boto3.Session(KEY, SECRET, region_name="us-east-1")
        put_model(session.client("s3", endpoint_url=url), model)
        sagemaker = session.client("sagemaker", endpoint_url=url)
        container = {"Image": IMAGE, "ModelDataUrl": "s3://benchmark/model.tar.gz"}
        sagemaker.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer=container)
        contenders = []
        for percent in captures:
            endpoint = f"capture-{percent}"
            deploy(sagemaker, endpoint, percent)
            contenders.append(
                Contender(
                    name=f"{label}, capture {percent} %",
                    port=port,
                    process=process,
                    requests=lambda endpoint=endpoint: invocations(port, endpoint),  # type: ignore[misc]
                )
            )
        yield contenders


def await_health(url: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_scones/health", timeout=5):
            return
        time.sleep(0.1)
    raise SystemExit(f"no cloud at {url}")


def put_model(s3: Any, model: Path) -> None:
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        for file in sorted(model.iterdir()):
            tar.add(file, file.name)
    s3.create_bucket(Bucket="benchmark")
    s3.put_object(Bucket="benchmark", Key="model.tar.gz", Body=archive.getvalue())


def deploy(sagemaker: Any, name: str, percent: int) -> None:
    variant = {"VariantName": "AllTraffic", "ModelName": "m", "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[variant | {"InitialInstanceCount": INSTANCES}],
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": percent,
            "DestinationS3Uri": "s3://benchmark/captures",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )


def invocations(port: int, endpoint: str) -> list[bytes]:
    """As boto3 sends them: signed, each its own."""
    path, found = f"/endpoints/{endpoint}/invocations", []
    for body in pictures():
        request = AWSRequest("POST", f"http://127.0.0.1:{port}{path}", {"Content-Type": "image/png"}, body)
        SigV4Auth(Credentials(KEY, SECRET), "sagemaker", "us-east-1").add_auth(request)
        lines = [f"{name}: {value}" for name, value in request.headers.items()]
        found.append(http_request(port, path, body, *lines, "User-Agent: Boto3/1 Botocore/1", "Accept: */*"))
    return found
