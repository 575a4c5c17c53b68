"""Pictures a second through the three-function workflow, beside the endpoint's own limit in the same run.

    python benchmarks/vehicle_workflow.py [--pictures 600] [--under-way 16] [--rounds 3] [--data ARCHIVE]

Everything is as `scones run` makes it, by the same commands: pictures in S3, a model of one epoch, the
endpoint with its data capture, the functions and the state machine; only its limits are off, so that every
picture goes the whole way. The workflow's rate is that of executions kept under way through the API, from
the first StartExecution until none runs; the endpoint's is that of InvokeEndpoint with the same pictures
over as many connections. The latency is that of one picture at a time. Processor time is that of the cloud,
its child processes and this client: what a rate comes down to where other programs run, too.

Needs `pip install 'scones[train]'`; without --data it takes the pictures that `scones etl` takes.
"""

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import psutil

from executions import LONGEST_S, States, serving

ENDPOINT = "scones-image-classification"
BUCKET = "scones-unlimited-000000000000-us-east-1"
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:scones-image-classification"
SCOPE = "Credential=test/20260101/us-east-1/sagemaker/aws4_request"
LOOK_S = 0.01  # between two looks at what still runs
ONE_BY_ONE = 20  # pictures timed alone


def prepare(url: str, folder: Path, data: str | None) -> dict[str, bytes]:
    """The workflow by the product's own commands; returns pictures by their keys."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SCONES_"))}
    own = {"AWS_ENDPOINT_URL": url, "SCONES_CACHE_DIR": str(folder / "cache")}
    for verb in (
        ["etl", *(["--data", data] if data else [])],
        ["train", "--epochs", "1"],
        ["deploy"],
        ["orchestrate", "--threshold", "0", "--novelty-limit", "inf"],
    ):
        command = [sys.executable, "-m", "scones", *verb, "--quiet"]
        subprocess.run(command, env=kept | own, stdout=subprocess.DEVNULL, check=True)
    s3: Any = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="test/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    pictures = [key for key in keys if key.endswith(".png")]
    return {key: s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in pictures}


class Client:
    """Asks the one cloud for an execution, or for the endpoint's answer, of a picture."""

    def __init__(self, session: aiohttp.ClientSession, url: str, pictures: dict[str, bytes]) -> None:
        self._session = session
        self._url = url
        self._pictures = pictures
        self.states = States(session, url)

    async def begin(self, name: str, key: str) -> str:
        given = f'{{"s3_bucket": "{BUCKET}", "s3_key": "{key}"}}'
        began = await self.states("StartExecution", stateMachineArn=MACHINE, name=name, input=given)
        return str(began["executionArn"])

    async def running(self) -> int:
        listed = await self.states(
            "ListExecutions", stateMachineArn=MACHINE, statusFilter="RUNNING", maxResults=1000
        )
        return len(listed["executions"])

    async def whole_way(self, name: str, key: str) -> None:
        arn, status = await self.begin(name, key), "RUNNING"
        while status == "RUNNING":
            described = await self.states("DescribeExecution", executionArn=arn)
            status = described["status"]
        if status != "SUCCEEDED":
            raise SystemExit(f"an execution was {status}: {described.get('error')} {described.get('cause')}")

    async def classify(self, name: str, key: str) -> None:
        headers = {
            "Content-Type": "image/png",
            "Authorization": f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=host, Signature=0",
        }
        url = f"{self._url}endpoints/{ENDPOINT}/invocations"
        async with self._session.post(url, data=self._pictures[key], headers=headers) as reply:
            answer = await reply.read()
            if reply.status != 200:
                raise SystemExit(f"the endpoint answered {reply.status}: {answer[:300]!r}")


Job = tuple[str, str]
"""(name, key of a picture)."""


