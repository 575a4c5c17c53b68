"""What the reference implementation of JSONata, 2.0.6, answers: results, and errors to the letter.

The two texts beside this file have an expression on a line, and its answer indented on the next.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.journal import Started
from scones.cloud.asl.jsonata import QueryError, evaluate_query, parse_query
from scones.cloud.asl.jsonata.errors import TEMPLATES
from scones.cloud.asl.machine import Execution, Machine
from scones.cloud.asl.queryerrors import QuerySyntaxError

OWN = {"D3000", "D3120"}
"""Codes that the reference does not have, or has for $eval."""


def answers(name: str) -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / name).read_text("utf-8").splitlines()
    return [(text, answer.strip()) for text, answer in zip(lines[::2], lines[1::2], strict=True)]


def value_of(text: str, given: Any = None) -> Any:
    return evaluate_query(parse_query(text), {}, 0, lambda: 2**127, given=given)


@pytest.mark.parametrize(("text", "answer"), answers("jsonata_results.txt"))
def test_a_result_is_the_references(text: str, answer: str) -> None:
    assert value_of(text) == json.loads(answer)


@pytest.mark.parametrize(("text", "answer"), answers("jsonata_errors.txt"))
def test_an_error_is_the_references(text: str, answer: str) -> None:
    with pytest.raises((QueryError, QuerySyntaxError)) as problem:
        value_of(text, {"a": 1})
    told = str(problem.value)
    assert answer in (told, f"{answer[:5]}: {told}")


def test_every_text_is_tried_that_an_expression_can_come_by() -> None:
    tried = {answer[:5] for _, answer in answers("jsonata_errors.txt")}
    unreachable = {"S0205", "S0206"}
    assert set(TEMPLATES) - OWN - unreachable == tried


@pytest.mark.parametrize(
    "text",
    [
        r'"\uD83D"',
        r'{"\uDE00": 1}',
        r'["a", {"b": "\uD83D \uDE00"}]',
        r'$split("😀", "")',
        r'$error("\uD83D")',
    ],
)
def test_half_a_surrogate_pair_fails_the_execution_alone(text: str) -> None:
    state = {"Type": "Pass", "Output": f"{{% {text} %}}", "End": True}
    definition = {"QueryLanguage": "JSONata", "StartAt": "S", "States": {"S": state}}
    execution = Execution(
        arn="a", name="e", role_arn="r", machine_arn="m", machine_name="m", region="r", input="{}", seed="s"
    )
    machine = Machine(compile_definition(json.dumps(definition)), execution)
    [*_, failed] = machine.feed([Started()], 0).events
    details = failed["executionFailedEventDetails"]
    assert details["error"] == "States.QueryEvaluationError"
    json.dumps(failed, ensure_ascii=False).encode()


def test_halves_of_a_pair_that_meet_are_one_character() -> None:
    assert value_of(r'"\uD83D" & "\uDE00"') == "😀"
    assert value_of('$join($split("a😀", ""))') == "a😀"


@pytest.mark.parametrize(
    "text",
    [
        "$map([1..90000], function($i) { $string($big) })",
        "$map([1..90000], function($i) { $big ~> |$|{'a': 1}| })",
        "$map([1..90000], function($i) { $big = $twin })",
        "$map([1..90000], function($i) { $spread($big) })",
        "$map([1..90000], function($i) { $base64encode($text) })",
        "$map([1..90000], function($i) { $match($text, /a/) })",
        "$fromMillis(0, '[Y,999999999]')",
        "$fromMillis(0, $replace($pad('', 1000, 'x'), 'x', '[Y,4000000-4000000]'))",
        "$formatInteger(1e15, 'I')",
    ],
)
def test_work_on_large_values_is_counted(text: str) -> None:
    big = [{"n": n, "s": "x" * 20} for n in range(2000)]
    variables = {"big": big, "twin": [dict(item) for item in big], "text": "ab " * 50_000}
    with pytest.raises(QueryError, match=r"timeout|memory limit"):
        evaluate_query(parse_query(text), variables, 0, lambda: 1)
