"""Step Functions as boto3 sees it."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.stepfunctions import ROLE, create, ended, refusal, start, types, unique, until

from scones.testing import LocalAWS

PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": 3600, "End": True}}}


def function(aws: LocalAWS, source: str) -> str:
    """The ARN of a new Lambda function with this handler source."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("handler.py", source)
    lambda_ = aws.client("lambda")
    created = lambda_.create_function(
        FunctionName=unique("function"),
        Runtime="python3.12",
        Role=ROLE,
        Handler="handler.handler",
        Code={"ZipFile": archive.getvalue()},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName=created["FunctionName"])
    arn: str = created["FunctionArn"]
    return arn


# State machines -------------------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_a_state_machine_is_created_described_updated_listed_and_deleted(states: Any) -> None:
    arn = create(states, PASS, tags=[{"key": "k", "value": "v"}])
    described = states.describe_state_machine(stateMachineArn=arn)
    assert described["status"] == "ACTIVE"
    assert described["type"] == "STANDARD"
    assert json.loads(described["definition"]) == PASS
    assert "revisionId" not in described
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    updated = states.update_state_machine(stateMachineArn=arn, definition=json.dumps(WAIT))
    described = states.describe_state_machine(stateMachineArn=arn)
    assert json.loads(described["definition"]) == WAIT
    assert described["revisionId"] == updated["revisionId"]
    pages = states.get_paginator("list_state_machines").paginate(PaginationConfig={"PageSize": 1})
    assert arn in [m["stateMachineArn"] for page in pages for m in page["stateMachines"]]
    states.delete_state_machine(stateMachineArn=arn)
    states.delete_state_machine(stateMachineArn=arn)
    code, message = refusal(states.describe_state_machine, stateMachineArn=arn)
    assert (code, message) == ("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


def test_repeating_a_creation_gives_the_same_machine_and_a_different_one_is_refused(states: Any) -> None:
    chosen = unique("machine")
    arn = create(states, PASS, name=chosen)
    assert create(states, PASS, name=chosen, roleArn=f"{ROLE}-2", tags=[{"key": "a", "value": "b"}]) == arn
    code, message = refusal(create, states=states, definition=WAIT, name=chosen)
    assert (code, message) == ("StateMachineAlreadyExists", f"State Machine Already Exists: '{arn}'")


@pytest.mark.parametrize("bad", ["a b", "a:b", "a/b", "a*", "x" * 81, "tab\t"])
def test_a_name_with_forbidden_characters_is_refused(states: Any, bad: str) -> None:
    code, _ = refusal(create, states=states, definition=PASS, name=bad)
    assert code in ("InvalidName", "ValidationException")


def test_a_definition_that_leads_nowhere_is_refused_on_create_and_update(states: Any) -> None:
    broken = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "B"}}}
    expected = (
        "InvalidDefinition",
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: B"
        " at /States/A/Next, MISSING_END_STATE: Workflow has no terminal state at null'",
    )
    assert refusal(create, states=states, definition=broken) == expected
    arn = create(states, PASS)
    assert (
        refusal(states.update_state_machine, stateMachineArn=arn, definition=json.dumps(broken)) == expected
    )
    checked = states.validate_state_machine_definition(definition=json.dumps(broken))
    assert checked["result"] == "FAIL"
    assert checked["diagnostics"][0]["location"] == "/States/A/Next"
    assert states.validate_state_machine_definition(definition=json.dumps(PASS))["result"] == "OK"


def test_warnings_are_told_to_who_asks_and_refuse_nothing(states: Any) -> None:
    doubtful = PASS | {"States": {"A": {"Type": "Pass", "Result": {"a": "$.a"}, "End": True}}}

    def check(definition: Any, **options: Any) -> dict[str, Any]:
        text = json.dumps(definition)
        found: dict[str, Any] = states.validate_state_machine_definition(definition=text, **options)
        return found

    told = check(doubtful, severity="WARNING")
    (warning,) = told["diagnostics"]
    assert (told["result"], told["truncated"]) == ("OK", False)
    assert (warning["severity"], warning["code"]) == ("WARNING", "PASS_RESULT_IS_STATIC")
    assert warning["location"] == "/States/A/Result"
    assert check(doubtful)["diagnostics"] == check(doubtful, severity="ERROR")["diagnostics"] == []
    create(states, doubtful)
    worse = check({"StartAt": "B", "States": doubtful["States"]}, severity="WARNING", maxResults=1)
    assert (worse["result"], worse["truncated"]) == ("FAIL", True)
    assert [found["severity"] for found in worse["diagnostics"]] == ["ERROR"]
    assert len(check(doubtful | {"StartAt": "B"}, severity="WARNING")["diagnostics"]) == 3


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"versionDescription": "x"}, "ValidationException"),
        ({"loggingConfiguration": {"level": "ALL"}}, "InvalidLoggingConfiguration"),
        ({"roleArn": "role"}, "InvalidArn"),
    ],
)
def test_contradictory_options_are_refused(states: Any, options: dict[str, Any], code: str) -> None:
    assert refusal(create, states=states, definition=PASS, **options)[0] == code


