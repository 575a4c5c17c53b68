"""What is accepted, what is refused, and in which words."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.variables import variable_references

TRUE = {"Variable": "$.n", "IsPresent": True}
END: dict[str, Any] = {"Type": "Pass", "End": True}
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"


def refusals(definition: Any) -> str:
    with pytest.raises(DefinitionError) as problem:
        compile_definition(definition if isinstance(definition, str) else json.dumps(definition))
    return str(problem.value)


def one(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": state}}


def distributed(more: dict[str, Any]) -> dict[str, Any]:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
    processor = {"ProcessorConfig": config, "StartAt": "P", "States": {"P": END}}
    return one({"Type": "Map", "ItemProcessor": processor, "End": True} | more)


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ({}, "SCHEMA_VALIDATION_FAILED: These fields are required: [States, StartAt] at /"),
        ({"StartAt": "A"}, "SCHEMA_VALIDATION_FAILED: These fields are required: [States] at /"),
        (" ", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        ("[]", "SCHEMA_VALIDATION_FAILED: Definition must be a valid JSON object"),
        (
            {"StartAt": "B", "States": {"A": END}},
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /StartAt",
        ),
        (
            one({"Type": "Pass", "Next": "B"}) | {},
            "MISSING_TRANSITION_TARGET: Missing 'Next' target: B at /States/S/Next",
        ),
        (
            {"StartAt": "A", "States": {"A": END, "B": END}},
            'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B',
        ),
        (
            one({"Type": "Nap"}),
            "The field 'Type' should have one of these values:"
            " [Task, Wait, Pass, Succeed, Fail, Choice, Parallel, Map] at /States/S",
        ),
        (
            {"StartAt": "A" * 81, "States": {"A" * 81: END}},
            f"INVALID_STATE_NAME: Invalid State name: State '{'A' * 81}' exceeds the 80-character limit allowed"
            f" by the service at /States/{'A' * 81}",
        ),
        (one({"Type": "Pass"}), "These fields are required: [Next] or [End] at /States/S"),
        (one({"Type": "Task", "End": True}), "These fields are required: [Resource] at /States/S"),
        (one(END | {"Retry": []}), "Field 'Retry' is not supported at /States/S"),
        (
            one({"Type": "Wait", "Timestamp": "2020-01-01", "End": True}),
            "SCHEMA_VALIDATION_FAILED: String does not match RFC3339 timestamp at /States/S/Timestamp",
        ),
        (
            one({"Type": "Wait", "Seconds": "1", "End": True}),
            "Expected value of type Integer at /States/S/Seconds",
        ),
        (one({"Type": "Wait", "Seconds": -1, "End": True}), "Minimum value is 0 at /States/S/Seconds"),
        (one({"Type": "Wait", "Seconds": 10**8, "End": True}), "Maximum value is 99999999 at /States/S/Seconds"),
        (
            one({"Type": "Wait", "Seconds": 1, "SecondsPath": "$.s", "End": True}),
            "There should only be one of the following fields: [Seconds, SecondsPath] at /States/S",
        ),
        (one({"Type": "Wait", "End": True}), "One of these fields is required"),
        (
            one(END | {"Parameters": {"a": {"b.$": "nothing"}}}),
            "The value for the field 'b.$' must be a valid JSONPath or a valid intrinsic function call"
            " at /States/S/Parameters/a",
        ),
        (one(END | {"InputPath": "x"}), "Value must be a valid JSONPath. at /States/S/InputPath"),
        (one(END | {"ResultPath": "$.a[*]"}), "Value is not a Reference Path at /States/S/ResultPath"),
        (one(END | {"Assign": {"states": 1}}), "'states' is not a valid variable name at /States/S/Assign"),
        (
            one({"Type": "Task", "Resource": "f", "End": True}),
            "The resource provided f is not recognized. The value is not a valid resource ARN,"
            " or the resource is not available in this region. at /States/S/Resource",
        ),
        *(
            (
                one({"Type": "Task", "Resource": resource, "End": True}),
                f"SCHEMA_VALIDATION_FAILED: The resource provided {resource} is not recognized. The value is not a"
                " valid resource ARN, or the resource is not available in this region. at /States/S/Resource",
            )
            for resource in (f"{INVOKE}.sync", f"{INVOKE}d", "arn:aws:states:::dynamodb:query")
        ),
        (
            one({"Type": "Task", "Resource": INVOKE, "Parameters": {}, "End": True}),
            "The field 'FunctionName' is required but was missing at /States/S/Parameters",
        ),
        (
            one({"Type": "Task", "Resource": FUNCTION, "Credentials": {}, "End": True}),
            "The field 'RoleArn' is required but was missing at /States/S/Credentials",
        ),
        (
            one({"Type": "Task", "Resource": FUNCTION, "End": True,
                 "Retry": [{"ErrorEquals": ["States.ALL"]}, {"ErrorEquals": ["A"]}]}),
            "'States.ALL' can only appear alone, and in the last place at /States/S/Retry[0]/ErrorEquals",
        ),
        (
            one({"Type": "Task", "Resource": FUNCTION, "End": True,
                 "Catch": [{"ErrorEquals": ["A"], "Next": "X"}]}),
            "Missing 'Next' target: X at /States/S/Catch[0]/Next",
        ),
        (one({"Type": "Choice", "Choices": []}), "Value cannot be empty at /States/S/Choices"),
        *(
            (one({"Type": "Choice", "Choices": [{"Next": "S"} | rule]}), f"{message} at /States/S/Choices[0]{place}")
            for rule, message, place in (
                (TRUE | {"Foo": 1}, "Field 'Foo' is not supported", ""),
                (
                    TRUE | {"Output": 1},
                    "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the"
                    " 'JSONata' QueryLanguage",
                    "",
                ),
                (
                    {"Condition": "{% true %}"},
                    "The QueryLanguage is set to 'JSONPath', but field 'Condition' is only supported for the"
                    " 'JSONata' QueryLanguage",
                    "",
                ),
                (
                    {"Variable": "$.n", "NumericEquals": "1"},
                    "Expected value of type Number",
                    "/NumericEquals",
                ),
                (
                    {"Variable": "$.n", "TimestampEquals": "1"},
                    "String does not match RFC3339 timestamp",
                    "/TimestampEquals",
                ),
            )
        ),
        *(
            (
                one({"Type": "Task", "Resource": FUNCTION, "End": True, "Retry": [{"ErrorEquals": ["A"]} | retrier]}),
                f"{message} at /States/S/Retry[0]/{place}",
            )
            for retrier, message, place in (
                ({"BackoffRate": 0.5}, "Minimum value is 1.0", "BackoffRate"),
                ({"BackoffRate": "2"}, "Expected value of type Number", "BackoffRate"),
                (
                    {"JitterStrategy": "HALF"},
                    "The field 'JitterStrategy' should have one of these values: [NONE, FULL]",
                    "JitterStrategy",
                ),
                ({"ErrorEquals": "A"}, "Expected value of type Array", "ErrorEquals"),
                ({"ErrorEquals": []}, "Value cannot be empty", "ErrorEquals"),
            )
        ),
        (
            one(
                {"Type": "Task", "Resource": FUNCTION, "End": True, "QueryLanguage": "JSONata",
                 "Catch": [{"ErrorEquals": ["A"], "Next": "S", "ResultPath": "$.e"}]}
            ),
            "The QueryLanguage is set to 'JSONata', but field 'ResultPath' is only supported for the 'JSONPath'"
            " QueryLanguage at /States/S/Catch[0]",
        ),
        (
            one({"Type": "Map", "Items": "x", "ItemProcessor": {"StartAt": "P", "States": {"P": END}},
                 "QueryLanguage": "JSONata", "End": True}),
            "Expected value of type Array at /States/S/Items",
        ),
        (
            one({"Type": "Parallel", "End": True, "Branches": [one(END)]}),
            "DUPLICATE_STATE_NAME: Duplicate State name: S at /States/S/Branches[0]/States/S",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}},
            "MISSING_END_STATE: Workflow has no terminal state at null",
        ),
        (
            {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}, "B": END}},
            'MISSING_TRANSITION_TARGET: State "B" is not reachable. at /States/B',
        ),
        (
            {
                "StartAt": "A",
                "States": {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Pass", "Next": "A"}, "C": END},
            },
            'MISSING_TRANSITION_TARGET: State "C" is not reachable. at /States/C',
        ),
        (
            distributed({"ToleratedFailurePercentage": 101}),
            "Maximum value is 100.0 at /States/S/ToleratedFailurePercentage",
        ),
        (
            distributed({"MaxConcurrencyPath": "$$.Execution.Input.n"}),
            "Value is not a Reference Path at /States/S/MaxConcurrencyPath",
        ),
        (
            distributed({"ItemBatcher": {"MaxItemsPerBatchPath": "$.n"}, "QueryLanguage": "JSONata"}),
            "The QueryLanguage is set to 'JSONata', but field 'MaxItemsPerBatchPath' is only supported for the"
            " 'JSONPath' QueryLanguage at /States/S/ItemBatcher",
        ),
        (
            one({"Type": "Map", "ItemProcessor": one(END) | {"QueryLanguage": "JSONata"}, "End": True}),
            "Field 'QueryLanguage' is not supported at /States/S/ItemProcessor",
        ),
        (
            one(END | {"Output": 1}),
            "The QueryLanguage is set to 'JSONPath', but field 'Output' is only supported for the 'JSONata'"
            " QueryLanguage at /States/S",
        ),
    ],
)  # fmt: skip
def test_a_broken_definition_is_refused_in_these_words(definition: Any, message: str) -> None:
    assert message in refusals(definition)


@pytest.mark.parametrize(
    ("definition", "feature"),
    [
        (
            one(
                {
                    "Type": "Map",
                    "End": True,
                    "ItemProcessor": {
                        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                        "StartAt": "P",
                        "States": {"P": {"Type": "Pass", "End": True}},
                    },
                    "ItemReader": {
                        "Resource": "arn:aws:states:::dynamodb:scan",
                        "ReaderConfig": {"InputType": "JSON"},
                    },
                }
            ),
            "An ItemReader of the resource 'arn:aws:states:::dynamodb:scan'",
        ),
        (
            one(
                {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
            ),
            "The service integration 'sqs:sendMessage'",
        ),
        (
            one(
                {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::sagemaker:createLabelingJob.sync",
                    "End": True,
                }
            ),
            "The service integration 'sagemaker:createLabelingJob'",
        ),
        (
            one({"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:getItem", "End": True}),
            "The service integration 'aws-sdk:dynamodb:getItem'",
        ),
    ],
)
def test_what_the_interpreter_lacks_is_refused_by_name(definition: Any, feature: str) -> None:
    assert f"NOT_SUPPORTED: {feature} is not supported by this cloud yet" in refusals(definition)


def test_all_mistakes_are_told_at_once() -> None:
    told = refusals({"StartAt": "A", "States": {"A": {"Type": "Pass"}, "B": {"Type": "Nap"}}})
    assert "/States/A" in told
    assert "/States/B" in told


@pytest.mark.parametrize(
    ("text", "message", "column"),
    [
        (
            "not a definition",
            "Unrecognized token 'not': was expecting"
            " (JSON String, Number, Array, Object or token 'null', 'true' or 'false')",
            4,
        ),
        (
            "{'a': 1}",
            "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
            3,
        ),
        (
            '{"a": 1',
            "Unexpected end-of-input: expected close marker for Object"
            ' (start marker at [Source: (String)"{"a": 1"; line: 1, column: 1])',
            8,
        ),
        ('{"a": 1,', "Unexpected end-of-input within/between Object entries", 9),
        ('{"a": "b', "Unexpected end-of-input: was expecting closing quote for a string value", 9),
        ('{"a', "Unexpected end-of-input in field name", 4),
        (
            '{"a": [1}',
            "Unexpected close marker '}': expected ']'"
            ' (for Array starting at [Source: (String)"{"a": [1}"; line: 1, column: 7])',
            10,
        ),
        (
            '{"a": 1,}',
            "Unexpected character ('}' (code 125)): was expecting double-quote to start field name",
            10,
        ),
        (
            '{"a": 1 "b": 2}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            10,
        ),
        (
            '{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            7,
        ),
        ('{"a": 01}', "Invalid numeric value: Leading zeroes not allowed", 8),
        (
            '{"a": 1.}',
            "Unexpected character ('}' (code 125)) in numeric value: Decimal point not followed by a digit",
            10,
        ),
        ('{"a": "\\q"}', "Unrecognized character escape 'q' (code 113)", 10),
        (
            '{"a": "b\t"}',
            "Illegal unquoted character ((CTRL-CHAR, code 9)):"
            " has to be escaped using backslash to be included in string value",
            10,
        ),
        (
            '{"a": NaN}',
            "Non-standard token 'NaN': enable JsonParser.Feature.ALLOW_NON_NUMERIC_NUMBERS to allow",
            10,
        ),
    ],
)
def test_what_is_no_json_is_refused_in_jacksons_words(text: str, message: str, column: int) -> None:
    place = f'[Source: (String)"{text}"; line: 1, column: {column}]'
    assert refusals(text) == f"INVALID_JSON_DESCRIPTION: {message}\n at {place}"


def test_the_variables_that_states_read_are_found() -> None:
    inner = {"StartAt": "In", "States": {"In": END | {"Parameters": {"q.$": "States.Format('{}', $b)"}}}}
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"b": "$not"}, "Next": "M"},
            "M": {"Type": "Map", "ItemsPath": "$a.x", "ItemProcessor": inner, "End": True},
        },
    }
    assert variable_references(json.dumps(definition)) == {"M": ["a"], "In": ["b"]}


def test_variables_of_jsonata_are_those_that_the_expression_does_not_bind() -> None:
    text = "{% ( $own := $count($a); $map($b, function($x) { $x & '$no' & $own & $states.input }) ) %}"
    definition = one(END | {"Output": [text, "$plain"]}) | {"QueryLanguage": "JSONata"}
    assert variable_references(json.dumps(definition)) == {"S": ["a", "b"]}
