"""kill -9 of the cloud between an event's acceptance and its delivery's end: every event arrives."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tests.asking import until
from tests.stepfunctions import ROLE, create, inputs, single


def test_events_outlive_kill_9_and_start_each_execution_once(scones: Any) -> None:
    """The cloud dies once after it has started the first execution, before it has noted that."""
    scones.up(SCONES_FAULT="events.delivered:2")
    events, states = scones.client("events"), scones.client("stepfunctions")
    machine = create(states, single({"Type": "Pass"}))
    events.put_rule(Name="r", EventPattern='{"source": ["camera"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": machine, "RoleArn": ROLE}])
    entries = [{"Source": "camera", "DetailType": "d", "Detail": json.dumps({"n": n})} for n in range(8)]
    pid = scones.cloud_pid()
    try:
        reply = events.put_events(Entries=entries)
        assert reply["FailedEntryCount"] == 0
    except (BotoCoreError, ClientError):  # it died while it answered
        pass
    until(lambda: pid not in [process.pid for process in scones.processes()], what="it did not die")

    scones.up()
    states = scones.client("stepfunctions")

    def started() -> list[Any]:
        return sorted(event["detail"]["n"] for event in inputs(states, machine))

    until(lambda: len(started()) >= 8, what="an event was lost")
    assert started() == list(range(8))
    assert scones.client("events").list_targets_by_rule(Rule="r")["Targets"][0]["Arn"] == machine
