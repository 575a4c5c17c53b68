"""A state machine as lines of text: its states in flow order, and under each where it may go. Pure.

A rail at the left leads from a state to the one below it; what stands elsewhere is named. The blocks of a
Parallel or Map are drawn inside their state, one step to the right.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scones.workflow.graph import flow_order
from scones.workflow.history import StateSummary, blocks

__all__ = ["Line", "draw"]

_RAIL = "│   "
_CONDITIONS = ("Variable", "Next", "Comment", "Assign", "Output")


@dataclass(frozen=True, slots=True)
class Line:
    kind: Literal["state", "data", "error", "edge"]
    rail: str
    text: str
    status: str = ""


def draw(definition: dict[str, Any], states: Mapping[str, StateSummary]) -> list[Line]:
    """states: what became of each, by name; one that is missing is drawn without."""
    return list(_block(definition, states, ""))


def _block(block: dict[str, Any], summaries: Mapping[str, StateSummary], rail: str) -> Iterator[Line]:
    order = flow_order(block)
    for name, below in zip(order, [*order[1:], None], strict=True):
        state = block["States"][name]
        yield from _state(name, state, summaries.get(name), rail)
        inner = blocks(state)
        for n, nested in enumerate(inner):
            title = "each item" if state.get("Type") == "Map" else f"branch {n + 1} of {len(inner)}"
            yield Line("edge", rail, f"├─┬ {title}")
            yield from _block(nested, summaries, f"{rail}│ ")
        yield from _edges(state, below, rail)


def _state(name: str, state: dict[str, Any], summary: StateSummary | None, rail: str) -> Iterator[Line]:
    head = f"{name}  {state.get('Type')}"
    if summary is None:
        yield Line("state", rail, head)
        return
    facts = [
        "" if summary.duration_s is None else f"{summary.duration_s:.2f} s",
        f"{summary.retries} retries" if summary.retries > 1 else "1 retry" if summary.retries else "",
        f"{summary.redrives} redrives" if summary.redrives > 1 else "1 redrive" if summary.redrives else "",
        _counts(summary),
    ]
    text = "  ".join([head, summary.status, *(fact for fact in facts if fact)])
    yield Line("state", rail, text, summary.status)
    for label, data in (("in ", summary.input), ("out", summary.output)):
        if data is not None:
            yield Line("data", rail + _RAIL, f"{label} {_one_line(data)}")
    if summary.error:
        cause = f": {summary.cause}" if summary.cause else ""
        past = summary.status == "SUCCEEDED"  # of a try that a retry or redrive made good
        text = _one_line(f"{'earlier error' if past else 'err'} {summary.error}{cause}")
        yield Line("data" if past else "error", rail + _RAIL, text)


def _counts(summary: StateSummary) -> str:
    if summary.iterations:
        return ", ".join(f"{n} {what}" for what, n in summary.iterations.items() if what != "started")
    return f"{summary.exited} of {summary.entered}" if summary.entered > 1 else ""


def _edges(state: dict[str, Any], below: str | None, rail: str) -> Iterator[Line]:
    for rule in state.get("Choices") or []:
        yield Line("edge", rail, f"├─ if {_condition(rule)} ─▸ {rule.get('Next')}")
    if "Default" in state:
        yield Line("edge", rail, f"├─ otherwise ─▸ {state['Default']}")
    for catcher in state.get("Catch") or []:
        errors = ", ".join(map(str, catcher.get("ErrorEquals") or ["?"]))
        yield Line("edge", rail, f"├─ catch {errors} ─▸ {catcher.get('Next')}")
    target = state.get("Next")
    if target is not None and target == below:
        yield Line("edge", rail, "▼")
    elif target is not None:
        yield Line("edge", rail, f"└─▸ {target}")
    else:
        yield Line("edge", rail, "╵" if state.get("Type") == "Choice" else "■ end")


def _condition(rule: dict[str, Any]) -> str:
    """A choice rule in short."""
    if "Condition" in rule:
        return _one_line(str(rule["Condition"]))
    for operator in ("And", "Or"):
        if operator in rule:
            return f" {operator.lower()} ".join(_condition(inner) for inner in rule[operator])
    if "Not" in rule:
        return f"not {_condition(rule['Not'])}"
    tests = [f"{key} {value!r}" for key, value in rule.items() if key not in _CONDITIONS]
    return _one_line(" ".join([str(rule.get("Variable", "")), *tests]).strip())


def _one_line(text: str) -> str:
    return " ".join(text.split())
