"""Inferences a second of an endpoint through InvokeEndpoint, beside other model servers and no server.

    python benchmarks/endpoint.py [--seconds 3] [--rounds 3] [--model model.tar.gz] [--peers mosec,kserve]
    python benchmarks/endpoint.py --requests 1000000

All have the same model file, the same 64 pictures of 32x32 pixels and two processes that compute. The
limit is decoding and inferring in a loop with no server and no client, one process a core. The client
is `load.py`, in a process of its own on the same cores: what it spends nobody else has. Contenders take
turns, a row each round. The share of the limit's work is the processor time of the bare loop over that of
server and client: unlike the rates it means something also where others use the machine. `--requests` asks one endpoint that captures everything so often and prints
how much memory its processes have in between.

mosec and LitServe come with `pip install 'scones[bench]'`; the others do not get along with this
project's versions and get an environment of their own, made once under --environments.
"""

import argparse
import base64
import contextlib
import io
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.request
import venv
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import platformdirs
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


# --- measuring ----------------------------------------------------------------------------------


def limit(model: Path, bodies: Path, seconds: float) -> tuple[float, float]:
    """(pictures a second, microseconds of processor time each) of one bare process a core."""
    command = [sys.executable, str(PEERS / "bare.py"), str(model), str(bodies), str(seconds)]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(os.cpu_count() or 1)
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    found = []
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        found.append(json.loads(process.communicate()[0]))
    return sum(rate for rate, _ in found), statistics.mean(cpu for _, cpu in found)


def tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def spent(process: psutil.Process) -> tuple[float, float]:
    """(seconds of processor time, resident MB) of a process and its descendants."""
    times, resident = 0.0, 0.0
    for each in tree(process):
        with contextlib.suppress(psutil.Error):
            cpu = each.cpu_times()
            times += cpu.user + cpu.system
            resident += each.memory_info().rss / 1e6
    return times, resident


def ask(contender: Contender, folder: Path, connections: int, *amount: str) -> dict[str, Any]:
    file = folder / "requests.json"
    file.write_text(json.dumps([base64.b64encode(r).decode() for r in contender.requests()]))
    before = spent(contender.process)
    done = subprocess.run(
        [sys.executable, HERE / "load.py", "127.0.0.1", str(contender.port), file,
         "--connections", str(connections), *amount],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )  # fmt: skip
    after = spent(contender.process)
    found: dict[str, Any] = json.loads(done.stdout)
    if set(found["statuses"]) != {"200"}:
        raise SystemExit(f"{contender.name} answered {found['statuses']}")
    found["server_us"] = (after[0] - before[0]) / found["count"] * 1e6
    found["grown"] = after[1] - before[1]
    return found


def table(contenders: list[Contender], limits: list[tuple[float, float]]) -> None:
    bare = statistics.median(cpu for _, cpu in limits)
    rates = [rate for rate, _ in limits]
    print("| contender | connections | requests/s, median (range) | of the limit's rate | p50 ms | p99 ms"
          " | processor µs: server + client | of the limit's work | MB grown |")  # fmt: skip
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    middle = statistics.median(rates)
    print(
        f"| the limit | | {middle:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | 100 % | | | {bare:.0f} | 100 % | |"
    )
    for contender in contenders:
        for connections, runs in contender.runs.items():
            rates = [run["rate"] for run in runs]
            share = statistics.median(run["rate"] / run["limit"] for run in runs)
            work = statistics.median(run["bare_us"] / (run["server_us"] + run["client_us"]) for run in runs)
            m = {key: statistics.median(run[key] for run in runs) for key in runs[0] if key != "statuses"}
            print(
                f"| {contender.name} | {connections}"
                f" | {m['rate']:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | {share:.0%}"
                f" | {m['p50']:.1f} | {m['p99']:.1f} | {m['server_us']:.0f} + {m['client_us']:.0f}"
                f" | {work:.0%} | {sum(run['grown'] for run in runs):.0f} |"
            )


def compare(chosen: argparse.Namespace, model: Path, folder: Path) -> None:
    bodies = folder / "bodies.json"
    bodies.write_text(json.dumps([base64.b64encode(body).decode() for body in pictures()]))
    limits: list[tuple[float, float]] = []
    with contextlib.ExitStack() as stack:
        contenders = [*stack.enter_context(cloud(model, folder, CAPTURES))]
        contenders += stack.enter_context(cloud(model, folder, (100,), keys=True))
        for name in filter(None, chosen.peers.split(",")):
            contenders.append(stack.enter_context(peer(name, model, chosen.environments, folder)))
        for number in range(chosen.rounds + 1):
            for connections in chosen.connections:
                limits.append(limit(model, bodies, chosen.seconds))
                for contender in contenders:
                    run = ask(contender, folder, connections, "--seconds", str(chosen.seconds))
                    run["limit"], run["bare_us"] = limits[-1]
                    if number:  # the first round warms up
                        contender.runs.setdefault(connections, []).append(run)
        table(contenders, limits)


def endure(chosen: argparse.Namespace, model: Path, folder: Path) -> None:
    steps = 10
    with cloud(model, folder, (100,)) as [contender]:
        print("| requests | requests/s | resident MB: cloud | its processes | p99 ms |")
        print("| --- | --- | --- | --- | --- |")
        for step in range(steps + 1):
            amount = chosen.requests // steps if step else 1000
            run = ask(contender, folder, 16, "--requests", str(amount))
            own = contender.process.memory_info().rss / 1e6
            rest = spent(contender.process)[1] - own
            total = step * (chosen.requests // steps)
            print(
                f"| {total:,} | {run['rate']:,.0f} | {own:.0f} | {rest:.0f} | {run['p99']:.1f} |", flush=True
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each contender, connections and round")
    parser.add_argument("--rounds", type=int, default=3, help="after one that warms up")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 16, 64])
    parser.add_argument("--peers", default=",".join(ALL_PEERS), help="with commas; empty for none")
    parser.add_argument("--model", type=Path, help="model.tar.gz; without it one is trained")
    parser.add_argument("--requests", type=int, help="of the run that watches the memory")
    parser.add_argument("--environments", type=Path, default=platformdirs.user_cache_path("scones") / "peers")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = model_folder(chosen.model, folder / "job")
        (endure if chosen.requests else compare)(chosen, model, folder)


if __name__ == "__main__":
    main()
