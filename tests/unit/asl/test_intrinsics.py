"""Intrinsic functions: results, limits, refusals."""

from typing import Any

import pytest

from scones.cloud.asl.environment import Environment
from scones.cloud.asl.failures import DataError
from scones.cloud.asl.intrinsics import IntrinsicError, compile_call

ROOT = {
    "text": "a,b, ,,c",
    "array": [1, 2, 2, "2", [1], [1], True, 1.0],
    "object": {"Arg1": 1, "Arg2": []},
    "one": {"a": {"x": 1}, "b": 2},
    "two": {"a": {"y": 1}, "c": 3},
    "none": None,
}


def environment() -> Environment:
    return Environment(ROOT, lambda: {"Execution": {"Name": "exec"}}, {"v": [7, 8]}, lambda: 2**127 + 12345)


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("States.Format('{} and {}', 1, 'two')", "1 and two"),
        ("States.Format('{}', $.object)", "{Arg1=1, Arg2=[]}"),
        ("States.Format('{}{}', true, null)", "truenull"),
        (r"States.Format('\{{}\} it\'s \\', 1)", r"{1} it's " + "\\"),
        ("States.Format('none')", "none"),
        ("States.Format($$.Execution.Name)", "exec"),
        ("States.StringToJson('{\"a\": 1}')", {"a": 1}),
        ("States.StringToJson(' ')", None),
        ("States.StringToJson('-0')", 0),
        ("States.JsonToString($.object)", '{"Arg1":1,"Arg2":[]}'),
        ("States.Array()", []),
        ("States.Array(1, null, $v[1], 'x')", [1, None, 8, "x"]),
        ("States.ArrayPartition($v, 1)", [[7], [8]]),
        ("States.ArrayPartition(States.ArrayRange(1,5,1), 2.4)", [[1, 2], [3, 4], [5]]),
        ("States.ArrayContains($.array, '2')", True),
        ("States.ArrayContains($.array, '1')", False),
        ("States.ArrayContains(States.Array(1), true)", False),
        ("States.ArrayRange(0, 9, 3)", [0, 3, 6, 9]),
        ("States.ArrayRange(1, 9, 9)", [1]),
        ("States.ArrayRange(3, 1, -1)", [3, 2, 1]),
        ("States.ArrayGetItem($v, 1)", 8),
        ("States.ArrayLength($.array)", 8),
        ("States.ArrayUnique($.array)", [1, 2, "2", [1], True, 1.0]),
        ("States.Base64Encode('Hello')", "SGVsbG8="),
        ("States.Base64Decode('SGVsbG8=')", "Hello"),
        ("States.Base64Encode('')", ""),
        ("States.Hash('input data', 'MD5')", "812f45842bc6d66ee14572ce20db8e86"),
        ("States.JsonMerge($.one, $.two, false)", {"a": {"y": 1}, "b": 2, "c": 3}),
        ("States.MathAdd(-1.5, 0)", -1),
        ("States.MathAdd(2.5, 0.5)", 4),
        ("States.StringSplit($.text, ',')", ["a", "b", " ", "c"]),
        ("States.StringSplit(',,,,', ',')", []),
        ("States.StringSplit('a.b-c', '.-')", ["a", "b", "c"]),
        ("States.MathRandom(5, 6)", 5),
        ("States.ArrayGetItem(States.StringSplit($.text, ','), 0)", "a"),
        ("States.ArrayLength($.array[?(@ === 2)])", 2),
    ],
)
def test_a_call_gives(call: str, value: Any) -> None:
    result = compile_call(call).evaluate(environment())
    assert result == value
    assert type(result) is type(value)


def test_a_uuid_is_of_version_4_and_drawn_from_the_execution() -> None:
    uuids = [compile_call("States.UUID()").evaluate(environment()) for _ in range(2)]
    assert uuids[0] == uuids[1]
    assert uuids[0][14] == "4"


def test_a_seeded_random_number_repeats_and_stays_in_its_range() -> None:
    numbers = {compile_call("States.MathRandom(1, 999, 42)").evaluate(environment()) for _ in range(3)}
    assert len(numbers) == 1
    assert 1 <= numbers.pop() < 999


@pytest.mark.parametrize(
    "call",
    [
        "States.Format('{}')",
        "States.Format('{}', 1, 2)",
        "States.Format(1)",
        "States.StringToJson('{')",
        "States.StringToJson(1)",
        "States.ArrayPartition($v, 0)",
        "States.ArrayPartition('x', 1)",
        "States.ArrayRange(0, 1, 0)",
        "States.ArrayRange(0, 1000, 1)",
        "States.ArrayRange(0, 99999999999, 1)",
        "States.ArrayGetItem($v, 2)",
        "States.ArrayGetItem($v, -1)",
        "States.Base64Decode('?')",
        "States.Base64Encode(1)",
        "States.Hash('x', 'MD4')",
        "States.JsonMerge($.one, $.two, true)",
        "States.JsonMerge($.one, 1, false)",
        "States.MathAdd('1', 1)",
        "States.MathAdd(2147483647, 1)",
        "States.MathRandom(2, 2)",
        "States.StringSplit(1, ',')",
    ],
)
def test_a_function_that_refuses_its_arguments_fails_the_state_for_good(call: str) -> None:
    with pytest.raises(IntrinsicError) as problem:
        compile_call(call).evaluate(environment())
    assert problem.value.error == "States.Runtime"
    assert f"The function '{call}' had the following error: " in (problem.value.cause or "")


@pytest.mark.parametrize(
    ("call", "function"),
    [
        ("States.Array(1, $.nowhere)", "States.Array(1, $.nowhere)"),
        ("States.Format('{}', States.ArrayLength($.nowhere))", "States.ArrayLength($.nowhere)"),
    ],
)
def test_an_argument_that_leads_nowhere_is_told_with_the_function_that_wanted_it(
    call: str, function: str
) -> None:
    with pytest.raises(DataError) as problem:
        compile_call(call).evaluate(environment())
    assert problem.value.error == "States.Runtime"
    told = (
        f"The function '{function}' had the following error: The JsonPath argument for the field '$.nowhere'"
    )
    assert (problem.value.cause or "").startswith(f"{told} could not be found in the input '{{")


@pytest.mark.parametrize(
    "call",
    [
        "States.Nothing()",
        "States.UUID(1)",
        "States.UUID(",
        "States.UUID() x",
        "States.Array(1,)",
        "States.Array(1 2)",
        "States.Array(,1)",
        "States.Array('open)",
        "States.Array($.a[)",
        r"States.Format('say \"{}\"', 1)",
        "States.Array(" * 11 + ")" * 11,
        "States.ArrayContains($.a)",
    ],
)
def test_what_is_no_call_is_refused_when_the_definition_is_read(call: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        compile_call(call)
