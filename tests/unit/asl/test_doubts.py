"""What a definition may say and hardly means."""

import json
from typing import Any

import pytest

from scones.cloud.asl.doubts import doubts

TASK = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish"}


def found(state: dict[str, Any], **top: Any) -> list[tuple[str, str | None]]:
    definition = {"StartAt": "S", "States": {"S": state}, **top}
    return [(doubt.code, doubt.location) for doubt in doubts(json.dumps(definition))]


@pytest.mark.parametrize(
    ("parameters", "place"),
    [
        ({"a": "$.b"}, "a"),
        ({"a": {"b": ["x", {"c": "$$.Execution.Id"}]}}, "a/b[1]/c"),
        ({"a": "$variable"}, "a"),
        ({"a": "$"}, "a"),
        ({"a": "States.UUID()"}, "a"),
        ({"a": "States.Format('{}', $.b)"}, "a"),
    ],
)
def test_a_path_or_a_call_without_dollar(parameters: dict[str, Any], place: str) -> None:
    assert found(TASK | {"Parameters": parameters}) == [("NO_DOLLAR", f"/States/S/Parameters/{place}")]
    assert found({"Type": "Pass", "Assign": parameters}) == [("NO_DOLLAR", f"/States/S/Assign/{place}")]


@pytest.mark.parametrize(
    "parameters",
    [{"a.$": "$.b"}, {"a": "text"}, {"a": "$5.00"}, {"a": "States rights"}, {"a": "cost: $.a"}, {"a": 1}, []],
)
def test_what_is_meant_as_it_stands(parameters: Any) -> None:
    assert found(TASK | {"Parameters": parameters}) == []


def test_a_path_in_a_field_that_has_a_sibling_for_paths() -> None:
    fail = {"Type": "Fail", "Error": "$.error", "Cause": "plain"}
    assert found(fail) == [("NO_PATH", "/States/S/Error")]
    rule = {"Variable": "$.a", "StringEquals": "$.b"}
    nested = {"And": [rule, {"Not": {"Variable": "$.a", "TimestampLessThan": "$.c"}}], "Next": "T"}
    path = {"Variable": "$.a", "StringEqualsPath": "$.b", "Next": "T"}
    choices = [rule | {"Next": "T"}, nested, path]
    assert found({"Type": "Choice", "Choices": choices}) == [
        ("NO_PATH", "/States/S/Choices[0]/StringEquals"),
        ("NO_PATH", "/States/S/Choices[1]/And[0]/StringEquals"),
        ("NO_PATH", "/States/S/Choices[1]/And[1]/Not/TimestampLessThan"),
    ]


@pytest.mark.parametrize("result", ["$.a", {"a.$": "$.b"}, {"a": ["$.b"]}, "States.UUID()"])
def test_a_path_in_a_static_result(result: Any) -> None:
    assert found({"Type": "Pass", "Result": result}) == [("PASS_RESULT_IS_STATIC", "/States/S/Result")]


def test_states_inside_states_are_looked_at_and_jsonata_has_no_such_doubts() -> None:
    inner = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": "$.a"}}}
    both = {
        "Type": "Parallel",
        "Branches": [inner, {"StartAt": "M", "States": {"M": {"ItemProcessor": inner}}}],
    }
    assert [place for _, place in found(both)] == [
        "/States/S/Branches[0]/States/P/Result",
        "/States/S/Branches[1]/States/M/ItemProcessor/States/P/Result",
    ]
    assert found(both, QueryLanguage="JSONata") == []
    assert found({"Type": "Pass", "QueryLanguage": "JSONata", "Result": "$.a"}) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "1", "{", '{"States": 1}', '{"States": {"A": {"Choices": [1], "Catch": 2}}}']
)
def test_no_text_is_too_broken(text: str) -> None:
    assert doubts(text) == []
