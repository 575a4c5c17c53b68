"""What AWS documents of EXPRESS executions and no recording shows, in virtual time."""

import asyncio
import json
from typing import Any

from .test_asl_recordings import ROLE, Stage
from .test_asl_recordings import staged as staged  # a fixture


def _waiting(seconds: int, **fields: Any) -> str:
    wait = {"Type": "Wait", "Seconds": seconds, "End": True}
    return json.dumps({"StartAt": "W", "States": {"W": wait}} | fields)


def _create(stage: Stage, definition: str) -> str:
    arn: str = stage.ask(
        "create_state_machine", name="m", definition=definition, roleArn=ROLE, type="EXPRESS"
    )["stateMachineArn"]
    return arn


def test_an_express_execution_ends_after_five_minutes(staged: Any) -> None:
    async def play(stage: Stage) -> None:
        reply = await stage.wait_for("start_sync_execution", stateMachineArn=_create(stage, _waiting(3600)))
        assert (reply["status"], reply["error"]) == ("TIMED_OUT", "States.Timeout")
        assert (reply["stopDate"] - reply["startDate"]).total_seconds() == 300
        assert reply["billingDetails"]["billedDurationInMilliseconds"] == 300_000

    staged(play)


def test_a_shorter_timeout_of_its_own_comes_first(staged: Any) -> None:
    async def play(stage: Stage) -> None:
        arn = _create(stage, _waiting(3600, TimeoutSeconds=7))
        reply = await stage.wait_for("start_sync_execution", stateMachineArn=arn)
        assert (reply["stopDate"] - reply["startDate"]).total_seconds() == 7

    staged(play)


def test_an_execution_goes_on_when_its_client_hangs_up(staged: Any) -> None:
    async def play(stage: Stage) -> None:
        seen: list[Any] = []

        def hear(event: Any) -> Any:
            seen.append(event)
            return event

        stage.functions["f"] = hear
        wait = {"Type": "Wait", "Seconds": 60, "Next": "T"}
        parameters = {"FunctionName": "f", "Payload": {"heard": True}}
        resource = "arn:aws:states:::lambda:invoke"
        task = {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}
        arn = _create(stage, json.dumps({"StartAt": "W", "States": {"W": wait, "T": task}}))
        asked = asyncio.ensure_future(stage.wait_for("start_sync_execution", stateMachineArn=arn))
        await asyncio.sleep(1)
        asked.cancel()
        await asyncio.sleep(120)
        assert seen == [{"heard": True}]

    staged(play)
