"""Event patterns against a plain reading of their definition: flatten the event, try every choice of fields."""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from scones.cloud.services.events.patterns import PatternError, compile_pattern

NAMES = st.sampled_from(["a", "b", "a.b", "c"])
SCALARS = st.sampled_from(["", "x", "xy", "X", 1, 1.0, 2, True, None])
EVENTS = st.dictionaries(
    NAMES.filter(lambda name: "." not in name),
    st.recursive(
        SCALARS,
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3)
        ),
        max_leaves=8,
    ),
    max_size=3,
)
ENTRIES = st.sampled_from(
    [
        "x",
        1,
        None,
        {"prefix": "x"},
        {"suffix": "y"},
        {"equals-ignore-case": "x"},
        {"wildcard": "*x*"},
        {"anything-but": "x"},
        {"anything-but": [1]},
        {"numeric": [">", 1]},
        {"exists": True},
        {"exists": False},
    ]
)
PATTERNS = st.recursive(
    st.lists(ENTRIES, min_size=1, max_size=2),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3),
    max_leaves=4,
).filter(lambda pattern: isinstance(pattern, dict))

Field = tuple[str, Any, dict[tuple[Any, ...], int]]


def flat(value: Any, path: str, array: tuple[Any, ...], within: dict[tuple[Any, ...], int]) -> list[Field]:
    """(path, leaf, which element of which array it lies in)."""
    if isinstance(value, dict):
        return [
            field
            for name, member in value.items()
            for field in flat(member, f"{path}.{name}".lstrip("."), (*array, name), within)
        ]
    if isinstance(value, list):
        return [
            field
            for index, element in enumerate(value)
            for field in flat(element, path, (*array, index), within | {array: index})
        ]
    return [(path, value, within)]


def wanted(pattern: Any, path: str = "") -> dict[str, list[Any]]:
    fields: dict[str, list[Any]] = {}
    for name, below in pattern.items():
        at = f"{path}.{name}".lstrip(".")
        fields |= wanted(below, at) if isinstance(below, dict) else {at: below}
    return fields


def fits(value: Any, entry: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(entry, dict):
        return value == entry and isinstance(value, bool) == isinstance(entry, bool)
    ((operator, operand),) = entry.items()
    text = value if isinstance(value, str) else None
    if operator == "anything-but":
        operands = operand if isinstance(operand, list) else [operand]
        return not any(fits(value, unwanted) for unwanted in operands)
    return {
        "prefix": text is not None and text.startswith(str(operand)),
        "suffix": text is not None and text.endswith(str(operand)),
        "equals-ignore-case": text is not None and text.lower() == str(operand).lower(),
        "wildcard": text is not None and "x" in text,
        "numeric": number and value > 1,
        "exists": operand is True,
    }[operator]


def plainly(pattern: Any, event: Any) -> bool:
    fields = flat(event, "", (), {})
    choices = []
    for path, entries in wanted(pattern).items():
        here = [field for field in fields if field[0] == path]
        chosen = [field for field in here if any(fits(field[1], entry) for entry in entries)]
        if not here and {"exists": False} in entries:
            continue
        choices.append(chosen)
    return any(
        all(
            one.get(array, index) == index
            for one in withins
            for other in withins
            for array, index in other.items()
        )
        for choice in itertools.product(*choices)
        if (withins := [field[2] for field in choice]) is not None
    )


@settings(deadline=None, max_examples=400)
@given(pattern=PATTERNS, event=EVENTS)
def test_matching_is_what_its_definition_says(pattern: Any, event: Any) -> None:
    assert compile_pattern(json.dumps(pattern)).matches(event) == plainly(pattern, event)


@settings(deadline=None, max_examples=200)
@given(text=st.text(alphabet='{}[]:,"\\ab1.*/$or-=<>', max_size=40) | PATTERNS.map(json.dumps))
def test_any_text_is_a_pattern_or_told_why_not(text: str) -> None:
    try:
        compile_pattern(text).matches({"a": "x"})
    except PatternError as refused:
        assert str(refused)
