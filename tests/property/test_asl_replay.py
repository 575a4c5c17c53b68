"""An execution rebuilt from any prefix of its journal waits for the same things and ends the same way."""

import contextlib
import json
import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.journal import (
    Aborted,
    Beat,
    CancelTask,
    CancelTimer,
    Command,
    Event,
    Failed,
    Fired,
    Invoke,
    Missing,
    Queued,
    Redriven,
    SetTimer,
    Started,
    Stimulus,
    Submitted,
    Succeeded,
    Taken,
    Turn,
    decode_stimuli,
    encode_stimuli,
)
from scones.cloud.asl.machine import Execution, Machine

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:work"
ACTIVITY = "arn:aws:states:us-east-1:000000000000:activity:work"
RESOURCES = [
    FUNCTION,
    ACTIVITY,
    "arn:aws:states:::lambda:invoke",
    "arn:aws:states:::lambda:invoke.waitForTaskToken",
    "arn:aws:states:::sns:publish.waitForTaskToken",
    "arn:aws:states:::states:startExecution",
    "arn:aws:states:::states:startExecution.sync:2",
    "arn:aws:states:::sagemaker:createTrainingJob.sync",
    "arn:aws:states:::aws-sdk:s3:listBuckets",
]
RETRY = [{"ErrorEquals": ["Flaky"], "MaxAttempts": 2, "JitterStrategy": "FULL", "MaxDelaySeconds": 9}]
Journal = list[tuple[int, int, str, str]]
"""(time, steps, stimuli as JSON, events as JSON) of each turn."""


EVENT_TYPES = {
    f"{kind}State{what}" for kind in ("Choice", "Map", "Parallel", "Pass", "Task", "Wait")
    for what in ("Entered", "Exited")
} | {
    f"{subject}{what}" for subject in ("Activity", "LambdaFunction", "Task")
    for what in ("Scheduled", "Started", "Succeeded", "Failed", "TimedOut")
} | {f"{kind}State{what}" for kind in ("Map", "Parallel") for what in ("Started", "Succeeded", "Failed")} | {
    f"{kind}StateAborted" for kind in ("Map", "Parallel", "Task", "Wait")
} | {f"MapIteration{what}" for what in ("Started", "Succeeded", "Failed", "Aborted")} | {
    f"Execution{what}" for what in ("Started", "Succeeded", "Failed", "TimedOut", "Aborted", "Redriven")
} | {"EvaluationFailed", "FailStateEntered", "SucceedStateEntered", "SucceedStateExited", "TaskSubmitted"}  # fmt: skip
"""All that a machine can emit."""


