"""The interpreter by itself: feedings in, events and commands out."""

import json
import tracemalloc
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.journal import (
    Aborted,
    CancelTask,
    CancelTimer,
    Event,
    Failed,
    Finish,
    Fired,
    Invoke,
    SetTimer,
    Started,
    Succeeded,
)
from scones.cloud.asl.machine import EVENT_LIMIT, Execution, Machine

NOW = 1_700_000_000_000
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
TASK = {"Type": "Task", "Resource": FUNCTION, "End": True}


def machine(states: dict[str, Any], given: str = "{}", **top: Any) -> Machine:
    definition = {"StartAt": next(iter(states)), "States": states, **top}
    execution = Execution(
        arn="arn:aws:states:us-east-1:000000000000:execution:m:e",
        name="e",
        role_arn="arn:aws:iam::000000000000:role/r",
        machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:m",
        machine_name="m",
        region="us-east-1",
        input=given,
        seed="seed",
    )
    return Machine(compile_definition(json.dumps(definition)), execution)


def finish(states: dict[str, Any], given: str = "{}") -> tuple[Finish, list[Event]]:
    """Run a machine that waits for nothing."""
    runner = machine(states, given)
    turn = runner.feed([Started()], NOW)
    events = turn.events
    while runner.busy:
        turn = runner.feed([], NOW)
        events += turn.events
    assert isinstance(turn.commands[-1], Finish)
    return turn.commands[-1], events


def outline(events: list[Event]) -> list[tuple[int, str]]:
    return [(event["previousEventId"], event["type"]) for event in events]


def test_the_callers_text_travels_unchanged_until_something_rewrites_it() -> None:
    given = '{ "a" : [1,   2] }'
    states = {
        "A": {"Type": "Pass", "Next": "B"},
        "B": {"Type": "Parallel", "End": True,
              "Branches": [{"StartAt": "C", "States": {"C": {"Type": "Pass", "End": True}}}]},
    }  # fmt: skip
    assert finish(states, given)[0].output == f"[{given}]"
    rewritten = {"A": {"Type": "Pass", "ResultPath": "$.b", "Result": 1, "End": True}}
    assert finish(rewritten, given)[0].output == '{"a":[1,2],"b":1}'


def test_computed_keys_follow_the_literal_ones_in_javas_order() -> None:
    state = {
        "Type": "Pass",
        "End": True,
        "Parameters": {
            "original_input.$": "$.x",
            "iteration_input_value.$": "$.x",
            "iteration_index.$": "$.x",
            "from_input_constant.$": "$.x",
            "constant_value": 0,
        },
    }
    output = finish({"A": state}, '{"x":1}')[0].output
    assert list(json.loads(output or "")) == [
        "constant_value", "iteration_input_value", "from_input_constant", "iteration_index", "original_input",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, {"a": {"b": 1}}),
        ({"InputPath": "$.a"}, {"b": 1}),
        ({"InputPath": None}, {}),
        ({"OutputPath": "$.a.b"}, 1),
        ({"OutputPath": None}, {}),
        ({"Result": {"x.$": "$.a"}}, {"x.$": "$.a"}),
        ({"Result": None}, None),
        ({"Result": 5, "ResultPath": None}, {"a": {"b": 1}}),
        ({"InputPath": "$.a", "Result": 5, "ResultPath": "$.r"}, {"a": {"b": 1}, "r": 5}),
        ({"Parameters": {"k.$": "$.a.b", "e.$": "$$.Execution.Name"}}, {"k": 1, "e": "e"}),
    ],
)
def test_data_flows_through_a_pass_state(fields: dict[str, Any], output: Any) -> None:
    end = finish({"A": {"Type": "Pass", "End": True} | fields}, '{"a": {"b": 1}}')[0]
    assert json.loads(end.output or "") == output


def test_a_result_path_through_something_else_fails_by_its_name() -> None:
    end, _ = finish({"A": {"Type": "Pass", "Result": 1, "ResultPath": "$.a.b", "End": True}}, '{"a": 1}')
    assert end.error == "States.ResultPathMatchFailure"
    assert end.cause == 'Unable to apply ReferencePath $.a.b to input {"a":1}'


@pytest.mark.parametrize(
    "fields",
    [{"InputPath": "$.a"}, {"OutputPath": "$.a"}, {"Parameters": {"a.$": "$"}}, {"Assign": {"a.$": "$"}}],
)
def test_no_path_is_applied_to_null(fields: dict[str, Any]) -> None:
    end, _ = finish({"A": {"Type": "Pass", "End": True} | fields}, "null")
    assert end.error == "States.Runtime"
    assert (end.cause or "").endswith("Unable to apply Path transformation to null or empty input.")


