"""TestState as boto3 sees it."""

import json
import re
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


@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_a_state_with_states_inside_needs_a_mock(aws: LocalAWS, kind: str) -> None:
    block = {"StartAt": "P", "States": {"P": {"Type": "Succeed"}}}
    state = {"Type": kind, "End": True} | (
        {"ItemProcessor": block} if kind == "Map" else {"Branches": [block]}
    )
    client = aws.client("stepfunctions")
    told = "TestState API does not support Map or Parallel states. Supported state types include: "
    with pytest.raises(client.exceptions.InvalidDefinition, match=told):
        client.test_state(definition=json.dumps(state), input="[]")


def test_a_state_that_takes_longer_than_a_test_may_times_out(aws: LocalAWS) -> None:
    state = json.dumps({"Type": "Wait", "Seconds": 301, "End": True})
    reply = aws.client("stepfunctions").test_state(definition=state)
    assert (reply["status"], reply["error"]) == ("FAILED", "States.Timeout")


def test_what_is_no_json_is_refused_in_the_same_words_as_elsewhere(aws: LocalAWS) -> None:
    client = aws.client("stepfunctions")
    known = re.escape("was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')")
    with pytest.raises(client.exceptions.InvalidExecutionInput, match=f"Unrecognized token 'not': {known}"):
        client.test_state(definition='{"Type": "Succeed"}', input="not json")
    with pytest.raises(
        client.exceptions.InvalidDefinition, match="INVALID_JSON_DESCRIPTION: Unrecognized token"
    ):
        client.test_state(definition="not json")


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