def test_an_update_of_nothing_is_refused(states: Any) -> None:
    assert refusal(states.update_state_machine, stateMachineArn=create(states, PASS))[0] == (
        "MissingRequiredParameter"
    )


def test_tags_are_added_replaced_and_removed(states: Any) -> None:
    arn = create(states, PASS)
    states.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "1"}, {"key": "b", "value": "2"}])
    states.tag_resource(resourceArn=arn, tags=[{"key": "a", "value": "3"}])
    states.untag_resource(resourceArn=arn, tagKeys=["b"])
    assert states.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": "3"}]
    assert refusal(states.list_tags_for_resource, resourceArn=f"{arn}x")[0] == "ResourceNotFound"


def test_a_deleted_machine_goes_when_its_executions_have_ended(states: Any) -> None:
    machine = create(states, WAIT)
    execution = start(states, machine)
    states.delete_state_machine(stateMachineArn=machine)
    assert states.describe_state_machine(stateMachineArn=machine)["status"] == "DELETING"
    assert refusal(start, states=states, machine=machine)[0] == "StateMachineDeleting"
    states.stop_execution(executionArn=execution)
    assert refusal(states.describe_state_machine, stateMachineArn=machine)[0] == "StateMachineDoesNotExist"
    assert refusal(states.describe_execution, executionArn=execution)[0] == "ExecutionDoesNotExist"


# Executions -----------------------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_an_execution_keeps_its_input_text_and_tells_its_history(states: Any) -> None:
    machine, given = create(states, PASS), '{ "a":  1 }'
    execution = start(states, machine, given)
    described = ended(states, execution)
    assert (described["status"], described["input"], described["output"]) == ("SUCCEEDED", given, given)
    assert described["redriveStatus"] == "NOT_REDRIVABLE"
    assert described["stopDate"] >= described["startDate"]
    history = states.get_execution_history(executionArn=execution)["events"]
    assert [(event["id"], event["previousEventId"], event["type"]) for event in history] == [
        (1, 0, "ExecutionStarted"),
        (2, 0, "PassStateEntered"),
        (3, 2, "PassStateExited"),
        (4, 3, "ExecutionSucceeded"),
    ]
    assert history[0]["executionStartedEventDetails"] == {
        "input": given, "inputDetails": {"truncated": False}, "roleArn": ROLE,
    }  # fmt: skip


def test_a_history_is_paged_in_both_directions_and_without_data(states: Any) -> None:
    chain = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(20)}
    last = {"S20": {"Type": "Pass", "End": True}}
    execution = start(states, create(states, {"StartAt": "S0", "States": chain | last}))
    ended(states, execution)
    pages = states.get_paginator("get_execution_history")
    for backwards in (False, True):
        found = [
            event["id"]
            for page in pages.paginate(
                executionArn=execution, reverseOrder=backwards, PaginationConfig={"PageSize": 7}
            )
            for event in page["events"]
        ]
        assert found == sorted(range(1, 45), reverse=backwards)
    bare = states.get_execution_history(executionArn=execution, includeExecutionData=False)["events"]
    assert "input" not in bare[1]["stateEnteredEventDetails"]


def test_a_page_of_long_events_is_shorter_than_asked_and_the_history_still_whole(states: Any) -> None:
    chain = {f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(20)}
    last = {"S20": {"Type": "Pass", "End": True}}
    text = json.dumps("x" * 250_000)
    execution = start(states, create(states, {"StartAt": "S0", "States": chain | last}), text)
    ended(states, execution)
    pages = states.get_paginator("get_execution_history")
    for backwards in (False, True):
        found = list(pages.paginate(executionArn=execution, reverseOrder=backwards))
        ids = [event["id"] for page in found for event in page["events"]]
        assert ids == sorted(range(1, 45), reverse=backwards)
        assert max(len(json.dumps(page, default=str)) for page in found) < 7_000_000


def test_starting_again_under_the_same_name(states: Any) -> None:
    machine, chosen = create(states, WAIT), unique("execution")
    first = start(states, machine, '{"a":1}', name=chosen)
    assert start(states, machine, '{"a":1}', name=chosen) == first
    expected = ("ExecutionAlreadyExists", f"Execution Already Exists: '{first}'")
    assert refusal(start, states=states, machine=machine, given='{"a":2}', name=chosen) == expected
    states.stop_execution(executionArn=first)
    assert refusal(start, states=states, machine=machine, given='{"a":1}', name=chosen) == expected