async def workflow_rate(client: Client, jobs: list[Job], under_way: int) -> float:
    """Pictures a second with so many executions under way."""
    began, waiting = time.perf_counter(), list(jobs)
    while (running := await client.running()) or waiting:
        free, waiting = waiting[: under_way - running], waiting[max(under_way - running, 0) :]
        await asyncio.gather(*(client.begin(*job) for job in free))
        if time.perf_counter() - began > LONGEST_S:
            raise SystemExit(f"executions still run after {LONGEST_S:.0f} s")
        await asyncio.sleep(LOOK_S)
    return len(jobs) / (time.perf_counter() - began)


async def endpoint_rate(client: Client, jobs: list[Job], connections: int) -> float:
    """Pictures a second by so many connections."""
    began, waiting = time.perf_counter(), iter(jobs)

    async def one_after_another() -> None:
        for job in waiting:
            await client.classify(*job)

    await asyncio.gather(*(one_after_another() for _ in range(connections)))
    return len(jobs) / (time.perf_counter() - began)


def processor_s(cloud: int) -> float:
    """Of the cloud with its children, and of this process, so far."""
    process = psutil.Process(cloud)
    times = [psutil.Process().cpu_times()]
    for one in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            times.append(one.cpu_times())
    return sum(time.user + time.system for time in times)


async def alone_ms(act: Callable[[str, str], Awaitable[None]], jobs: Iterable[Job]) -> float:
    taken = []
    for job in jobs:
        began = time.perf_counter()
        await act(*job)
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


async def measure(url: str, pictures: dict[str, bytes], arguments: argparse.Namespace) -> None:
    keys = random.Random(1)
    names = list(pictures)

    def jobs(label: str, count: int) -> list[Job]:
        return [(f"{label}-{number}", keys.choice(names)) for number in range(count)]

    connector = aiohttp.TCPConnector(limit=arguments.under_way)
    rates: dict[str, list[float]] = {"endpoint": [], "workflow": []}
    cost: dict[str, list[float]] = {"endpoint": [], "workflow": []}
    ways = {"endpoint": endpoint_rate, "workflow": workflow_rate}
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(session, url, pictures)
        async with session.get(f"{url}_scones/health") as reply:
            cloud = int((await reply.json())["pid"])
        await workflow_rate(client, jobs("warm", 2 * arguments.under_way), arguments.under_way)
        for number in range(arguments.rounds):
            todo = jobs(f"round-{number}", arguments.pictures)
            for way, rate in ways.items():
                before = processor_s(cloud)
                rates[way].append(await rate(client, todo, arguments.under_way))
                cost[way].append((processor_s(cloud) - before) / len(todo) * 1000)
        alone = {
            "endpoint": await alone_ms(client.classify, jobs("one", ONE_BY_ONE)),
            "workflow": await alone_ms(client.whole_way, jobs("one", ONE_BY_ONE)),
        }
        failed = await client.states(
            "ListExecutions", stateMachineArn=MACHINE, statusFilter="FAILED", maxResults=1
        )
    if failed["executions"]:
        raise SystemExit(f"an execution failed: {failed['executions'][0]['executionArn']}")
    limit = statistics.median(rates["endpoint"])
    print(
        "| way of a picture | pictures/s, median (range) | of the endpoint's | processor ms | one alone, ms |"
    )
    print("| --- | --- | --- | --- | --- |")
    for name, found in rates.items():
        middle = statistics.median(found)
        spread = f"{middle:,.0f} ({min(found):,.0f}-{max(found):,.0f})"
        spent = statistics.median(cost[name])
        print(f"| {name} | {spread} | {middle / limit:.2f} | {spent:.1f} | {alone[name]:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=600, help="in each round, each way")
    parser.add_argument("--under-way", type=int, default=16, help="executions, and connections, at a time")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", help="passed to `scones etl`")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, serving("scones", Path(name)) as url:
        pictures = prepare(url, Path(name), arguments.data)
        asyncio.run(measure(url, pictures, arguments))


if __name__ == "__main__":
    main()