class Author:
    """Writes random definitions; every state's name is its own."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0

    def definition(self) -> str:
        limit = {"TimeoutSeconds": self._random.randint(5, 200)} if self._chance(0.3) else {}
        return json.dumps(self.block(0) | limit)

    def _chance(self, share: float) -> bool:
        return self._random.random() < share

    def block(self, depth: int) -> dict[str, Any]:
        names = [self._name() for _ in range(self._random.randint(3, 6))]
        states = {name: self._state(depth, names[-1]) for name in names[:-1]}
        for name, target in pairwise(names):
            if states[name]["Type"] == "Choice":
                states[name]["Default"] = target
            else:
                states[name]["Next"] = target
        ends: list[dict[str, Any]] = [{"Type": "Succeed"}, {"Type": "Pass", "End": True}]
        fails = {"Type": "Fail", "Error": "Ended", "CausePath": "States.JsonToString($)"}
        states[names[-1]] = fails if self._chance(0.15) else self._random.choice(ends)
        return {"StartAt": names[0], "States": states}

    def _name(self) -> str:
        self._names += 1
        return f"S{self._names}"

    def _state(self, depth: int, last: str) -> dict[str, Any]:
        makers = [self._pass, self._query, self._choice, self._wait, self._task, self._task, self._query_task]
        if depth < 2:
            makers += [self._parallel, self._map]
        maker = self._random.choice(makers)
        return maker(depth, last)

    def _caught(self, last: str) -> dict[str, Any]:
        catcher = {"ErrorEquals": ["States.ALL"], "Next": last, "ResultPath": "$.caught"}
        return {"Catch": [catcher | {"Assign": {"why.$": "$.Error"}}]} if self._chance(0.4) else {}

    def _pass(self, depth: int, last: str) -> dict[str, Any]:
        return {
            "Type": "Pass",
            "Parameters": {"id.$": "States.UUID()", "n.$": "States.MathRandom(1, 1000)"},
            "ResultPath": "$.made",
            "Assign": {"seen.$": "$.n"},
        }

    def _query(self, depth: int, last: str) -> dict[str, Any]:
        made = "{'made': {'id': $uuid(), 'n': $random(), 'at': $now(), 'ms': $millis()}}"
        broken = "$lowercase(5)" if self._chance(0.1) else made
        return {
            "Type": "Pass",
            "QueryLanguage": "JSONata",
            "Output": f"{{% $merge([$states.input, {broken}]) %}}",
            "Assign": {"seen": "{% $shuffle([1..5]) %}"},
        }

    def _choice(self, depth: int, last: str) -> dict[str, Any]:
        if self._chance(0.5):
            rule = {"Condition": "{% $random() < 0.2 %}", "Next": last, "Assign": {"chosen": "{% $uuid() %}"}}
            return {"Type": "Choice", "QueryLanguage": "JSONata", "Choices": [rule]}
        return {"Type": "Choice", "Choices": [{"Variable": "$.made.n", "IsPresent": True, "Next": last}]}

    def _wait(self, depth: int, last: str) -> dict[str, Any]:
        ways: list[dict[str, Any]] = [
            {"Seconds": self._random.randint(0, 5)},
            {"SecondsPath": "$.seconds"},
            {"Timestamp": "2023-11-14T22:13:25Z"},  # five seconds after the beginning
            {"Seconds": "{% $round($random() * 5) %}", "QueryLanguage": "JSONata"},
        ]
        return {"Type": "Wait"} | self._random.choice(ways)

    def _limits(self, resource: str) -> dict[str, Any]:
        limits = {"TimeoutSeconds": 9} if self._chance(0.5) else {}
        return limits | ({"HeartbeatSeconds": 3} if self._chance(0.5) else {})

    def _task(self, depth: int, last: str) -> dict[str, Any]:
        resource = self._random.choice(RESOURCES)
        sent: dict[str, Any] = (
            {"Token.$": "$$.Task.Token"} if resource.endswith("Token") else {"id.$": "States.UUID()"}
        )
        if "sns:" in resource:
            sent = {"TopicArn": "arn:aws:sns:us-east-1:000000000000:t", "Message": sent}
        elif "lambda:invoke" in resource:
            sent = {"FunctionName": "work", "Payload": sent}
        elif "startExecution" in resource:
            machine = "arn:aws:states:us-east-1:000000000000:stateMachine:other"
            sent = {"StateMachineArn": machine, "Input": sent}
        elif "sagemaker" in resource:
            sent = {"TrainingJobName.$": "States.UUID()"}
        elif "s3" in resource:
            sent = {}
        retry = {"Retry": RETRY} if self._chance(0.7) else {}
        work = {"Type": "Task", "Resource": resource, "Parameters": sent, "ResultPath": "$.did"}
        return work | retry | self._limits(resource) | self._caught(last)

    def _query_task(self, depth: int, last: str) -> dict[str, Any]:
        catcher = {"ErrorEquals": ["States.ALL"], "Next": last, "Output": "{% $states.errorOutput %}"}
        resource = self._random.choice([FUNCTION, ACTIVITY])
        return {
            "Type": "Task",
            "QueryLanguage": "JSONata",
            "Resource": resource,
            "Arguments": {"id": "{% $uuid() %}", "attempt": "{% $states.context.State.RetryCount %}"},
            "Output": "{% $merge([$states.input, {'did': $states.result, 'n': $random()}]) %}",
            "Retry": RETRY,
            "Catch": [catcher],
        } | self._limits(resource)

    def _parallel(self, depth: int, last: str) -> dict[str, Any]:
        branches = [self.block(depth + 1) for _ in range(self._random.randint(1, 3))]
        retry = {"Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}]} if self._chance(0.2) else {}
        whole = {"Type": "Parallel", "Branches": branches, "ResultPath": "$.all"}
        return whole | retry | self._caught(last)

    def _map(self, depth: int, last: str) -> dict[str, Any]:
        width = {"MaxConcurrency": self._random.randint(0, 2)}
        return {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {
                "items.$": "$.items", "seconds.$": "$.seconds", "me.$": "$$.Map.Item.Index",
                "id.$": "States.UUID()",
            },
            "ItemProcessor": self.block(depth + 1),
            "ResultPath": "$.each",
        } | (width if self._chance(0.7) else {"MaxConcurrencyPath": "$.seconds"}) | self._caught(last)  # fmt: skip


def machine(definition: str) -> Machine:
    execution = Execution(
        arn="arn:aws:states:us-east-1:000000000000:execution:m:e",
        name="e",
        role_arn="arn:aws:iam::000000000000:role/r",
        machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:m",
        machine_name="m",
        region="us-east-1",
        input='{"items": [1, 2, 3], "seconds": 2}',
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
        self.commands: list[list[Command]] = []

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
            if not limit or (not runner.busy and not stimuli) or self._random.random() < 0.01:
                stimuli = [Aborted("Enough", self._random.choice([None, "why"]))]
        if runner.status == "RUNNING":
            self._keep(runner.feed(stimuli, self.now))
            after()

    def _keep(self, turn: Turn) -> None:
        stimuli, events = json.dumps(encode_stimuli(turn)), json.dumps(turn.events)
        self.journal.append((self.now, turn.steps, stimuli, events))
        self.commands.append(turn.commands)
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
            self.now += self._random.randint(0, 2000)
            return [self._word(self._random.choice(sorted(self._waiting)))]
        if not self._timers:
            return []
        self.now = max(self.now, min(self._timers.values()))
        due = [timer for timer, instant in self._timers.items() if instant <= self.now]
        for timer in due:
            del self._timers[timer]
        return [Fired(timer) for timer in due]

    def _word(self, task: int) -> Stimulus:
        """What is told of a task next: a step of an activity or of a callback, or its outcome."""
        invoke, lot = self._waiting[task], self._random.random()
        if invoke.service == "activity" and not invoke.submitted:
            if lot < 0.1:
                del self._waiting[task]
            return Missing(task) if lot < 0.1 else Queued(task)
        if invoke.service == "activity" and invoke.submitted == "queued":
            return Taken(task, self._random.choice([None, "worker"]))
        if lot < 0.2:
            return Beat(task)
        if invoke.pattern and not invoke.submitted and lot < 0.9:
            return Submitted(task, '{"taken": true}')
        del self._waiting[task]
        if lot > 0.7:
            error = self._random.choice(["Flaky", "Flaky", "Broken", "Long" * 99, None])
            return Failed(task, error, self._random.choice([None, "", '{"why": "because"}']))
        return Succeeded(task, self._random.choice(['{"ok": true}', '"text \\u00e9 \u00e9"', "null", "1e2"]))


def replay(definition: str, journal: Journal) -> tuple[Machine, list[Event], list[list[Command]]]:
    """The machine rebuilt, the events it made on the way, and the commands of each turn."""
    rebuilt, events, commands = machine(definition), [], []
    for now, steps, stimuli, kept in journal:
        turn = rebuilt.feed(decode_stimuli(json.loads(stimuli), json.loads(kept)), now, steps)
        events += turn.events
        commands.append(turn.commands)
    return rebuilt, events, commands


def standing(runner: Machine) -> tuple[Any, ...]:
    return runner.status, runner.event_count, runner.busy, sorted(map(repr, runner.pending()))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(author=st.integers(0, 10**6), world=st.integers(0, 10**6))
def test_any_prefix_of_a_run_rebuilds_to_the_same_commands_and_history(author: int, world: int) -> None:
    definition = Author(author).definition()
    original, there = machine(definition), World(world)
    standings: list[Any] = []
    there.run(original, lambda: standings.append(standing(original)))
    history = [event for *_, events in there.journal for event in json.loads(events)]
    for length in range(1, len(there.journal) + 1):
        rebuilt, events, commands = replay(definition, there.journal[:length])
        assert standing(rebuilt) == standings[length - 1]
        assert events == history[: len(events)]
        assert commands == there.commands[:length]
    assert events == history
    assert [event["id"] for event in history] == list(range(1, len(history) + 1))
    assert all(0 <= event["previousEventId"] < event["id"] for event in history)
    entries = [
        (event["previousEventId"], event["stateEnteredEventDetails"]["name"])
        for event in history
        if event["type"].endswith("StateEntered") and event["type"] != "FailStateEntered"
    ]
    assert len(entries) == len(set(entries)), "a redrive enters no state again but Fail"


@settings(max_examples=30, deadline=None)
@given(author=st.integers(0, 10**6), world=st.integers(0, 10**6))
def test_a_finished_run_waits_for_nothing_and_ends_with_its_last_event(author: int, world: int) -> None:
    definition = Author(author).definition()
    runner, there = machine(definition), World(world)
    there.run(runner)
    assert runner.status != "RUNNING"
    assert runner.pending() == []
    last = json.loads(there.journal[-1][3])[-1]
    assert last["type"].startswith("Execution")


def test_the_runs_that_are_replayed_pass_through_every_kind_of_event_and_stimulus() -> None:
    types: set[str] = set()
    told: set[str] = set()
    for seed in range(200):
        there = World(seed)
        there.run(machine(Author(seed).definition()))
        for _, _, stimuli, events in there.journal:
            types |= {event["type"] for event in json.loads(events)}
            told |= {kind for kind, *_ in json.loads(stimuli)}
    assert told == {"aborted", "beat", "failed", "fired", "missing", "queued", "redriven", "started", "submitted",
                    "succeeded", "taken"}  # fmt: skip
    assert types == EVENT_TYPES


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
