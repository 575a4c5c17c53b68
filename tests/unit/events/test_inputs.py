"""What targets receive; the answers of the templates are as recorded on AWS."""

import json
from typing import Any

import pytest

from scones.cloud.services.events.inputs import InputError, target_input

ARN = "arn:aws:events:us-east-1:000000000000:rule/r"
EVENT = {
    "version": "0",
    "id": "7b0e",
    "detail-type": "Order",
    "source": "shop",
    "account": "000000000000",
    "time": "2026-01-02T03:04:05Z",
    "region": "us-east-1",
    "resources": [],
    "detail": {
        "command": "update",
        "payload": {"acc": "0a78", "sf": "baz"},
        "one": ["HIGH"],
        "two": ["ACTIVE", "INACTIVE"],
        "valid": True,
        "said": 'a "word"',
    },
}
PATHS = {
    "command": "$.detail.command",
    "type": "$.detail-type",
    "userId": "$.detail.payload.acc",
    "payload": "$.detail.payload",
    "one": "$.detail.one",
    "two": "$.detail.two",
    "first": "$.detail.two[0]",
    "valid": "$.detail.valid",
    "said": "$.detail.said",
    "none": "$.detail.none",
}


def received(**target: Any) -> str:
    return target_input(target, EVENT, rule_arn=ARN, rule_name="r", now="2026-01-02T03:04:06Z")


def filled(template: str) -> str:
    return received(InputTransformer={"InputPathsMap": PATHS, "InputTemplate": template})


def test_a_target_receives_the_event_a_part_or_a_constant() -> None:
    assert json.loads(received()) == EVENT
    assert received(InputPath="$.detail.payload") == '{"acc":"0a78","sf":"baz"}'
    assert received(InputPath="$.detail.command") == '"update"'
    assert received(InputPath="$.detail.none") == "null"
    assert received(Input='{"a":  1}') == '{"a":  1}'


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('"<type>: <command>, <none>."', '"Order: update, ."'),
        ('"{[/<type>"', '"{[/Order"'),
        ('"<payload> and <userId>"', '"{acc:0a78,sf:baz} and 0a78"'),
        ('"<one> <two> <none> <valid>"', '"[HIGH] [ACTIVE,INACTIVE]  true"'),
        ('"<userId> a"\n"<two> b"', '"0a78 a"\n"[ACTIVE,INACTIVE] b"'),
        ('"<said>"', '"a \\"word\\""'),
        ('{"a": <userId>, "b": "u/<userId>/<userId>"}', '{"a": "0a78", "b": "u/0a78/0a78"}'),
        ('{"a": <none>, "b": "<none>", "c": <valid>}', '{"a": "", "b": "", "c": true}'),
        (
            '{"a": <payload>, "b": [<userId>, <first>]}',
            '{"a": {"acc":"0a78","sf":"baz"}, "b": ["0a78", "ACTIVE"]}',
        ),
        ('{"a": <one>}', '{"a": ["HIGH"]}'),
        ("<payload>", '{"acc":"0a78","sf":"baz"}'),
        (
            '"<aws.events.rule-arn> <aws.events.rule-name> <aws.events.event.ingestion-time>"',
            f'"{ARN} r 2026-01-02T03:04:06Z"',
        ),
    ],
)
def test_a_template_is_filled(template: str, text: str) -> None:
    assert filled(template) == text


def test_a_template_may_hold_the_whole_event() -> None:
    both = json.loads(filled('{"event": <aws.events.event>, "json": <aws.events.event.json>}'))
    assert both["json"] == EVENT
    assert both["event"] == {
        ("detailType" if name == "detail-type" else name): EVENT[name] for name in EVENT if name != "detail"
    }


@pytest.mark.parametrize("template", ["<one> a", "<userId> a", '{"a": "<one>"}', '{"a": <userId>', "text"])
def test_a_template_that_filled_is_no_json_gives_nothing(template: str) -> None:
    with pytest.raises(InputError):
        filled(template)
