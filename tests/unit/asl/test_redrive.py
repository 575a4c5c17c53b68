"""Executions that ended without success and go on: what runs again, and what stays as it was."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.journal import (
    Aborted,
    Event,
    Failed,
    Finish,
    Fired,
    Halted,
    Invoke,
    Redriven,
    SetTimer,
    Started,
    Stimulus,
    Succeeded,
    decode_stimuli,
    encode_stimuli,
)
from scones.cloud.asl.machine import Execution, Machine

FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
TASK = {"Type": "Task", "Resource": FUNCTION}
END = TASK | {"End": True}


class Run:
    """A machine, what it wrote, and what it waits for by the state's name in a task's input."""

    def __init__(self, states: dict[str, Any], given: Any = None, **top: Any) -> None:
        definition = {"StartAt": next(iter(states)), "States": states, **top}
        execution = Execution(
            arn="arn:aws:states:us-east-1:000000000000:execution:m:e",
            name="e",
            role_arn="arn:aws:iam::000000000000:role/r",
            machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:m",
            machine_name="m",
            region="us-east-1",
            input=json.dumps({} if given is None else given),
            seed="seed",
        )
        self.machine = Machine(compile_definition(json.dumps(definition)), execution)
        self.now = 1_700_000_000_000
        self.events: list[Event] = []
        self.end: Finish | None = None
        self.feed(Started())

    def feed(self, *stimuli: Stimulus) -> list[Event]:
        """The events that follow, until the machine waits."""
        made: list[Event] = []
        turn = self.machine.feed(stimuli, self.now)
        while True:
            made += turn.events
            for command in turn.commands:
                if isinstance(command, Finish):
                    self.end = command
            if not self.machine.busy:
                self.events += made
                return made
            turn = self.machine.feed([], self.now)

    def tasks(self) -> list[Invoke]:
        return [command for command in self.machine.pending() if isinstance(command, Invoke)]

    def succeed(self, output: Any, which: int = 0) -> list[Event]:
        return self.feed(Succeeded(self.tasks()[which].task, json.dumps(output)))

    def fail(self, which: int = 0, error: str = "Broken") -> list[Event]:
        return self.feed(Failed(self.tasks()[which].task, error, None))

    def wait(self) -> list[Event]:
        """Until the next timer fires."""
        timer, due = min(self.timers(), key=lambda pair: pair[1])
        self.now = due
        return self.feed(Fired(timer))

    def timers(self) -> list[tuple[int, int]]:
        return [(c.timer, c.due_ms) for c in self.machine.pending() if isinstance(c, SetTimer)]

    @property
    def output(self) -> Any:
        assert self.end is not None
        assert self.end.output is not None
        return json.loads(self.end.output)


def outline(events: list[Event]) -> list[tuple[int, str]]:
    return [(event["previousEventId"], event["type"]) for event in events]


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    blocks = [{"StartAt": next(iter(states)), "States": states} for states in branches]
    return {"Type": "Parallel", "Branches": blocks, "End": True} | fields


def mapped(states: dict[str, Any], **fields: Any) -> dict[str, Any]:
    processor = {"StartAt": next(iter(states)), "States": states}
    return {"Type": "Map", "ItemProcessor": processor, "End": True} | fields


def test_a_failed_task_is_scheduled_again_under_its_own_entry_as_recorded() -> None:
    run = Run({"A": TASK | {"Next": "B"}, "B": END})
    run.succeed({"n": 1})
    run.fail()
    assert run.end == Finish("FAILED", None, "Broken", None)
    failed, entered = run.events[-1]["id"], 7
    events = run.feed(Redriven())
    assert outline(events) == [
        (failed, "ExecutionRedriven"),
        (entered, "LambdaFunctionScheduled"),
        (failed + 2, "LambdaFunctionStarted"),
    ]
    assert events[0]["executionRedrivenEventDetails"] == {"redriveCount": 1}
    assert json.loads(run.tasks()[0].parameters) == {"n": 1}
    run.fail()
    assert run.feed(Redriven())[0]["executionRedrivenEventDetails"] == {"redriveCount": 2}
    assert kinds(run.succeed("done"))[-1] == "ExecutionSucceeded"
    assert (run.output, kinds(run.events).count("TaskStateEntered")) == ("done", 2)


def test_only_an_execution_that_ended_without_success_is_redriven() -> None:
    run = Run({"A": END})
    assert run.feed(Redriven()) == []
    run.succeed(1)
    assert run.machine.feed([Redriven()], run.now).events == []
    assert run.machine.status == "SUCCEEDED"


def test_an_answer_to_a_task_of_before_the_redrive_reaches_nobody() -> None:
    run = Run({"A": END})
    late = run.tasks()[0].task
    run.feed(Aborted("Why", "because"))
    run.feed(Redriven())
    assert run.feed(Succeeded(late, '"late"')) == []
    run.succeed("now")
    assert run.output == "now"


def test_branches_that_succeeded_keep_their_results_and_the_others_run_again() -> None:
    follows = {"Y": TASK | {"Next": "Z"}, "Z": {"Type": "Pass", "Result": "third", "End": True}}
    run = Run({"P": parallel({"X": END}, {"W": END}, follows)})
    run.succeed("first")
    run.fail()
    assert kinds(run.events)[-4:] == [
        "TaskStateAborted", "TaskStateAborted", "ParallelStateFailed", "ExecutionFailed",
    ]  # fmt: skip
    redriven = run.feed(Redriven())
    assert kinds(redriven).count("LambdaFunctionScheduled") == len(run.tasks()) == 2
    assert not {"TaskStateEntered", "ParallelStateStarted"} & set(kinds(redriven))
    run.succeed("any")
    run.succeed("second")
    assert run.output == ["first", "second", "third"] or run.output == ["first", "any", "third"]
    assert kinds(run.events).count("ParallelStateSucceeded") == 1


def test_only_iterations_without_a_result_run_again_and_the_rest_begin() -> None:
    run = Run({"M": mapped({"T": END}, MaxConcurrency=2)}, [10, 11, 12, 13])
    run.succeed("zero")
    run.fail(1)
    redriven = run.feed(Redriven())
    assert [json.loads(task.parameters) for task in run.tasks()] == [11, 12]
    assert "MapIterationStarted" not in kinds(redriven)
    for answer in ("one", "two", "three"):
        run.succeed(answer)
    assert run.output == ["zero", "one", "two", "three"]
    started = [e["mapIterationStartedEventDetails"]["index"] for e in run.events if "Map" in e["type"]
               and e["type"].endswith("IterationStarted")]  # fmt: skip
    assert started == [0, 1, 2, 3]


def test_a_stopped_execution_goes_on_wherever_each_scope_stood() -> None:
    inner = mapped({"T": END}, ItemsPath="$.items")
    wait = {"W": {"Type": "Wait", "Seconds": 60, "End": True}}
    run = Run({"P": parallel({"M": inner}, wait)}, {"items": [1, 2]})
    run.succeed("a")
    run.feed(Aborted(None, None))
    assert run.machine.pending() == []
    redriven = run.feed(Redriven())
    assert [json.loads(task.parameters) for task in run.tasks()] == [2]
    assert "WaitStateEntered" not in kinds(redriven)
    run.succeed("b")
    run.wait()
    assert run.output[0] == ["a", "b"]


def test_a_scope_stopped_between_two_states_enters_the_next_one() -> None:
    run = Run({"A": TASK | {"Next": "B"}, "B": END})
    turn = run.machine.feed([Succeeded(run.tasks()[0].task, '"half"'), Aborted(None, None)], run.now)
    assert kinds(turn.events) == ["LambdaFunctionSucceeded", "ExecutionAborted"]
    run.feed(Redriven())  # A was not left: it runs again
    answer = Succeeded(run.tasks()[0].task, '"whole"')
    turn = run.machine.feed([answer], run.now, 1)
    assert kinds(turn.events)[-1] == "TaskStateExited"
    run.feed(Aborted(None, None))
    assert kinds(run.feed(Redriven()))[:2] == ["ExecutionRedriven", "TaskStateEntered"]
    assert run.tasks()[0].parameters == '"whole"'


def test_retries_count_anew_and_the_context_tells_of_the_redrive() -> None:
    seen = {"n.$": "$$.Execution.RedriveCount", "tries.$": "$$.State.RetryCount", "x.$": "$$.Execution"}
    retry = [{"ErrorEquals": ["Flaky"], "MaxAttempts": 1}]
    run = Run({"A": END | {"Parameters": seen, "Retry": retry}})
    assert "RedriveTime" not in json.loads(run.tasks()[0].parameters)["x"]
    run.fail(error="Flaky")
    run.wait()
    run.fail(error="Flaky")
    assert run.end is not None
    run.now += 5
    run.feed(Redriven())
    given = json.loads(run.tasks()[0].parameters)
    assert (given["n"], given["tries"]) == (1, 0)
    assert list(given["x"])[-2:] == ["RedriveCount", "RedriveTime"]
    assert given["x"]["RedriveTime"] > given["x"]["StartTime"]
    run.fail(error="Flaky")
    run.wait()
    run.succeed("well")
    assert run.output == "well"


def test_the_machines_time_and_the_tasks_begin_anew() -> None:
    run = Run({"A": END | {"TimeoutSeconds": 50}}, TimeoutSeconds=30)
    run.wait()
    assert run.machine.status == "TIMED_OUT"
    run.now += 100_000
    run.feed(Redriven())
    assert sorted(due - run.now for _, due in run.timers()) == [30_000, 50_000]
    run.succeed(1)
    assert run.output == 1


def test_variables_are_as_they_were() -> None:
    assign = {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"}
    run = Run({"A": assign, "B": END | {"Parameters": {"x.$": "$x"}, "Assign": {"x": 2}}})
    run.fail()
    run.feed(Redriven())
    assert json.loads(run.tasks()[0].parameters) == {"x": 1}


def test_a_fail_state_is_entered_again_and_fails_again() -> None:
    run = Run({"A": {"Type": "Pass", "Next": "F"}, "F": {"Type": "Fail", "Error": "No"}})
    before = run.events[-2]["previousEventId"]
    assert outline(run.feed(Redriven()))[1:] == [(before, "FailStateEntered"), (7, "ExecutionFailed")]


def test_a_choice_is_made_again() -> None:
    rule = {"Variable": "$$.Execution.RedriveCount", "NumericGreaterThan": 0, "Next": "S"}
    run = Run({"C": {"Type": "Choice", "Choices": [rule]}, "S": {"Type": "Succeed"}})
    assert run.end is not None
    assert run.end.error == "States.Runtime"
    assert kinds(run.feed(Redriven())) == [
        "ExecutionRedriven", "ChoiceStateExited", "SucceedStateEntered", "SucceedStateExited", "ExecutionSucceeded",
    ]  # fmt: skip


def test_too_large_results_make_the_whole_state_run_again() -> None:
    run = Run({"P": parallel({"X": END}, {"Y": END})})
    run.succeed("a" * 200_000)
    run.succeed("b" * 200_000)
    assert run.end is not None
    assert run.end.error == "States.DataLimitExceeded"
    assert "ParallelStateStarted" in kinds(run.feed(Redriven()))
    run.succeed("a")
    run.succeed("b")
    assert run.output == ["a", "b"]


def test_a_result_that_could_not_be_used_is_used_again_without_its_branches() -> None:
    jsonata = "{% $states.context.Execution.RedriveCount > 0 ? $states.result : $error('not yet') %}"
    fields: dict[str, Any] = {"QueryLanguage": "JSONata", "Output": jsonata}
    run = Run({"P": parallel({"X": END}, {"Y": END}, **fields)})
    run.succeed("a")
    run.succeed("b")
    assert run.end is not None
    assert run.end.error == "States.QueryEvaluationError"
    assert kinds(run.feed(Redriven())) == ["ExecutionRedriven", "ParallelStateExited", "ExecutionSucceeded"]
    assert run.output == ["a", "b"]


@pytest.mark.parametrize("concurrency", [0, 1])
def test_items_that_could_not_be_selected_are_selected_again(concurrency: int) -> None:
    selector = {"at.$": "$$.Map.Item.Value", "when.$": "$$.Execution.RedriveTime"}
    run = Run({"M": mapped({"T": END}, ItemSelector=selector, MaxConcurrency=concurrency)}, [1, 2])
    assert run.machine.status == "FAILED"
    run.feed(Redriven())
    assert json.loads(run.tasks()[0].parameters)["at"] == 1
    run.succeed("x")
    run.succeed("y")
    assert run.output == ["x", "y"]


def test_an_attempt_that_is_retried_leaves_nothing_to_a_later_redrive() -> None:
    retry = [{"ErrorEquals": ["Broken"], "MaxAttempts": 1}]
    run = Run({"P": parallel({"X": END}, {"Y": END}, Retry=retry)})
    run.succeed("old")
    run.fail()
    run.wait()
    run.fail(0)
    assert run.machine.status == "FAILED"
    run.feed(Redriven())
    assert len(run.tasks()) == 2


def test_an_execution_that_an_internal_error_ended_goes_on_too() -> None:
    run = Run({"A": END})
    turn = run.machine.feed([Halted("An internal error.")], run.now)
    assert outline(turn.events) == [(4, "ExecutionFailed")]
    assert decode_stimuli(encode_stimuli(turn), turn.events) == [Halted("An internal error.")]
    run.feed(Redriven())
    run.succeed("well")
    assert run.output == "well"
