"""What an execution was, without what differs between two clouds; and what its tasks did, run by run."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["Run", "Story", "assert_each_ran_as_told", "read_runs"]

_NOISE = {
    "BillingDetails", "ExecutionArn", "mapRunArn", "Name", "Output", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate",
    "StopDate", "requestId", "stackTrace", "token", "workerName",
}  # fmt: skip
"""Identifiers, instants and whatever a seed went into; `Output` is told again by the nested execution."""
_ANY_PARENT = (
    "ParallelStateSucceeded", "ParallelStateExited", "MapStateSucceeded", "MapStateExited",
    "MapIterationStarted",
)  # fmt: skip
"""Their parent is whichever branch or item came last."""
_CLOCKS_MS = 5


@dataclass(frozen=True, slots=True)
class Story:
    """One execution as the API tells it."""

    description: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def machine(self) -> str:
        return str(self.description["stateMachineArn"].rpartition(":")[2])

    def mapped(self) -> bool:
        """Whether it has map runs, and so executions of its own making."""
        return any(event["type"] == "MapRunStarted" for event in self.events)

    def outcome(self) -> dict[str, Any]:
        told = ("status", "input", "output", "error", "cause")
        return {name: _clean(self.description.get(name)) for name in told}

    def history(self) -> "Counter[str]":
        """The events, each with what it followed from, in no order."""
        told = {event["id"]: _told(event) for event in self.events} | {0: "nothing"}
        return Counter(
            f"{told[event['id']]} after "
            + ("any" if event["type"] in _ANY_PARENT else told[event["previousEventId"]])
            for event in self.events
        )

    def tasks(self) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Of each run of a function: who it says it is, and the event that tells how it ended."""
        after = {event["previousEventId"]: event for event in self.events if _of_task(event)}
        for event in self.events:
            given = _given(event)
            if given is not None:
                started = after.get(event["id"], {"id": -1})
                yield given["who"], after.get(started["id"])

    def waits(self) -> Iterator[tuple[float, float]]:
        """The instants at which Wait states were entered and left, in seconds."""
        last: dict[int, dict[str, Any]] = {event["id"]: event for event in self.events}
        for event in self.events:
            if event["type"] == "WaitStateExited":
                entered = last[event["previousEventId"]]
                yield entered["timestamp"].timestamp(), event["timestamp"].timestamp()


def _of_task(event: dict[str, Any]) -> bool:
    return str(event["type"]).startswith(("LambdaFunction", "Task"))


def _given(event: dict[str, Any]) -> dict[str, Any] | None:
    """What a function was sent, if the event schedules one."""
    given: dict[str, Any]
    if event["type"] == "LambdaFunctionScheduled":
        given = json.loads(event["lambdaFunctionScheduledEventDetails"]["input"])
        return given
    details = event.get("taskScheduledEventDetails")
    if details is None or details["resourceType"] != "lambda":
        return None
    given = json.loads(details["parameters"])["Payload"]
    return given


def _told(event: dict[str, Any]) -> str:
    details = [value for name, value in event.items() if name.endswith("Details")]
    return f"{event['type']} {json.dumps(_clean(details), sort_keys=True)}"


def _clean(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _clean(item) for name, item in value.items() if name not in _NOISE}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, str) and value[:1] in ("{", "["):
        return _clean(json.loads(value))
    return value


# What ran -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Run:
    who: str
    at: float


def read_runs(path: Path) -> list[Run]:
    return [Run(line["text"], line["at"]) for line in map(json.loads, path.read_text().splitlines())]


def assert_each_ran_as_told(stories: list[Story], runs: list[Run], deaths: list[float]) -> None:
    """A finished task ran and ran no more; only a kill made a task run again.

    deaths: instants at which the cloud was dead. An EXPRESS execution inside may have its tasks run
    once for each time it was asked for, as on AWS.
    """
    ran: dict[str, list[float]] = defaultdict(list)
    for run in runs:
        ran[run.who].append(run.at)
    seen: set[str] = set()
    for story in stories:
        for who, end in story.tasks():
            assert who not in seen, f"{who} stands in two places"
            seen.add(who)
            times = ran.get(who, [])
            for first, second in pairwise(times):
                assert any(first < death <= second for death in deaths), f"{who} ran twice in one life"
            if end is not None and not end["type"].endswith("TimedOut"):
                assert times, f"{who} ended without a run"
                over = end["timestamp"].timestamp() + _CLOCKS_MS / 1000
                assert times[-1] <= over, f"{who} ran again after it had ended"
    unknown = {who for who in ran if ":X:" not in who} - seen
    assert not unknown, f"no history tells of {sorted(unknown)[:5]}"
