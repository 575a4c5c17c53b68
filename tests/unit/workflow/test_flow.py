"""A definition becomes lines that lead the eye through it."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from scones.workflow.flow import draw
from scones.workflow.history import StateSummary, summarize

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


def test_the_next_state_stands_before_what_errors_lead_to() -> None:
    heads = [line.text.split()[0] for line in draw(MACHINE, {}) if line.kind == "state"]
    assert heads.index("First") + 1 == heads.index("Which")


RECORDINGS = os.environ.get("SCONES_AWS_RECORDINGS")


@pytest.mark.skipif(not RECORDINGS, reason="SCONES_AWS_RECORDINGS is not set")
def test_executions_recorded_on_aws_are_drawn_and_redriven_ones_end_well() -> None:
    for file in sorted(Path(RECORDINGS or "", "executions").glob("*.json")):
        export = json.loads(file.read_text("utf-8"))
        events = sorted(export["historyHash"].values(), key=lambda event: event["id"])
        for event in events:
            event["timestamp"] = _instant(event["timestamp"])
        definition = export["stateMachine"]["definition"]
        definition = json.loads(definition) if isinstance(definition, str) else definition
        states = summarize(definition, events)
        assert [state.status for state in states] == ["SUCCEEDED"] * len(states), file.name
        drawn = draw(definition, {state.name: state for state in states})
        assert sum(line.kind == "state" for line in drawn) == len(states)


def _instant(told: Any) -> datetime:
    return datetime.fromtimestamp(told / 1000, UTC) if isinstance(told, int) else datetime.fromisoformat(told)
