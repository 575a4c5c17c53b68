"""TestState as boto3 sees it."""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

ADD = {"Type": "Pass", "Result": 1, "ResultPath": "$.one", "Next": "Elsewhere"}
ASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::lambda:invoke",
    "Parameters": {"FunctionName": "nowhere"},
    "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}],
    "End": True,
}


def test_a_state_tells_its_output_its_successor_and_its_data_flow(aws: LocalAWS) -> None:
    reply = aws.client("stepfunctions").test_state(
        definition=json.dumps(ADD), input='{"a": 2}', inspectionLevel="DEBUG"
    )
    assert (reply["status"], reply["nextState"]) == ("SUCCEEDED", "Elsewhere")
    assert json.loads(reply["output"]) == {"a": 2, "one": 1}
    assert json.loads(reply["inspectionData"]["result"]) == 1


def test_a_task_really_asks_and_its_error_is_caught(aws: LocalAWS) -> None:
    reply = aws.client("stepfunctions").test_state(definition=json.dumps(ASK))
    assert (reply["status"], reply["nextState"]) == ("CAUGHT_ERROR", "Sorry")
    assert reply["error"] == "Lambda.ResourceNotFoundException"


def test_a_mock_answers_for_a_task(aws: LocalAWS) -> None:
    reply = aws.client("stepfunctions").test_state(
        definition=json.dumps({"StartAt": "Ask", "States": {"Ask": ASK, "Sorry": {"Type": "Fail"}}}),
        stateName="Ask",
        mock={"result": '{"Payload": 5}'},
    )
    assert json.loads(reply["output"]) == {"Payload": 5}


@pytest.mark.parametrize("name", ["Nobody", "Branch"])
def test_a_name_that_the_definition_lacks_is_refused(aws: LocalAWS, name: str) -> None:
    machine: Any = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    with pytest.raises(ClientError, match="State not found in definition"):
        aws.client("stepfunctions").test_state(definition=json.dumps(machine), stateName=name)
