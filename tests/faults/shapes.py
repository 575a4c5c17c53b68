"""State machines of every shape whose outcome is fixed by their input, however often the cloud is killed.

Every task of a function names itself in what it is sent: "who" is the execution, its place among the items
of Maps, the state and the attempt. The function writes that down, so that a test can count what ran.
"""

import random
from collections.abc import Callable
from typing import Any

__all__ = ["CHILDREN", "HANDLER", "WAIT_S", "Cast", "machines"]

State = dict[str, Any]
Maker = Callable[[str], State]
"""Makes a state of a name, all but the way on from it."""

WAIT_S = 10
"""Of the machine that does nothing but wait."""

HANDLER = """
import json, os, time


class Flaky(Exception):
    pass


def handler(event, context):
    for name, text in (("RAN", event["who"]), ("TOKENS", event.get("token"))):
        if text:
            with open(os.environ[name], "a") as file:
                file.write(json.dumps({"text": text, "at": time.time(), "bad": event.get("bad")}) + "\\n")
    time.sleep(event.get("sleep", 0))
    if event["attempt"] < event["failures"]:
        raise Flaky(event["who"])
    return {"who": event["who"], "twice": 2 * event["n"]}
"""
"""One line for each run into the file $RAN, one for each task token into $TOKENS."""


class Cast:
    """Whom the machines ask. Its ARNs are the same on every cloud of one account."""

    prefix = "us-east-1:000000000000"
    function = f"arn:aws:lambda:{prefix}:function:work"
    activity = f"arn:aws:states:{prefix}:activity:work"
    bad_activity = f"arn:aws:states:{prefix}:activity:spoil"
    child = f"arn:aws:states:{prefix}:stateMachine:child"
    bad_child = f"arn:aws:states:{prefix}:stateMachine:bad-child"
    express = f"arn:aws:states:{prefix}:stateMachine:express-child"


def _payload(name: str, failures: int = 0, **more: Any) -> State:
    return {
        "who.$": f"States.Format('{{}}:{name}:{{}}', $.who, $$.State.RetryCount)",
        "n.$": "$.n",
        "attempt.$": "$$.State.RetryCount",
        "failures": failures,
        **more,
    }


def _bare(name: str, failures: int = 0, **more: Any) -> State:
    payload = _payload(name, failures, **more)
    return {"Type": "Task", "Resource": Cast.function, "Parameters": payload, "ResultPath": f"$.{name}"}


def _caught(state: State, error: str = "States.ALL") -> State:
    """A failure leads where a success would; the author fills in the way."""
    return state | {"Catch": [{"ErrorEquals": [error], "ResultPath": "$.caught"}]}


def _retried(state: State) -> State:
    return state | {"Retry": [{"ErrorEquals": ["Flaky"], "IntervalSeconds": 1, "MaxAttempts": 2}]}


# One state each ---------------------------------------------------------------------------------------


def _pass(name: str) -> State:
    made = {"n.$": "States.MathAdd($.n, 1)", "who.$": "$.who"}
    return {"Type": "Pass", "Parameters": made, "ResultPath": f"$.{name}", "Assign": {"seen.$": "$.n"}}


def _pass_jsonata(name: str) -> State:
    return {
        "Type": "Pass",
        "QueryLanguage": "JSONata",
        "Output": f"{{% $merge([$states.input, {{'{name}': $sum($states.input.items) * $states.input.n}}]) %}}",
        "Assign": {"seen": "{% $states.input.n %}"},
    }


def _wait(name: str) -> State:
    return {"Type": "Wait", "Seconds": 1}


def _task_bare(name: str) -> State:
    return _bare(name)


def _task_slow(name: str) -> State:
    return _bare(name, sleep=0.3)


def _task_invoke(name: str) -> State:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": Cast.function, "Payload": _payload(name)},
        "ResultSelector": {"got.$": "$.Payload"},
        "ResultPath": f"$.{name}",
    }


