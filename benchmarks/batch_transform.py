"""Pictures a second through a batch transform job, beside a bare loop of decoding and inference.

    python benchmarks/batch_transform.py [--pictures 20000] [--instances 2] [--rounds 3]

The cloud runs in a process of its own and trains a small model of 32x32 pictures for two classes.
Each round classifies all pictures twice: by the bare loop, which is the algorithm's own decoding and
network over bytes in memory, in so many processes as the job has instances, one picture at a time;
and by a transform job, where each picture is an object of S3 and so is each result. The job's
time is from CreateTransformJob until DescribeTransformJob says that it is over: it includes
fetching the model and starting the processes. CPU time is of the cloud and of all its processes.

Needs `pip install 'scones[train]'`.
"""

import argparse
import asyncio
import contextlib
import io
import multiprocessing
import os
import resource
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import numpy as np
import psutil
from PIL import Image

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"
ROLE = "arn:aws:iam::000000000000:role/benchmark"
SCOPE = "Credential=test/20260101/us-east-1/s3/aws4_request"
BUCKET = "benchmark"
DISTINCT = 1000
CONNECTIONS = 16
SAMPLE_S = 0.1
LONGEST_S = 3600.0


def picture(number: int) -> bytes:
    """A PNG of 32x32 pixels that compresses about as well as a photograph."""
    rough = np.random.default_rng(number).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(rough).resize((32, 32), Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


@dataclass(slots=True)
class Watch:
    """CPU seconds and greatest resident memory of the cloud and of its children, while a block lasts.

    Of children it counts those that have ended by then, as a job's have.
    """

    process: psutil.Process
    cloud_s: float = 0.0
    others_s: float = 0.0
    cloud_mb: float = 0.0
    others_mb: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        before = self.process.cpu_times()
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()
            after = self.process.cpu_times()
            self.cloud_s = after.user + after.system - before.user - before.system
            self.others_s = (
                after.children_user + after.children_system - before.children_user - before.children_system
            )

    def _sample(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            with contextlib.suppress(psutil.NoSuchProcess):
                self.cloud_mb = max(self.cloud_mb, self.process.memory_info().rss / 2**20)
                sizes = [child.memory_info().rss for child in self.process.children(recursive=True)]
                self.others_mb = max(self.others_mb, sum(sizes) / 2**20)


@contextlib.contextmanager
def cloud(folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Its address and its process, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "scones", "up", "--port", str(port), "--state", str(folder / "state")]
    with (folder / "cloud.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the cloud did not start; {folder / 'cloud.log'} says why")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


async def upload(url: str, pictures: list[bytes], count: int) -> None:
    numbers = iter(range(count))
    headers = {"Authorization": f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=host, Signature=0"}

    async def one_after_another(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            key = f"{url}/{BUCKET}/pictures/{number:07}.png"
            async with session.put(key, data=pictures[number % len(pictures)], headers=headers) as reply:
                reply.raise_for_status()

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(one_after_another(session) for _ in range(CONNECTIONS)))


def ended(describe: Any, name: str, kind: str) -> None:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        job = describe(**{f"{kind}JobName": name})
        status = job[f"{kind}JobStatus"]
        if status == "Completed":
            return
        if status != "InProgress":
            raise SystemExit(f"{kind} job {name} was {status}: {job.get('FailureReason')}")
        time.sleep(0.05)
    raise SystemExit(f"{kind} job {name} was not over after {LONGEST_S:.0f} s")


def train(sagemaker: Any, s3: Any, pictures: list[bytes]) -> str:
    """A model of the project's own network for 32x32 pictures; how well it does is no matter here."""
    for number in range(64):
        for split in ("train", "validation"):
            s3.put_object(Bucket=BUCKET, Key=f"{split}/{number}.png", Body=pictures[number])
    rows = "".join(f"{number}\t{number % 2}\t{number}.png\n" for number in range(64))
    channels = []
    for split in ("train", "validation"):
        s3.put_object(Bucket=BUCKET, Key=f"lists/{split}.lst", Body=rows.encode())
        for name, key in (split, f"{split}/"), (f"{split}_lst", f"lists/{split}.lst"):
            source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/{key}"}
            channel = {"ChannelName": name, "ContentType": "application/x-image"}
            channels.append(channel | {"DataSource": {"S3DataSource": source}})
    sagemaker.create_training_job(
        TrainingJobName="model",
        AlgorithmSpecification={"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        RoleArn=ROLE,
        HyperParameters={
            "image_shape": "3,32,32",
            "num_classes": "2",
            "num_training_samples": "64",
            "epochs": "1",
        },
        InputDataConfig=channels,
        OutputDataConfig={"S3OutputPath": f"s3://{BUCKET}/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    ended(sagemaker.describe_training_job, "model", "Training")
    job = sagemaker.describe_training_job(TrainingJobName="model")
    url: str = job["ModelArtifacts"]["S3ModelArtifacts"]
    sagemaker.create_model(
        ModelName="model", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": url}
    )
    return url


def transform(sagemaker: Any, name: str, instances: int) -> None:
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/pictures/"}}
    sagemaker.create_transform_job(
        TransformJobName=name,
        ModelName="model",
        TransformInput={"DataSource": source, "ContentType": "image/png"},
        TransformOutput={"S3OutputPath": f"s3://{BUCKET}/{name}", "Accept": "application/json"},
        TransformResources={"InstanceType": "ml.m5.large", "InstanceCount": instances},
    )
    ended(sagemaker.describe_transform_job, name, "Transform")


def bare_loop(model: Path, pictures: list[bytes], count: int, done: Any) -> None:
    """What cannot be avoided: the algorithm's own decoding and network, and nothing else."""
    from scones.shipped.algorithm.artefact import load
    from scones.shipped.algorithm.pictures import decode, resize_exactly, to_pixels

    network = load(model)
    channels, height, width = network.shape
    began = time.perf_counter()
    for number in range(count):
        image = decode(pictures[number % len(pictures)], channels)
        network.probabilities(to_pixels(resize_exactly(image, height, width))[None])[0].tolist()
    done.put(time.perf_counter() - began)


def bare(model: Path, pictures: list[bytes], count: int, processes: int) -> tuple[float, float]:
    """(pictures a second of all loops together, CPU microseconds for each)."""
    context = multiprocessing.get_context("spawn")
    done: Any = context.Queue()
    each = count // processes
    loops = [context.Process(target=bare_loop, args=(model, pictures, each, done)) for _ in range(processes)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    for loop in loops:
        loop.start()
    seconds = [done.get() for _ in loops]
    for loop in loops:
        loop.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return sum(each / taken for taken in seconds), spent / count * 1e6


def outputs(s3: Any, name: str) -> int:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=f"{name}/")
    return sum(page["KeyCount"] for page in pages)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=20_000)
    parser.add_argument("--instances", type=int, default=os.cpu_count() or 1, help="at most 4")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    instances, count = min(arguments.instances, 4), arguments.pictures
    pictures = [picture(number) for number in range(min(DISTINCT, max(count, 64)))]
    rates: dict[str, list[tuple[float, float]]] = {"bare loop": [], "transform job": []}
    watches = []
    with tempfile.TemporaryDirectory() as name, cloud(folder := Path(name)) as (url, process):
        session = boto3.Session("test", "test", region_name="us-east-1")
        s3, sagemaker = (session.client(service, endpoint_url=url) for service in ("s3", "sagemaker"))
        s3.create_bucket(Bucket=BUCKET)
        model = train(sagemaker, s3, pictures)
        s3.download_file(BUCKET, model.removeprefix(f"s3://{BUCKET}/"), str(folder / "model.tar.gz"))
        with tarfile.open(folder / "model.tar.gz") as tar:
            tar.extractall(folder / "model", filter="data")
        asyncio.run(upload(url, pictures, count))
        for number in range(arguments.rounds):
            rates["bare loop"].append(bare(folder / "model", pictures, count, instances))
            watch = Watch(process)
            began = time.perf_counter()
            with watch.watching():
                transform(sagemaker, f"job-{number}", instances)
            taken = time.perf_counter() - began
            rates["transform job"].append((count / taken, (watch.cloud_s + watch.others_s) / count * 1e6))
            watches.append(watch)
            if (made := outputs(s3, f"job-{number}")) != count:
                raise SystemExit(f"{made} outputs for {count} pictures")
    limit = statistics.median(rate for rate, _ in rates["bare loop"])
    print("| what | pictures/s, median (range) | of the limit | CPU µs a picture |")
    print("| --- | --- | --- | --- |")
    for what, found in rates.items():
        speeds = [rate for rate, _ in found]
        middle, cpu = statistics.median(speeds), statistics.median(spent for _, spent in found)
        spread = f"{middle:,.0f} ({min(speeds):,.0f}-{max(speeds):,.0f})"
        print(f"| {what} | {spread} | {middle / limit:.0%} | {cpu:.0f} |")
    cloud_us = statistics.median(watch.cloud_s for watch in watches) / count * 1e6
    cloud_mb = max(watch.cloud_mb for watch in watches)
    others_mb = max(watch.others_mb for watch in watches)
    print(
        f"\n{count:,} pictures, InstanceCount {instances}; {cloud_us:.0f} µs of the job's CPU are the cloud's"
    )
    print(f"Peak resident MB: cloud {cloud_mb:.0f}, its processes together {others_mb:.0f}")


if __name__ == "__main__":
    main()
