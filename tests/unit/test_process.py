"""Child processes: their lines arrive, their end is known, and none outlives its cloud."""

import asyncio
import contextlib
import gc
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from scones.cloud.state.db import Database
from scones.cloud.workers.process import Process, Processes

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.new_event_loop

    def run(work: Coroutine[Any, Any, Any]) -> Any:
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(asyncio.wait_for(work, 30))

    return run


@pytest.fixture
def processes(tmp_path: Path) -> Processes:
    return Processes(Database(tmp_path / "state.sqlite"), sys.executable)


async def spawn(processes: Processes, code: str, on_line: Callable[[bytes], None], **options: Any) -> Process:
    return await processes.spawn(
        [sys.executable, "-c", code],
        purpose="test",
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"},
        cwd=Path.cwd(),
        on_line=on_line,
        **options,
    )


def test_lines_of_both_streams_and_the_exit_code_arrive(run: Run, processes: Processes) -> None:
    lines: list[bytes] = []

    async def work() -> int:
        code = "import sys; print('out'); print('err', file=sys.stderr); print('end', end=''); sys.exit(3)"
        return await (await spawn(processes, code, lines.append)).wait()

    assert run(work()) == 3
    assert sorted(lines) == [b"end", b"err", b"out"]


@pytest.mark.parametrize(("limit", "length"), [({}, 256 * 1024), ({"line_limit_bytes": 400_000}, 300_000)])
def test_a_line_is_cut_at_its_limit(
    run: Run, processes: Processes, limit: dict[str, int], length: int
) -> None:
    lines: list[bytes] = []

    async def work() -> int:
        child = await spawn(processes, "print('x' * 300_000 + '\\nend')", lines.append, **limit)
        return await child.wait()

    assert run(work()) == 0
    assert len(lines[0]) == length
    assert lines[-1] == b"end"


def test_stop_escalates_to_kill(run: Run, processes: Processes) -> None:
    async def work() -> int:
        code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready'); time.sleep(60)"
        ready = asyncio.Event()
        child = await spawn(processes, code, lambda _: ready.set())
        await ready.wait()
        return await child.stop(grace_s=0.1)

    assert run(work()) == -9


def test_what_a_child_started_ends_with_it(run: Run, processes: Processes) -> None:
    lines: list[bytes] = []

    async def work() -> None:
        code = (
            "import subprocess, sys;"
            "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']).pid)"
        )
        await (await spawn(processes, code, lines.append)).wait()

    run(work())
    assert_ends(int(lines[0]))


def test_a_killed_cloud_takes_its_children_along_or_the_next_start_does(
    tmp_path: Path, processes: Processes
) -> None:
    code = f"""
import asyncio, os, sys
from pathlib import Path
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

async def main():
    processes = Processes(Database({str(tmp_path / "state.sqlite")!r}), sys.executable)
    child = await processes.spawn([sys.executable, "-c", "import time; time.sleep(60)"], purpose="test",
                                  env=dict(os.environ), cwd=Path.cwd(), on_line=print)
    print(child.pid, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout
    processes.reap_strays()
    assert_ends(int(output))


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} is still alive"
        time.sleep(0.01)


def test_a_start_that_nobody_waits_for_any_more_leaves_nothing(run: Run, processes: Processes) -> None:
    """Cancelled at whatever moment, there is neither a child nor an open pipe afterwards."""

    async def work() -> None:
        for turns in range(12):
            starting = asyncio.ensure_future(spawn(processes, "import time; time.sleep(60)", print))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await (await starting).stop(grace_s=0)

    before = _descriptors()
    run(work())
    gc.collect()
    assert not psutil.Process().children()
    assert _descriptors() <= before


def _descriptors() -> int:
    return psutil.Process().num_fds()