def test_null_itself_goes_through() -> None:
    states = {"A": {"Type": "Pass", "Parameters": {"a.$": "$$.Execution.Input", "b": 1}, "End": True}}
    assert json.loads(finish(states, "null")[0].output or "") == {"a": None, "b": 1}
    assert finish({"A": {"Type": "Pass", "InputPath": "$", "End": True}}, "null")[0].output == "null"


def test_variables_are_assigned_together_and_seen_from_the_next_state_on() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "B"},
        "B": {"Type": "Pass", "Assign": {"x.$": "$y", "y.$": "$x"}, "Next": "C"},
        "C": {"Type": "Pass", "Parameters": {"xy.$": "States.Array($x, $y)"}, "End": True},
    }
    end, events = finish(states)
    assert json.loads(end.output or "") == {"xy": [2, 1]}
    assert events[2]["stateExitedEventDetails"]["assignedVariables"] == {"x": "1", "y": "2"}


def test_a_choice_without_match_or_default_fails() -> None:
    rule = {"Variable": "$.n", "NumericEquals": 1, "Next": "B"}
    states = {"A": {"Type": "Choice", "Choices": [rule]}, "B": {"Type": "Succeed"}}
    assert finish(states, '{"n": 1}')[0].status == "SUCCEEDED"
    end, events = finish(states, '{"n": 2}')
    assert end.error == "States.Runtime"
    told = "Failed to transition out of the state. The state does not point to a next state."
    assert (
        end.cause == f"An error occurred while executing the state 'A' (entered at the event id #2). {told}"
    )
    assert [event["type"] for event in events][-2:] == ["ChoiceStateEntered", "ExecutionFailed"]


def test_a_fail_state_tells_only_what_it_has() -> None:
    end, events = finish({"A": {"Type": "Fail"}})
    assert (end.status, end.error, end.cause) == ("FAILED", None, None)
    assert events[-1]["executionFailedEventDetails"] == {}


def test_a_task_is_asked_once_and_its_answer_ends_it() -> None:
    runner = machine({"A": TASK}, '{"q": 1}')
    turn = runner.feed([Started()], NOW)
    assert turn.commands == [Invoke(3, "lambda", "", FUNCTION, '{"q": 1}')]
    assert runner.pending() == turn.commands
    turn = runner.feed([Succeeded(3, "[ 1 ]")], NOW + 5)
    assert outline(turn.events) == [
        (4, "LambdaFunctionSucceeded"), (5, "TaskStateExited"), (6, "ExecutionSucceeded"),
    ]  # fmt: skip
    assert turn.commands == [Finish("SUCCEEDED", "[ 1 ]", None, None)]
    assert runner.feed([Succeeded(3, "[2]")], NOW + 6).stimuli == []


def test_a_retry_waits_then_asks_again_under_a_new_scheduled_event() -> None:
    retry = {"Retry": [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 2, "MaxAttempts": 1}]}
    runner = machine({"A": TASK | retry})
    runner.feed([Started()], NOW)
    turn = runner.feed([Failed(3, "Flaky", "why")], NOW)
    assert turn.commands == [SetTimer(1, NOW + 2000)]
    turn = runner.feed([Fired(1)], NOW + 2000)
    assert outline(turn.events) == [(5, "LambdaFunctionScheduled"), (6, "LambdaFunctionStarted")]
    turn = runner.feed([Failed(6, "Flaky", "why")], NOW + 2001)
    assert turn.commands == [Finish("FAILED", None, "Flaky", "why")]


def test_a_caught_error_is_merged_into_the_input_and_output_path_does_not_touch_it() -> None:
    catch = {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "B", "ResultPath": "$.error"}],
             "OutputPath": "$.no.such"}  # fmt: skip
    runner = machine({"A": TASK | catch, "B": {"Type": "Succeed"}}, '{"q":1}')
    runner.feed([Started()], NOW)
    turn = runner.feed([Failed(3, "Mine", "why")], NOW)
    assert turn.commands == [
        Finish("SUCCEEDED", '{"q":1,"error":{"Error":"Mine","Cause":"why"}}', None, None),
    ]


def test_a_task_that_takes_too_long_times_out_and_its_late_answer_is_dropped() -> None:
    runner = machine({"A": TASK | {"TimeoutSeconds": 3}})
    assert SetTimer(1, NOW + 3000) in runner.feed([Started()], NOW).commands
    (asked, _) = runner.pending()
    assert isinstance(asked, Invoke)
    turn = runner.feed([Fired(1)], NOW + 3000)
    assert turn.commands == [CancelTask(3, asked), Finish("FAILED", None, "States.Timeout", None)]
    assert turn.events[0]["lambdaFunctionTimedOutEventDetails"] == {"error": "States.Timeout"}
    assert runner.feed([Succeeded(3, "1")], NOW + 3001).events == []