def _task_jsonata(name: str) -> State:
    who = f"$states.input.who & ':{name}:' & $string($states.context.State.RetryCount)"
    given = {"who": f"{{% {who} %}}", "n": "{% $states.input.n %}", "attempt": 0, "failures": 0}
    return {
        "Type": "Task",
        "QueryLanguage": "JSONata",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": Cast.function, "Payload": given},
        "Output": f"{{% $merge([$states.input, {{'{name}': $states.result.Payload}}]) %}}",
    }


def _task_flaky(name: str) -> State:
    return _retried(_bare(name, failures=1))


def _task_failing(name: str) -> State:
    return _caught(_retried(_bare(name, failures=9)), "Flaky")


def _task_too_late(name: str) -> State:
    return _caught(_bare(name, sleep=4), "States.Timeout") | {"TimeoutSeconds": 1}


def _callback(name: str) -> State:
    token: State = {"token.$": "$$.Task.Token"}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "HeartbeatSeconds": 600,
        "Parameters": {"FunctionName": Cast.function, "Payload": _payload(name, **token)},
        "ResultPath": f"$.{name}",
    }


def _callback_failing(name: str) -> State:
    state = _callback(name)
    state["Parameters"]["Payload"]["bad"] = True
    return _caught(state, "Spoilt")


def _activity(name: str) -> State:
    given = {"who.$": f"States.Format('{{}}:{name}', $.who)"}
    return {"Type": "Task", "Resource": Cast.activity, "Parameters": given, "ResultPath": f"$.{name}"}


def _activity_failing(name: str) -> State:
    return _caught(_activity(name) | {"Resource": Cast.bad_activity}, "Spoilt")


def _nested(name: str, child: str, pattern: str, **more: Any) -> State:
    given = {"who.$": f"States.Format('{{}}:{name}', $.who)", "n.$": "$.n"}
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{pattern}",
        "Parameters": {"StateMachineArn": child, "Input": given, **more},
        "ResultPath": None,
    }


def _nested_begun(name: str) -> State:
    return _nested(name, Cast.child, "")


def _nested_over(name: str) -> State:
    return _nested(name, Cast.child, ".sync")


def _nested_named(name: str) -> State:
    own = f"States.Format('{{}}-{name}', $.who)"
    return _nested(name, Cast.child, ".sync:2", **{"Name.$": own})


def _nested_failing(name: str) -> State:
    return _caught(_nested(name, Cast.bad_child, ".sync"), "States.TaskFailed")


def _express(name: str) -> State:
    given = {"who.$": f"States.Format('{{}}:{name}', $.who)", "n.$": "$.n"}
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::aws-sdk:sfn:startSyncExecution",
        "Parameters": {"StateMachineArn": Cast.express, "Input": given},
        "ResultSelector": {"given.$": "States.StringToJson($.Output)"},
        "ResultPath": f"$.{name}",
    }


_SHAPES: list[Maker] = [
    _pass, _pass_jsonata, _wait, _task_bare, _task_slow, _task_invoke, _task_jsonata, _task_flaky, _task_failing,
    _callback, _callback_failing, _activity, _activity_failing, _nested_begun, _nested_over, _nested_named,
    _nested_failing, _express,
]  # fmt: skip
_CHEAP: list[Maker] = [_pass, _pass_jsonata, _task_bare, _task_invoke, _task_jsonata]

CHILDREN: dict[str, State] = {
    "child": {"StartAt": "C", "States": {"C": _bare("C") | {"End": True}}},
    "bad-child": {"StartAt": "C", "States": {"C": {"Type": "Fail", "Error": "Bad", "Cause": "child"}}},
    "express-child": {"StartAt": "X", "States": {"X": _bare("X") | {"End": True}}},
}


# Machines -----------------------------------------------------------------------------------------------


def machines(seed: int) -> dict[str, State]:
    """Definitions by name: every shape in every setting, and what only a whole machine can do."""
    author = _Author(seed)
    made = {
        f"{shape.__name__.strip('_')}-{setting}": author.machine(wrap(shape))
        for shape in _SHAPES
        for setting, wrap in author.settings.items()
    }
    distributed = author.distributed("STANDARD", _task_flaky)
    made["distributed-over-items"] = author.machine(author.items(distributed))
    made["distributed"] = author.machine(distributed)
    made["distributed-express"] = author.machine(author.distributed("EXPRESS", _task_bare, "X"))
    for maker in (_task_too_late, author.failing_branches, author.failing_items, author.failing_map_run):
        made[maker.__name__.strip("_")] = author.machine(maker)
    forever: State = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 86400, "End": True}}}
    patient: State = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": WAIT_S, "End": True}}}
    return made | {"patient": patient, "stopped": forever, "timed-out": forever | {"TimeoutSeconds": 2}}


