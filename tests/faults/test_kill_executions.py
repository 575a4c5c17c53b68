"""Hundreds of executions of every shape on a cloud that is killed again and again, beside an undisturbed one."""

import io
import json
import random
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from tests.killable import KillableCloud, persist

from scones.cloud.asl.tokens import read_token

from .shapes import CHILDREN, HANDLER, WAIT_S, machines
from .witness import Story, assert_each_ran_as_told, read_runs

SEED = 20261125
EACH = 3
"""Executions of each machine."""
POINTS = [
    "stepfunctions.turn.made", "stepfunctions.turn.journaled", "stepfunctions.task.answered", "lambda.invoking",
    "lambda.answered",
]  # fmt: skip
RANDOM_KILLS = 4
NEVER_REACHED_S = 4
"""After which a life ends whether or not its named point was reached."""
ROLE = "arn:aws:iam::000000000000:role/states"
DEADLINE_S = 150


class World:
    """One cloud, and everybody outside it whom its executions need."""

    def __init__(self, folder: Path) -> None:
        self.cloud = KillableCloud(folder)
        self.folder = folder
        self.lost: set[str] = set()
        """Polls for an activity's task that were never answered."""
        self.problems: list[str] = []
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []

    def prepare(self, definitions: dict[str, Any]) -> None:
        """The first life: everything that executions need, and the outside workers."""
        self.cloud.start()
        functions, states = self.cloud.client("lambda"), self.cloud.client("stepfunctions")
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as file:
            file.writestr("handler.py", HANDLER)
        files = {name: str(self.folder / name) for name in ("RAN", "TOKENS")}
        for path in files.values():
            Path(path).touch()
        persist(
            functions.create_function, FunctionName="work", Runtime="python3.12", Role=ROLE,
            Handler="handler.handler", Timeout=60, Code={"ZipFile": content.getvalue()},
            Environment={"Variables": files},
        )  # fmt: skip
        functions.get_waiter("function_active_v2").wait(FunctionName="work", WaiterConfig={"Delay": 1})
        for name, definition in (CHILDREN | definitions).items():
            kind = "EXPRESS" if name == "express-child" else "STANDARD"
            states.create_state_machine(name=name, definition=json.dumps(definition), roleArn=ROLE, type=kind)
        for name in ("work", "spoil"):
            arn = states.create_activity(name=name)["activityArn"]
            self._work(self._serve_activity, arn, name == "spoil")
        self._work(self._call_back)

    def _work(self, target: Any, *arguments: Any) -> None:
        def guarded() -> None:
            try:
                target(*arguments)
            except Exception as problem:
                self.problems.append(repr(problem))

        self._threads.append(threading.Thread(target=guarded, daemon=True))
        self._threads[-1].start()

    def end(self) -> None:
        self._over.set()
        self.cloud.kill()
        for thread in self._threads:
            thread.join(30)
        assert not self.problems, self.problems

    # Workers outside ------------------------------------------------------------------------------

    def _serve_activity(self, arn: str, spoil: bool) -> None:
        states = self.cloud.client("stepfunctions", read_timeout_s=90)
        while not self._over.is_set():
            poll = uuid.uuid4().hex
            try:
                task = states.get_activity_task(activityArn=arn, workerName=poll)
            except BotoCoreError:
                self.lost.add(poll)
                time.sleep(0.05)
                continue
            if task.get("taskToken"):
                self._answer(states, task["taskToken"], json.loads(task["input"]), spoil)

    def _call_back(self) -> None:
        """Answer each token that the function left, once its task is known to have been submitted."""
        states = self.cloud.client("stepfunctions")
        answered: set[str] = set()
        while not self._over.wait(0.05):
            for line in (self.folder / "TOKENS").read_text().splitlines():
                left = json.loads(line)
                token = left["text"]
                if token not in answered and self._submitted(states, token):
                    self._answer(states, token, {"called": "back"}, bool(left["bad"]))
                    answered.add(token)

    def _submitted(self, states: Any, token: str) -> bool:
        read = read_token(token)
        assert read is not None
        try:
            events = states.get_execution_history(executionArn=read[0], maxResults=1000)["events"]
        except BotoCoreError:
            return False
        begun = {event["previousEventId"]: event for event in events if event["type"].startswith("Task")}
        started = begun.get(read[1])
        return started is not None and begun.get(started["id"], {}).get("type") == "TaskSubmitted"

    def _answer(self, states: Any, token: str, output: Any, spoil: bool) -> None:
        unsure = False
        while not self._over.is_set():
            try:
                states.send_task_heartbeat(taskToken=token)
                if spoil:
                    states.send_task_failure(taskToken=token, error="Spoilt", cause="as planned")
                else:
                    states.send_task_success(taskToken=token, output=json.dumps(output))
                return
            except BotoCoreError:  # it may have been taken all the same
                unsure = True
                time.sleep(0.05)
            except ClientError as problem:
                assert unsure
                assert problem.response["Error"]["Code"] == "TaskTimedOut"
                return

    # Executions -----------------------------------------------------------------------------------

    def begin(self, states: Any, machine: str, number: int) -> str:
        """Start until it is acknowledged: whoever asks again for what runs or ran is told so."""
        name = f"{machine}-{number}"
        given = json.dumps({"who": name, "n": number, "items": [1, 2]})
        arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:{machine}"
        try:
            started = persist(states.start_execution, stateMachineArn=arn, name=name, input=given)
        except ClientError as problem:
            assert problem.response["Error"]["Code"] == "ExecutionAlreadyExists"
        else:
            assert started["executionArn"].endswith(f":{machine}:{name}")
        execution = f"{arn.replace(':stateMachine:', ':execution:')}:{name}"
        if machine == "stopped":
            persist(states.stop_execution, executionArn=execution, error="Enough", cause="as planned")
        return execution

    def stories(self, executions: list[str]) -> list[Story]:
        """Those that were started here, and their children, once all have ended."""
        states = self.cloud.client("stepfunctions")
        deadline = time.monotonic() + DEADLINE_S
        told = [self._story(states, arn, deadline) for arn in executions]
        for child in ("child", "bad-child"):
            arn = f"arn:aws:states:us-east-1:000000000000:stateMachine:{child}"
            pages = states.get_paginator("list_executions").paginate(stateMachineArn=arn)
            found = [entry["executionArn"] for page in pages for entry in page["executions"]]
            told += [self._story(states, arn, deadline) for arn in found]
        mapped = [story.description["executionArn"] for story in told if story.mapped()]
        for arn in mapped:
            for run in states.list_map_runs(executionArn=arn)["mapRuns"]:
                entries = states.list_executions(mapRunArn=run["mapRunArn"])["executions"]
                if any(":express:" in entry["executionArn"] for entry in entries):  # they have no story
                    assert [entry["status"] for entry in entries] == ["SUCCEEDED", "SUCCEEDED"]
                    continue
                told += [self._story(states, entry["executionArn"], deadline) for entry in entries]
        return told

    def _story(self, states: Any, arn: str, deadline: float) -> Story:
        while (described := states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
            assert time.monotonic() < deadline, f"{arn} does not end; its last event is {events[-1]}"
            assert not self.problems, self.problems
            if _given_to_nobody(events, self.lost):
                states.stop_execution(executionArn=arn)
            time.sleep(0.05)
        events = states.get_execution_history(executionArn=arn, maxResults=1000)["events"]
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert all(event["previousEventId"] < event["id"] for event in events)
        return Story(described, events)


def _given_to_nobody(events: list[dict[str, Any]], lost: set[str]) -> bool:
    """Whether a kill came between the giving of an activity's task and the worker: as on AWS, nobody has it."""
    given = [event for event in events if event["type"] == "ActivityStarted"]
    return any(event["activityStartedEventDetails"]["workerName"] in lost for event in given)


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[tuple[World, World]]:
    calm, stormy = World(tmp_path / "calm"), World(tmp_path / "stormy")
    yield calm, stormy
    for world in (calm, stormy):
        world.cloud.kill()


def calm_stories(world: World, definitions: dict[str, Any]) -> list[Story]:
    world.prepare(definitions)
    states = world.cloud.client("stepfunctions")
    started = [world.begin(states, name, number) for number in range(EACH) for name in definitions]
    stories = world.stories(started)
    world.end()
    return stories


class Storm:
    """The lives and deaths of a cloud, while executions are started."""

    def __init__(self, cloud: KillableCloud, chance: random.Random) -> None:
        self._cloud = cloud
        self._chance = chance
        self._faults = [f"{point}:{chance.randint(1, 40)}" for point in POINTS] + [""] * RANDOM_KILLS
        chance.shuffle(self._faults)
        self.births: list[float] = []
        self.deaths: list[float] = []
        self.lives = 1 + len(self._faults) + 1
        self.begun = threading.Semaphore(1)
        """Released at each birth, for whoever starts executions."""

    def rage(self) -> None:
        fault = ""
        for following in [*self._faults, ""]:
            self._cloud.kill(NEVER_REACHED_S if fault else self._chance.uniform(0.2, 2.5))
            self.deaths.append(time.time())
            self.births.append(time.time())
            self._cloud.start(following)
            self.begun.release()
            fault = following


def stormy_stories(world: World, definitions: dict[str, Any], storm: Storm) -> list[Story]:
    world.prepare(definitions)
    states = world.cloud.client("stepfunctions")
    raging = threading.Thread(target=storm.rage)
    raging.start()
    wanted = [(name, number) for number in range(EACH) for name in definitions]
    share = -(-len(wanted) // storm.lives)
    started = []
    for position, (name, number) in enumerate(wanted):
        if position % share == 0:
            assert storm.begun.acquire(timeout=60)
        started.append(world.begin(states, name, number))
    raging.join()
    persist(states.list_state_machines)
    stories = world.stories(started)
    world.end()
    return stories


@pytest.mark.timeout(400)
def test_killed_again_and_again_hundreds_of_executions_end_as_if_undisturbed(
    worlds: tuple[World, World],
) -> None:
    print(f"seed {SEED}")
    definitions = machines(SEED)
    calm, stormy = worlds
    expected = calm_stories(calm, definitions)
    assert_each_ran_as_told(expected, read_runs(calm.folder / "RAN"), [])
    storm = Storm(stormy.cloud, random.Random(SEED))
    found = stormy_stories(stormy, definitions, storm)
    assert_same(expected, found, stormy.lost)
    assert_each_ran_as_told(found, read_runs(stormy.folder / "RAN"), storm.deaths)
    assert_waits_kept_their_instant(found, storm.births)
    assert "Traceback" not in stormy.cloud.log()


def assert_same(expected: list[Story], found: list[Story], lost: set[str]) -> None:
    """Nothing lost, nothing doubled, and everything as it would have been."""
    there, here = by_input(expected), by_input(found)
    assert sorted(there) == sorted(here)
    stranded = {key for key, story in here.items() if _given_to_nobody(story.events, lost)}
    assert len(stranded) <= len(lost)
    for key in there.keys() - stranded:
        assert here[key].outcome() == there[key].outcome()
        assert here[key].history() == there[key].history(), key


def by_input(stories: list[Story]) -> dict[tuple[str, str], Story]:
    """Every execution has an input of its own."""
    found = {(story.machine, story.description["input"]): story for story in stories}
    assert len(found) == len(stories), "an execution was doubled"
    return found


def assert_waits_kept_their_instant(stories: list[Story], births: list[float]) -> None:
    """None ends early, nor begins again with the cloud."""
    for story in stories:
        seconds = {"patient": WAIT_S, "stopped": 86400, "timed-out": 86400}.get(story.machine, 1)
        for entered, left in story.waits():
            assert left - entered >= seconds
            if story.machine == "patient":
                late = [birth for birth in births if entered + WAIT_S / 2 < birth < entered + WAIT_S]
                assert all(left < birth + WAIT_S for birth in late), "the wait began again"
