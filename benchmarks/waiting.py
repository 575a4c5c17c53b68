"""Memory of the cloud's process while many executions wait, beside the same process without them.

    python benchmarks/waiting.py [--executions 10000]

Every execution stands in a Wait state of an hour. Resident memory is read before the first is started,
when all wait, and once more after a kill -9 and a new start, which takes all of them up again.
"""

import argparse
import asyncio
import json
import os
import signal
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil

from executions import ACCOUNT, ROLE, States, serving, start_many

DEFINITION = {"StartAt": "Rest", "States": {"Rest": {"Type": "Wait", "Seconds": 3600, "End": True}}}
CONNECTIONS = 32


async def pid(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}_scones/health") as reply:
        return int((await reply.json())["pid"])


async def begin(url: str, count: int) -> str:
    async with aiohttp.ClientSession() as session:
        states = States(session, url)
        made = await states(
            "CreateStateMachine",
            name="waiting",
            definition=json.dumps(DEFINITION),
            roleArn=ROLE.format(ACCOUNT["scones"]),
        )
        await start_many(states, made["stateMachineArn"], "waiting", count, CONNECTIONS)
        return str(made["stateMachineArn"])


async def running(url: str, machine: str) -> int:
    """Executions that have not ended."""
    async with aiohttp.ClientSession() as session:
        page: dict[str, str] = {}
        states, count = States(session, url), 0
        while True:
            reply = await states(
                "ListExecutions", stateMachineArn=machine, statusFilter="RUNNING", maxResults=1000, **page
            )
            count += len(reply["executions"])
            if "nextToken" not in reply:
                return count
            page = {"nextToken": reply["nextToken"]}


def megabytes(process: int) -> float:
    return float(psutil.Process(process).memory_info().rss) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--executions", type=int, default=10_000)
    count = parser.parse_args().executions
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving("scones", folder) as url:
            process = asyncio.run(pid(url))
            rows = [("none", 0, megabytes(process))]
            machine = asyncio.run(begin(url, count))
            rows.append(("all wait", asyncio.run(running(url, machine)), megabytes(process)))
            os.kill(process, signal.SIGKILL)
        began = time.perf_counter()
        with serving("scones", folder) as url:
            found = asyncio.run(running(url, machine))
            seconds = time.perf_counter() - began
            rows.append(("after kill -9 and a start", found, megabytes(asyncio.run(pid(url)))))
    print("| executions | running | resident MB | more than none |")
    print("| --- | --- | --- | --- |")
    for what, number, size in rows:
        print(f"| {what} | {number:,} | {size:.0f} | {size - rows[0][2]:.0f} |")
    print(f"\nFrom the start after the kill to all listed: {seconds:.1f} s")


if __name__ == "__main__":
    main()
