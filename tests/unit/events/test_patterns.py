"""Which events a pattern describes, and why a text is no pattern."""

import json
from typing import Any

import pytest

from scones.cloud.services.events.patterns import PatternError, compile_pattern


def matches(pattern: Any, event: Any) -> bool:
    return compile_pattern(json.dumps(pattern)).matches(event)


TWO = {"runs": [{"label": "car", "score": 0.4}, {"label": "bicycle", "score": 0.9}]}


@pytest.mark.parametrize(
    ("wanted", "fitting", "other"),
    [
        (["a"], ["a", ["b", "a"], [["a"]]], ["A", "", None, 1, [], {"a": 1}, ["b"]]),
        ([1], [1, 1.0, [2, 1]], ["1", True, 1.5, None]),
        ([301.8], [301.8, 3.018e2], [301]),
        ([True], [True], [1, "true", False]),
        ([None], [None, [1, None]], ["", [], 0]),
        (["a", 1, None], ["a", 1, None], ["b", 2]),
        ([{"exactly": "a"}], ["a"], ["ab"]),
        ([{"prefix": "bi"}], ["bi", "bicycle"], ["Bicycle", "b", 1, None]),
        ([{"prefix": {"equals-ignore-case": "BI"}}], ["bicycle", "BIcycle"], ["car"]),
        ([{"suffix": ".png"}], [".png", "a.png"], ["a.PNG", 1]),
        ([{"suffix": {"equals-ignore-case": ".PNG"}}], ["a.png", "a.pNG"], ["a.jpg"]),
        ([{"equals-ignore-case": "Bicycle"}], ["bicycle", "BICYCLE"], ["bicycles", None]),
        ([{"wildcard": "*"}], ["", "anything"], [1, None, []]),
        ([{"wildcard": "a*b*c"}], ["abc", "axbxc", "abbcc"], ["ab", "acb", "abcx"]),
        ([{"wildcard": "a*a"}], ["aa", "aba"], ["a"]),
        ([{"wildcard": "a*ab*b"}], ["aabb", "axabxb"], ["aab", "ab"]),
        ([{"wildcard": "\\*\\\\"}], ["*\\"], ["**", "x\\"]),
        ([{"anything-but": "a"}], ["b", 1, None, True, ["a", "b"]], ["a", ["a"], [], {"x": 1}]),
        ([{"anything-but": ["a", "b"]}], ["c", 1], ["a", "b"]),
        ([{"anything-but": [1, 2]}], [3, "1", None], [1, 2.0]),
        ([{"anything-but": {"prefix": "bi"}}], ["car", 1], ["bicycle"]),
        ([{"anything-but": {"prefix": ["bi", "mo"]}}], ["car"], ["bicycle", "motorcycle"]),
        ([{"anything-but": {"suffix": ".png"}}], ["a.jpg"], ["a.png"]),
        ([{"anything-but": {"equals-ignore-case": ["A"]}}], ["b"], ["a", "A"]),
        ([{"anything-but": {"wildcard": "*/tmp/*"}}], ["/home/a"], ["/var/tmp/a"]),
        ([{"numeric": ["=", 5]}], [5, 5.0], ["5", 6, True]),
        ([{"numeric": [">", 0, "<=", 5]}], [0.1, 5], [0, 5.1, None]),
        ([{"numeric": ["<", 0]}], [-1], [0]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.0", "10.0.0.255"], ["10.0.1.0", "10.0.0", 1, "::1"]),
        ([{"cidr": "10.1.2.3/0"}], ["1.2.3.4"], ["2001:db8::1"]),
        ([{"cidr": "2001:db8::/32"}], ["2001:db8::1"], ["2001:db9::1", "10.0.0.1"]),
        ([{"exists": True}], ["", None, 0, [None]], [[], {}, {"x": 1}]),
        ([{"exists": False}], [[], {}, {"x": 1}], ["", None]),
        ([{"exists": False}, "a"], ["a", []], ["b"]),
    ],
    ids=json.dumps,
)
def test_a_value_is_one_of_those_wanted(wanted: Any, fitting: list[Any], other: list[Any]) -> None:
    pattern = {"x": wanted}
    assert [value for value in fitting if not matches(pattern, {"x": value})] == []
    assert [value for value in other if matches(pattern, {"x": value})] == []


@pytest.mark.parametrize(
    ("pattern", "event", "result"),
    [
        ({"a": ["1"], "b": ["2"]}, {"a": "1", "b": "2", "c": "3"}, True),
        ({"a": ["1"], "b": ["2"]}, {"a": "1"}, False),
        ({"a": {"b": ["1"]}}, {"a": {"b": "1"}}, True),
        ({"a": {"b": ["1"]}}, {"a": "1"}, False),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": {"b": [{"exists": False}]}}, {"c": 1}, True),
        ({"a": {"b": [{"exists": False}]}, "c": ["1"]}, {"c": "2"}, False),
        # Dots join the steps of a path, in the event's keys and the pattern's.
        ({"a.b": ["1"]}, {"a": {"b": "1"}}, True),
        ({"a": {"b": ["1"]}}, {"a.b": "1"}, True),
        ({"a": {"b": ["1"], "c": ["2"]}}, {"a.b": "1", "a": {"c": "2"}}, True),
        ({"a": {"b": ["1"]}}, {"a.b": "1", "a": ["x"]}, True),
        # Arrays are looked through, but one element answers for all fields within it.
        ({"runs": {"label": ["bicycle"]}}, TWO, True),
        ({"runs": {"label": ["bicycle"], "score": [0.9]}}, TWO, True),
        ({"runs": {"label": ["bicycle"], "score": [0.4]}}, TWO, False),
        ({"runs": {"label": ["bicycle"]}}, {"runs": [[{"label": "car"}], [{"label": "bicycle"}]]}, True),
        # $or forks what has been said so far.
        ({"$or": [{"a": ["1"]}, {"b": ["2"]}]}, {"b": "2"}, True),
        ({"$or": [{"a": ["1"]}, {"b": ["2"]}]}, {"a": "2"}, False),
        ({"c": ["3"], "$or": [{"a": ["1"]}, {"b": ["2"]}]}, {"b": "2"}, False),
        ({"d": {"$or": [{"a": ["1"]}, {"b": ["2"]}]}}, {"d": {"a": "1"}}, True),
        (
            {"$or": [{"a": ["1"], "$or": [{"b": ["2"]}, {"c": ["3"]}]}, {"e": ["5"]}]},
            {"a": "1", "c": "3"},
            True,
        ),
    ],
)
def test_all_fields_of_a_branch_must_fit(pattern: Any, event: Any, result: bool) -> None:
    assert matches(pattern, event) is result


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", 'Filter is not an object\n at [Source: (String)"[]"; line: 1, column: 2]'),
        (
            "{",
            "Unexpected end-of-input: expected close marker for Object (start marker at"
            ' [Source: (String)"{"; line: 1, column: 1])\n at [Source: (String)"{"; line: 1, column: 2]',
        ),
        ("{}", 'Empty objects are not allowed\n at [Source: (String)"{}"; line: 1, column: 3]'),
        (
            '{"a": 1}',
            '"a" must be an object or an array\n at [Source: (String)"{"a": 1}"; line: 1, column: 8]',
        ),
        ('{"a": []}', 'Empty arrays are not allowed\n at [Source: (String)"{"a": []}"; line: 1, column: 9]'),
        ('{"a":\n[[1]]}', "Match value must be String, number, true, false, or null"),
        ('{"a": [{}]}', "Match expression name not found"),
        ('{"a": [{"like": "x"}]}', "Unrecognized match type like"),
        ('{"a": [{"prefix": 1}]}', "prefix match pattern must be a string"),
        ('{"a": [{"prefix": "x", "suffix": "y"}]}', "Only one key allowed in match expression"),
        ('{"a": [{"prefix": {"wildcard": "x"}}]}', "Unsupported prefix pattern: wildcard"),
        ('{"a": [{"wildcard": "a**"}]}', "Consecutive wildcard characters at pos 2"),
        ('{"a": [{"wildcard": "a\\\\b"}]}', "Invalid escape character at pos 2"),
        ('{"a": [{"exists": "true"}]}', "exists match pattern must be either true or false."),
        ('{"a": [{"numeric": 1}]}', "Value of numeric must be an array."),
        ('{"a": [{"numeric": []}]}', "Invalid member in numeric match: ]"),
        ('{"a": [{"numeric": ["~", 1]}]}', "Unrecognized numeric range operator: ~"),
        ('{"a": [{"numeric": ["<", 1, ">", 0]}]}', "Too many elements in numeric expression"),
        ('{"a": [{"numeric": [">", 5, "<", 1]}]}', "Bottom must be less than top"),
        ('{"a": [{"numeric": [">", "1"]}]}', "Value of > must be numeric"),
        ('{"a": [{"cidr": "10.0.0.0"}]}', "Malformed CIDR, one '/' required"),
        ('{"a": [{"cidr": "10.0.0.0/32"}]}', "IPv4 mask bits must be < 32"),
        ('{"a": [{"cidr": "10.0.0.999/8"}]}', "Nonstandard IP address: 10.0.0.999"),
        ('{"a": [{"anything-but": true}]}', "Value of anything-but must be an array or single string/number"),
        ('{"a": [{"anything-but": []}]}', "either all values are number or string"),
        ('{"a": [{"anything-but": [1, "x"]}]}', "either all values are number or string"),
        ('{"a": [{"anything-but": {"numeric": [1]}}]}', "Unsupported anything-but pattern: numeric"),
        ('{"$or": {"a": [1]}}', "It must be an Array followed with $or."),
        ('{"$or": [{"a": [1]}]}', "There must have at least 2 Objects in $or relationship."),
        ('{"$or": [{"a": [1]}, 1]}', "Only JSON object is allowed in array of $or relationship."),
        ('{"$or": [{"prefix": [1]}, {"a": [1]}]}', "prefix is Ruler reserved fieldName"),
        ('{"a": [NaN]}', "Non-standard token 'NaN'"),
        ("[" * 4000 + "]" * 4000, "Document nesting depth exceeds the maximum allowed"),
    ],
)
def test_a_text_that_is_no_pattern_tells_why(text: str, reason: str) -> None:
    with pytest.raises(PatternError) as refused:
        compile_pattern(text)
    assert reason in str(refused.value)


def test_a_pattern_as_deep_as_allowed_is_matched() -> None:
    pattern: Any = ["x"]
    event: Any = "x"
    for _ in range(99):
        pattern, event = {"a": pattern}, [{"a": event}]
    assert matches(pattern, event[0])
    with pytest.raises(PatternError, match="nesting depth"):
        matches({"a": pattern}, {})


def test_a_pattern_of_countless_combinations_is_refused() -> None:
    fork = {"$or": [{"a": [1]}, {"b": [1]}]}
    with pytest.raises(PatternError, match="combinations"):
        compile_pattern(json.dumps({f"x{number}": fork for number in range(60)}))


def test_hostile_events_take_no_longer_than_they_are() -> None:
    pattern = {"a": {"x": [1], "y": [1], "z": [{"exists": False}]}, "b": [{"wildcard": "*a*a*a*b"}]}
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    wide = [{"x": 1, "y": 2}] * 20_000 + [deep]
    assert not matches(pattern, {"a": wide, "b": "a" * 500_000})
