"""kill -9 of the cloud between an event's acceptance and its delivery's end: every event arrives."""

import json
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

ROLE = "arn:aws:iam::000000000000:role/events"
DEFINITION = json.dumps({"StartAt": "S", "States": {"S": {"Type": "Pass", "End": True}}})


def eventually(check: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + 60
    while not (found := check()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def test_events_outlive_kill_9_and_start_each_execution_once(scones: Any) -> None:
    """The cloud dies once after it has started the first execution, before it has noted that."""
    scones.up(SCONES_FAULT="events.delivered:2")
    events, states = scones.client("events"), scones.client("stepfunctions")
    machine = states.create_state_machine(name="m", definition=DEFINITION, roleArn=ROLE)["stateMachineArn"]
    events.put_rule(Name="r", EventPattern='{"source": ["camera"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": machine, "RoleArn": ROLE}])
    entries = [{"Source": "camera", "DetailType": "d", "Detail": json.dumps({"n": n})} for n in range(8)]
    pid = scones.cloud_pid()
    try:
        reply = events.put_events(Entries=entries)
        assert reply["FailedEntryCount"] == 0
    except (BotoCoreError, ClientError):  # it died while it answered
        pass
    eventually(lambda: pid not in [process.pid for process in scones.processes()], "it did not die")

    scones.up()
    states = scones.client("stepfunctions")

    def started() -> list[Any]:
        runs = states.list_executions(stateMachineArn=machine)["executions"]
        described = (states.describe_execution(executionArn=run["executionArn"]) for run in runs)
        return sorted(json.loads(run["input"])["detail"]["n"] for run in described)

    eventually(lambda: len(started()) >= 8, "an event was lost")
    assert started() == list(range(8))
    assert scones.client("events").list_targets_by_rule(Rule="r")["Targets"][0]["Arn"] == machine
