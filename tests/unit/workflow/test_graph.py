"""A definition becomes a picture: every state is in it, nothing overlaps, names stay text."""

from typing import Any
from xml.etree import ElementTree

import pytest

from scones.workflow.graph import Layout, layout, svg

PASS: dict[str, Any] = {"Type": "Pass", "End": True}
NESTED: dict[str, Any] = {
    "StartAt": "Which",
    "States": {
        "Which": {"Type": "Choice", "Choices": [{"Next": "Each"}], "Default": "Both"},
        "Each": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Item", "States": {"Item": PASS}},
            "Next": "End",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [{"StartAt": n, "States": {n: PASS}} for n in ("Left", "Right")],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Which"}],
            "Next": "End",
        },
        "End": {"Type": "Succeed"},
    },
}


def _apart(block: Layout) -> bool:
    boxes = list(block.boxes.values())
    for n, a in enumerate(boxes):
        for b in boxes[n + 1 :]:
            beside = a.x + a.width <= b.x or b.x + b.width <= a.x
            if not (beside or a.y + a.height <= b.y or b.y + b.height <= a.y):
                return False
    return all(_apart(inner) for box in boxes for inner in box.inner)


def test_no_two_states_overlap_and_successors_stand_below() -> None:
    drawn = layout(NESTED)
    assert _apart(drawn)
    assert drawn.boxes["Which"].y < drawn.boxes["Each"].y < drawn.boxes["End"].y
    assert {edge.kind for edge in drawn.edges} == {"next", "choice", "default", "catch"}


def test_inner_states_stay_inside_their_box() -> None:
    both = layout(NESTED).boxes["Both"]
    assert [list(inner.boxes) for inner in both.inner] == [["Left"], ["Right"]]
    assert all(inner.x + inner.width <= both.width for inner in both.inner)
    assert all(inner.y + inner.height <= both.height for inner in both.inner)


def test_the_picture_names_every_state() -> None:
    texts = {element.text for element in ElementTree.fromstring(svg(layout(NESTED))).iter()}
    assert {"Which", "Each", "Item", "Both", "Left", "Right", "End"} <= texts


def test_names_are_escaped() -> None:
    name = '<script>&"'
    text = svg(layout({"StartAt": name, "States": {name: PASS}}), {name: "FAILED"}, title=name)
    assert "<script>" not in text
    assert name in {element.text for element in ElementTree.fromstring(text).iter()}


def test_a_status_changes_the_colour() -> None:
    drawn = layout({"StartAt": "A", "States": {"A": PASS}})
    assert len({svg(drawn, {"A": status}) for status in ("SUCCEEDED", "FAILED", "RUNNING")}) == 3


def test_a_definition_without_states_is_refused() -> None:
    with pytest.raises(ValueError, match="no States"):
        layout({"StartAt": "A"})