def test_a_machines_own_timeout_ends_everything() -> None:
    runner = machine({"A": {"Type": "Wait", "Seconds": 60, "End": True}}, TimeoutSeconds=5)
    assert runner.feed([Started()], NOW).commands == [SetTimer(1, NOW + 5000), SetTimer(2, NOW + 60_000)]
    turn = runner.feed([Fired(1)], NOW + 5000)
    assert turn.commands == [CancelTimer(2), Finish("TIMED_OUT", None, "States.Timeout", None)]


def test_stopping_cancels_what_is_under_way() -> None:
    runner = machine({"A": TASK | {"TimeoutSeconds": 9}})
    runner.feed([Started()], NOW)
    (asked, _) = runner.pending()
    assert isinstance(asked, Invoke)
    turn = runner.feed([Aborted("Mine", "enough")], NOW)
    assert turn.commands == [CancelTask(3, asked), CancelTimer(1), Finish("ABORTED", None, "Mine", "enough")]
    assert outline(turn.events) == [(0, "ExecutionAborted")]


def test_the_first_failing_branch_aborts_the_others() -> None:
    def branch(name: str) -> dict[str, Any]:
        return {"StartAt": name, "States": {name: TASK}}

    runner = machine({"P": {"Type": "Parallel", "Branches": [branch("A"), branch("B")], "End": True}})
    asked = runner.feed([Started()], NOW).commands
    first = asked[0]
    assert isinstance(first, Invoke)
    turn = runner.feed([Failed(first.task, "Mine", None)], NOW)
    types = [event["type"] for event in turn.events]
    assert types == ["LambdaFunctionFailed", "TaskStateAborted", "TaskStateAborted", "ParallelStateFailed",
                     "ExecutionFailed"]  # fmt: skip
    assert turn.commands[-1] == Finish("FAILED", None, "Mine", None)


def test_a_map_runs_no_more_items_at_once_than_asked_and_keeps_their_order() -> None:
    processor = {"StartAt": "T", "States": {"T": TASK}}
    state = {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 2, "End": True}
    runner = machine({"M": state}, "[1,2,3]")
    one, two = (c for c in runner.feed([Started()], NOW).commands if isinstance(c, Invoke))
    turn = runner.feed([Succeeded(two.task, '"b"')], NOW)
    (three,) = (c for c in turn.commands if isinstance(c, Invoke))
    runner.feed([Succeeded(three.task, '"c"')], NOW)
    turn = runner.feed([Succeeded(one.task, '"a"')], NOW)
    assert turn.commands == [Finish("SUCCEEDED", '["a","b","c"]', None, None)]


def test_an_item_selector_that_fails_midway_fails_the_map() -> None:
    processor = {"StartAt": "T", "States": {"T": {"Type": "Pass", "End": True}}}
    state = {"Type": "Map", "ItemProcessor": processor, "MaxConcurrency": 1, "End": True,
             "ItemSelector": {"v.$": "States.MathAdd($$.Map.Item.Value, 1)"}}  # fmt: skip
    end, events = finish({"M": state}, '[1,"x"]')
    assert end.error == "States.Runtime"
    assert events[-2]["type"] == "MapStateFailed"


def test_a_map_over_something_else_is_a_runtime_error() -> None:
    processor = {"StartAt": "T", "States": {"T": {"Type": "Pass", "End": True}}}
    end, _ = finish({"M": {"Type": "Map", "ItemProcessor": processor, "End": True}}, "{}")
    assert end.error == "States.Runtime"
    assert (end.cause or "").startswith(
        "An error occurred while executing the state 'M' (entered at the event id #2). "
    )


def test_an_endless_execution_fails_with_its_last_event() -> None:
    rule = {"Variable": "$", "IsNull": True, "Next": "C"}
    states = {"A": {"Type": "Pass", "Next": "B"}, "B": {"Type": "Choice", "Choices": [rule], "Default": "A"},
              "C": {"Type": "Succeed"}}  # fmt: skip
    end, events = finish(states)
    assert len(events) == EVENT_LIMIT
    assert events[-1]["type"] == "ExecutionFailed"
    assert end.error == "States.Runtime"


def test_one_feeding_is_bounded_so_that_others_get_their_turn() -> None:
    rule = {"Variable": "$", "IsNull": True, "Next": "C"}
    runner = machine({"A": {"Type": "Choice", "Choices": [rule], "Default": "A"}, "C": {"Type": "Succeed"}})
    assert len(runner.feed([Started()], NOW).events) < 1000
    assert runner.busy


