"""What an item of a Map costs, by the number of items, beside moto's server.

    python benchmarks/map_items.py [--sizes 1 10 100 1000 6000] [--rounds 5] [--mode inline]

The item processor is one Pass state. Time is from StartExecution until DescribeExecution says that the
execution has succeeded, one execution at a time; an item's cost is its share of the quickest round, which
what else runs on the machine has lengthened least. 6,000 items are as many as the 25,000 events of a
history hold. The baseline does fewer rounds, and no size beyond --baseline-size.

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

from executions import ACCOUNT, LONGEST_S, ROLE, States, serving

SMALL, SMALL_ROUNDS = 10, 20  # so few items cost less than the noise of one execution
FIRST_LOOK_S = 0.001
"""Between two looks at an execution; each pause is half as long again as the one before."""


@dataclass(frozen=True, slots=True)
class Mode:
    """One way of mapping. `map` is the Map state without its processor's states."""

    servers: tuple[str, ...]
    map: dict[str, Any]

    def definition(self) -> str:
        processor = self.map["ItemProcessor"] | {
            "StartAt": "Item",
            "States": {"Item": {"Type": "Pass", "End": True}},
        }
        each = self.map | {"Type": "Map", "ItemProcessor": processor, "End": True}
        return json.dumps({"StartAt": "Each", "States": {"Each": each}})


MODES = {
    "inline": Mode(("scones", "moto"), {"ItemProcessor": {"ProcessorConfig": {"Mode": "INLINE"}}}),
}


async def seconds(states: States, machine: str, name: str, size: int) -> float:
    """How long one execution over so many items takes."""
    given = json.dumps(list(range(size)))
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
    if described["status"] != "SUCCEEDED" or len(json.loads(described["output"])) != size:
        raise SystemExit(f"{size} items ended as {described['status']}: {described.get('cause')}")
    return taken


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
        await seconds(states, machine, "warm", 1)
        taken: dict[int, list[float]] = {size: [] for size in sizes}
        for number in range(rounds):
            for size, found in taken.items():
                for again in range(SMALL_ROUNDS if size <= SMALL else 1):
                    found.append(await seconds(states, machine, f"map-{size}-{number}-{again}", size))
        return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 100, 1000, 6000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mode", choices=MODES, default="inline")
    parser.add_argument("--baseline-size", type=int, default=1000, help="largest of the baseline's")
    parser.add_argument("--no-baseline", action="store_true")
    arguments = parser.parse_args()
    mode = MODES[arguments.mode]
    servers = [name for name in mode.servers if name == "scones" or not arguments.no_baseline]
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        found = {}
        for name in servers:
            url = stack.enter_context(serving(name, Path(folder)))
            baseline = name != "scones"
            sizes = [size for size in arguments.sizes if not baseline or size <= arguments.baseline_size]
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
