"""JSONata expressions: what they give, how they fail, and that none of them holds the loop."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.environment import Environment
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.journal import Event, Fired, Invoke, SetTimer, Started, Succeeded
from scones.cloud.asl.jsonata import UNDEFINED, QueryError, evaluate_query, parse_query
from scones.cloud.asl.machine import Execution, Machine
from scones.cloud.asl.query import compile_payload

NOW_MS = 1_700_000_000_000
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"


def value_of(text: str, **variables: Any) -> Any:
    draws = iter(range(2**127, 2**127 + 100))
    return evaluate_query(parse_query(text), variables, NOW_MS, lambda: next(draws))


def run(states: dict[str, Any], given: Any = None, answer: Any = None) -> tuple[Machine, list[Event]]:
    """Run a JSONata machine of these states to its end; every task gives `answer`."""
    definition = {"QueryLanguage": "JSONata", "StartAt": next(iter(states)), "States": states}
    execution = Execution(
        arn="arn:aws:states:us-east-1:000000000000:execution:m:e", name="e", role_arn="r",
        machine_arn="m", machine_name="m", region="us-east-1", input=json.dumps(given), seed="s",
    )  # fmt: skip
    machine = Machine(compile_definition(json.dumps(definition)), execution)
    events: list[Event] = []
    stimuli: list[Any] = [Started()]
    for _ in range(100):
        turn = machine.feed(stimuli, NOW_MS)
        events += turn.events
        stimuli = [Succeeded(c.task, json.dumps(answer)) for c in turn.commands if isinstance(c, Invoke)]
        stimuli += [Fired(c.timer) for c in turn.commands if isinstance(c, SetTimer)]
        if machine.status != "RUNNING":
            break
    return machine, events


def output_of(states: dict[str, Any], given: Any = None, answer: Any = None) -> Any:
    machine, events = run(states, given, answer)
    assert machine.status == "SUCCEEDED", events[-1]
    return json.loads(events[-1]["executionSucceededEventDetails"]["output"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 1", 2),
        ("3 / 2", 1.5),
        ("null", None),
        ("$given.a", None),
        ("$type($given.a)", "null"),
        ("[1..3]", [1, 2, 3]),
        ("$range(1, 9, 4)", [1, 5, 9]),
        ("$range(1, 9, 9)", 1),
        ("$range(5, 1, -2)", [5, 3, 1]),
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$partition([0], 1)", [[0]]),
        ("$hash('a', 'SHA-1')", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
        ("$parse('[1, null]')", [1, None]),
        ("$parse('null')", None),
        ("$random(7) = $random(7)", True),
        ("$now()", "2023-11-14T22:13:20.000Z"),
        ("$millis()", NOW_MS),
        ("$contains('aaa', /a+$/)", True),
        ("( $f := function($n) { $n < 2 ? 1 : $n * $f($n - 1) }; $f(10) )", 3_628_800),
    ],
)
def test_an_expression_has_this_value(text: str, expected: Any) -> None:
    assert value_of(text, given={"a": None}) == expected


def test_chance_comes_from_what_the_machine_draws() -> None:
    text = "[$uuid(), $random(), $shuffle([1..20])]"
    assert value_of(text) == value_of(text)
    assert value_of("$uuid()") != value_of("[$uuid(), $uuid()]")[1]


def test_nothing_is_not_null() -> None:
    assert value_of("$missing") is UNDEFINED
    assert value_of("$given.b", given={"a": 1}) is UNDEFINED


@pytest.mark.parametrize(
    "text",
    [
        "( $f := function($x) { $f($x) }; $f(1) )",
        "( $f := function($x) { 1 + $f($x) }; $f(1) )",
        "[1..10000000]",
        "$sum([1..1000000].([1..1000000]))",
        "$pad('a', 1000000000)",
        "$reduce([1..60], function($a, $b) { $a & $a }, 'xx')",
        "$reduce([1..60], function($a, $b) { $append($a, $a) }, [1, 2])",
        "$reduce([1..9000], function($a, $b) { $a * 1000003 }, 1)",
        "$join([1..90000].('abc'), $pad('', 90000, 'x'))",
        "$distinct([1..90000])",
    ],
)
def test_a_hostile_expression_is_stopped(text: str) -> None:
    with pytest.raises(QueryError):
        value_of(text)


def test_a_pattern_takes_linear_time() -> None:
    assert value_of("$contains($long, /(a+)+$/)", long="a" * 5000 + "!") is False


@pytest.mark.parametrize("text", ["$eval('1')", "$nothing()"])
def test_a_function_that_is_not_there_cannot_be_called(text: str) -> None:
    with pytest.raises(QueryError, match="T1006: Attempted to invoke a non-function"):
        value_of(text)


def test_output_and_assign_see_the_input_the_result_and_the_variables() -> None:
    task = {"Type": "Task", "Resource": FUNCTION, "Arguments": {"n": "{% $states.input.n + $one %}"},
            "Assign": {"got": "{% $states.result %}"},
            "Output": {"sent": "{% $states.input.n %}", "got": "{% $states.result %}"},
            "Next": "After"}  # fmt: skip
    states = {
        "Before": {"Type": "Pass", "Assign": {"one": 1}, "Next": "Task"},
        "Task": task,
        "After": {"Type": "Succeed", "Output": ["{% $got %}", "{% $states.input %}", "as it is"]},
    }
    assert output_of(states, {"n": 1}, "answer") == ["answer", {"sent": 1, "got": "answer"}, "as it is"]


def test_the_first_condition_that_holds_chooses() -> None:
    rule = {"Condition": "{% $states.input > 1 %}", "Next": "End", "Output": "large", "Assign": {"v": 1}}
    states = {
        "Choose": {"Type": "Choice", "Choices": [rule], "Default": "End", "Output": "small"},
        "End": {"Type": "Succeed"},
    }
    assert output_of(states, 2) == "large"
    assert output_of(states, 1) == "small"


def test_a_map_takes_its_items_from_an_expression() -> None:
    inner = {"StartAt": "In", "States": {"In": {"Type": "Pass", "End": True}}}
    states = {
        "Map": {"Type": "Map", "Items": "{% [1..3] %}", "End": True, "ItemProcessor": inner,
                "ItemSelector": "{% $states.context.Map.Item.Value * 2 %}", "MaxConcurrency": "{% 1 + 1 %}"},
    }  # fmt: skip
    assert output_of(states) == [2, 4, 6]


def test_a_failed_evaluation_is_an_event_and_can_be_caught() -> None:
    catcher = {"ErrorEquals": ["States.QueryEvaluationError"], "Next": "End",
               "Output": "{% $states.errorOutput.Error %}"}  # fmt: skip
    states = {
        "Work": {"Type": "Task", "Resource": FUNCTION, "Arguments": {"a": ["{% $no %}"]}, "End": True,
                 "Catch": [catcher]},
        "End": {"Type": "Succeed"},
    }  # fmt: skip
    machine, events = run(states)
    assert machine.status == "SUCCEEDED"
    failed = next(e for e in events if e["type"] == "EvaluationFailed")["evaluationFailedEventDetails"]
    assert (failed["location"], failed["state"]) == ("Arguments/a[0]", "Work")
    assert failed["cause"].endswith(
        "The JSONata expression '$no' specified for the field 'Arguments/a[0]' returned nothing (undefined)."
    )
    assert events[-1]["executionSucceededEventDetails"]["output"] == '"States.QueryEvaluationError"'


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ({"Type": "Wait", "Seconds": "{% 'x' %}"}, "Expected 'number', but was 'string' for value: \"x\""),
        ({"Type": "Wait", "Seconds": "{% 1.5 %}"}, "Expected 'integer', but was 'number' for value: 1.5"),
        (
            {"Type": "Wait", "Timestamp": "{% '2016-12-05 21:29:29Z' %}"},
            "(entered at the event id #2). The Timestamp field cannot be parsed as an ISO-8601 extended offset"
            " date-time format string: 2016-12-05 21:29:29Z",
        ),
        (
            {"Type": "Map", "ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Succeed"}}}},
            "(entered at the event id #2). Map state input must be an array but was: null",
        ),
        ({"Type": "Pass", "Output": "{% function($x) { $x } %}"}, "returned an unsupported result type."),
        ({"Type": "Pass", "Output": "{% $error('no') %}"}, "threw an error during evaluation. D3137: no"),
    ],
)
def test_a_result_that_does_not_fit_fails_the_state(state: dict[str, Any], reason: str) -> None:
    _, events = run({"S": {**state, "End": True}})
    failed = events[-1]["executionFailedEventDetails"]
    assert failed["error"] == "States.QueryEvaluationError"
    assert reason in failed["cause"]


@pytest.mark.parametrize(
    ("state", "place"),
    [
        ({"Type": "Pass", "Result": 1}, "field 'Result' is only supported for the 'JSONPath' QueryLanguage at /States/S"),
        ({"Type": "Pass", "OutputPath": "$.a"}, "field 'OutputPath' is only supported for the 'JSONPath' QueryLanguage at /States/S"),
        ({"Type": "Pass", "Output": "{% 1 + %}"}, "/States/S/Output"),
        ({"Type": "Wait", "SecondsPath": "$.a"}, "field 'SecondsPath' is only supported for the 'JSONPath' QueryLanguage at /States/S"),
        ({"Type": "Pass", "QueryLanguage": "JSONPath"},
         "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine at /States/S"),
    ],
)  # fmt: skip
def test_a_jsonata_state_has_no_fields_of_the_other_language(state: dict[str, Any], place: str) -> None:
    with pytest.raises(DefinitionError) as problem:
        run({"S": {**state, "End": True}})
    assert place in str(problem.value)


def test_long_evaluations_of_one_execution_take_turns_with_others() -> None:
    heavy = "{% $sum([1..9000].($ + 1)) %}"
    states = {f"S{n}": {"Type": "Pass", "Output": heavy, "Next": f"S{n + 1}"} for n in range(9)}
    definition = {"QueryLanguage": "JSONata", "StartAt": "S0", "States": states | {"S9": {"Type": "Succeed"}}}
    execution = Execution(
        arn="a", name="e", role_arn="r", machine_arn="m", machine_name="m", region="r", input="{}", seed="s"
    )
    machine = Machine(compile_definition(json.dumps(definition)), execution)
    first = machine.feed([Started()], NOW_MS)
    assert machine.busy
    again = Machine(compile_definition(json.dumps(definition)), execution)
    assert again.feed([Started()], NOW_MS, first.steps).events == first.events
    for _ in range(20):
        machine.feed([], NOW_MS)
    assert machine.status == "SUCCEEDED"


def test_data_that_an_expression_sees_is_work_and_what_it_does_not_name_is_none() -> None:
    seen: list[int] = []
    view = Environment(None, dict, {"many": list(range(640_000)), "few": [1]}, lambda: 0, worked=seen.append)
    assert compile_payload("{% $few[0] %}", "Output").evaluate(view) == 1
    assert compile_payload("{% $count($many) %}", "Output").evaluate(view) == 640_000
    without, with_many = seen
    assert without < 100
    assert with_many > 10_000
