"""A compiled definition: immutable, shared by every execution of the same revision."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .choice import Rule
from .paths import Path
from .query import Payload, Query
from .retry import Catcher, Retrier
from .template import Expression, Template

__all__ = [
    "READER_ARGUMENTS",
    "WRITER_ARGUMENTS",
    "Block",
    "ChoiceState",
    "Distribution",
    "FailState",
    "ItemBatcher",
    "ItemReader",
    "MapState",
    "ParallelState",
    "PassState",
    "Program",
    "Resource",
    "ResultWriter",
    "State",
    "SucceedState",
    "TaskState",
    "WaitState",
    "WorkState",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What all states share. `next` is None where the state ends its block."""

    name: str
    next: str | None = None
    input_path: Path | None
    """None: the state sees {}."""
    output_path: Path | None
    """None: the state's output is {}."""
    jsonata: bool = False
    output: Payload | None = None
    """JSONata only."""
    assign: Template | None = None

    @property
    def type(self) -> str:
        return type(self).__name__.removesuffix("State")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A scope of states: the machine itself, a branch, or an item processor."""

    start_at: str
    states: Mapping[str, State]


@dataclass(frozen=True, slots=True, kw_only=True)
class PassState(State):
    has_result: bool
    result: Any
    parameters: Template | None
    result_path: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitState(State):
    """Exactly one of the four is set."""

    seconds: int | None = None
    timestamp_ms: int | None = None
    seconds_path: Path | Query | None = None
    timestamp_path: Path | Query | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceState(State):
    rules: tuple[Rule, ...]
    default: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SucceedState(State):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class FailState(State):
    error: str | None
    error_path: Expression | Query | None
    cause: str | None
    cause_path: Expression | Query | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkState(State):
    """States that do work: they may be retried, and their errors caught."""

    parameters: Template | None
    result_selector: Template | None
    result_path: Path | None
    retriers: tuple[Retrier, ...]
    catchers: tuple[Catcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Whom a task asks. A bare function has its own events and no envelope around its result.

    An activity asks nobody: a worker takes the task when it likes, under events of its own.
    """

    arn: str
    service: str
    action: str

    @property
    def bare_function(self) -> bool:
        return self.service == "lambda" and not self.action

    @property
    def activity(self) -> bool:
        return self.service == "activity"

    @property
    def waits_for_token(self) -> bool:
        return self.action.endswith(".waitForTaskToken")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState(WorkState):
    resource: Resource
    timeout_s: int | None
    timeout_path: Path | Query | None
    heartbeat_s: int | None
    heartbeat_path: Path | Query | None
    role: Template | None
    """Credentials, {"RoleArn": ...}."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParallelState(WorkState):
    branches: tuple[Block, ...]


READER_ARGUMENTS = {
    "getObject": {"Bucket", "Key", "VersionId", "ExpectedBucketOwner"},
    "listObjectsV2": {"Bucket", "Prefix", "ExpectedBucketOwner"},
}
WRITER_ARGUMENTS = {"Bucket", "Prefix"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemReader:
    """Where a distributed Map finds its items in S3."""

    action: str
    """getObject or listObjectsV2."""
    parameters: Template | None
    input_type: str | None
    """Of the object, or of each object listed or named by a manifest of Athena; MANIFEST for one of S3
    Inventory; None where the listing's entries are the items."""
    athena: bool
    """Whether the object is a manifest of Athena."""
    headers: tuple[str, ...] | None
    """Of a CSV file; None where its first row has them."""
    delimiter: str
    max_items: int | None
    max_items_path: Path | Query | None
    pointer: tuple[str, ...]
    """The names that lead to the array or object in a JSON document."""
    flatten: bool
    """Whether the objects listed are loaded, and what they hold are the items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemBatcher:
    max_items: int | None
    max_items_path: Path | Query | None
    max_bytes: int | None
    max_bytes_path: Path | Query | None
    batch_input: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultWriter:
    parameters: Template | None
    """None: the results stay the state's own."""
    transformation: str
    """NONE, COMPACT or FLATTEN."""
    lines: bool
    """JSON Lines instead of one JSON array."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """What makes a Map distributed: each item, or batch of items, is an execution of its own."""

    label: str | None
    express: bool
    reader: ItemReader | None
    batcher: ItemBatcher | None
    writer: ResultWriter | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MapState(WorkState):
    """`parameters` is the ItemSelector, evaluated once per item."""

    processor: Block
    items_path: Path
    items: Payload | None
    """JSONata only; without it the input is the array."""
    max_concurrency: int
    max_concurrency_path: Path | Query | None
    tolerated_count: int | None
    tolerated_count_path: Path | Query | None
    tolerated_percentage: float | None
    tolerated_percentage_path: Path | Query | None
    distribution: Distribution | None = None
    """None for an inline Map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    root: Block
    timeout_s: int | None
    comment: str | None
