"""Runs executions: feeds their machines, journals each turn, and only then performs its commands.

Everything an execution waits for (an answer, a timer, a stop) arrives as a stimulus; stimuli of many
executions that arrive together share one commit. After a crash `start` rebuilds each running machine
from its journal and performs what it still waits for: timers keep their instant, finished tasks stay
finished. A task that was in flight is asked again under the events it already has: AWS shows a task
once however often its own machinery retries a delivery, so the history of a killed run reads as that
of an undisturbed one.
"""

import asyncio
import logging
from dataclasses import dataclass, replace

from scones.cloud.asl.definition import compile_definition, compile_processor
from scones.cloud.asl.distributed import MAP_RUN
from scones.cloud.asl.failures import RUNTIME
from scones.cloud.asl.journal import (
    Aborted,
    CancelTask,
    CancelTimer,
    Command,
    Failed,
    Finish,
    Fired,
    Halted,
    Invoke,
    Mapped,
    Missing,
    Queued,
    Redriven,
    SetTimer,
    Started,
    Stimulus,
    Succeeded,
    Taken,
    Turn,
)
from scones.cloud.asl.machine import Execution, Machine
from scones.cloud.asl.tokens import task_token
from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn
from scones.cloud.state.db import Database

from . import integrations
from .activity_queue import ActivityQueue
from .item_reader import ItemReader
from .map_runs import MapRun, MapRuns
from .questions import Ends, Questions, child_name
from .records import ExecutionRow, MachineRow
from .status_events import StatusEvents
from .stops import Stops
from .store import Store
from .times import milliseconds

__all__ = ["Runner"]

_log = logging.getLogger(__name__)

_BATCH = 64
"""Executions that share a commit; the loop serves other requests between batches."""
_BATCH_S = 0.05
"""After which a batch takes no further execution."""
_LONGEST_SLEEP_S = 3600.0
"""A timer looks at the clock this often, so that a changed or sleeping clock is noticed."""
_EXPRESS_S = 300
"""AWS ends an EXPRESS execution after five minutes."""
_RETRY_S = 1.0
"""Pause before an execution whose journal could not be written is taken up again."""


def _in_order(live: "_Live") -> list[Stimulus]:
    """Answers as they came, then timers by their instants, and those of one instant as they were set."""

    def place(stimulus: Stimulus) -> tuple[int, int]:
        return live.machine.due(stimulus.timer) if isinstance(stimulus, Fired) else (0, 0)

    return sorted(live.inbox, key=place)


@dataclass(frozen=True, slots=True)
class _Origin:
    """What decides on an execution's end: who is told, and what is kept of it."""

    map_run: int | None
    items: int
    express: bool
    awaited: bool
    """Whether someone reads the row of an EXPRESS execution when it is over; nobody else could."""

    @classmethod
    def of(cls, row: ExecutionRow, *, awaited: bool = False) -> "_Origin":
        return cls(row.map_run, row.items or 0, ":express:" in row.arn, awaited)


class _Live:
    """A running execution in memory."""

    __slots__ = ("asked", "followed", "id", "inbox", "machine", "map_runs", "origin", "timers", "turns")

    def __init__(self, row: ExecutionRow, machine: Machine, turns: int, *, awaited: bool = False) -> None:
        self.id = row.id
        self.origin = _Origin.of(row, awaited=awaited)
        self.machine = machine
        self.turns = turns
        """Turns journaled so far."""
        self.inbox: list[Stimulus] = []
        self.timers: dict[int, asyncio.TimerHandle] = {}
        self.followed: dict[int, Invoke] = {}
        """The tasks that wait for the end of an execution or a job they began."""
        self.map_runs: dict[int, MapRun] = {}
        """Those that its tasks wait for."""
        self.asked: dict[int, int] = {}
        """When the tasks of a rebuilt execution were begun: another run may have asked them already."""


