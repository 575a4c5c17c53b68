"""Choice rules; which errors a Retry or Catch covers, and how long a retry waits."""

from typing import Any

import pytest

from scones.cloud.asl.choice import RuleError, compile_condition
from scones.cloud.asl.environment import Environment
from scones.cloud.asl.failures import DataError, StateError
from scones.cloud.asl.retry import Retrier, matches

ROOT = {
    "n": 3, "f": 3.0, "s": "foo.log", "t": "2020-01-01T12:00:00Z", "later": "2020-01-01T13:00:00+00:30",
    "yes": True, "none": None, "star": "a*b", "list": [],
}  # fmt: skip


def holds(rule: dict[str, Any]) -> bool:
    return compile_condition(rule)(Environment(ROOT, dict, {"limit": 5}, lambda: 0))


@pytest.mark.parametrize(
    ("variable", "operator", "operand", "result"),
    [
        ("$.n", "NumericEquals", 3, True),
        ("$.n", "NumericEquals", 3.0, True),
        ("$.n", "NumericLessThanPath", "$limit", True),
        ("$.yes", "NumericEquals", 1, False),
        ("$.s", "NumericEquals", 3, False),
        ("$.s", "StringEquals", "foo.log", True),
        ("$.s", "StringGreaterThanEquals", "foo", True),
        ("$.n", "StringEquals", "3", False),
        ("$.s", "StringMatches", "foo*.log", True),
        ("$.s", "StringMatches", "*", True),
        ("$.s", "StringMatches", "f*o*g", True),
        ("$.s", "StringMatches", "*foo*foo*", False),
        ("$.s", "StringMatches", "foo", False),
        ("$.star", "StringMatches", "a\\*b", True),
        ("$.s", "StringMatches", "foo\\*log", False),
        ("$.n", "StringMatches", "*", False),
        ("$.t", "TimestampLessThan", "2020-01-01T12:00:01Z", True),
        ("$.later", "TimestampGreaterThanPath", "$.t", True),
        ("$.s", "TimestampEquals", "2020-01-01T12:00:00Z", False),
        ("$.yes", "BooleanEquals", True, True),
        ("$.n", "BooleanEquals", True, False),
        ("$.none", "IsNull", True, True),
        ("$.none", "IsPresent", True, True),
        ("$.absent", "IsPresent", True, False),
        ("$.absent", "IsPresent", False, True),
        ("$.n", "IsNumeric", True, True),
        ("$.yes", "IsNumeric", True, False),
        ("$.s", "IsString", True, True),
        ("$.yes", "IsBoolean", True, True),
        ("$.t", "IsTimestamp", True, True),
        ("$.s", "IsTimestamp", False, True),
    ],
)
def test_a_comparison(variable: str, operator: str, operand: Any, result: bool) -> None:
    assert holds({"Variable": variable, operator: operand}) is result


def test_combinators_are_lazy() -> None:
    present = {"Variable": "$.absent", "IsPresent": True}
    broken = {"Variable": "$.absent", "NumericEquals": 1}
    assert not holds({"And": [present, broken]})
    assert holds({"Or": [{"Not": present}, broken]})


def test_a_variable_that_leads_nowhere_is_a_runtime_error() -> None:
    with pytest.raises(DataError) as problem:
        holds({"Variable": "$.absent", "StringEquals": "x"})
    assert problem.value.error == "States.Runtime"
    assert problem.value.cause == (
        "Invalid path '$.absent': The choice state's condition path references an invalid value."
    )


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"Variable": "$.a"},
        {"StringEquals": "x"},
        {"Variable": "a", "StringEquals": "x"},
        {"Variable": 1, "StringEquals": "x"},
        {"Variable": "$.a", "StringEquals": 1},
        {"Variable": "$.a", "NumericEquals": True},
        {"Variable": "$.a", "TimestampEquals": "yesterday"},
        {"Variable": "$.a", "IsNull": "yes"},
        {"Variable": "$.a", "NumericEqualsPath": "b"},
        {"Variable": "$.a", "StringEquals": "x", "IsNull": True},
        {"And": []},
        {"And": {}},
        {"Not": []},
        {"Or": [1]},
    ],
)
def test_what_is_no_rule_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(RuleError):
        compile_condition(rule)


def test_many_stars_take_no_exponential_time() -> None:
    assert not compile_condition({"Variable": "$", "StringMatches": "*a" * 200 + "b"})(
        Environment("a" * 5000, dict, {}, lambda: 0)
    )


@pytest.mark.parametrize(
    ("names", "error", "covered"),
    [
        (["States.ALL"], "Anything", True),
        (["States.ALL"], None, True),
        (["States.ALL"], "States.Timeout", True),
        (["States.ALL"], "States.DataLimitExceeded", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.TaskFailed"], "Mine", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["A", "B"], "B", True),
        (["State.ALL"], "B", False),
        (["States.Timeout"], "States.HeartbeatTimeout", True),
        (["States.TaskFailed"], "States.HeartbeatTimeout", False),
        (["States.HeartbeatTimeout"], "States.Timeout", False),
    ],
)
def test_which_errors_are_covered(names: list[str], error: str | None, covered: bool) -> None:
    assert matches(names, StateError(error)) is covered


def test_delays_grow_up_to_their_limit() -> None:
    retrier = Retrier(errors=("A",), interval_s=1, backoff=2.0, max_delay_s=5)
    assert [retrier.delay_ms(n, 0) for n in range(5)] == [1000, 2000, 4000, 5000, 5000]
    assert Retrier(errors=("A",), backoff=10.0).delay_ms(10**6, 0) == 31_622_400_000


def test_full_jitter_stays_between_zero_and_the_delay() -> None:
    retrier = Retrier(errors=("A",), interval_s=10, full_jitter=True)
    delays = [retrier.delay_ms(0, bits) for bits in (0, 2**52, 2**53 - 1)]
    assert delays == [0, 5000, 10000]