def test_stopping_an_execution_is_final(states: Any) -> None:
    execution = start(states, create(states, WAIT))
    stopped = states.stop_execution(executionArn=execution, error="Enough", cause="because")
    described = states.describe_execution(executionArn=execution)
    assert (described["status"], described["error"], described["cause"]) == ("ABORTED", "Enough", "because")
    assert stopped["stopDate"] == described["stopDate"]
    assert described["redriveStatus"] == "REDRIVABLE"
    assert states.stop_execution(executionArn=execution)["stopDate"] == stopped["stopDate"]
    assert types(states, execution)[-1] == "ExecutionAborted"


def test_executions_are_listed_newest_first_filtered_and_paged(states: Any) -> None:
    machine = create(states, WAIT)
    started = [start(states, machine) for _ in range(5)]
    states.stop_execution(executionArn=started[2])
    pages = states.get_paginator("list_executions")

    def listed(**request: Any) -> list[str]:
        found = pages.paginate(stateMachineArn=machine, PaginationConfig={"PageSize": 2}, **request)
        return [execution["executionArn"] for page in found for execution in page["executions"]]

    assert listed() == started[::-1]
    assert listed(statusFilter="ABORTED") == [started[2]]
    assert started[2] not in listed(statusFilter="RUNNING")
    states.delete_state_machine(stateMachineArn=machine)
    for execution in started:
        states.stop_execution(executionArn=execution)


def test_an_execution_runs_the_definition_it_was_started_with(states: Any) -> None:
    machine = create(states, WAIT)
    execution = start(states, machine)
    states.update_state_machine(stateMachineArn=machine, definition=json.dumps(PASS))
    described = states.describe_state_machine_for_execution(executionArn=execution)
    assert json.loads(described["definition"]) == WAIT
    states.stop_execution(executionArn=execution)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("", "Invalid execution input."),
        (
            "not some json",
            "Unrecognized token 'not': was expecting"
            " (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
        ),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
        ("[" * 3000, "Unexpected end-of-input"),
        (
            '{"a": NaN}',
            "Non-standard token 'NaN': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow",
        ),
        ('"' + "é" * 200_000 + '"', "Input exceeds 262144 bytes"),
    ],
)
def test_an_input_that_is_no_json_is_refused(states: Any, given: str, message: str) -> None:
    code, told = refusal(start, states=states, machine=create(states, PASS), given=given)
    assert code == "InvalidExecutionInput"
    assert told.startswith("Invalid State Machine Execution Input: '")
    if not given.startswith("[["):
        assert message in told


@pytest.mark.parametrize(
    ("arn", "code", "message"),
    [
        ("invalid_arn", "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: invalid_arn'"),
        (
            "arn:aws:states:us-east-1:000000000000:express:m:e:id",
            "InvalidArn",
            "Invalid Arn: 'Resource type not valid in this context: express'",
        ),
        (
            "arn:aws:states:us-east-1:000000000000:execution:m:none",
            "ExecutionDoesNotExist",
            "Execution Does Not Exist: 'arn:aws:states:us-east-1:000000000000:execution:m:none'",
        ),
    ],
)
def test_an_execution_that_is_not_there(states: Any, arn: str, code: str, message: str) -> None:
    for call in (states.describe_execution, states.get_execution_history, states.stop_execution):
        assert refusal(call, executionArn=arn) == (code, message)


def test_a_token_of_nobody_is_refused(states: Any) -> None:
    assert refusal(states.list_state_machines, nextToken="nonsense") == (
        "InvalidToken", "Invalid Token: 'Invalid token'",
    )  # fmt: skip


def test_a_wait_ends_at_its_instant(states: Any) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Wait", "SecondsPath": "$.s", "End": True}}}
    described = ended(states, start(states, create(states, definition), '{"s": 1}'))
    elapsed = (described["stopDate"] - described["startDate"]).total_seconds()
    assert 0.9 <= elapsed < 20


# Tasks ----------------------------------------------------------------------------------------------

ECHO = "def handler(event, context):\n    return {'got': event}\n"
RAISE = (
    "class TooLow(Exception):\n    pass\n\n\n"
    "def handler(event, context):\n    raise TooLow('scores ' + str(event))\n"
)


def invoking(arn: str, **more: Any) -> dict[str, Any]:
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": arn, "Payload.$": "$"},
        "End": True,
    }
    return {"StartAt": "T", "States": {"T": task | more}}


