"""A definition becomes lines that lead the eye through it."""

from typing import Any

from scones.workflow.flow import draw
from scones.workflow.history import StateSummary

PASS = {"Type": "Pass", "End": True}
MACHINE: dict[str, Any] = {
    "StartAt": "First",
    "States": {
        "Last": {"Type": "Succeed"},
        "Sorry": {"Type": "Fail"},
        "First": {
            "Type": "Task",
            "Next": "Which",
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Sorry"}],
        },
        "Which": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.n", "NumericEquals": 1, "Next": "First"},
                {"Condition": "{% $x %}", "Next": "Both"},
            ],
            "Default": "Last",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "A", "States": {"A": PASS}},
                {"StartAt": "B", "States": {"B": PASS}},
            ],
            "Next": "Last",
        },
    },
}


def _lines(**states: StateSummary) -> list[str]:
    return [line.rail + line.text for line in draw(MACHINE, states)]


def test_states_stand_in_the_order_in_which_they_follow() -> None:
    heads = [line.text.split()[0] for line in draw(MACHINE, {}) if line.kind == "state"]
    assert sorted(heads) == ["A", "B", "Both", "First", "Last", "Sorry", "Which"]
    assert heads.index("First") < heads.index("Which") < heads.index("Both") < heads.index("Last")
    assert heads.index("Both") < heads.index("A") < heads.index("B") < heads.index("Last")


def test_every_way_out_of_a_state_is_named() -> None:
    lines = _lines()
    assert "├─ catch States.ALL ─▸ Sorry" in lines
    assert "├─ if $.n NumericEquals 1 ─▸ First" in lines
    assert "├─ if {% $x %} ─▸ Both" in lines
    assert "├─ otherwise ─▸ Last" in lines


def test_branches_are_drawn_inside_their_state() -> None:
    assert "│ A  Pass" in _lines()
    assert "├─┬ branch 2 of 2" in _lines()


def test_what_became_of_a_state_stands_with_it() -> None:
    first = StateSummary(
        "First", "Task", 0, "CAUGHT", 1, 1, 2, {}, 1.5, '{"a":\n 1}', None, "Broken", "two\nlines"
    )
    lines = _lines(First=first)
    assert lines[:4] == [
        "First  Task  CAUGHT  1.50 s  2 retries",
        '│   in  {"a": 1}',
        "│   err Broken: two lines",
        "├─ catch States.ALL ─▸ Sorry",
    ]


def test_a_target_that_is_not_there_is_named_all_the_same() -> None:
    machine = {"StartAt": "Gone", "States": {"A": {"Type": "Pass", "Next": "Nowhere"}}}
    assert [line.text for line in draw(machine, {})] == ["A  Pass", "└─▸ Nowhere"]
