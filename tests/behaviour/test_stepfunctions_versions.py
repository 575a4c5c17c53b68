"""Versions, aliases and EXPRESS state machines as boto3 sees them."""

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from tests.stepfunctions import ROLE, code, ended, unique, until

from scones.testing import LocalAWS


def passing(result: str) -> str:
    return json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "Result": result, "End": True}}})


@pytest.fixture
def machine(states: Any) -> str:
    """A state machine with two versions, which give "one" and "two"."""
    arn: str = create(states, passing("one"), publish=True)["stateMachineArn"]
    states.update_state_machine(stateMachineArn=arn, definition=passing("two"), publish=True)
    return arn


def create(states: Any, definition: str, **options: Any) -> dict[str, Any]:
    name = unique("machine")
    created: dict[str, Any] = states.create_state_machine(
        name=name, definition=definition, roleArn=ROLE, **options
    )
    return created


def routed(machine: str, *weights: int) -> list[dict[str, Any]]:
    """These percents to the versions 1, 2, ..."""
    return [
        {"stateMachineVersionArn": f"{machine}:{number}", "weight": weight}
        for number, weight in enumerate(weights, 1)
    ]


def test_a_revision_is_published_once_and_a_number_is_never_used_again(states: Any, machine: str) -> None:
    again = states.publish_state_machine_version(stateMachineArn=machine)
    assert again["stateMachineVersionArn"] == f"{machine}:2"
    states.delete_state_machine_version(stateMachineVersionArn=f"{machine}:2")
    states.delete_state_machine_version(stateMachineVersionArn=f"{machine}:2")
    third = states.publish_state_machine_version(stateMachineArn=machine, description="third")
    assert third["stateMachineVersionArn"] == f"{machine}:3"
    listed = states.list_state_machine_versions(stateMachineArn=machine)["stateMachineVersions"]
    assert [entry["stateMachineVersionArn"] for entry in listed] == [f"{machine}:3", f"{machine}:1"]
    described = states.describe_state_machine(stateMachineArn=f"{machine}:3")
    assert (described["description"], described["definition"]) == ("third", passing("two"))
    assert states.describe_state_machine(stateMachineArn=f"{machine}:1")["definition"] == passing("one")
    missing = f"{machine}:2"
    assert code(states.describe_state_machine, stateMachineArn=missing) == "StateMachineDoesNotExist"
    assert code(states.start_execution, stateMachineArn=missing) == "StateMachineDoesNotExist"


def test_a_version_is_not_deleted_as_a_machine(states: Any, machine: str) -> None:
    assert code(states.delete_state_machine, stateMachineArn=f"{machine}:1") == "ValidationException"
    assert states.describe_state_machine(stateMachineArn=f"{machine}:1")["status"] == "ACTIVE"


def test_only_the_current_revision_can_be_published(states: Any, machine: str) -> None:
    publish = states.publish_state_machine_version
    assert code(publish, stateMachineArn=machine, revisionId="INITIAL") == "ConflictException"


def test_versions_are_listed_in_pages(states: Any, machine: str) -> None:
    first = states.list_state_machine_versions(stateMachineArn=machine, maxResults=1)
    rest = states.list_state_machine_versions(
        stateMachineArn=machine, maxResults=1, nextToken=first["nextToken"]
    )
    assert rest["stateMachineVersions"][0]["stateMachineVersionArn"] == f"{machine}:1"
    assert "nextToken" not in rest


def test_an_execution_runs_the_version_it_was_started_by(states: Any, machine: str) -> None:
    arn = states.start_execution(stateMachineArn=f"{machine}:1")["executionArn"]
    described = ended(states, arn)
    assert described["output"] == '"one"'
    assert described["stateMachineArn"] == machine
    assert described["stateMachineVersionArn"] == f"{machine}:1"
    other = states.start_execution(stateMachineArn=machine)["executionArn"]
    assert "stateMachineVersionArn" not in ended(states, other)
    by_version = states.list_executions(stateMachineArn=f"{machine}:1")["executions"]
    assert [entry["executionArn"] for entry in by_version] == [arn]
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 2