class Runner:
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
        faults: Faults,
        region: str,
        status_events: StatusEvents,
    ) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._spawn = spawn
        self._faults = faults
        self._region = region
        self._status_events = status_events
        self._live: dict[int, _Live] = {}
        self._ready: dict[int, _Live] = {}
        self._scheduled: asyncio.Handle | None = None
        self._ends = Ends()
        self._questions = Questions(store=store, clock=clock, ids=ids, call=call, ends=self._ends)
        self._activities = ActivityQueue()
        self._maps = MapRuns(
            db=db, store=store, clock=clock, ids=ids, call=call, reader=reader, spawn=spawn, host=self
        )
        self._stops = Stops(store=store, call=call, spawn=spawn, faults=faults)
        self._closed = False

    # From outside ---------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up every running execution where its journal ends."""
        with self._db.transaction():
            self._store.delete_idle_machines()
        self._stops.start()
        for count, id_ in enumerate(self._store.running()):
            self._resume(id_)
            if count % _BATCH == 0:
                await asyncio.sleep(0)
        self._spawn(self._maps.stop_orphans(), name="stepfunctions-orphans")

    async def close(self) -> None:
        """Stop without a trace in the journal: the next start goes on."""
        self._closed = True
        if self._scheduled:
            self._scheduled.cancel()
        for live in self._live.values():
            self._forget_timers(live)
        self._live.clear()
        self._ready.clear()

    def begin(self, row: ExecutionRow, machine: MachineRow, *, awaited: bool = False) -> None:
        """Run a new execution's first turn, in the transaction that records the execution.

        awaited: by someone who reads, and deletes, the row of an EXPRESS one once it has `ended`.
        """
        live = _Live(row, self._machine(row, machine), 0, awaited=awaited)
        self._status_events.changed(row.id)
        commands = self._advance(live, [Started()])
        self._db.after_commit(lambda: self._adopt(live, commands))

    def redrive(self, row: ExecutionRow, now_ms: int, token: str | None) -> bool:
        """Have an execution go on where it stood, in the caller's transaction.

        False, and nothing is changed, where its journal does not replay.
        """
        try:
            live = self._rebuilt(row)
        except Exception:
            _log.exception("cannot rebuild an execution", extra={"execution": row.arn})
            return False
        self._store.redrive_execution(row, token, now_ms)
        self._status_events.changed(row.id)
        self._faults.reach("stepfunctions.redrive.recorded")
        # An EXPRESS execution keeps no journal, and begins anew.
        commands = self._advance(live, [Redriven() if live.turns else Started()], now_ms)
        self._db.after_commit(lambda: self._adopt(live, commands))
        return True

    def abort(self, id_: int, error: str | None, cause: str | None) -> None:
        """Stop an execution, durably when this returns; nothing happens to one that is over."""
        if id_ not in self._live:
            self._resume(id_)
        live = self._live.get(id_)
        if live is not None:
            live.inbox.append(Aborted(error, cause))
            self._run([live])

    async def ended(self, id_: int) -> None:
        """Returns when an execution is over."""
        if id_ in self._live:
            await self._ends.of(id_).wait()

    def tell(self, id_: int, task: int, stimulus: Stimulus) -> bool:
        """Pass on what a worker says of a task, durably when this returns; False if none waits for it."""
        live = self._live.get(id_)
        if live is None or not live.machine.waits_for(task):
            return False
        if any(isinstance(held, Succeeded | Failed) and held.task == task for held in live.inbox):
            return False
        live.inbox.append(stimulus)
        self._run([live])
        return True

    def take(self, arn: str, worker: str | None) -> tuple[str, str] | None:
        """Give a worker the activity's next task, durably when this returns: (token, input)."""
        while waiting := self._activities.take(arn):
            id_, invoke = waiting
            if self.tell(id_, invoke.task, Taken(invoke.task, worker)):
                live = self._live.get(id_)
                if live is not None and live.machine.waits_for(invoke.task):
                    execution = live.machine.execution
                    return task_token(execution.arn, execution.seed, invoke.task), invoke.parameters
        return None

    def activity_news(self, arn: str) -> asyncio.Event:
        """Set when another task of the activity waits for a worker."""
        return self._activities.news(arn)

    # Building -------------------------------------------------------------------------------------

    def _build(self, id_: int) -> _Live | None:
        """The execution as its journal tells; None where it is not running."""
        row = self._store.execution_by_id(id_)
        if row is None or row.status != "RUNNING":
            return None
        try:
            return self._rebuilt(row)
        except Exception:
            _log.exception("cannot rebuild an execution", extra={"execution": row.arn})
            self._give_up(id_, _Origin.of(row))
            return None

    def _rebuilt(self, row: ExecutionRow) -> _Live:
        """Raises whatever keeps the journal from being replayed."""
        live = _Live(row, self._machine(row, self._store.machine_by_id(row.machine)), 0)
        for stored in self._store.turns(row.id):
            turn = live.machine.feed(stored.stimuli, stored.time_ms, stored.steps)
            if len(turn.events) != len(stored.events):
                raise RuntimeError(f"turn {stored.number} does not replay")
            live.turns = stored.number + 1
            for command in turn.commands:
                if isinstance(command, Invoke):
                    live.asked[command.task] = stored.time_ms
        return live

    def map_run_changed(self, id_: int) -> None:
        """Someone has set other limits for a map run."""
        self._maps.changed(id_)

    def _machine(self, row: ExecutionRow, machine: MachineRow) -> Machine:
        revision = self._store.revision(row.revision)
        run = None if row.map_run is None else self._maps.rows.by_id(row.map_run)
        suffix = f"/{run.label}" if run else ""
        execution = Execution(
            arn=row.arn,
            name=row.name,
            role_arn=revision.role_arn,
            machine_arn=machine.arn + suffix,
            machine_name=machine.name + suffix,
            region=self._region,
            input=row.input,
            seed=row.seed,
        )
        if run:
            program = compile_processor(revision.definition, run.state)
        else:
            program = compile_definition(revision.definition)
        if run.express if run else machine.type == "EXPRESS":
            program = replace(program, timeout_s=min(program.timeout_s or _EXPRESS_S, _EXPRESS_S))
        return Machine(program, execution)

    def _resume(self, id_: int) -> None:
        live = self._build(id_)
        if live is None or self._closed:
            return
        if not live.turns:
            live.inbox.append(Started())
        self._adopt(live, live.machine.pending())
        if live.inbox or live.machine.busy:
            self._wake(live)

    def _adopt(self, live: _Live, commands: list[Command]) -> None:
        if not self._closed and live.machine.status == "RUNNING":
            self._live[live.id] = live
        self._perform(live, commands)

    # Turns ----------------------------------------------------------------------------------------

    def _deliver(self, id_: int, stimulus: Stimulus) -> None:
        live = self._live.get(id_)
        if live is not None:
            live.inbox.append(stimulus)
            self._wake(live)

    def _wake(self, live: _Live) -> None:
        self._ready[live.id] = live
        self._schedule()

    def _schedule(self) -> None:
        if self._scheduled is None and not self._closed:
            self._scheduled = asyncio.get_running_loop().call_soon(self._turns)

    def _turns(self) -> None:
        self._scheduled = None
        batch = [self._ready.pop(id_) for id_ in list(self._ready)[:_BATCH]]
        if self._ready:
            self._schedule()
        self._run([live for live in batch if self._live.get(live.id) is live])

    def _run(self, batch: list[_Live]) -> None:
        """One turn each, in one commit; then their commands. Who would hold up others has it next time."""
        made: list[tuple[_Live, list[Command]]] = []
        late = self._clock.monotonic() + _BATCH_S
        try:
            with self._db.transaction():
                for live in batch:
                    if made and self._clock.monotonic() > late:
                        self._wake(live)
                        continue
                    stimuli, live.inbox = _in_order(live), []
                    made.append((live, self._advance(live, stimuli)))
        except Exception:
            # The machines are ahead of their journals now: only a rebuilt one may go on.
            for live in batch:
                self._discard(live)
            raise
        for live, commands in made:
            self._perform(live, commands)

    def _advance(self, live: _Live, stimuli: list[Stimulus], now_ms: int | None = None) -> list[Command]:
        """Feed the machine and journal the turn, in the caller's transaction."""
        now = milliseconds(self._clock.now()) if now_ms is None else now_ms
        try:
            turn = live.machine.feed(stimuli, now)
        except Exception:
            _log.exception("the interpreter failed", extra={"execution": live.machine.execution.arn})
            return self._give_up(live.id, live.origin)
        if turn.stimuli or turn.events or turn.steps:
            self._store.add_turn(live.id, live.turns, turn, now, live.machine.event_count)
            live.turns += 1
        self._keep_map_runs(live, turn, now)
        for command in turn.commands:
            if isinstance(command, Finish):
                self._finish(live.id, live.origin, command, now)
            elif isinstance(command, CancelTask) and integrations.waits_for_job(command.invoke):
                name = child_name(live.machine.execution, command.task)
                self._stops.journal(live.id, command.invoke, name)
        self._faults.reach("stepfunctions.turn.made")
        return turn.commands

    def _keep_map_runs(self, live: _Live, turn: Turn, now: int) -> None:
        """A map run begins, and ends, with the turn that asks for it or has done with it."""
        for stimulus, _ in turn.stimuli:
            if isinstance(stimulus, Mapped | Failed) and stimulus.task in live.map_runs:
                status = "SUCCEEDED" if isinstance(stimulus, Mapped) else "FAILED"
                self._maps.rows.end(live.id, stimulus.task, status, now)
        begun = set(live.map_runs)
        for command in turn.commands:
            if isinstance(command, Invoke) and command.service == MAP_RUN:
                self._maps.begin(live.id, command, now)
                begun.add(command.task)
            elif isinstance(command, CancelTask) and command.task in begun:
                self._maps.rows.end(live.id, command.task, "ABORTED", now)

    def _finish(self, id_: int, origin: _Origin, finish: Finish, now: int) -> None:
        self._store.finish_execution(id_, finish, now)
        self._status_events.changed(id_)
        self._store.delete_idle_machines()
        self._db.after_commit(lambda: self._ends.tell(id_))
        run = origin.map_run
        if run is not None:
            self._db.after_commit(lambda: self._maps.child_over(run, finish.status, origin.items))
        if origin.express:
            self._store.delete_turns(id_)
            if run is None and not origin.awaited:
                self._store.delete_execution(id_)

    def _give_up(self, id_: int, origin: _Origin) -> list[Command]:
        """Our own bug ends the execution, and only this one, as a failure that its history shows."""
        now = milliseconds(self._clock.now())
        cause = "An internal error stopped this execution."
        finish = Finish("FAILED", None, RUNTIME, cause)
        with self._db.transaction():
            number, last = self._store.last_turn(id_)
            details = {"error": RUNTIME, "cause": cause}
            event = {
                "id": last + 1,
                "previousEventId": last,
                "timestamp": now,
                "type": "ExecutionFailed",
                "executionFailedEventDetails": details,
            }
            turn = Turn([(Halted(cause), last + 1)], [event], [], 0)
            self._store.add_turn(id_, number + 1, turn, now, last + 1)
            self._maps.rows.abandon(id_, now)
            self._finish(id_, origin, finish, now)
        return [finish]

    def _discard(self, live: _Live) -> None:
        self._live.pop(live.id, None)
        self._ready.pop(live.id, None)
        self._forget_timers(live)
        if not self._closed:
            asyncio.get_running_loop().call_later(_RETRY_S, self._resume, live.id)

    # Commands -------------------------------------------------------------------------------------

    def _perform(self, live: _Live, commands: list[Command]) -> None:
        """Act on a turn that is durable. Everything here may happen again after a crash."""
        self._faults.reach("stepfunctions.turn.journaled")
        for command in commands:
            match command:
                case Invoke():
                    self._start_task(live, command)
                case SetTimer(timer, due_ms):
                    self._sleep(live, timer, due_ms)
                case CancelTimer(timer):
                    if handle := live.timers.pop(timer, None):
                        handle.cancel()
                case CancelTask(task, invoke):  # an answer on its way will find nobody waiting
                    self._activities.withdraw(live.id, task)
                    live.followed.pop(task, None)
                    if integrations.waits_for_job(invoke):
                        self._stops.perform(live.id, task)
                    if run := live.map_runs.pop(task, None):
                        run.stop()
                case Finish():
                    self._live.pop(live.id, None)
                    self._forget_timers(live)
                    for run in live.map_runs.values():  # an execution given up has cancelled nothing
                        run.stop()
        if live.id in self._live and live.machine.busy:
            self._wake(live)

    def _forget_timers(self, live: _Live) -> None:
        for handle in live.timers.values():
            handle.cancel()
        live.timers.clear()

    def _sleep(self, live: _Live, timer: int, due_ms: int) -> None:
        if self._closed:
            return
        left = (due_ms - milliseconds(self._clock.now())) / 1000
        if left <= 0:
            live.timers.pop(timer, None)
            live.inbox.append(Fired(timer))
            self._wake(live)
            return
        loop = asyncio.get_running_loop()
        delay = min(left, _LONGEST_SLEEP_S)
        live.timers[timer] = loop.call_later(delay, self._sleep, live, timer, due_ms)

    def _start_task(self, live: _Live, invoke: Invoke) -> None:
        if self._closed:
            return
        if invoke.service == "activity":
            self._start_activity(live, invoke)
        elif invoke.service == MAP_RUN:
            live.map_runs[invoke.task] = self._maps.run(live.id, invoke, live.machine)
        elif not invoke.submitted:
            self._spawn(self._ask(live, invoke), name=f"stepfunctions-task-{live.id}-{invoke.task}")
        elif integrations.waits_for_job(invoke):
            live.followed[invoke.task] = invoke
            self._spawn(self._follow(live, invoke), name=f"stepfunctions-follow-{live.id}-{invoke.task}")

    def _start_activity(self, live: _Live, invoke: Invoke) -> None:
        if not invoke.submitted:
            found = self._store.activity(invoke.resource) is not None
            self._deliver(live.id, Queued(invoke.task) if found else Missing(invoke.task))
        elif invoke.submitted == "queued":
            self._activities.offer(live.id, invoke)

    async def _ask(self, live: _Live, invoke: Invoke) -> None:
        answer = await self._questions.ask(live.machine.execution, invoke, live.asked.get(invoke.task))
        self._faults.reach("stepfunctions.task.answered")
        wanted = self._live.get(live.id) is live and live.machine.waits_for(invoke.task)
        if wanted:
            self._deliver(live.id, answer)
        elif not self._closed:
            self._stops.answered(live.id, invoke.task, answer)

    async def _follow(self, live: _Live, invoke: Invoke) -> None:
        """Answer a task with the end of what it began."""
        answer = await self._questions.follow(invoke)
        if self._live.get(live.id) is live and invoke.task in live.followed:
            del live.followed[invoke.task]
            self._deliver(live.id, answer)
