"""An execution rebuilt from any prefix of its journal waits for the same things and ends the same way."""

import contextlib
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.journal import (
    Aborted,
    CancelTask,
    CancelTimer,
    Event,
    Failed,
    Fired,
    Invoke,
    Redriven,
    SetTimer,
    Started,
    Stimulus,
    Succeeded,
    Turn,
    decode_stimuli,
    encode_stimuli,
)
from scones.cloud.asl.machine import Execution, Machine

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:work"
RETRY = [{"ErrorEquals": ["Flaky"], "MaxAttempts": 2, "JitterStrategy": "FULL", "MaxDelaySeconds": 9}]
Journal = list[tuple[int, int, str, str]]
"""(time, steps, stimuli as JSON, events as JSON) of each turn."""


class Author:
    """Writes random definitions; every state's name is its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0

    def block(self, depth: int) -> dict[str, Any]:
        names = [self._name() for _ in range(self._random.randint(1, 3))]
        states = {}
        for name, target in zip(names, [*names[1:], None], strict=True):
            way = {"Next": target} if target else {"End": True}
            states[name] = self._state(depth, names[-1]) | way
        return {"StartAt": names[0], "States": states}

    def _name(self) -> str:
        self._names += 1
        return f"S{self._names}"

    def _state(self, depth: int, last: str) -> dict[str, Any]:
        kinds = ["Pass", "Query", "Wait", "Task", "Task", *(["Parallel", "Map"] if depth < 2 else [])]
        kind = self._random.choice(kinds)
        catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": last, "ResultPath": None}]}
        caught = catch if self._random.random() < 0.3 else {}
        if kind == "Pass":
            return {
                "Type": "Pass",
                "Parameters": {"id.$": "States.UUID()", "n.$": "States.MathRandom(1, 1000)"},
                "ResultPath": "$.made",
                "Assign": {"seen.$": "$.n"},
            }
        if kind == "Query":
            made = "{'made': {'id': $uuid(), 'n': $random(), 'at': $now(), 'ms': $millis()}}"
            return {
                "Type": "Pass",
                "QueryLanguage": "JSONata",
                "Output": f"{{% $merge([$states.input, {made}]) %}}",
                "Assign": {"seen": "{% $shuffle([1..5]) %}"},
            }
        if kind == "Wait":
            return {"Type": "Wait", "Seconds": self._random.randint(0, 5)}
        if kind == "Task":
            retry = {"Retry": RETRY} if self._random.random() < 0.7 else {}
            timeout = {"TimeoutSeconds": 3} if self._random.random() < 0.5 else {}
            work = {"Type": "Task", "Resource": FUNCTION, "ResultPath": "$.did"}
            return work | retry | timeout | caught
        if kind == "Parallel":
            branches = [self.block(depth + 1) for _ in range(self._random.randint(1, 3))]
            return {"Type": "Parallel", "Branches": branches, "ResultPath": "$.all"} | caught
        return {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"items.$": "$.items", "me.$": "$$.Map.Item.Index"},
            "MaxConcurrency": self._random.randint(0, 2),
            "ItemProcessor": self.block(depth + 1),
            "ResultPath": "$.each",
        } | caught


def machine(definition: str) -> Machine:
    execution = Execution(
        arn="arn:aws:states:us-east-1:000000000000:execution:m:e",
        name="e",
        role_arn="arn:aws:iam::000000000000:role/r",
        machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:m",
        machine_name="m",
        region="us-east-1",
        input='{"items": [1, 2, 3]}',
        seed="5eed",
    )
    return Machine(compile_definition(definition), execution)


class World:
    """Answers tasks and fires timers in a random but repeatable order; keeps the journal."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._waiting: dict[int, Invoke] = {}
        self._timers: dict[int, int] = {}
        self.now = 1_700_000_000_000
        self.journal: Journal = []

    def run(
        self, runner: Machine, after: Callable[[], None] = lambda: None, turns: int = 130, redrives: int = 2
    ) -> None:
        """To the end, and on from there where it is no success; each time within so many turns."""
        self._attempt(runner, Started(), after, turns)
        while redrives and runner.status != "SUCCEEDED":
            redrives -= 1
            self.now += 1000
            self._attempt(runner, Redriven(), after, turns)

    def _attempt(self, runner: Machine, first: Stimulus, after: Callable[[], None], turns: int) -> None:
        stimuli = [first]
        limit = self._random.choice([turns, turns, self._random.randint(1, 12)])
        while limit and (stimuli[:1] == [first] or runner.status == "RUNNING"):
            limit -= 1
            turn = runner.feed(stimuli, self.now, self._random.choice([1, 3, 256]))
            self._keep(turn)
            after()
            stimuli = [] if runner.busy and self._random.random() < 0.7 else self._next()
            if not limit:
                stimuli = [Aborted("Enough", None)]
        if runner.status == "RUNNING":
            self._keep(runner.feed(stimuli, self.now))
            after()

    def _keep(self, turn: Turn) -> None:
        stimuli, events = json.dumps(encode_stimuli(turn)), json.dumps(turn.events)
        self.journal.append((self.now, turn.steps, stimuli, events))
        for command in turn.commands:
            if isinstance(command, Invoke):
                self._waiting[command.task] = command
            elif isinstance(command, CancelTask) and self._random.random() < 0.5:
                self._waiting.pop(command.task, None)  # else its answer comes late
            elif isinstance(command, SetTimer):
                self._timers[command.timer] = command.due_ms
            elif isinstance(command, CancelTimer):
                self._timers.pop(command.timer, None)

    def _next(self) -> list[Stimulus]:
        if self._waiting and (not self._timers or self._random.random() < 0.6):
            task = self._random.choice(sorted(self._waiting))
            del self._waiting[task]
            self.now += self._random.randint(0, 2000)
            if self._random.random() < 0.3:
                return [Failed(task, self._random.choice(["Flaky", "Broken"]), '{"why": "because"}')]
            return [Succeeded(task, '{"ok": true}')]
        if not self._timers:
            return []
        self.now = max(self.now, min(self._timers.values()))
        due = [timer for timer, instant in self._timers.items() if instant <= self.now]
        for timer in due:
            del self._timers[timer]
        return [Fired(timer) for timer in due]