def test_an_alias_shares_executions_out_by_its_weights(states: Any, machine: str) -> None:
    alias = states.create_state_machine_alias(name="live", routingConfiguration=routed(machine, 100))
    arn = alias["stateMachineAliasArn"]
    assert arn == f"{machine}:live"
    described = ended(states, states.start_execution(stateMachineArn=arn)["executionArn"])
    assert (described["output"], described["stateMachineAliasArn"]) == ('"one"', arn)
    states.update_state_machine_alias(stateMachineAliasArn=arn, routingConfiguration=routed(machine, 0, 100))
    for _ in range(5):
        execution = states.start_execution(stateMachineArn=arn)["executionArn"]
        assert ended(states, execution)["output"] == '"two"'
    assert len(states.list_executions(stateMachineArn=arn)["executions"]) == 6


def test_an_alias_is_created_described_listed_and_deleted(states: Any, machine: str) -> None:
    create_alias = states.create_state_machine_alias
    request = {"name": "live", "routingConfiguration": routed(machine, 30, 70), "description": "d"}
    arn = create_alias(**request)["stateMachineAliasArn"]
    assert create_alias(**request)["stateMachineAliasArn"] == arn
    assert code(create_alias, **request | {"description": "other"}) == "ConflictException"
    described = states.describe_state_machine_alias(stateMachineAliasArn=arn)
    assert described["routingConfiguration"] == request["routingConfiguration"]
    assert described["description"] == "d"
    delete_version = states.delete_state_machine_version
    assert code(delete_version, stateMachineVersionArn=f"{machine}:2") == "ConflictException"
    for listed in (machine, f"{machine}:1"):
        found = states.list_state_machine_aliases(stateMachineArn=listed)["stateMachineAliases"]
        assert [entry["stateMachineAliasArn"] for entry in found] == [arn]
    states.delete_state_machine_alias(stateMachineAliasArn=arn)
    assert code(states.describe_state_machine_alias, stateMachineAliasArn=arn) == "ResourceNotFound"
    assert code(states.start_execution, stateMachineArn=arn) == "StateMachineDoesNotExist"


@pytest.mark.parametrize("weights", [(70, 29), (50, 51)])
def test_weights_that_are_not_the_whole_are_refused(
    states: Any, machine: str, weights: tuple[int, ...]
) -> None:
    request = {"name": "live", "routingConfiguration": routed(machine, *weights)}
    assert code(states.create_state_machine_alias, **request) == "ValidationException"


def test_configurations_are_told_as_they_were_given(states: Any) -> None:
    group = {"cloudWatchLogsLogGroup": {"logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:g:*"}}
    logging = {"level": "ALL", "includeExecutionData": True, "destinations": [group]}
    arn = create(states, passing("x"), loggingConfiguration=logging)["stateMachineArn"]
    states.update_state_machine(stateMachineArn=arn, tracingConfiguration={"enabled": True})
    described = states.describe_state_machine(stateMachineArn=arn)
    assert described["loggingConfiguration"] == logging
    assert described["tracingConfiguration"] == {"enabled": True}
    assert described["encryptionConfiguration"] == {"type": "AWS_OWNED_KEY"}


def test_logs_go_to_one_group_with_all_its_streams(states: Any) -> None:
    group = {"logGroupArn": "arn:aws:logs:us-east-1:000000000000:log-group:g"}
    for destinations, reason in (
        ([], "Must specify exactly one Log Destination."),
        ([{"cloudWatchLogsLogGroup": group}], "Log Group ARN must be provided with '*' qualifier."),
        ([{}], "Log Group ARN must be provided with '*' qualifier."),
    ):
        with pytest.raises(states.exceptions.InvalidLoggingConfiguration) as refused:
            create(states, passing("x"), loggingConfiguration={"level": "ALL", "destinations": destinations})
        assert refused.value.response["Error"]["Message"] == f"Invalid Logging Configuration: {reason}"