class _Author:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = 0
        self.settings: dict[str, Callable[[Maker], Maker]] = {
            "alone": lambda maker: maker,
            "in-branches": self._branches,
            "over-items": self.items,
            "in-branches-over-items": lambda maker: self.items(self._branches(maker)),
            "over-items-in-branches": lambda maker: self._branches(self.items(maker)),
        }

    def machine(self, maker: Maker) -> State:
        """The state in question between a cheap one, a choice and one of several ends."""
        endings: list[State] = [
            {"Type": "Succeed"},
            {"Type": "Pass", "End": True},
            {"Type": "Fail", "Error": "Planned", "CausePath": "$.who"},
        ]
        makers = [self._cheap(), maker, lambda name: {"Type": "Choice"}, self._cheap()]
        return self._block(makers, self._random.choice(endings))

    def _cheap(self) -> Maker:
        return self._random.choice(_CHEAP)

    def _block(self, makers: list[Maker], ending: State) -> State:
        names = [self._name() for _ in range(len(makers) + 1)]
        states: dict[str, State] = {names[-1]: ending}
        for name, target, maker in zip(names, names[1:], makers, strict=False):
            state = maker(name)
            if state["Type"] == "Choice":
                small = {"Variable": "$.n", "NumericLessThan": 2, "Next": target}
                states[name] = state | {"Choices": [small], "Default": names[-1]}
            else:
                states[name] = state | {"Next": target}
            for catcher in state.get("Catch", []):
                catcher["Next"] = names[-1]
        return {"StartAt": names[0], "States": states}

    def _name(self) -> str:
        self._names += 1
        return f"S{self._names}"

    def _inner(self, maker: Maker) -> State:
        return self._block([maker], {"Type": "Pass", "End": True})

    def _branches(self, maker: Maker) -> Maker:
        def parallel(name: str) -> State:
            branches = [self._inner(maker), self._inner(self._cheap())]
            return {"Type": "Parallel", "Branches": branches, "ResultPath": f"$.{name}"}

        return parallel

    def items(self, maker: Maker) -> Maker:
        return lambda name: self._map(name, self._inner(maker))

    def distributed(self, kind: str, maker: Maker, inner: str = "") -> Maker:
        """inner: the name of the one state that works on an item."""

        def map_(name: str) -> State:
            config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
            block = self._inner(maker)
            if inner:
                block = {"StartAt": inner, "States": {inner: maker(inner) | {"End": True}}}
            return self._map(name, {"ProcessorConfig": config, **block})

        return map_

    def _map(self, name: str, processor: State) -> State:
        return {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {
                "who.$": "States.Format('{}.{}', $.who, $$.Map.Item.Index)",
                "n.$": "$$.Map.Item.Value",
                "items.$": "$.items",
            },
            "MaxConcurrency": self._random.randint(0, 2),
            "ItemProcessor": processor,
            "ResultPath": f"$.{name}",
        }

    def failing_branches(self, name: str) -> State:
        """One branch fails while the other waits."""
        waiting = self._inner(lambda name: {"Type": "Wait", "Seconds": 86400})
        branches = [self._inner(lambda name: _bare(name, failures=9)), waiting]
        return _caught({"Type": "Parallel", "Branches": branches})

    def failing_items(self, name: str) -> State:
        """The first item fails, and no other begins."""
        state = self.items(lambda name: _bare(name, failures=9))(name)
        return _caught(state | {"MaxConcurrency": 1})

    def failing_map_run(self, name: str) -> State:
        """The first child execution fails, and no other begins."""
        state = self.distributed("STANDARD", lambda name: _bare(name, failures=9))(name)
        return _caught(state | {"MaxConcurrency": 1})
