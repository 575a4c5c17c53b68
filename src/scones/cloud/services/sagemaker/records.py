"""What SageMaker remembers, and the moves its statuses may make. No SQL, no files, no clock.

Every change of a status goes through `TrainingJob.advance` or `Endpoint.advance`, and these obey
the tables here.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Self

import orjson

from scones.cloud.ports import Wire
from scones.cloud.state.db import Row

__all__ = [
    "ENDPOINT_MOVES",
    "JOB_MOVES",
    "Deployment",
    "Endpoint",
    "EndpointStatus",
    "IllegalTransitionError",
    "ModelSource",
    "Phase",
    "Resource",
    "TrainingJob",
    "Transition",
    "VariantSpec",
    "millis",
    "moment",
]


class IllegalTransitionError(Exception):
    """A bug of ours: a status was to make a move that its table lacks."""


def moment(milliseconds: int) -> datetime:
    seconds, rest = divmod(milliseconds, 1000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest * 1000)


def millis(time: datetime) -> int:
    return round(time.timestamp() * 1000)


class Phase(Enum):
    """Where a training job is: TrainingJobStatus, SecondaryStatus, and the transition's message."""

    STARTING = ("InProgress", "Starting", "Starting the training job")
    WAITING = ("InProgress", "Pending", "Training job waiting for capacity")
    PREPARING = ("InProgress", "Pending", "Preparing the instances for training")
    DOWNLOADING = ("InProgress", "Downloading", "Downloading input data")
    FETCHING = ("InProgress", "Downloading", "Downloading the training image")
    TRAINING = ("InProgress", "Training", "Training image download completed. Training in progress.")
    RESTARTING = ("InProgress", "Restarting", "Restarting the training job")
    UPLOADING = ("InProgress", "Uploading", "Uploading generated training model")
    COMPLETED = ("Completed", "Completed", "Training job completed")
    FAILED = ("Failed", "Failed", "Training job failed")
    STOPPING = ("Stopping", "Stopping", "Stopping the training job")
    UPLOADING_STOPPED = ("Stopping", "Uploading", "Uploading generated training model")
    STOPPED = ("Stopped", "Stopped", "Training job stopped")
    OUT_OF_TIME = (
        "Stopped",
        "MaxRuntimeExceeded",
        "Training job runtime exceeded MaxRuntimeInSeconds provided",
    )

    def __init__(self, status: str, secondary: str, message: str) -> None:
        self.status = status
        self.secondary = secondary
        self.message = message

    @property
    def final(self) -> bool:
        return not JOB_MOVES[self]


def _moves(*phases: Phase) -> frozenset[Phase]:
    return frozenset(phases)


_RUNNING = _moves(Phase.RESTARTING, Phase.STOPPING, Phase.FAILED)
JOB_MOVES: dict[Phase, frozenset[Phase]] = {
    Phase.STARTING: _moves(Phase.WAITING),
    Phase.WAITING: _moves(Phase.PREPARING, Phase.STOPPING, Phase.FAILED),
    Phase.PREPARING: _moves(Phase.DOWNLOADING) | _RUNNING,
    Phase.DOWNLOADING: _moves(Phase.FETCHING) | _RUNNING,
    Phase.FETCHING: _moves(Phase.TRAINING) | _RUNNING,
    Phase.TRAINING: _moves(Phase.UPLOADING) | _RUNNING,
    Phase.RESTARTING: _moves(Phase.WAITING),
    Phase.UPLOADING: _moves(Phase.COMPLETED, Phase.UPLOADING_STOPPED, Phase.FAILED),
    Phase.COMPLETED: _moves(),
    Phase.FAILED: _moves(),
    Phase.STOPPING: _moves(Phase.UPLOADING_STOPPED, Phase.STOPPED, Phase.OUT_OF_TIME, Phase.FAILED),
    Phase.UPLOADING_STOPPED: _moves(Phase.STOPPED, Phase.OUT_OF_TIME, Phase.FAILED),
    Phase.STOPPED: _moves(),
    Phase.OUT_OF_TIME: _moves(),
}