def test_a_task_invokes_a_function_and_sees_its_whole_response(aws: LocalAWS, states: Any) -> None:
    execution = start(states, create(states, invoking(function(aws, ECHO))), '{"a": 1}')
    output = json.loads(ended(states, execution)["output"])
    assert output["Payload"] == {"got": {"a": 1}}
    assert output["StatusCode"] == output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    assert output["ExecutedVersion"] == "$LATEST"
    assert types(states, execution) == [
        "ExecutionStarted", "TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded",
        "TaskStateExited", "ExecutionSucceeded",
    ]  # fmt: skip


def test_a_bare_function_gives_its_own_text(aws: LocalAWS, states: Any) -> None:
    task = {"Type": "Task", "Resource": function(aws, ECHO), "End": True}
    execution = start(states, create(states, {"StartAt": "T", "States": {"T": task}}), "[1]")
    assert ended(states, execution)["output"] == '{"got": [1]}'
    assert types(states, execution)[2:5] == [
        "LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded",
    ]  # fmt: skip


def test_a_raised_exception_fails_the_execution_under_its_own_name(aws: LocalAWS, states: Any) -> None:
    execution = start(states, create(states, invoking(function(aws, RAISE))), "[0.5]")
    described = ended(states, execution)
    assert (described["status"], described["error"]) == ("FAILED", "TooLow")
    cause = json.loads(described["cause"])
    assert cause["errorMessage"] == "scores [0.5]"
    assert described["redriveStatus"] == "REDRIVABLE"


def test_a_function_that_is_not_there(aws: LocalAWS, states: Any) -> None:
    missing = f"arn:aws:lambda:us-east-1:000000000000:function:{unique('none')}"
    described = ended(states, start(states, create(states, invoking(missing))))
    assert described["error"] == "Lambda.ResourceNotFoundException"
    assert described["cause"].startswith(f"Function not found: {missing}")
    assert (
        "(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException;" in described["cause"]
    )


def test_many_items_fan_out_and_a_caught_failure_publishes_to_a_topic(aws: LocalAWS, states: Any) -> None:
    topic = aws.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    item = invoking(function(aws, RAISE))
    notify = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sns:publish",
        "Parameters": {"TopicArn": topic, "Message.$": "$.error"},
        "ResultPath": "$.sent",
        "Next": "Lost",
    }
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Notify"}]
    fan = {"Type": "Map", "ItemsPath": "$.keys", "ItemProcessor": item, "Catch": catch, "Next": "Done"}
    lost = {"Type": "Fail", "ErrorPath": "$.error.Error", "CausePath": "$.sent.MessageId"}
    every = {"Fan": fan, "Notify": notify, "Done": {"Type": "Succeed"}, "Lost": lost}
    machine = create(states, {"StartAt": "Fan", "States": every})
    execution = start(states, machine, json.dumps({"keys": ["a", "b", "c"]}))
    described = ended(states, execution)
    assert described["error"] == "TooLow"
    assert len(described["cause"]) == 36
    found = types(states, execution)
    assert found.count("MapIterationStarted") == 3
    assert found.count("MapIterationFailed") == 1
    assert found[-1] == "ExecutionFailed"


# Restart --------------------------------------------------------------------------------------------


def test_executions_go_on_after_a_restart_at_their_instants_and_without_doubled_work(tmp_path: Path) -> None:
    counting = (
        "import os\n\n\ndef handler(event, context):\n"
        "    with open(event['log'], 'a') as log:\n        log.write('x')\n    return event\n"
    )
    log = tmp_path / "log"
    with LocalAWS(tmp_path / "state") as first:
        states = first.client("stepfunctions")
        definition = invoking(function(first, counting), ResultPath=None)
        definition["States"]["T"] |= {"Next": "W"}
        del definition["States"]["T"]["End"]
        definition["States"] |= {"W": {"Type": "Wait", "Seconds": 4, "End": True}}
        machine = create(states, definition)
        given = json.dumps({"log": str(log)})
        execution = start(states, machine, given)
        until(lambda: "WaitStateEntered" in types(states, execution))
        before = states.get_execution_history(executionArn=execution)["events"]
    with LocalAWS(tmp_path / "state") as second:
        states = second.client("stepfunctions")
        described = ended(states, execution)
        assert (described["status"], described["output"]) == ("SUCCEEDED", given)
        after = states.get_execution_history(executionArn=execution)["events"]
        assert after[: len(before)] == before
        assert [event["type"] for event in after[len(before) :]] == ["WaitStateExited", "ExecutionSucceeded"]
        entered = next(event["timestamp"] for event in after if event["type"] == "WaitStateEntered")
        assert (after[-1]["timestamp"] - entered).total_seconds() >= 3.9
        assert log.read_text() == "x"
        assert start(states, machine, given) != execution