# EXPRESS ------------------------------------------------------------------------------------------


def express(states: Any, definition: str) -> str:
    arn: str = create(states, definition, type="EXPRESS")["stateMachineArn"]
    return arn


def test_a_synchronous_execution_answers_with_its_output(states: Any) -> None:
    arn = express(states, passing("done"))
    reply = states.start_sync_execution(stateMachineArn=arn, input='{"a": 1}', name="n")
    assert (reply["status"], reply["output"], reply["input"]) == ("SUCCEEDED", '"done"', '{"a": 1}')
    assert reply["billingDetails"]["billedMemoryUsedInMB"] == 64
    assert reply["executionArn"].split(":")[5:8] == ["express", arn.rpartition(":")[2], "n"]
    metadata = states.start_sync_execution(stateMachineArn=arn, includedData="METADATA_ONLY")
    assert "output" not in metadata


def test_a_synchronous_execution_waits_and_fails_as_data(states: Any) -> None:
    fail = {"Type": "Fail", "Error": "Mine", "Cause": "because"}
    definition = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": fail}}
    reply = states.start_sync_execution(stateMachineArn=express(states, json.dumps(definition)))
    assert (reply["status"], reply["error"], reply["cause"]) == ("FAILED", "Mine", "because")
    assert reply["billingDetails"]["billedDurationInMilliseconds"] >= 1000


def test_an_execution_of_an_express_machine_cannot_be_looked_at(states: Any) -> None:
    machine = express(states, passing("done"))
    arn = states.start_execution(stateMachineArn=machine, name="same")["executionArn"]
    assert states.start_execution(stateMachineArn=machine, name="same")["executionArn"] != arn
    for look in (states.describe_execution, states.get_execution_history, states.stop_execution):
        assert code(look, executionArn=arn) == "InvalidArn"
    assert code(states.list_executions, stateMachineArn=machine) == "StateMachineTypeNotSupported"


def test_nothing_is_kept_of_an_express_execution_that_is_over(tmp_path: Path) -> None:
    waits = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "End": True}}}
    with LocalAWS(tmp_path) as aws:
        states = aws.client("stepfunctions")
        for definition in (passing("done"), json.dumps(waits)):
            machine = express(states, definition)
            states.start_execution(stateMachineArn=machine)
            assert states.start_sync_execution(stateMachineArn=machine)["status"] == "SUCCEEDED"
        with contextlib.closing(sqlite3.connect(tmp_path / "state.sqlite")) as file:
            kept = "SELECT count(*) FROM sfn_executions LEFT JOIN sfn_turns ON execution = id"
            until(lambda: file.execute(kept).fetchone() == (0,))


def test_a_standard_machine_is_not_started_synchronously(states: Any, machine: str) -> None:
    assert code(states.start_sync_execution, stateMachineArn=machine) == "StateMachineTypeNotSupported"


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:states:::sns:publish.waitForTaskToken",
        "arn:aws:states:us-east-1:000000000000:activity:a",
    ],
)
def test_an_express_machine_waits_for_nobody(states: Any, resource: str) -> None:
    definition = json.dumps(
        {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": resource, "End": True}}}
    )
    checked = states.validate_state_machine_definition(definition=definition, type="EXPRESS")
    places = [problem["location"] for problem in checked["diagnostics"]]
    assert (checked["result"], places) == ("FAIL", ["/States/A/Resource"])
    assert checked["diagnostics"][0]["message"].startswith("Express state machine does not support")


@pytest.mark.parametrize("qualifier", ["0", "9" * 30, "²"])
def test_a_version_that_cannot_be_is_not_there(states: Any, machine: str, qualifier: str) -> None:
    arn = f"{machine}:{qualifier}"
    assert code(states.start_execution, stateMachineArn=arn) == "StateMachineDoesNotExist"
    assert code(states.describe_state_machine, stateMachineArn=arn) == "StateMachineDoesNotExist"