@dataclass(frozen=True, slots=True)
class Transition:
    phase: Phase
    started: int
    ended: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """One training job. Times are milliseconds since the epoch; `request` is CreateTrainingJob's."""

    name: str
    arn: str
    request: Wire
    phase: Phase
    created: int
    modified: int
    log_stream: str
    outcome: Phase | None = None
    transitions: tuple[Transition, ...] = ()
    metrics: tuple[tuple[str, float, int], ...] = ()
    failure_reason: str | None = None
    attempt: int = 0
    has_model: bool = False
    started: int | None = None
    ended: int | None = None

    def advance(self, phase: Phase, now: int, **changes: Any) -> Self:
        """The job after a legal move at `now`; raises IllegalTransitionError for any other."""
        if phase not in JOB_MOVES[self.phase]:
            raise IllegalTransitionError(f"training job {self.name}: {self.phase.name} -> {phase.name}")
        *earlier, last = self.transitions
        transitions = (
            *earlier,
            replace(last, ended=now),
            Transition(phase, now, now if phase.final else None),
        )
        if phase.final:
            changes["ended"] = now
        return replace(self, phase=phase, modified=now, transitions=transitions, **changes)

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            name=row["name"],
            arn=row["arn"],
            request=orjson.loads(row["request"]),
            phase=Phase[row["phase"]],
            outcome=Phase[row["outcome"]] if row["outcome"] else None,
            transitions=tuple(Transition(Phase[p], s, e) for p, s, e in orjson.loads(row["transitions"])),
            metrics=tuple((name, value, at) for name, value, at in orjson.loads(row["metrics"])),
            failure_reason=row["failure_reason"],
            attempt=row["attempt"],
            log_stream=row["log_stream"],
            has_model=bool(row["has_model"]),
            created=row["created"],
            modified=row["modified"],
            started=row["started"],
            ended=row["ended"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A model or an endpoint configuration: a request under a name."""

    name: str
    arn: str
    request: Wire
    created: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            name=row["name"],
            arn=row["arn"],
            request=orjson.loads(row["request"]),
            created=row["created"],
        )


class EndpointStatus(StrEnum):
    CREATING = "Creating"
    IN_SERVICE = "InService"
    UPDATING = "Updating"
    FAILED = "Failed"
    DELETING = "Deleting"


ENDPOINT_MOVES: dict[EndpointStatus, frozenset[EndpointStatus]] = {
    EndpointStatus.CREATING: frozenset({EndpointStatus.IN_SERVICE, EndpointStatus.FAILED}),
    EndpointStatus.IN_SERVICE: frozenset({EndpointStatus.UPDATING, EndpointStatus.DELETING}),
    EndpointStatus.UPDATING: frozenset({EndpointStatus.IN_SERVICE}),
    EndpointStatus.FAILED: frozenset({EndpointStatus.DELETING}),
    EndpointStatus.DELETING: frozenset(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSource:
    """Where a model's files lie: one .tar.gz, or with `archive` false all that a prefix holds."""

    url: str
    archive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantSpec:
    """All that is needed to serve one variant, so that its model and config may be deleted."""

    name: str
    model: str
    image: str
    environment: dict[str, str]
    source: ModelSource | None
    instances: int
    weight: float
    startup_timeout_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One generation of an endpoint; `generation` also names its folder."""

    generation: str
    config: str
    variants: tuple[VariantSpec, ...]
    capture: Wire | None
    since: int

    def dump(self) -> str:
        return orjson.dumps(self).decode()

    @classmethod
    def load(cls, text: str) -> Self:
        data = orjson.loads(text)
        variants = []
        for spec in data.pop("variants"):
            source = spec.pop("source")
            variants.append(VariantSpec(**spec, source=ModelSource(**source) if source else None))
        return cls(**data, variants=tuple(variants))


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    name: str
    arn: str
    status: EndpointStatus
    created: int
    modified: int
    deployment: Deployment | None = None
    pending: Deployment | None = None
    failure_reason: str | None = None

    def advance(self, status: EndpointStatus, now: int, **changes: Any) -> Self:
        """The endpoint after a legal move at `now`; raises IllegalTransitionError for any other."""
        if status not in ENDPOINT_MOVES[self.status]:
            raise IllegalTransitionError(f"endpoint {self.name}: {self.status} -> {status}")
        return replace(self, status=status, modified=now, **changes)

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(
            name=row["name"],
            arn=row["arn"],
            status=EndpointStatus(row["status"]),
            deployment=Deployment.load(row["deployment"]) if row["deployment"] else None,
            pending=Deployment.load(row["pending"]) if row["pending"] else None,
            failure_reason=row["failure_reason"],
            created=row["created"],
            modified=row["modified"],
        )
