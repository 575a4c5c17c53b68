"""Executions of a state machine of three Pass states a second, through the API, beside moto's server.

    python benchmarks/executions.py [--executions 2000] [--connections 32] [--rounds 3]

Each server runs in a process of its own and is asked by the same client: StartExecution over kept
connections, then ListExecutions until nothing runs any more. The rate is executions over the time
from the first request until all are over; the latency is that of one StartExecution followed
by DescribeExecution until it has succeeded, one at a time. The cloud journals every event, and its
default survives kill -9; moto keeps everything in memory.

Needs `pip install 'scones[bench]'`.
"""

import argparse
import asyncio
import contextlib
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

ACCOUNT = {"scones": "000000000000", "moto": "123456789012"}
DEFINITION = {
    "StartAt": "First",
    "States": {
        "First": {"Type": "Pass", "Next": "Second"},
        "Second": {"Type": "Pass", "Next": "Third"},
        "Third": {"Type": "Pass", "End": True},
    },
}
SCOPE = "Credential=test/20260101/us-east-1/states/aws4_request"
ONE_BY_ONE = 50  # executions timed alone
LONGEST_S = 120.0  # a server that has not finished by then is given up
ROLE = "arn:aws:iam::{}:role/benchmark"


@contextlib.contextmanager
def serving(name: str, folder: Path) -> Iterator[str]:
    """The server's address, while it runs."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    if name == "scones":
        command = [sys.executable, "-m", "scones", "up", "--port", str(port), "--state", str(folder)]
    else:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not start; {folder / name}.log says why")
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(30)


class States:
    """A lean client of Step Functions: no signature, which neither server asks for on loopback."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def __call__(self, operation: str, **request: Any) -> dict[str, Any]:
        headers = {
            "X-Amz-Target": f"AWSStepFunctions.{operation}",
            "Content-Type": "application/x-amz-json-1.0",
            "Authorization": f"AWS4-HMAC-SHA256 {SCOPE}, SignedHeaders=host, Signature=0",
        }
        async with self._session.post(self._url, data=json.dumps(request), headers=headers) as reply:
            document = await reply.json(content_type=None)
            if reply.status != 200:
                raise SystemExit(f"{operation} was refused: {document}")
            return dict(document)


async def start_many(states: States, machine: str, label: str, count: int, connections: int) -> None:
    waiting = iter(range(count))

    async def one_after_another() -> None:
        for number in waiting:
            await states("StartExecution", stateMachineArn=machine, name=f"{label}-{number}", input="{}")

    await asyncio.gather(*(one_after_another() for _ in range(connections)))


async def until_none_runs(states: States, machine: str) -> None:
    deadline = time.monotonic() + LONGEST_S
    while time.monotonic() < deadline:
        running = await states(
            "ListExecutions", stateMachineArn=machine, statusFilter="RUNNING", maxResults=1
        )
        if not running["executions"]:
            return
        await asyncio.sleep(0.005)
    raise SystemExit(f"executions still run after {LONGEST_S:.0f} s")


async def first_result_ms(states: States, machine: str, label: str) -> float:
    """Median of one execution at a time, from StartExecution to a description that says it is over."""
    taken = []
    for number in range(ONE_BY_ONE):
        began = time.perf_counter()
        started = await states(
            "StartExecution", stateMachineArn=machine, name=f"{label}-{number}", input="{}"
        )
        status = "RUNNING"
        while status == "RUNNING" and time.perf_counter() - began < LONGEST_S:
            described = await states("DescribeExecution", executionArn=started["executionArn"])
            status = described["status"]
        taken.append(time.perf_counter() - began)
        if status != "SUCCEEDED":
            raise SystemExit(f"an execution was {status} after {taken[-1]:.1f} s")
    return statistics.median(taken) * 1000


async def measure(name: str, url: str, label: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """(executions a second, milliseconds to a first result)."""
    connector = aiohttp.TCPConnector(limit=arguments.connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        if name == "moto":  # which runs state machines only when asked to
            settings = {"stepfunctions": {"execute_state_machine": True}}
            async with session.post(f"{url}moto-api/config", json=settings) as reply:
                reply.raise_for_status()
        states = States(session, url)
        made = await states(
            "CreateStateMachine",
            name=f"three-{label}",
            definition=json.dumps(DEFINITION),
            roleArn=ROLE.format(ACCOUNT[name]),
        )
        machine = made["stateMachineArn"]
        alone = await first_result_ms(states, machine, f"alone-{label}")
        began = time.perf_counter()
        await start_many(states, machine, f"many-{label}", arguments.executions, arguments.connections)
        await until_none_runs(states, machine)
        return arguments.executions / (time.perf_counter() - began), alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--executions", type=int, default=2000, help="of the cloud's rounds; moto gets a tenth"
    )
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"scones": [], "moto": []}
    alone: dict[str, list[float]] = {"scones": [], "moto": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(serving(name, Path(folder))) for name in rates}
        for number in range(arguments.rounds):
            for name, url in urls.items():
                size = arguments.executions if name == "scones" else max(arguments.executions // 10, 50)
                asked = argparse.Namespace(**{**vars(arguments), "executions": size})
                rate, first = asyncio.run(measure(name, url, f"r{number}", asked))
                rates[name].append(rate)
                alone[name].append(first)
    baseline = statistics.median(rates["moto"])
    print("| server | executions/s, median (range) | against moto | first result, median ms |")
    print("| --- | --- | --- | --- |")
    for name, found in rates.items():
        middle = statistics.median(found)
        spread = f"{middle:,.0f} ({min(found):,.0f}-{max(found):,.0f})"
        print(f"| {name} | {spread} | {middle / baseline:.1f} | {statistics.median(alone[name]):.1f} |")


if __name__ == "__main__":
    main()