def replay(definition: str, journal: Journal) -> tuple[Machine, list[Event]]:
    rebuilt, events = machine(definition), []
    for now, steps, stimuli, kept in journal:
        events += rebuilt.feed(decode_stimuli(json.loads(stimuli), json.loads(kept)), now, steps).events
    return rebuilt, events


def standing(runner: Machine) -> tuple[Any, ...]:
    return runner.status, runner.event_count, runner.busy, sorted(map(repr, runner.pending()))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(author=st.integers(0, 10**6), world=st.integers(0, 10**6))
def test_any_prefix_of_a_run_rebuilds_to_the_same_commands_and_history(author: int, world: int) -> None:
    definition = json.dumps(Author(author).block(0))
    original, there = machine(definition), World(world)
    standings: list[Any] = []
    there.run(original, lambda: standings.append(standing(original)))
    history = [event for *_, events in there.journal for event in json.loads(events)]
    for length in range(1, len(there.journal) + 1):
        rebuilt, events = replay(definition, there.journal[:length])
        assert standing(rebuilt) == standings[length - 1]
        assert events == history[: len(events)]
    _, events = replay(definition, there.journal)
    assert events == history
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    assert all(0 <= event["previousEventId"] < event["id"] for event in history)
    entries = [
        (event["previousEventId"], event["stateEnteredEventDetails"]["name"])
        for event in history
        if event["type"].endswith("StateEntered")
    ]
    assert len(entries) == len(set(entries)), "a redrive enters no state again"


@settings(max_examples=30, deadline=None)
@given(author=st.integers(0, 10**6), world=st.integers(0, 10**6))
def test_a_finished_run_waits_for_nothing_and_ends_with_its_last_event(author: int, world: int) -> None:
    definition = json.dumps(Author(author).block(0))
    runner, there = machine(definition), World(world)
    there.run(runner)
    assert runner.status != "RUNNING"
    assert runner.pending() == []
    last = json.loads(there.journal[-1][3])[-1]
    assert last["type"].startswith("Execution")


# Hostile definitions --------------------------------------------------------------------------------

FIELD_NAMES = (
    "StartAt States Type Next End Choices Default Variable And Not StringEquals IsPresent Result ResultPath"
    " InputPath OutputPath Parameters a.$ Assign Retry Catch ErrorEquals Branches ItemProcessor Iterator"
    " ItemsPath Seconds Timestamp SecondsPath Resource TimeoutSeconds Error ErrorPath Cause BackoffRate"
    " MaxAttempts IntervalSeconds ProcessorConfig Mode Credentials QueryLanguage Comment A B"
)
TELLING = (
    "A B Pass Task Choice Wait Map Parallel Succeed Fail $ $.a $$ $$.x $v $.a[ States.UUID() States.Format("
    " arn:aws:states:::lambda:invoke JSONata JSONPath INLINE DISTRIBUTED 2020-01-01T00:00:00Z States.ALL"
)
FIELDS = st.sampled_from(FIELD_NAMES.split())
WORDS = st.sampled_from(TELLING.split())
LEAVES = (
    WORDS
    | st.none()
    | st.booleans()
    | st.integers(-3, 10**20)
    | st.floats(allow_nan=False)
    | st.text(max_size=4)
)
JUNK = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=5),
    max_leaves=25,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    states=st.dictionaries(
        st.sampled_from(["A", "B"]), st.dictionaries(FIELDS, JUNK, max_size=6), max_size=2
    ),
    top=st.dictionaries(FIELDS, JUNK, max_size=3),
)
def test_a_broken_definition_is_refused_and_never_crashes(states: Any, top: Any) -> None:
    text = json.dumps({"StartAt": "A", "States": states} | top)
    with contextlib.suppress(DefinitionError):
        compile_definition(text)


@pytest.mark.parametrize(
    "text", ["", " ", "[]", "null", "1", "{", '{"a": NaN}', "[" * 5000, '{"a":' * 900 + "1" + "}" * 900]
)
def test_a_text_that_is_no_definition_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError):
        compile_definition(text)
