"""A state machine as a picture: definition -> layout -> SVG text. Pure, and never given to a browser raw.

Layered: each block's states stand in rows by their distance from StartAt; the blocks of a Parallel or
Map stand side by side inside their state's box.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from scones.workflow.history import blocks

__all__ = ["Box", "Edge", "Layout", "flow_order", "layout", "svg"]

_HEIGHT, _GAP_X, _GAP_Y, _PAD = 44.0, 36.0, 46.0, 20.0
_LETTER = 7.6  # of 13 px sans-serif, wide enough for capitals
_COLOURS = {
    "SUCCEEDED": ("#d9f2dd", "#2b8a3e"),
    "FAILED": ("#fbdcdc", "#c92a2a"),
    "CAUGHT": ("#ffe8cc", "#d9680f"),
    "RUNNING": ("#d8ebfd", "#1971c2"),
    "ABORTED": ("#e9ecef", "#495057"),
}
_PLAIN = ("#ffffff", "#868e96")


@dataclass(slots=True)
class Box:
    name: str
    type: str
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0
    inner: list["Layout"] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Edge:
    source: str
    target: str
    kind: str
    """next, choice, default or catch."""


@dataclass(slots=True)
class Layout:
    """One block; boxes are placed relative to its own corner."""

    boxes: dict[str, Box]
    edges: list[Edge]
    width: float
    height: float
    x: float = 0.0
    y: float = 0.0


def layout(block: dict[str, Any]) -> Layout:
    """Raises ValueError where the block has no states."""
    states = block.get("States")
    if not isinstance(states, dict) or not states:
        raise ValueError("the definition has no States")
    edges = [edge for name, state in states.items() for edge in _edges(name, state) if edge.target in states]
    boxes = {name: _box(name, state) for name, state in states.items()}
    rows: dict[int, list[Box]] = {}
    for name, rank in _ranks(str(block.get("StartAt")), list(states), edges).items():
        rows.setdefault(rank, []).append(boxes[name])
    widths = [sum(box.width for box in row) + _GAP_X * (len(row) - 1) for row in rows.values()]
    width, y = max(widths), 0.0
    for rank in sorted(rows):
        row = rows[rank]
        x = (width - sum(box.width for box in row) - _GAP_X * (len(row) - 1)) / 2
        for box in row:
            box.x, box.y = x, y
            x += box.width + _GAP_X
        y += max(box.height for box in row) + _GAP_Y
    return Layout(boxes, edges, width, y - _GAP_Y)


def _box(name: str, state: dict[str, Any]) -> Box:
    kind = str(state.get("Type"))
    width = max(_LETTER * max(len(name), len(kind)) + 2 * _PAD, 110.0)
    inner = [layout(block) for block in blocks(state)]
    if not inner:
        return Box(name, kind, width, _HEIGHT)
    x = _PAD
    for block in inner:
        block.x, block.y = x, _HEIGHT + 8
        x += block.width + _GAP_X
    height = _HEIGHT + 8 + max(block.height for block in inner) + _PAD
    return Box(name, kind, max(width, x - _GAP_X + _PAD), height, inner=inner)


def _edges(name: str, state: dict[str, Any]) -> Iterator[Edge]:
    if isinstance(state.get("Next"), str):
        yield Edge(name, state["Next"], "next")
    for field_, kind in (("Choices", "choice"), ("Catch", "catch")):
        for rule in state.get(field_) or []:
            if isinstance(rule, dict) and isinstance(rule.get("Next"), str):
                yield Edge(name, rule["Next"], kind)
    if isinstance(state.get("Default"), str):
        yield Edge(name, state["Default"], "default")


def flow_order(block: dict[str, Any]) -> list[str]:
    """The states from StartAt on, each before what follows it, and its Next as near as can be.

    What is never reached comes last.
    """
    states = block["States"]
    edges = [edge for name, state in states.items() for edge in _edges(name, state)]
    reached = _order(str(block.get("StartAt")), list(states), edges[::-1])
    return [*reached, *(name for name in states if name not in reached)]


def _order(start: str, names: list[str], edges: list[Edge]) -> list[str]:
    """What is reached from the start: a state stands before all it leads to, save where it leads back."""
    after = {
        name: [edge.target for edge in edges if edge.source == name and edge.target in names]
        for name in names
    }
    left: list[str] = []
    seen: set[str] = set()
    waiting = [(start, False)] if start in after else []
    while waiting:
        name, done = waiting.pop()
        if done:
            left.append(name)
        elif name not in seen:
            seen.add(name)
            waiting.append((name, True))
            waiting += [(target, False) for target in reversed(after[name]) if target not in seen]
    return left[::-1]


def _ranks(start: str, names: list[str], edges: list[Edge]) -> dict[str, int]:
    """The longest way from the start without going back; what is never reached comes last."""
    order = _order(start, names, edges)
    place = {name: n for n, name in enumerate(order)}
    ranks: dict[str, int] = {}
    for name in order:
        before = (
            e.source for e in edges if e.target == name and place.get(e.source, len(order)) < place[name]
        )
        ranks[name] = max((ranks[source] + 1 for source in before), default=0)
    last = max(ranks.values(), default=-1)
    return {name: ranks.get(name, last + 1) for name in names}


def svg(drawing: Layout, statuses: Mapping[str, str] | None = None, title: str = "State machine") -> str:
    """A self-contained picture. statuses: by state, as history.StateSummary has them."""
    body = "".join(_block(drawing, _PAD, _PAD, statuses or {}))
    width, height = drawing.width + 2 * _PAD + 40, drawing.height + 2 * _PAD
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"'
        f' viewBox="0 0 {width:.0f} {height:.0f}" font-family="sans-serif" font-size="13">'
        f"<title>{escape(title)}</title>"
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8"'
        ' orient="auto"><path d="M0 0L8 4L0 8z" fill="#495057"/></marker></defs>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>{body}</svg>\n'
    )


def _block(drawing: Layout, left: float, top: float, statuses: Mapping[str, str]) -> Iterator[str]:
    for edge in drawing.edges:  # first, so that they pass behind the states in their way
        yield _arrow(drawing, edge, left, top)
    for box in drawing.boxes.values():
        yield from _state(box, left + box.x, top + box.y, statuses)


def _state(box: Box, x: float, y: float, statuses: Mapping[str, str]) -> Iterator[str]:
    fill, line = _COLOURS.get(statuses.get(box.name, ""), _PLAIN)
    middle = x + box.width / 2
    yield (
        f"<g><title>{escape(box.name)}: {escape(statuses.get(box.name, box.type))}</title>"
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" rx="8"'
        f' fill="{fill}" stroke="{line}" stroke-width="1.5"/>'
        f'<text x="{middle:.1f}" y="{y + 19:.1f}" text-anchor="middle">{escape(box.name)}</text>'
        f'<text x="{middle:.1f}" y="{y + 35:.1f}" text-anchor="middle" font-size="10" fill="#495057">'
        f"{escape(box.type)}</text></g>"
    )
    for inner in box.inner:
        yield from _block(inner, x + inner.x, y + inner.y, statuses)


def _arrow(drawing: Layout, edge: Edge, left: float, top: float) -> str:
    source, target = drawing.boxes[edge.source], drawing.boxes[edge.target]
    dash = ' stroke-dasharray="5 4"' if edge.kind == "catch" else ""
    if target.y > source.y:
        x1, y1 = left + source.x + source.width / 2, top + source.y + source.height
        x2, y2 = left + target.x + target.width / 2, top + target.y
        bend = (y2 - y1) / 2
        path = f"M{x1:.1f} {y1:.1f}C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
    else:  # back, or to itself: around the right side
        x1, y1 = left + source.x + source.width, top + source.y + source.height / 2
        x2, y2 = left + target.x + target.width, top + target.y + min(target.height, _HEIGHT) / 3
        far = max(x1, x2) + 34
        path = f"M{x1:.1f} {y1:.1f}C{far:.1f} {y1:.1f} {far:.1f} {y2:.1f} {x2:.1f} {y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#495057"{dash} marker-end="url(#tip)"/>'
