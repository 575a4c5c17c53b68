"""Invocations run: a slot, a worker that is warm or started for it, an outcome."""

import asyncio
import importlib.util
import platform
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn
from scones.cloud.services.lambda_.codes import Codes
from scones.cloud.services.lambda_.concurrency import Slots
from scones.cloud.services.lambda_.environment import worker_environment
from scones.cloud.services.lambda_.errors import service_failure
from scones.cloud.services.lambda_.output import LogWriter
from scones.cloud.services.lambda_.pool import Pool
from scones.cloud.services.lambda_.records import Version
from scones.cloud.services.lambda_.worker import Outcome, Request, Worker, WorkerGoneError
from scones.cloud.settings import CloudSettings
from scones.cloud.workers.process import Processes

__all__ = ["Runner"]

_AWS_RUNTIME = "awslambdaric"
_ASK = f"""\
import platform, importlib.util
print(platform.python_version(), importlib.util.find_spec("{_AWS_RUNTIME}") is not None)
"""
_OWN_RUNTIME = Path(__file__).parents[2] / "guest" / "lambda_runtime.py"  # AWS's is published for Linux only
_LOOK_S = 15.0  # between two looks for idle workers
_QUEUE = 1000
_WAIT_S = 20.0  # for a free slot; clients give up after 60
_STARTS = 3  # when warm workers turn out dead


class Runner:
    """Runs invocations. `concurrency`: at once, over all functions without a reservation."""

    def __init__(
        self,
        *,
        codes: Codes,
        temporary: Path,
        processes: Processes,
        call: Call,
        clock: Clock,
        ids: Ids,
        spawn: Spawn,
        faults: Faults,
        settings: CloudSettings,
        endpoint_url: Callable[[], str],
        on_idle_code: Callable[[str], None],
        concurrency: int,
    ) -> None:
        self._codes = codes
        self._temporary = temporary
        self._processes = processes
        self._clock = clock
        self._ids = ids
        self._spawn = spawn
        self._faults = faults
        self._settings = settings
        self._endpoint_url = endpoint_url
        self._on_idle_code = on_idle_code
        self._logs = LogWriter(call=call, clock=clock, spawn=spawn)
        self._slots = Slots(limit=concurrency, queue=_QUEUE, wait_s=_WAIT_S)
        self._pool = Pool(most=2 * concurrency, clock=clock)
        self._attempts = _STARTS + 2 * concurrency
        self._invocations: set[asyncio.Task[Outcome]] = set()
        self._quiet = asyncio.Event()
        self._closing = False
        self._looking = False
        self._python_version = platform.python_version()
        self._runtime = [settings.worker_python, "-u", str(_OWN_RUNTIME)]

    async def start(self) -> None:
        """Clear away what a crash left, and learn which Python the workers are, with which runtime."""
        shutil.rmtree(self._temporary, ignore_errors=True)
        python = self._settings.worker_python
        if python == sys.executable:
            found = importlib.util.find_spec(_AWS_RUNTIME) is not None
        else:
            self._python_version, found = await self._ask(python)
        if found:
            self._runtime = [python, "-m", _AWS_RUNTIME]

    async def _ask(self, python: str) -> tuple[str, bool]:
        """Version of another interpreter, and whether AWS's runtime client is installed there."""
        said: list[bytes] = []
        process = await self._processes.spawn(
            [python, "-I", "-c", _ASK], purpose="lambda python", env={}, cwd=Path("/"), on_line=said.append
        )
        if await process.wait() != 0:
            raise OSError(f"{python} does not run: {b' '.join(said[-3:]).decode('utf-8', 'replace')}")
        version, found = said[-1].decode().split()
        return version, found == "True"

    async def invoke(
        self, function: str, request: Request, *, reserved: int | None, load: Callable[[], Version]
    ) -> Outcome:
        """Run one invocation and go on with it even when the caller is cancelled.

        load: the version as it is once a slot is free; may raise.
        Raises TooManyRequestsException, and ServiceException when the cloud closes meanwhile.
        """
        task = asyncio.get_running_loop().create_task(self._invoke(function, request, reserved, load))
        self._invocations.add(task)
        task.add_done_callback(self._invocations.discard)
        return await asyncio.shield(task)

    async def _invoke(
        self, function: str, request: Request, reserved: int | None, load: Callable[[], Version]
    ) -> Outcome:
        async with self._slots.one(function, reserved):
            for _ in range(self._attempts):
                if self._closing:
                    break
                version = load()
                worker = await self._pool.take(version) or await self._start(version)
                self._faults.reach("lambda.invoking")
                try:
                    outcome = await worker.run(request)
                except WorkerGoneError:
                    continue
                finally:
                    self._release(worker)
                self._faults.reach("lambda.answered")
                if not self._closing:
                    return outcome
        raise service_failure("The local cloud is stopping.")

    def _release(self, worker: Worker) -> None:
        if self._closing:
            worker.kill()
            return
        self._pool.release(worker)
        if not self._looking:
            self._looking = True
            self._spawn(self._end_idle(), name="lambda idle workers")

    async def _start(self, version: Version) -> Worker:
        """A new process for `version`, still loading the code."""
        name = self._ids.token(32)
        stream = f"{self._clock.now():%Y/%m/%d}/[{version.version}]{name}"
        log = self._logs.stream(version.log_group, stream)
        worker = Worker(version, log=log, clock=self._clock)
        self._pool.add(worker)
        temporary = self._temporary / name
        try:
            with self._codes.held(version.function, version.code) as code:
                temporary.mkdir(parents=True)
                await worker.api.start()
                log.write(self._greeting(version))
                environment = worker_environment(
                    version,
                    settings=self._settings,
                    code=code,
                    temporary=temporary,
                    log_stream=stream,
                    runtime_api=worker.api.address,
                    endpoint_url=self._endpoint_url(),
                )
                process = await self._processes.spawn(
                    [*self._runtime, version.configuration["Handler"]],
                    purpose=f"lambda {version.function}",
                    env=environment,
                    cwd=code,
                    on_line=log.line,
                    room=log.room,
                )
        except BaseException:
            worker.api.close()
            self._forget(worker)
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        worker.attach(process)
        self._spawn(self._watch(worker, temporary), name=f"lambda worker {version.function}")
        return worker

    def _greeting(self, version: Version) -> str:
        """The sandbox's first line: which interpreter really runs, whatever the function asked for."""
        runtime = version.configuration["Runtime"]
        note = (
            "" if f"python{self._python_version}.".startswith(f"{runtime}.") else f" (in place of {runtime})"
        )
        return f"INIT_START Runtime Version: python:{self._python_version}{note}\n"

    async def _watch(self, worker: Worker, temporary: Path) -> None:
        with self._codes.held(worker.version.function, worker.version.code):
            await worker.watch()
        self._forget(worker)
        shutil.rmtree(temporary, ignore_errors=True)
        self._on_idle_code(worker.version.function)

    def _forget(self, worker: Worker) -> None:
        self._pool.remove(worker)
        if self._closing and not self._pool:
            self._quiet.set()

    async def _end_idle(self) -> None:
        while not self._closing and self._pool.any_idle:
            await asyncio.sleep(_LOOK_S)
            self._pool.end_idle()
        self._looking = False

    def retire(self, function: str, version: str | None = None) -> None:
        """Code or configuration changed, or is gone: no worker that has it runs anything more."""
        self._pool.retire(function, version)

    async def close(self) -> None:
        self._closing = True
        self._pool.kill()
        await asyncio.gather(*self._invocations, return_exceptions=True)
        if self._pool:
            await self._quiet.wait()
        await self._logs.close()
