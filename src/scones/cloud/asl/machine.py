"""The interpreter of one execution, without I/O, clock or randomness of its own.

Feed it stimuli with the time; it appends history events and names commands. The same feedings always
give the same turns, so a machine is rebuilt after a crash by feeding the journal again, and what it
then still waits for (`pending`) is what remains to be done.

Two rules about itself: every event is appended by `_emit`, and every consequence that reaches beyond
the state at hand goes through the queue, so that parallel branches take turns as on AWS.
"""

import hashlib
from collections import ChainMap, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import activities, distributed, redrive, states
from .failures import RUNTIME, StateError
from .journal import (
    Aborted,
    Beat,
    CancelTask,
    CancelTimer,
    Command,
    Event,
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
    Status,
    Stimulus,
    Submitted,
    Succeeded,
    Taken,
    Turn,
)
from .jsontext import Json
from .program import Block, Program
from .scope import Fan, Scope, Visit
from .stored import stored_bytes
from .tokens import task_token

__all__ = ["EVENT_LIMIT", "Execution", "Machine"]

EVENT_LIMIT = 25_000
"""Longest history; the execution fails with its last event."""

_STEPS = 256
"""Queue items per feeding, so that an endless loop of Pass states cannot hold the event loop."""

_WORK = 100_000
"""Steps of JSONata after which a feeding takes no further queue item; a replay counts items alone."""

_TEXT = 1_000_000
"""Characters of event details after which, too, it takes no further item: a turn is journaled whole."""

_ERROR_LIMIT, _CAUSE_LIMIT = 256, 32_768


class _HistoryFullError(Exception):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """Who the machine is: what the context object tells, and the seed of all its random numbers."""

    arn: str
    name: str
    role_arn: str
    machine_arn: str
    machine_name: str
    region: str
    input: str
    seed: str


