"""EventBridge as boto3 sees it: buses, rules, targets, and events that reach real targets."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.asking import refusal, unique, until
from tests.keeper import Keeper
from tests.stepfunctions import ROLE, create, inputs, single

from scones.testing import LocalAWS

PATTERN = json.dumps({"source": ["camera"], "detail": {"label": ["bicycle", "motorcycle"]}})


def entry(label: str = "bicycle", **more: Any) -> Any:
    detail = json.dumps({"label": label, "score": 0.97})
    return {"Source": "camera", "DetailType": "Picture taken", "Detail": detail} | more


@pytest.fixture
def rule(aws: LocalAWS) -> str:
    """A rule on a bus of its own; gives the name of both."""
    name, events = unique("pictures"), aws.client("events")
    events.create_event_bus(Name=name)
    events.put_rule(Name=name, EventBusName=name, EventPattern=PATTERN)
    return name


@pytest.fixture
def machine(states: Any) -> str:
    return create(states, single({"Type": "Pass"}))


def target(aws: LocalAWS, rule: str, arn: str, **fields: Any) -> None:
    chosen: Any = {"Id": "t", "Arn": arn} | ({"RoleArn": ROLE} if ":states:" in arn else {}) | fields
    reply = aws.client("events").put_targets(Rule=rule, EventBusName=rule, Targets=[chosen])
    assert reply["FailedEntryCount"] == 0


# --- what is kept ---------------------------------------------------------------------------------


@pytest.mark.aws_portable
def test_a_bus_is_made_listed_described_and_deleted(aws: LocalAWS) -> None:
    events, name = aws.client("events"), unique("bus")
    arn = events.create_event_bus(Name=name, Description="pictures")["EventBusArn"]
    assert arn.endswith(f":event-bus/{name}")
    described = events.describe_event_bus(Name=name)
    assert (described["Name"], described["Arn"], described["Description"]) == (name, arn, "pictures")
    assert [bus["Name"] for bus in events.list_event_buses(NamePrefix=name)["EventBuses"]] == [name]
    assert events.describe_event_bus()["Name"] == "default"
    assert refusal(events.create_event_bus, Name=name) == (
        "ResourceAlreadyExistsException",
        f"Event bus {name} already exists.",
    )
    events.delete_event_bus(Name=name)
    missing = ("ResourceNotFoundException", f"Event bus {name} does not exist.")
    assert refusal(events.describe_event_bus, Name=name) == missing
    assert refusal(events.delete_event_bus, Name=name) == missing
    assert refusal(events.delete_event_bus, Name="default")[1] == "Cannot delete event bus default."


@pytest.mark.aws_portable
def test_a_rule_is_replaced_but_for_its_targets_and_tags(aws: LocalAWS, rule: str, machine: str) -> None:
    events, on = aws.client("events"), {"Name": rule, "EventBusName": rule}
    target(aws, rule, machine)
    events.tag_resource(ResourceARN=events.describe_rule(**on)["Arn"], Tags=[{"Key": "a", "Value": "b"}])
    other = json.dumps({"source": ["other"]})
    arn = events.put_rule(**on, EventPattern=other, State="DISABLED", Description="d")["RuleArn"]
    described = events.describe_rule(**on)
    assert described["EventPattern"] == other
    assert (described["State"], described["Description"], described["Arn"]) == ("DISABLED", "d", arn)
    assert arn.endswith(f":rule/{rule}/{rule}")
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    events.untag_resource(ResourceARN=arn, TagKeys=["a", "never"])
    assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == []
    events.enable_rule(**on)
    assert events.describe_rule(**on)["State"] == "ENABLED"
    listed = events.list_targets_by_rule(Rule=rule, EventBusName=rule)["Targets"]
    assert listed == [{"Id": "t", "Arn": machine, "RoleArn": ROLE}]
    names = events.list_rule_names_by_target(TargetArn=machine, EventBusName=rule)["RuleNames"]
    assert names == [rule]
    assert refusal(events.delete_rule, **on)[1] == "Rule can't be deleted since it has targets."
    assert refusal(events.delete_event_bus, Name=rule)[0] == "ValidationException"
    events.remove_targets(Rule=rule, EventBusName=rule, Ids=["t"])
    events.delete_rule(**on)
    events.delete_rule(**on)
    missing = f"Rule {rule} does not exist on EventBus {rule}."
    assert refusal(events.describe_rule, **on) == ("ResourceNotFoundException", missing)


def test_lists_come_in_pages(aws: LocalAWS, rule: str, machine: str) -> None:
    events = aws.client("events")
    for number in range(4):
        events.put_rule(Name=f"r{number}", EventBusName=rule, EventPattern=PATTERN)
    first = events.list_rules(EventBusName=rule, NamePrefix="r", Limit=3)
    second = events.list_rules(EventBusName=rule, NamePrefix="r", NextToken=first["NextToken"])
    assert [r["Name"] for r in first["Rules"] + second["Rules"]] == ["r0", "r1", "r2", "r3"]
    assert "NextToken" not in second
    chosen: Any = [{"Id": f"t{number}", "Arn": machine, "RoleArn": ROLE} for number in range(5)]
    events.put_targets(Rule=rule, EventBusName=rule, Targets=chosen)
    on = {"Rule": rule, "EventBusName": rule}
    page = events.list_targets_by_rule(**on, Limit=3)
    rest = events.list_targets_by_rule(**on, NextToken=page["NextToken"])
    assert [t["Id"] for t in page["Targets"] + rest["Targets"]] == ["t0", "t1", "t2", "t3", "t4"]
    more: Any = [{"Id": "one too many", "Arn": machine, "RoleArn": ROLE}]
    more[0]["Id"] = "t5"
    assert refusal(events.put_targets, **on, Targets=more)[0] == "LimitExceededException"
    assert len(events.list_targets_by_rule(**on)["Targets"]) == 5


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({}, "Parameter(s) EventPattern or ScheduleExpression must be specified."),
        ({"EventPattern": '{"source": "camera"}'}, '"source" must be an object or an array'),
        ({"ScheduleExpression": "rate(1 minute)"}, "ScheduleExpression is supported only on the default"),
        (
            {"ScheduleExpression": "rate(1 minutes)", "EventBusName": "default"},
            "Parameter ScheduleExpression is not valid.",
        ),
        ({"EventPattern": PATTERN, "Name": "a b"}, "at 'name' failed to satisfy constraint"),
    ],
)
def test_a_rule_that_is_none_is_refused(aws: LocalAWS, rule: str, request_: Any, message: str) -> None:
    given = {"Name": "wrong", "EventBusName": rule} | request_
    assert message in refusal(aws.client("events").put_rule, **given)[1]
    assert [r["Name"] for r in aws.client("events").list_rules(EventBusName=rule)["Rules"]] == [rule]


FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


@pytest.mark.parametrize(
    ("target_", "message"),
    [
        ({"Arn": "queue"}, "Parameter queue is not valid. Reason: Provided Arn is not in correct format."),
        ({"Arn": "arn:aws:sqs:us-east-1:000000000000:q"}, "delivers to the Lambda functions, Step Functions"),
        ({"Arn": "arn:aws:sns:us-east-1:000000000000:t.fifo"}, "standard SNS topics"),
        ({"Arn": "arn:aws:lambda:eu-west-1:000000000000:function:f"}, "in us-east-1"),
        (
            {"Arn": "arn:aws:states:us-east-1:000000000000:stateMachine:m"},
            "RoleArn is required for target arn:aws:states:us-east-1:000000000000:stateMachine:m.",
        ),
        ({"Input": "{}", "InputPath": "$"}, "Only one of Input, InputPath, or InputTransformer must be"),
        ({"Input": "{"}, "JSON syntax error in input for target t."),
        ({"InputPath": "detail"}, "InputPath for target t is not valid"),
        ({"InputTransformer": {"InputTemplate": '"<x>"'}}, "contains invalid placeholder x."),
        ({"DeadLetterConfig": {"Arn": "arn:aws:sqs:us-east-1:000000000000:q"}}, "DeadLetterConfig"),
        ({"Id": "a b"}, "at 'targets.1.member.id' failed to satisfy constraint"),
    ],
)
def test_a_target_that_cannot_be_served_is_refused(
    aws: LocalAWS, rule: str, target_: Any, message: str
) -> None:
    events, wrong = aws.client("events"), [{"Id": "t", "Arn": FUNCTION} | target_]
    code, told = refusal(events.put_targets, Rule=rule, EventBusName=rule, Targets=wrong)
    assert (code, message in told) == ("ValidationException", True), told
    assert events.list_targets_by_rule(Rule=rule, EventBusName=rule)["Targets"] == []


# --- events ---------------------------------------------------------------------------------------


@pytest.mark.aws_portable
@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"Source": ""}, "InvalidArgument", "Parameter Source is not valid. Reason: Source is a required"),
        ({"DetailType": ""}, "InvalidArgument", "Reason: DetailType is a required argument."),
        ({"Detail": ""}, "InvalidArgument", "Reason: Detail is a required argument."),
        ({"Detail": "{"}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": '"text"'}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": '{"x": NaN}'}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": "[" * 9000 + "]" * 9000}, "MalformedDetail", "Detail is malformed."),
        ({"Detail": '{"x": "\\ud800"}'}, "MalformedDetail", "Detail is malformed."),
        ({"Source": "aws.states"}, "NotAuthorizedForSourceException", "Not authorized for the source."),
    ],
)
def test_a_bad_entry_fails_alone(aws: LocalAWS, wrong: Any, code: str, message: str) -> None:
    reply = aws.client("events").put_events(Entries=[entry(), entry() | wrong, entry()])
    assert reply["FailedEntryCount"] == 1
    assert [sorted(told) for told in reply["Entries"]] == [
        ["EventId"],
        ["ErrorCode", "ErrorMessage"],
        ["EventId"],
    ]
    assert reply["Entries"][1]["ErrorCode"] == code
    assert message in reply["Entries"][1]["ErrorMessage"]


def test_a_request_that_is_too_much_fails_whole(aws: LocalAWS) -> None:
    events = aws.client("events")
    large = json.dumps({"x": "x" * 600_000})
    assert refusal(events.put_events, Entries=[entry(Detail=large)] * 2) == (
        "ValidationException",
        "Total size of the entries in the request is over the limit.",
    )
    assert refusal(events.put_events, Entries=[entry()] * 11)[0] == "ValidationException"


def test_a_pattern_is_tested_as_it_would_match(aws: LocalAWS) -> None:
    events = aws.client("events")
    event = {"id": "1", "account": "0", "source": "camera", "time": "t", "region": "r", "detail-type": "d"}
    matching, other = event | {"detail": {"label": "bicycle"}}, event | {"detail": {"label": "car"}}
    assert events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(matching))["Result"]
    assert not events.test_event_pattern(EventPattern=PATTERN, Event=json.dumps(other))["Result"]
    for wrong in ("plain", "[]", "{}"):
        told = refusal(events.test_event_pattern, EventPattern=PATTERN, Event=wrong)
        assert told == ("ValidationException", "Parameter Event is not valid.")


def test_matching_events_start_a_state_machine(aws: LocalAWS, states: Any, rule: str, machine: str) -> None:
    target(aws, rule, machine)
    events = aws.client("events")
    bus = events.describe_event_bus(Name=rule)["Arn"]
    entries = [
        entry("car", EventBusName=rule),
        entry("bicycle"),  # on another bus
        entry(
            "motorcycle", EventBusName=bus, Resources=["r"], Time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        ),
    ]
    reply = events.put_events(Entries=entries)
    (event,) = until(lambda: inputs(states, machine))
    assert event == {
        "version": "0",
        "id": reply["Entries"][2]["EventId"],
        "detail-type": "Picture taken",
        "source": "camera",
        "account": "000000000000",
        "time": "2026-01-02T03:04:05Z",
        "region": "us-east-1",
        "resources": ["r"],
        "detail": {"label": "motorcycle", "score": 0.97},
    }


def test_a_disabled_rule_passes_nothing_on(aws: LocalAWS, states: Any, rule: str, machine: str) -> None:
    events = aws.client("events")
    target(aws, rule, machine, InputPath="$.detail.label")
    events.disable_rule(Name=rule, EventBusName=rule)
    events.put_events(Entries=[entry("bicycle", EventBusName=rule)])
    events.enable_rule(Name=rule, EventBusName=rule)
    events.put_events(Entries=[entry("motorcycle", EventBusName=rule)])
    assert until(lambda: inputs(states, machine)) == ["motorcycle"]


def test_each_target_receives_what_it_asked_for(aws: LocalAWS, states: Any, rule: str, machine: str) -> None:
    transformer = {
        "InputPathsMap": {"label": "$.detail.label", "none": "$.detail.none"},
        "InputTemplate": '{"is": "a <label>", "label": <label>, "none": <none>, "rule": <aws.events.rule-name>}',
    }
    asked: Any = [
        {"Id": "constant", "Input": '{"a": 1}'},
        {"Id": "part", "InputPath": "$.detail"},
        {"Id": "template", "InputTransformer": transformer},
    ]
    targets: Any = [{"Arn": machine, "RoleArn": ROLE} | fields for fields in asked]
    aws.client("events").put_targets(Rule=rule, EventBusName=rule, Targets=targets)
    aws.client("events").put_events(Entries=[entry(EventBusName=rule)])
    until(lambda: len(inputs(states, machine)) == 3)
    received = inputs(states, machine)
    assert {"a": 1} in received
    assert {"label": "bicycle", "score": 0.97} in received
    assert {"is": "a bicycle", "label": "bicycle", "none": "", "rule": rule} in received


def test_an_event_for_a_bus_that_is_not_there_is_accepted_and_lost(aws: LocalAWS) -> None:
    reply = aws.client("events").put_events(Entries=[entry(EventBusName="nowhere")])
    assert reply["FailedEntryCount"] == 0
    assert reply["Entries"][0]["EventId"]


@pytest.mark.timeout(90)
def test_functions_and_topics_receive_events(aws: LocalAWS, rule: str, keeper: Keeper) -> None:
    """One function, invoked by the rule itself and, for the other rule, through a topic."""
    events = aws.client("events")
    topic = aws.client("sns").create_topic(Name=unique("topic"))["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=keeper.arn)
    target(aws, rule, keeper.arn)
    events.put_rule(Name="cars", EventBusName=rule, EventPattern='{"detail": {"label": ["car"]}}')
    events.put_targets(Rule="cars", EventBusName=rule, Targets=[{"Id": "t", "Arn": topic}])
    entries = [entry("bicycle", EventBusName=rule), entry("car", EventBusName=rule)]
    direct, through_topic = (told["EventId"] for told in events.put_events(Entries=entries)["Entries"])
    until(lambda: len(keeper.events()) == 2)
    (message,) = (event["Records"][0]["Sns"] for event in keeper.events() if "Records" in event)
    (invoked,) = (event for event in keeper.events() if "Records" not in event)
    assert (invoked["id"], json.loads(message["Message"])["id"]) == (direct, through_topic)
