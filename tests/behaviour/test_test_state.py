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


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:states:us-east-1:123456789012:activity:worker",
    ],
)
def test_a_task_that_would_be_waited_for_needs_a_mock(aws: LocalAWS, resource: str) -> None:
    client = aws.client("stepfunctions")
    state = json.dumps({"Type": "Task", "Resource": resource, "End": True})
    with pytest.raises(ClientError, match="not supported when a mock is not specified"):
        client.test_state(definition=state)
    mock = {"result": '{"Payload": 5}', "fieldValidationMode": "NONE"}
    assert client.test_state(definition=state, mock=mock)["status"] == "SUCCEEDED"


def _map(**fields: Any) -> str:
    block = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    return json.dumps({"Type": "Map", "ItemProcessor": block, "End": True, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"QueryLanguage": "JSONata", "Items": "{% $states.input.items %}",
         "ToleratedFailureCount": "{% $states.input.bear %}", "MaxConcurrency": "{% 1 + 1 %}"},
        {"ItemsPath": "$.items", "ToleratedFailureCountPath": "$.bear", "MaxConcurrencyPath": "$.two"},
    ],
)  # fmt: skip
def test_a_maps_limits_may_be_computed(aws: LocalAWS, fields: dict[str, Any]) -> None:
    def ask(failed: int) -> Any:
        return aws.client("stepfunctions").test_state(
            definition=_map(**fields),
            input='{"items": [1, 2, 3], "bear": 1, "two": 2}',
            mock={"result": "[7]"},
            stateConfiguration={"mapIterationFailureCount": failed},
            inspectionLevel="DEBUG",
        )

    borne = ask(1)
    assert (borne["status"], json.loads(borne["output"])) == ("SUCCEEDED", [7])
    assert borne["inspectionData"]["maxConcurrency"] == 2
    assert borne["inspectionData"]["toleratedFailureCount"] == 1
    assert ask(2)["error"] == "States.ExceedToleratedFailureThreshold"


def test_a_limit_that_is_no_number_fails_the_state(aws: LocalAWS) -> None:
    definition = _map(QueryLanguage="JSONata", Items=[1], ToleratedFailureCount="{% 'many' %}")
    reply = aws.client("stepfunctions").test_state(definition=definition, mock={"result": "[7]"})
    assert (reply["status"], reply["error"]) == ("FAILED", "States.QueryEvaluationError")


def test_the_mock_answers_for_a_map_of_nothing_too(aws: LocalAWS) -> None:
    reply = aws.client("stepfunctions").test_state(definition=_map(), input="[]", mock={"result": "[7]"})
    assert json.loads(reply["output"]) == [7]