class Machine:
    """One running execution."""

    context: dict[str, Any] | None = None
    """Stands in for the context object where someone supplies one."""
    mocked = False
    """Whether someone else tells what a task, Map or Parallel gives."""

    def __init__(self, program: Program, execution: Execution) -> None:
        self.program = program
        self.execution = execution
        self.status: Status = "RUNNING"
        self.now_ms = 0
        self.started_ms = 0
        self.redrives = 0
        self.redriven_ms = 0
        """When it was last redriven."""
        self.input = Json(text=execution.input)
        self.root = Scope(program.root, ChainMap({}), None, 0)
        self.assigned_bytes = 0
        """At least what all variables hold; counted exactly only where that may matter."""
        self.root.heading = (program.root.start_at, self.input)
        self._queue: deque[tuple[Scope, Callable[..., None], tuple[Any, ...]]] = deque()
        self._tasks: dict[int, tuple[Visit, Invoke | None]] = {}
        self._timers: dict[int, tuple[int, Visit | None]] = {}
        self._event_count = 0
        self._timer_count = 0
        self._activity_count = 0
        self._draws = 0
        self._work = 0
        self._written = 0
        self._events: list[Event] = []
        self._commands: list[Command] = []

    # In and out -----------------------------------------------------------------------------------

    def feed(self, stimuli: Sequence[Stimulus], now_ms: int, steps: int | None = None) -> Turn:
        """Take stimuli in order, then work through the queue.

        steps: when rebuilding from the journal, the number of the turn; it stops there again.
        Stimuli nobody waits for any more (a late answer, a cancelled timer) are dropped.
        """
        self.now_ms = now_ms
        self._events, self._commands = [], []
        taken: list[tuple[Stimulus, int]] = []
        done = self._work = self._written = 0
        try:
            for stimulus in stimuli:
                first = self._event_count + 1
                if self._listens(stimulus) and self._take(stimulus):
                    taken.append((stimulus, first if self._event_count >= first else 0))
            limit = _STEPS if steps is None else steps
            while self._queue and done < limit and (steps is not None or not self._tired):
                scope, work, arguments = self._queue.popleft()
                done += 1
                if scope.alive:
                    work(*arguments)
        except _HistoryFullError:
            cause = f"The execution reached the maximum number of history events ({EVENT_LIMIT})."
            self.finish("FAILED", "executionFailed", self.root.last, error="States.Runtime", cause=cause)
        return Turn(taken, self._events, self._commands, done)

    def pending(self) -> list[Command]:
        """What the machine waits for: the tasks begun and the timers set."""
        tasks: list[Command] = [invoke for _, invoke in self._tasks.values() if invoke]
        return tasks + [SetTimer(timer, due) for timer, (due, _) in self._timers.items()]

    def due(self, timer: int) -> tuple[int, int]:
        """Sorts timers: by their instants, and those of one instant by when they were set."""
        due_ms, _ = self._timers.get(timer, (0, None))
        return due_ms, timer

    @property
    def busy(self) -> bool:
        """Whether a feeding without stimuli would do something."""
        return bool(self._queue)

    @property
    def _tired(self) -> bool:
        return self._work >= _WORK or self._written >= _TEXT

    @property
    def event_count(self) -> int:
        return self._event_count

    def _listens(self, stimulus: Stimulus) -> bool:
        if isinstance(stimulus, Redriven):
            return self.status not in ("RUNNING", "SUCCEEDED")
        return self.status == "RUNNING"

    def _take(self, stimulus: Stimulus) -> bool:
        match stimulus:
            case Started():
                self._start()
            case Succeeded(task, output):
                return self._answered(task, lambda visit: states.succeeded(self, visit, output))
            case Failed(task, error, cause):
                failure = StateError(error and error[:_ERROR_LIMIT], cause and cause[:_CAUSE_LIMIT])
                return self._answered(task, lambda visit: states.failed(self, visit, failure))
            case Submitted(task, output):
                return self._submitted(task, output)
            case Beat(task):
                return self._beaten(task)
            case Queued(task):
                return self._moved(task, "", "queued", activities.queued)
            case Missing(task):
                return self._answered(task, lambda visit: activities.missing(self, visit))
            case Taken(task, worker):
                return self._moved(task, "queued", "taken", activities.taken, worker)
            case Mapped(task, result):
                return self._answered(task, lambda visit: distributed.succeeded(self, visit, result))
            case Fired(timer):
                return self._fired(timer)
            case Aborted(error, cause):
                self.finish("ABORTED", "executionAborted", 0, error=error, cause=cause)
            case Halted(cause):
                self.finish("FAILED", "executionFailed", self._event_count, error=RUNTIME, cause=cause)
            case Redriven():
                self._redrive()
        return True

    def _start(self) -> None:
        self.started_ms = self.now_ms
        details = {"input": self.execution.input, "inputDetails": {"truncated": False}}
        self.emit("ExecutionStarted", 0, "executionStarted", **details, roleArn=self.execution.role_arn)
        self._limit_time()
        self.head_for(self.root, self.program.root.start_at, self.input)

    def _redrive(self) -> None:
        self.status = "RUNNING"
        self.redrives += 1
        self.redriven_ms = self.now_ms
        self.emit("ExecutionRedriven", self._event_count, "executionRedriven", redriveCount=self.redrives)
        self._limit_time()
        redrive.take_up(self, self.root)
        self.assigned_bytes = stored_bytes(self.root)

    def _limit_time(self) -> None:
        if self.program.timeout_s is not None:
            self._set_timer(self.now_ms + self.program.timeout_s * 1000, None)

    def _answered(self, task: int, act: Callable[[Visit], None]) -> bool:
        if task not in self._tasks:
            return False
        visit, _ = self._tasks.pop(task)
        visit.task = None
        self.cancel_timer(visit)
        act(visit)
        return True

    def _submitted(self, task: int, output: str) -> bool:
        visit, invoke = self._tasks.get(task, (None, None))
        if visit is None or invoke is None or invoke.submitted:
            return False
        invoke = replace(invoke, submitted=output)
        self._tasks[task] = (visit, invoke)
        self._commands.append(invoke)
        states.submitted(self, visit, output)
        return True

    def _moved(self, task: int, before: str, after: str, act: Callable[..., None], *arguments: Any) -> bool:
        """An activity's task goes a step further: `submitted` tells how far it is."""
        visit, invoke = self._tasks.get(task, (None, None))
        if visit is None or invoke is None or invoke.submitted != before:
            return False
        invoke = replace(invoke, submitted=after)
        self._tasks[task] = (visit, invoke)
        self._commands.append(invoke)
        act(self, visit, invoke, *arguments)
        return True

    def _beaten(self, task: int) -> bool:
        if not self.waits_for(task):
            return False
        visit, _ = self._tasks[task]
        if visit.heartbeat is not None:
            _, seconds = visit.heartbeat
            self._cancel_heartbeat(visit)
            self.set_heartbeat(visit, seconds)
        return True

    def waits_for(self, task: int) -> bool:
        """Whether a task is under way that an answer would reach."""
        return self.status == "RUNNING" and task in self._tasks

    def mapped_items(self, task: int) -> list[Any]:
        """The items of the distributed Map that asked for a map run; of one with a reader, none."""
        visit, _ = self._tasks[task]
        return visit.items

    def item_input(self, task: int, index: int, item: Any, source: str, name: str | None) -> Json:
        """What an item of a distributed Map is given, for its ItemSelector. Raises StateError."""
        visit, _ = self._tasks[task]
        return distributed.item_input(self, visit, index, item, source, name)

    def next_token(self) -> str:
        """The token of the task that is about to be scheduled: its id is that of the next event."""
        return task_token(self.execution.arn, self.execution.seed, self._event_count + 1)

    def activity_task(self) -> int:
        """A new id for the task of an activity: it is asked for before it has an event to be named by."""
        self._activity_count += 1
        return -self._activity_count

    def _fired(self, timer: int) -> bool:
        if timer not in self._timers:
            return False
        _, visit = self._timers.pop(timer)
        if visit is not None and visit.heartbeat and visit.heartbeat[0] == timer:
            visit.heartbeat = None
            states.timer_fired(self, visit, missed_beat=True)
        elif visit is None:
            self.finish("TIMED_OUT", "executionTimedOut", self.root.last, error="States.Timeout")
        else:
            visit.timer = None
            states.timer_fired(self, visit)
        return True

    # What states do -------------------------------------------------------------------------------

    def emit(self, type_: str, previous: int, details_name: str = "", **details: Any) -> int:
        """Append an event; None fields are left out. Returns its id."""
        if self._event_count >= EVENT_LIMIT - 1 and not details_name.startswith("execution"):
            raise _HistoryFullError
        self._event_count += 1
        event: Event = {
            "id": self._event_count,
            "previousEventId": previous,
            "timestamp": self.now_ms,
            "type": type_,
        }
        if details_name:
            kept = {key: value for key, value in details.items() if value is not None}
            event[f"{details_name}EventDetails"] = kept
            self._written += sum(len(value) for value in kept.values() if isinstance(value, str))
        self._events.append(event)
        return self._event_count

    def note(self, what: str, value: Any) -> None:
        """What a state made of its data, for those who watch one; no history has a place for it."""

    def told(self, context: dict[str, Any]) -> dict[str, Any]:
        """The context object as expressions see it."""
        return context

    def queue(self, scope: Scope, work: Callable[..., None], *arguments: Any) -> None:
        """Do this when its turn comes, unless the scope has been aborted by then."""
        self._queue.append((scope, work, arguments))

    def head_for(self, scope: Scope, name: str, given: Json) -> None:
        """Enter a state when its turn comes."""
        scope.heading = (name, given)
        self.queue(scope, states.enter, self, scope, name, given)

    def draw(self) -> int:
        """128 random bits; a rebuilt machine draws the same."""
        self._draws += 1
        text = f"{self.execution.seed}:{self._draws}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16])

    def worked(self, steps: int) -> None:
        """Account for an expression's evaluation."""
        self._work += steps

    def expect(self, task: int, visit: Visit, invoke: Invoke | None = None) -> None:
        """Register a task; with `invoke`, also ask for it."""
        visit.task = task
        self._tasks[task] = (visit, invoke)
        if invoke:
            self._commands.append(invoke)
            self._lighten(visit)

    def set_timer(self, visit: Visit, due_ms: int) -> None:
        """The visit's one timer: a wait, a timeout or the pause before a retry."""
        visit.timer = self._set_timer(due_ms, visit)
        self._lighten(visit)

    def _lighten(self, visit: Visit) -> None:
        """Whoever waits, and thousands may, holds texts alone."""
        for document in (self.input, visit.input, visit.effective):
            document.lighten()

    def set_heartbeat(self, visit: Visit, seconds: int) -> None:
        """A task's second timer; every sign of life winds it up again."""
        visit.heartbeat = (self._set_timer(self.now_ms + seconds * 1000, visit), seconds)

    def _cancel_heartbeat(self, visit: Visit) -> None:
        if visit.heartbeat is not None:
            del self._timers[visit.heartbeat[0]]
            self._commands.append(CancelTimer(visit.heartbeat[0]))
            visit.heartbeat = None

    def _set_timer(self, due_ms: int, visit: Visit | None) -> int:
        self._timer_count += 1
        self._timers[self._timer_count] = (due_ms, visit)
        self._commands.append(SetTimer(self._timer_count, due_ms))
        return self._timer_count

    def cancel_timer(self, visit: Visit) -> None:
        self._cancel_heartbeat(visit)
        if visit.timer is not None:
            del self._timers[visit.timer]
            self._commands.append(CancelTimer(visit.timer))
            visit.timer = None

    def cancel_task(self, visit: Visit) -> None:
        if visit.task is not None:
            _, invoke = self._tasks.pop(visit.task)
            if invoke:
                self._commands.append(CancelTask(visit.task, invoke))
            visit.task = None

    def open(self, block: Block, visit: Visit, fan: Fan, index: int) -> Scope:
        """A new inner scope of a Parallel's or Map's visit."""
        scope = Scope(block, visit.scope.variables.new_child(), fan, index)
        fan.live.append(scope)
        return scope

    def finish(
        self,
        status: Status,
        details_name: str,
        previous: int,
        *,
        output: str | None = None,
        error: str | None = None,
        cause: str | None = None,
    ) -> None:
        """The last event; whatever still runs is cancelled."""
        type_ = f"E{details_name[1:]}"
        truncated = None if output is None else {"truncated": False}
        self.emit(
            type_, previous, details_name, output=output, outputDetails=truncated, error=error, cause=cause
        )
        self.status = status
        self._queue.clear()
        self._commands += [CancelTask(task, invoke) for task, (_, invoke) in self._tasks.items() if invoke]
        self._commands += [CancelTimer(timer) for timer in self._timers]
        self._commands.append(Finish(status, output, error, cause))
        self._tasks.clear()
        self._timers.clear()
