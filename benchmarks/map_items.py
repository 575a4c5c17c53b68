"""What an item of a Map costs, by the number of items, beside moto's server.

    python benchmarks/map_items.py [--sizes 1 10 100 1000 6000] [--rounds 5]
    python benchmarks/map_items.py --mode distributed [--sizes 1 100 1000 10000 100000] [--rounds 2]

The item processor is one Pass state. A distributed Map reads its items, rows of a CSV file, from S3, makes
each an execution of its own, and writes the results to S3. Time is from StartExecution until
DescribeExecution says that the execution has succeeded, one execution at a time; an item's cost is its
share of the quickest round, which what else runs on the machine has lengthened least. Inline, 6,000 items
are as many as the 25,000 events of a history hold. The baseline does fewer rounds, and no size beyond
--baseline-size.

Needs `pip install 'scones[bench]'`.
"""

import argparse
import asyncio
import contextlib
import json
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import boto3

from executions import ACCOUNT, LONGEST_S, ROLE, States, serving

SMALL, SMALL_ROUNDS = 10, 20  # so few items cost less than the noise of one execution
FIRST_LOOK_S = 0.001
"""Between two looks at an execution; each pause is half as long again as the one before."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of mapping. `map` is the Map state without its processor's states."""

    sizes: tuple[int, ...]
    map: dict[str, Any]
    in_s3: bool = False
    """Whether items and results lie in S3."""

    def definition(self) -> str:
        processor = self.map["ItemProcessor"] | {
            "StartAt": "Item",
            "States": {"Item": {"Type": "Pass", "End": True}},
        }
        each = self.map | {"Type": "Map", "ItemProcessor": processor, "End": True}
        return json.dumps({"StartAt": "Each", "States": {"Each": each}})


MODES = {
    "inline": Mode((1, 10, 100, 1000, 6000), {"ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}}}),
    "distributed": Mode(
        (1, 100, 1000, 10_000, 100_000),
        {
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["n"]},
                "Parameters": {"Bucket": "map-items", "Key.$": "$"},
            },
            "ResultWriter": {
                "Resource": "arn:aws:states:::s3:putObject",
                "Parameters": {"Bucket": "map-items", "Prefix": "results"},
            },
        },
        in_s3=True,
    ),
}


def put_items(url: str, sizes: list[int]) -> None:
    """One object of so many lines for each size, under the size as its key."""
    s3 = boto3.client("s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="test",
                      aws_secret_access_key="test")  # fmt: skip
    s3.create_bucket(Bucket="map-items")
    for size in {1, *sizes}:
        body = "".join(f"{number}\n" for number in range(size))
        s3.put_object(Bucket="map-items", Key=str(size), Body=body.encode())


async def seconds(states: States, mode: Mode, machine: str, name: str, size: int) -> float:
    """How long one execution over so many items takes."""
    given = json.dumps(str(size) if mode.in_s3 else list(range(size)))
    began, pause = time.perf_counter(), FIRST_LOOK_S
    started = await states("StartExecution", stateMachineArn=machine, name=name, input=given)
    while True:
        described = await states("DescribeExecution", executionArn=started["executionArn"])
        taken = time.perf_counter() - began
        if described["status"] != "RUNNING":
            break
        if taken > LONGEST_S:
            raise SystemExit(f"{size} items still run after {LONGEST_S:.0f} s")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, taken / 20 + FIRST_LOOK_S)
    if described["status"] != "SUCCEEDED" or await counted(states, mode, described) != size:
        raise SystemExit(f"{size} items ended as {described['status']}: {described.get('cause')}")
    return taken


async def counted(states: States, mode: Mode, described: dict[str, Any]) -> int:
    """How many items have a result."""
    if not mode.in_s3:
        return len(json.loads(described["output"]))
    listed = await states("ListMapRuns", executionArn=described["executionArn"])
    run = await states("DescribeMapRun", mapRunArn=listed["mapRuns"][0]["mapRunArn"])
    return int(run["itemCounts"]["succeeded"])


async def measure(server: str, url: str, mode: Mode, sizes: list[int], rounds: int) -> dict[int, list[float]]:
    """Seconds of each round by size."""
    async with aiohttp.ClientSession() as session:
        if server == "moto":  # which runs state machines only when asked to
            settings = {"stepfunctions": {"execute_state_machine": True}}
            async with session.post(f"{url}moto-api/config", json=settings) as reply:
                reply.raise_for_status()
        states = States(session, url)
        role = ROLE.format(ACCOUNT[server])
        made = await states("CreateStateMachine", name="map", definition=mode.definition(), roleArn=role)
        machine = made["stateMachineArn"]
        await seconds(states, mode, machine, "warm", 1)
        taken: dict[int, list[float]] = {size: [] for size in sizes}
        for number in range(rounds):
            for size, found in taken.items():
                for again in range(SMALL_ROUNDS if size <= SMALL else 1):
                    found.append(await seconds(states, mode, machine, f"map-{size}-{number}-{again}", size))
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of items")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=MODES, default="inline")
    parser.add_argument("--baseline-size", type=int, default=1000, help="largest of the baseline's")
    parser.add_argument("--no-baseline", action="store_true")
    arguments = parser.parse_args()
    mode = MODES[arguments.mode]
    servers = ["scones"] if arguments.no_baseline else ["scones", "moto"]
    wanted = arguments.sizes or list(mode.sizes)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        found = {}
        for name in servers:
            url = stack.enter_context(serving(name, Path(folder)))
            baseline = name != "scones"
            sizes = [size for size in wanted if not baseline or size <= arguments.baseline_size]
            if mode.in_s3:
                put_items(url, sizes)
            rounds = min(arguments.rounds, 2) if baseline else arguments.rounds
            found[name] = asyncio.run(measure(name, url, mode, sizes, rounds))
    print("| server | items | whole, median ms (range) | an item, us |")
    print("| --- | --- | --- | --- |")
    for name, taken in found.items():
        for size, times in taken.items():
            middle = statistics.median(times)
            spread = f"{middle * 1e3:,.1f} ({min(times) * 1e3:,.1f}-{max(times) * 1e3:,.1f})"
            print(f"| {name} | {size:,} | {spread} | {min(times) / size * 1e6:,.0f} |")


if __name__ == "__main__":
    main()