def test_a_waiting_execution_holds_its_input_as_text_alone() -> None:
    given = json.dumps({"numbers": list(range(1000, 30_000)), "seconds": 5})
    wait = {"Type": "Wait", "SecondsPath": "$.seconds", "OutputPath": "$.seconds", "End": True}
    runner = machine({"W": wait}, given)
    tracemalloc.start()
    try:
        turn = runner.feed([Started()], NOW)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < len(given)
    (timer,) = [command.timer for command in turn.commands if isinstance(command, SetTimer)]
    over = runner.feed([Fired(timer)], NOW + 5000).commands[-1]
    assert isinstance(over, Finish)
    assert over.output == "5"


def test_one_feeding_of_long_texts_is_bounded_and_replays_to_the_same_point() -> None:
    chain = {f"S{number}": {"Type": "Pass", "Next": f"S{number + 1}"} for number in range(100)}
    states = chain | {"S100": {"Type": "Succeed"}}
    given = json.dumps("x" * 200_000)
    runner, rebuilt = machine(states, given), machine(states, given)
    turn = runner.feed([Started()], NOW)
    assert len(turn.events) < 10
    assert runner.busy
    assert rebuilt.feed([Started()], NOW, turn.steps) == turn
    assert rebuilt.feed([], NOW).events == runner.feed([], NOW).events != []


def test_one_feeding_of_long_searches_is_bounded_and_replays_to_the_same_point() -> None:
    first = {"Type": "Pass", "Assign": {"many.$": "$"}, "OutputPath": None, "Next": "S0"}
    search = {"Type": "Pass", "Parameters": {"found.$": "$many[?(@ < 0)]"}}
    chain = {f"S{number}": search | {"Next": f"S{number + 1}"} for number in range(100)}
    states = {"A": first} | chain | {"S100": {"Type": "Succeed"}}
    given = json.dumps(list(range(20_000)))
    runner, rebuilt = machine(states, given), machine(states, given)
    turn = runner.feed([Started()], NOW)
    assert len(turn.events) < 100
    assert runner.busy
    assert rebuilt.feed([Started()], NOW, turn.steps) == turn


def test_a_result_beyond_the_limit_fails_by_the_states_name() -> None:
    end, _ = finish({"Big": {"Type": "Pass", "Result": "a" * 262_144, "End": True}})
    assert end.error == "States.DataLimitExceeded"
    assert "'Big'" in (end.cause or "")


@pytest.mark.parametrize("name", ["States.HeartbeatTimeout", "States.Timeout"])
def test_a_missed_heartbeat_is_caught_by_either_name_and_told_as_a_timeout(name: str) -> None:
    resource = "arn:aws:states:::sns:publish.waitForTaskToken"
    catch = [{"ErrorEquals": ["States.TaskFailed"], "Next": "No"}, {"ErrorEquals": [name], "Next": "Yes"}]
    task = {"Type": "Task", "Resource": resource, "HeartbeatSeconds": 5, "TimeoutSeconds": 9}
    states = {
        "T": task | {"Parameters": {"Message.$": "$$.Task.Token"}, "Catch": catch, "End": True},
        "Yes": {"Type": "Succeed"},
        "No": {"Type": "Fail"},
    }
    runner = machine(states)
    runner.feed([Started()], NOW)
    beat = min((c for c in runner.pending() if isinstance(c, SetTimer)), key=lambda timer: timer.due_ms)
    turn = runner.feed([Fired(beat.timer)], beat.due_ms)
    assert turn.events[0]["taskTimedOutEventDetails"]["error"] == "States.Timeout"
    assert isinstance(turn.commands[-1], Finish)
    assert json.loads(turn.commands[-1].output or "") == {"Error": "States.Timeout", "Cause": ""}


def test_a_task_that_takes_too_long_has_missed_no_heartbeat() -> None:
    catch = [{"ErrorEquals": ["States.HeartbeatTimeout"], "Next": "Yes"}]
    states = {"T": TASK | {"TimeoutSeconds": 9, "Catch": catch}, "Yes": {"Type": "Succeed"}}
    runner = machine(states)
    runner.feed([Started()], NOW)
    (timer,) = (command for command in runner.pending() if isinstance(command, SetTimer))
    assert runner.feed([Fired(timer.timer)], timer.due_ms).events[-1]["type"] == "ExecutionFailed"


def test_too_large_parameters_are_told_apart_from_results() -> None:
    doubled = TASK | {"Parameters": {"a.$": "$", "b.$": "$"}}
    end, _ = finish({"A": doubled}, json.dumps("a" * 200_000))
    cause = "The state/task 'A' provided parameters with a size exceeding the maximum number of bytes service limit."
    assert (end.error, end.cause) == ("States.DataLimitExceeded", cause)
