"""Inferences a second of an endpoint through InvokeEndpoint, beside other model servers and no server.

    python benchmarks/endpoint.py [--seconds 3] [--rounds 3] [--model model.tar.gz] [--peers mosec,kserve]
    python benchmarks/endpoint.py --requests 1000000

All have the same model file, the same 64 pictures of 32x32 pixels and two processes that compute. The
limit is decoding and inferring in a loop with no server and no client, one process a core. The client
is `load.py`, in a process of its own on the same cores: what it spends nobody else has. Contenders take
turns, a row each round. The share of the limit's work is the processor time of the bare loop over that
of server and client: unlike the rates it means something also where others use the machine.
`--requests` asks one endpoint that captures everything so often and prints how much memory its
processes have in between.

mosec and LitServe come with `pip install 'scones[bench]'`; the others do not get along with this
project's versions and get an environment of their own, made once under --environments.
"""

import argparse
import base64
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from contenders import ALL_PEERS, CAPTURES, HERE, PEERS, Contender, cloud, model_folder, peer, pictures


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
        f"| the limit | | {middle:,.0f} ({min(rates):,.0f}-{max(rates):,.0f}) | 100 %"
        f" | | | {bare:.0f} | 100 % | |"
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
    steps = 10 if chosen.requests >= 10_000 else 2
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
