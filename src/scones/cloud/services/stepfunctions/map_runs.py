"""Runs map runs: reads the items, begins their executions, counts their ends, gives the result.

What a run has done is what the rows of its executions tell: how many items they were given is where the
reading goes on after a crash. The end of a run is committed with the turn of the execution that waits
for it; executions that outlive their run are stopped by the next start.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Protocol

from scones.cloud.asl.distributed import STATE_DATA, MapRunPlan
from scones.cloud.asl.failures import RUNTIME, StateError
from scones.cloud.asl.journal import Failed, Invoke, Mapped, Stimulus
from scones.cloud.asl.jsontext import Json, too_large
from scones.cloud.asl.machine import Machine
from scones.cloud.ports import Call, Clock, Ids, Spawn
from scones.cloud.state.db import Database

from .item_reader import ItemReader, Place
from .map_inputs import Batch, Given
from .map_results import Results
from .map_store import MapRunRow, MapRunStore
from .records import ExecutionRow, MachineRow
from .redrive_rules import not_redrivable
from .store import Store
from .times import milliseconds

__all__ = ["Host", "MapRun", "MapRuns"]

_log = logging.getLogger(__name__)

_MOST_AT_ONCE = 10_000
_BATCH = 64
"""Executions that begin, or are stopped, in one commit; the loop serves others in between."""
_SELECTING_S = 0.05
"""So long items are selected before others have the loop."""
EXCEEDED = StateError(
    "States.ExceedToleratedFailureThreshold", "The specified tolerated failure threshold was exceeded"
)


class Host(Protocol):
    """What runs executions."""

    def begin(self, row: ExecutionRow, machine: MachineRow) -> None: ...

    def redrive(self, row: ExecutionRow, now_ms: int, token: str | None) -> bool: ...

    def abort(self, id_: int, error: str | None, cause: str | None) -> None: ...

    def tell(self, id_: int, task: int, stimulus: Stimulus) -> bool: ...


class MapRuns:
    """The map runs under way."""

    def __init__(
        self,
        *,
        db: Database,
        store: Store,
        clock: Clock,
        ids: Ids,
        call: Call,
        reader: ItemReader,
        spawn: Spawn,
        host: Host,
    ) -> None:
        self.db = db
        self.store = store
        self.rows = MapRunStore(db)
        self.clock = clock
        self.ids = ids
        self.call = call
        self.reader = reader
        self.spawn = spawn
        self.host = host
        self._under_way: dict[int, MapRun] = {}

    def begin(self, execution: int, invoke: Invoke, now_ms: int) -> None:
        """Record a run, or that a redriven one goes on, in the transaction of the turn that asks for it."""
        if row := self.rows.by_task(execution, invoke.task):
            self.rows.redrive(row, now_ms)
        else:
            self.rows.add(invoke.resource, execution, invoke.task, MapRunPlan.of(invoke.parameters), now_ms)

    def run(self, execution: int, invoke: Invoke, machine: Machine) -> "MapRun":
        """The run that a task asks for, driven from now on: a new one, or one that a crash has stopped."""
        row = self.rows.by_task(execution, invoke.task)
        assert row is not None
        before = self._under_way.get(row.id)
        if before is not None and not before.stopped:
            before.machine = machine
            return before
        run = self._under_way[row.id] = MapRun(self, row, invoke, machine)
        self.spawn(run.drive(), name=f"stepfunctions-map-run-{row.id}")
        return run

    def drives(self, run: "MapRun") -> bool:
        """False once a redrive has put another in its place."""
        return self._under_way.get(run.row.id) is run

    def forget(self, run: "MapRun") -> None:
        if self.drives(run):
            del self._under_way[run.row.id]

    def child_over(self, id_: int, status: str, items: int) -> None:
        """An execution of a run has ended, durably."""
        if run := self._under_way.get(id_):
            run.child_over(status, items)

    def changed(self, id_: int) -> None:
        """Someone has set other limits for a run."""
        if run := self._under_way.get(id_):
            run.look_again()

    async def stop_orphans(self) -> None:
        """End what a run that is over has left running. One that is redriven meanwhile keeps what is left."""
        for id_ in self.rows.orphans():
            if self.rows.is_orphan(id_):
                self.host.abort(id_, None, None)
            await asyncio.sleep(0)


class _StoppedError(Exception):
    """Nobody waits for the run any more."""


class MapRun:
    """One map run, driven by one task."""

    def __init__(self, runs: MapRuns, row: MapRunRow, invoke: Invoke, machine: Machine) -> None:
        self.row = row
        self._runs = runs
        self._invoke = invoke
        self._plan = MapRunPlan.of(invoke.parameters)
        self.machine = machine
        """The execution's; another one once it has been rebuilt."""
        self._place = Place()
        self._news = asyncio.Event()
        self.stopped = False
        """Whether nobody waits for it any more; a redrive has another drive it."""
        self._paused_s = runs.clock.monotonic()
        parent = runs.store.execution_by_id(row.execution)
        assert parent is not None
        self._parent = parent
        self._parent_machine = runs.store.machine_by_id(parent.machine)
        self._recount()

    def _recount(self) -> None:
        counts = self._runs.rows.counts(self.row.id)
        self._begun, self._read = counts.begun, counts.items_begun
        self._running, self._failed = counts.running, counts.items_failed

    def stop(self) -> None:
        """Nobody waits for the run any more: its executions are stopped."""
        self.stopped = True
        self._news.set()

    def child_over(self, status: str, items: int) -> None:
        self._running -= 1
        if status != "SUCCEEDED":
            self._failed += items
        self._news.set()

    def look_again(self) -> None:
        self.row = self._runs.rows.by_id(self.row.id)
        self._news.set()

    async def drive(self) -> None:
        """Until the run is over and the execution that waits for it has been told."""
        try:
            answer = await self._answer()
            self._check_stopped()
            self._runs.host.tell(self.row.execution, self._invoke.task, answer)
        except _StoppedError:
            await self._stop_children()
        finally:
            self._runs.forget(self)

    async def _answer(self) -> Stimulus:
        try:
            return Mapped(self._invoke.task, await self._output())
        except StateError as failure:
            await self._stop_children()
            return await self._failed_with(failure)
        except _StoppedError:
            raise
        except Exception:
            _log.exception("a map run failed", extra={"map_run": self.row.arn})
            await self._stop_children()
            return Failed(self._invoke.task, RUNTIME, "An internal error stopped this map run.")

    async def _output(self) -> str | None:
        self._check_stopped()
        if self._plan.failure is not None:
            raise StateError(*self._plan.failure)
        await self._redrive_all()
        await self._begin_all()
        while self._running:
            self._check_tolerance()
            await self._wait()
        self._check_tolerance()
        return await self._results().of(self.row, self._plan.writing, None)

    def _results(self) -> Results:
        return Results(self._runs.rows, self._runs.call)

    async def _failed_with(self, failure: StateError) -> Failed:
        """Results that are exported are so of a failed run, too."""
        writing = self._plan.writing
        try:
            if writing is not None and writing.bucket is not None:
                await self._results().of(self.row, writing, self._pending())
        except StateError as second:
            failure = second
        return Failed(self._invoke.task, failure.error, failure.cause)

    async def _pending(self) -> AsyncIterator[Json]:
        """The inputs of the executions that were not begun, as far as they can be read."""
        try:
            async with aclosing(self._inputs()) as inputs:
                async for execution in inputs:
                    yield execution.input
        except StateError:
            return

    # The executions -------------------------------------------------------------------------------

    async def _redrive_all(self) -> None:
        """After a redrive: the executions that ended badly go on first, as places become free."""
        for row in self._runs.rows.children(self.row.id, "PENDING_REDRIVE"):
            while self._running >= self._limit():
                self._check_tolerance()
                await self._wait()
            now = milliseconds(self._runs.clock.now())
            with self._runs.db.transaction():
                if not_redrivable(self._runs.store, row, now) is None:
                    self._running += 1
                    if self._runs.host.redrive(row, now, None):
                        continue
                    self._running -= 1
                self._runs.rows.refuse_redrive(row)
                self._failed += row.items or 0
            await self._pause()

    async def _begin_all(self) -> None:
        if self._plan.reading is None:
            self._counted(len(self.machine.mapped_items(self._invoke.task)))
        held: list[Given] = []
        async with aclosing(self._inputs()) as inputs:
            async for execution in inputs:
                held.append(execution)
                if len(held) >= min(_BATCH, self._limit()):
                    await self._begin(held)
                    held = []
        await self._begin(held)
        self._counted(self._read)

    def _counted(self, items: int) -> None:
        """It is known how many items there are."""
        with self._runs.db.transaction():
            self._runs.rows.set_items(self.row.id, items)
        self.look_again()

    def _limit(self) -> int:
        return min(self.row.max_concurrency or _MOST_AT_ONCE, _MOST_AT_ONCE)

    async def _begin(self, held: list[Given]) -> None:
        """Begin executions as places become free, many in one commit."""
        while held:
            self._check_tolerance()
            free = self._limit() - self._running
            if free <= 0:
                await self._wait()
                continue
            now, held = held[:free], held[free:]
            self._check_sizes(now)
            with self._runs.db.transaction():
                for execution in now:
                    self._begin_one(execution)
                self._runs.rows.set_place(self.row.id, self._place.etag, now[-1].key)
            await self._pause()

    def _check_sizes(self, inputs: list[Given]) -> None:
        for number, execution in enumerate(inputs):
            if too_large(execution.input.text):
                raise StateError(
                    "States.DataLimitExceeded",
                    f"The input of child execution {self._begun + number} of the state '{self.row.state}'"
                    " has a size exceeding the maximum number of bytes service limit.",
                )

    def _begin_one(self, execution: Given) -> None:
        runs, parent, machine = self._runs, self._parent, self._parent_machine
        name = runs.ids.uuid()
        kind, suffix = ("express", f":{runs.ids.uuid()}") if self.row.express else ("execution", "")
        prefix = machine.arn.replace(":stateMachine:", f":{kind}:", 1)
        child = runs.store.add_execution(
            arn=f"{prefix}/{self.row.label}:{name}{suffix}",
            name=name,
            machine=machine.id,
            revision=parent.revision,
            input=execution.input.text,
            started_ms=milliseconds(runs.clock.now()),
            seed=runs.ids.token(32),
            trace_header=parent.trace_header,
            map_run=self.row.id,
            child=self._begun,
            items=execution.items,
        )
        self._begun += 1
        self._read += execution.items
        self._running += 1
        runs.host.begin(child, machine)

    async def _wait(self) -> None:
        self._check_stopped()
        self._news.clear()
        await self._news.wait()
        self._check_stopped()

    async def _pause(self) -> None:
        """Let others have the loop."""
        await asyncio.sleep(0)
        self._paused_s = self._runs.clock.monotonic()
        self._check_stopped()

    async def _breathe(self) -> None:
        """Pause where it is time to: an ItemSelector may take long."""
        if self._runs.clock.monotonic() - self._paused_s > _SELECTING_S:
            await self._pause()
        self._check_stopped()

    def _check_stopped(self) -> None:
        """After whatever was awaited: the machine has forgotten the task of a run that was stopped."""
        if self.stopped:
            raise _StoppedError

    def _check_tolerance(self) -> None:
        """Raises the failure of a run of which too many items have failed."""
        count, percentage = self.row.tolerated_count, self.row.tolerated_percentage
        if count is None and not percentage:
            count = 0
        if count is not None and self._failed > count:
            raise EXCEEDED
        total = self.row.items
        if percentage is not None and total is not None and 100 * self._failed > percentage * total:
            raise EXCEEDED

    async def _stop_children(self) -> None:
        """What a redrive finds still running goes on with the run."""
        self._recount()
        for count, id_ in enumerate(self._runs.rows.running(self.row.id)):
            if not self._runs.drives(self):
                return
            self._runs.host.abort(id_, None, None)
            if count % _BATCH == 0:
                await asyncio.sleep(0)

    # The items ------------------------------------------------------------------------------------

    async def _inputs(self) -> AsyncGenerator[Given, None]:
        """What each execution that has not begun yet is given."""
        batching = self._plan.batching
        held = Batch(batching) if batching else None
        async with aclosing(self._items()) as items:
            async for item in items:
                if batching is None or held is None:
                    yield item
                    continue
                if held.full(item):
                    yield held.input()
                    held = Batch(batching)
                held.add(item)
        if held:
            yield held.input()

    async def _items(self) -> AsyncGenerator[Given, None]:
        """What the ItemSelector makes of each item, from the first that no execution has."""
        self._check_stopped()
        task, index = self._invoke.task, self._read
        if self._plan.reading is None:
            for number, item in enumerate(self.machine.mapped_items(task)[index:], index):
                await self._breathe()
                yield Given(self.machine.item_input(task, number, item, STATE_DATA, None), 1, None)
            return
        row = self._runs.rows.by_id(self.row.id)
        self._place = Place(row.etag, row.last_key)
        async with aclosing(self._runs.reader.items(self._plan.reading, self._place, index)) as items:
            async for item in items:
                await self._breathe()
                given = self.machine.item_input(task, index, item.value, item.source, item.name)
                yield Given(given, 1, item.key)
                index += 1
