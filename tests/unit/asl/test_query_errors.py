"""How JSONata expressions fail: the words are those that AWS was seen to pass on."""

import json
from typing import Any

import pytest

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.jsonata import QueryError, evaluate_query, parse_query


def value_of(text: str) -> Any:
    return evaluate_query(parse_query(text), {}, 0, lambda: 2**127)


@pytest.mark.parametrize(
    ("text", "ending"),
    [
        ('$sum(["a"])', '. T0412: Argument 1 of function "sum" must be an array of "numbers"'),
        ('$abs("a")', '. T0410: Argument 1 of function "abs" does not match function signature'),
        ("$uppercase(null)", '. T0410: Argument 1 of function "uppercase" does not match function signature'),
        ('$random("a")', '. T0410: Argument 1 of function "random" does not match function signature'),
        ("$uuid(1)", '. T0410: Argument 1 of function "uuid" does not match function signature'),
        ('1 + "a"', '. T2002: The right side of the "+" operator must evaluate to a number'),
        (
            '"a" < 1',
            '. T2009: The values "a" and 1 either side of operator "<" must be of the same data type',
        ),
        ('-"a"', '. D1002: Cannot negate a non-numeric value: "a"'),
        ('$number("x")', '. D3030: Unable to cast value to a number: "x"'),
        ("$sqrt(-1)", ". D3060: The sqrt function cannot be applied to a negative number: -1"),
        ('$replace("a", "", "b")', ". D3010: Second argument of replace function cannot be an empty string"),
        (
            "$formatBase(1, 99)",
            ". D3100: The radix of the formatBase function must be between 2 and 36.  It was given 99",
        ),
        ("{5: 1}", ". T1003: Key in object structure must evaluate to a string; got: 5"),
        ('$error("boom")', ". D3137: boom"),
        ("$undefined(1)", ". T1006: Attempted to invoke a non-function"),
        (
            "[1..873783]",
            ": Expression evaluation memory limit exceeded: Check for excessive memory usage",
        ),
        (
            "+".join(["1"] * 200).replace("+", " + "),
            ": Stack overflow error: Check for non-terminating recursive function."
            " Consider rewriting as tail-recursive.",
        ),
    ],
)
def test_a_failed_expression_tells_what_jsonata_tells(text: str, ending: str) -> None:
    with pytest.raises(QueryError) as problem:
        value_of(text)
    assert problem.value.ending == ending


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 / 0", "Infinity"),
        ("-1 / 0", "-Infinity"),
        ("[0 / 0]", ["NaN"]),
        ("5.5 % 2", 1.5),
        ("-5 % 3", -2),
        ("$random(42)", 0.7275636800328681),
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$count($range(1, 200000, 1))", 200_000),
        ("$count([1..873782])", 873_782),
        ("$partition([1, 2, 3], 2.9)", [[1, 2], [3]]),
    ],
)
def test_numbers_are_as_on_aws(text: str, expected: Any) -> None:
    assert value_of(text) == expected


def refused(output: Any) -> list[tuple[str, str, str | None]]:
    state = {"Type": "Pass", "Output": output, "End": True}
    definition = {"QueryLanguage": "JSONata", "StartAt": "Main", "States": {"Main": state}}
    with pytest.raises(DefinitionError) as problem:
        compile_definition(json.dumps(definition))
    return [(d.code, d.message, d.location) for d in problem.value.diagnostics]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a[1,2)", 'Expected "]", got ","'),
        ('"unterminated', "String literal must be terminated by a matching quote"),
        ("1 +", "Unexpected end of expression"),
        ('{"a":}', 'The symbol "}" cannot be used as a unary operator'),
        ('$match("a", /abc', "No terminating / in regular expression"),
    ],
)
def test_what_is_no_jsonata_is_refused_with_the_definition(text: str, message: str) -> None:
    assert refused(f"{{% {text} %}}") == [("INVALID_JSONATA_EXPRESSION", message, "/States/Main/Output")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("phone.number", "phone"),
        ('{"a": [1, b]}', "b"),
        ("$sum(n)", "n"),
        ("1 = 1 ? $ : 2", "$"),
        ("$$", "$$"),
    ],
)
def test_a_name_without_anything_to_look_it_up_in_is_refused(text: str, name: str) -> None:
    [(code, message, place)] = refused({"v": ["x", f"{{% {text} %}}"]})
    assert code == "UNSUPPORTED_JSONATA_EXPRESSION"
    assert message == f"Reference to '{name}' at the top level is not supported."
    assert place == "/States/Main/Output/v[1]"


@pytest.mark.parametrize(
    "text",
    [
        "$states.input.items[status = 'OPEN']^(amount).{'id': id}",
        "$map($states.input.items, function($v) { $v.name })",
        "($x := $states.input; $x{name: $sum(amount)})",
        "$states.input ~> |items|{'done': true}|",
        "$states.input.items.$string($)",
    ],
)
def test_names_within_something_are_its_fields(text: str) -> None:
    parsed = {"Type": "Pass", "Output": f"{{% {text} %}}", "End": True}
    compile_definition(json.dumps({"QueryLanguage": "JSONata", "StartAt": "A", "States": {"A": parsed}}))
