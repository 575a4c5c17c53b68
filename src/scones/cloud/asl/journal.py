"""What goes into a machine (stimuli), what comes out of it (events, commands), and how a turn is kept.

A turn's stimuli, time and number of steps are all a rebuilt machine needs to go the same way again.
Texts that the turn's own events hold are not stored twice: a result is kept as its event's id.
"""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = [
    "Aborted",
    "Beat",
    "CancelTask",
    "CancelTimer",
    "Command",
    "Event",
    "Failed",
    "Finish",
    "Fired",
    "Halted",
    "Invoke",
    "Mapped",
    "Missing",
    "Queued",
    "Redriven",
    "SetTimer",
    "Started",
    "Status",
    "Stimulus",
    "Submitted",
    "Succeeded",
    "Taken",
    "Turn",
    "decode_stimuli",
    "encode_stimuli",
]

Event = dict[str, Any]
"""One event of GetExecutionHistory; `timestamp` is in milliseconds since the epoch."""

Status = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


@dataclass(frozen=True, slots=True)
class Started:
    """The execution begins."""


@dataclass(frozen=True, slots=True)
class Succeeded:
    """A task gave a result: a JSON text."""

    task: int
    output: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A task failed."""

    task: int
    error: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The service has taken a task whose outcome comes later; its reply, a JSON text."""

    task: int
    output: str


@dataclass(frozen=True, slots=True)
class Beat:
    """A worker tells that it is still at its task."""

    task: int


@dataclass(frozen=True, slots=True)
class Queued:
    """The activity of a task is there: workers may take the task from now on."""

    task: int


@dataclass(frozen=True, slots=True)
class Missing:
    """The activity of a task is not there."""

    task: int


@dataclass(frozen=True, slots=True)
class Taken:
    """A worker has taken the task of an activity."""

    task: int
    worker: str | None


@dataclass(frozen=True, slots=True)
class Mapped:
    """A map run has done with its items; no event tells the result."""

    task: int
    output: str | None
    """JSON text; None where it is too large for a state."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A timer's instant has come."""

    timer: int


@dataclass(frozen=True, slots=True)
class Aborted:
    """Someone stops the execution."""

    error: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class Halted:
    """An internal error ends the execution."""

    cause: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """Someone has an execution that ended without success go on where it stood."""


Stimulus = (
    Started
    | Succeeded
    | Failed
    | Submitted
    | Beat
    | Queued
    | Missing
    | Taken
    | Mapped
    | Fired
    | Aborted
    | Halted
    | Redriven
)


@dataclass(frozen=True, slots=True)
class Invoke:
    """Ask a service; answer with Succeeded or Failed under the same task id."""

    task: int
    service: str
    action: str
    """Empty for a bare function, whose ARN is `resource`."""
    resource: str
    parameters: str
    """JSON text."""
    submitted: str = ""
    """The service's reply, once it has taken a task whose outcome comes later; how far an activity's is."""

    @property
    def operation(self) -> str:
        """The action without its integration pattern."""
        return self.action.partition(".")[0]

    @property
    def pattern(self) -> str:
        """`sync`, `sync:2`, `waitForTaskToken`, or empty: the service's reply is the result."""
        return self.action.partition(".")[2]


@dataclass(frozen=True, slots=True)
class CancelTask:
    """Nobody waits for the task any more."""

    task: int
    invoke: Invoke
    """What was asked, and how far it was."""


@dataclass(frozen=True, slots=True)
class SetTimer:
    timer: int
    due_ms: int
    """Milliseconds since the epoch: a restart does not move it."""


@dataclass(frozen=True, slots=True)
class CancelTimer:
    timer: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The execution is over."""

    status: Status
    output: str | None
    error: str | None
    cause: str | None


Command = Invoke | CancelTask | SetTimer | CancelTimer | Finish


@dataclass(frozen=True, slots=True)
class Turn:
    """What one feeding made. Journal it whole before performing its commands."""

    stimuli: list[tuple[Stimulus, int]]
    """Those that were taken, each with the id of the first event it caused (0: none)."""
    events: list[Event]
    commands: list[Command]
    steps: int


def encode_stimuli(turn: Turn) -> list[list[Any]]:
    """JSON values for the journal."""
    return [[*_encode(stimulus), event] for stimulus, event in turn.stimuli]


def _encode(stimulus: Stimulus) -> tuple[Any, ...]:
    match stimulus:
        case Started():
            return ("started", 0)
        case Succeeded(task):
            return ("succeeded", task)
        case Failed(task):
            return ("failed", task)
        case Submitted(task):
            return ("submitted", task)
        case Beat(task):
            return ("beat", task)
        case Queued(task):
            return ("queued", task)
        case Missing(task):
            return ("missing", task)
        case Taken(task):
            return ("taken", task)
        case Mapped(task, output):
            return ("mapped", [task, output])
        case Fired(timer):
            return ("fired", timer)
        case Aborted():
            return ("aborted", 0)
        case Halted():
            return ("halted", 0)
        case Redriven():
            return ("redriven", 0)


def decode_stimuli(encoded: list[list[Any]], events: list[Event]) -> list[Stimulus]:
    """The stimuli again, their texts taken from the same turn's events."""
    by_id = {event["id"]: event for event in events}
    return [_decode(kind, subject, _details(by_id.get(event))) for kind, subject, event in encoded]


def _details(event: Event | None) -> dict[str, Any]:
    for key, value in (event or {}).items():
        if key.endswith("EventDetails"):
            details: dict[str, Any] = value
            return details
    return {}


def _decode(kind: str, subject: Any, details: dict[str, Any]) -> Stimulus:
    if kind == "started":
        return Started()
    if kind == "succeeded":
        return Succeeded(subject, details["output"])
    if kind == "failed":
        return Failed(subject, details.get("error"), details.get("cause"))
    if kind == "submitted":
        return Submitted(subject, details["output"])
    if kind == "beat":
        return Beat(subject)
    if kind == "queued":
        return Queued(subject)
    if kind == "missing":
        return Missing(subject)
    if kind == "taken":
        return Taken(subject, details.get("workerName"))
    if kind == "mapped":
        task, output = subject
        return Mapped(task, output)
    if kind == "fired":
        return Fired(subject)
    if kind == "halted":
        return Halted(details["cause"])
    if kind == "redriven":
        return Redriven()
    return Aborted(details.get("error"), details.get("cause"))
