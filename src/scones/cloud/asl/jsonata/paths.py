"""Location paths: their steps, predicates, groups, order, and the variables that steps bind."""

from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .sequences import append, below, boolean, is_finite_number, numbers
from .values import UNDEFINED, Frame, Items, is_number, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation, Node

__all__ = ["filtered", "grouped", "merge_sort", "path"]


def path(run: "Evaluation", node: "Node", given: Any, frame: Frame) -> Any:
    steps = node.steps
    items = given if isinstance(given, list) and steps[0].type != "variable" else sequence((given,))
    result: Any = UNDEFINED
    tuples: Any = None
    binding = False
    for n, step in enumerate(steps):
        binding = binding or bool(step.tuple)
        if n == 0 and step.consarray:
            result = run.evaluate(step, items, frame)
        elif binding:
            tuples = _tuple_step(run, step, items, tuples, frame)
        else:
            result = _step(run, step, items, frame, n == len(steps) - 1)
        if not binding and (result is UNDEFINED or not result):
            break
        if step.focus is None:
            items = result
    if binding:
        result = tuples if node.tuple else sequence(each["@"] for each in tuples)
    if node.keep_singleton_array:
        result = _kept(result)
    if node.group is not None:
        return grouped(run, node.group, tuples if binding else result, frame)
    return result


def _kept(result: Any) -> Any:
    if isinstance(result, Items):
        if result.cons and not result.sequence:
            result = sequence((result,))
        result.keep_singleton = True
    return result


def _step(run: "Evaluation", step: "Node", items: list[Any], frame: Frame, last: bool) -> Any:
    if step.type == "sort":
        ordered = _ordered(run, step, items, frame)
        return _staged(run, step.stages, ordered, frame) if step.stages else ordered
    found: list[Any] = []
    for item in items:
        value = run.evaluate(step, item, frame)
        for stage in step.stages or ():
            value = filtered(run, stage.expr, value, frame)
        if value is not UNDEFINED:
            found.append(value)
    if last and len(found) == 1 and isinstance(found[0], list) and not _is_sequence(found[0]):
        return found[0]
    flat = sequence()
    for value in found:
        if not isinstance(value, list) or (isinstance(value, Items) and value.cons):
            flat.append(value)
        else:
            flat.extend(value)
    return flat


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Items) and value.sequence


def _staged(run: "Evaluation", stages: "list[Node]", items: Any, frame: Frame) -> Any:
    for stage in stages:
        if stage.type == "filter":
            items = filtered(run, stage.expr, items, frame)
        else:
            for n, item in enumerate(items):
                item[stage.value] = n
    return items


def _tuple_step(run: "Evaluation", step: "Node", items: Any, tuples: Any, frame: Frame) -> Any:
    if step.type == "sort":
        result = _sorted_tuples(run, step, items, tuples, frame)
    else:
        result = sequence()
        result.tuple_stream = True
        for each in [{"@": item} for item in items] if tuples is None else tuples:
            run.charge(len(each) // 16)
            found = run.evaluate(step, each["@"], Frame(frame, dict(each)))
            if found is UNDEFINED:
                continue
            streamed = isinstance(found, Items) and found.tuple_stream
            for n, value in enumerate(found if isinstance(found, list) else [found]):
                result.append({**each, **(value if streamed else _bound(step, each, n, value))})
    return _staged(run, step.stages, result, frame) if step.stages else result


def _bound(step: "Node", each: dict[str, Any], n: int, value: Any) -> dict[str, Any]:
    """What a step binds: the context, or a variable instead; the position; the parent."""
    bound = {"@": value} if step.focus is None else {step.focus: value, "@": each["@"]}
    if step.index is not None:
        bound[step.index] = n
    if step.ancestor is not None:
        bound[step.ancestor.label] = each["@"]
    return bound


def _sorted_tuples(run: "Evaluation", step: "Node", items: Any, tuples: Any, frame: Frame) -> Any:
    if tuples is not None:
        return _ordered(run, step, tuples, frame)
    result = sequence(
        {"@": item, str(step.index): n} for n, item in enumerate(_ordered(run, step, items, frame))
    )
    result.tuple_stream = True
    return result


def filtered(run: "Evaluation", predicate: "Node", given: Any, frame: Frame) -> Any:
    """The items for which the predicate is true, or at the positions that it gives."""
    kept = sequence()
    streamed = isinstance(given, Items) and given.tuple_stream
    kept.tuple_stream = streamed
    items = given if isinstance(given, list) else [given]
    if predicate.type == "number":
        position = _floor(predicate.value)
        position += len(items) if position < 0 else 0
        item = items[position] if 0 <= position < len(items) else UNDEFINED
        if isinstance(item, list):
            return item
        if item is not UNDEFINED:
            kept.append(item)
        return kept
    for n, item in enumerate(items):
        context, scope = (item["@"], Frame(frame, dict(item))) if streamed else (item, frame)
        answer = run.evaluate(predicate, context, scope)
        if is_finite_number(answer):
            answer = [answer]
        if numbers(answer):
            positions = (_floor(number) for number in answer)
            kept.extend(item for at in positions if (at + len(items) if at < 0 else at) == n)
        elif boolean(answer):
            kept.append(item)
    return kept


def _floor(number: Any) -> int:
    return int(number // 1)


def grouped(run: "Evaluation", node: "Node", given: Any, frame: Frame) -> dict[str, Any]:
    """An object, of each key's items one value. Raises JsonataError T1003, D1009."""
    streamed = isinstance(given, Items) and given.tuple_stream
    items = given if isinstance(given, list) else [given]
    groups: dict[str, list[Any]] = {}
    for item in items or [UNDEFINED]:
        scope = Frame(frame, dict(item)) if streamed else frame
        for n, (name, _) in enumerate(node.lhs_object):
            key = run.evaluate(name, item["@"] if streamed else item, scope)
            if key is UNDEFINED:
                continue
            if not isinstance(key, str):
                raise JsonataError("T1003", value=key)
            if key not in groups:
                groups[key] = [n, item]
            elif groups[key][0] != n:
                raise JsonataError("D1009", value=key)
            else:
                run.charge(len(groups[key][1]) // 16 if isinstance(groups[key][1], list) else 0)
                groups[key][1] = append(groups[key][1], item)
    result = {}
    for key, (n, data) in groups.items():
        scope = frame
        if streamed:
            bound = _merged_tuples(data)
            data = bound.pop("@")
            scope = Frame(frame, bound)
        value = run.evaluate(node.lhs_object[n][1], data, scope)
        if value is not UNDEFINED:
            result[key] = value
    return result


def _merged_tuples(tuples: Any) -> dict[str, Any]:
    if not isinstance(tuples, list):
        return dict(tuples)
    merged = dict(tuples[0])
    for each in tuples[1:]:
        for name, value in each.items():
            merged[name] = append(merged.get(name, UNDEFINED), value)
    return merged


def _ordered(run: "Evaluation", node: "Node", items: list[Any], frame: Frame) -> list[Any]:
    streamed = isinstance(items, Items) and items.tuple_stream

    def term(node: "Node", item: Any) -> Any:
        if streamed:
            return run.evaluate(node, item["@"], Frame(frame, dict(item)))
        return run.evaluate(node, item, frame)

    def after(left: Any, right: Any) -> bool:
        for each in node.terms:
            first, second = term(each.expression, left), term(each.expression, right)
            order = _compared(first, second)
            if order:
                defined = first is not UNDEFINED and second is not UNDEFINED
                return (-order if each.descending and defined else order) > 0
        return False

    return merge_sort(items, after)


def _compared(left: Any, right: Any) -> int:
    """Below 0, 0, or above 0; undefined comes last. Raises JsonataError T2007, T2008."""
    if left is UNDEFINED or right is UNDEFINED:
        return (left is UNDEFINED) - (right is UNDEFINED)
    texts = isinstance(left, str), isinstance(right, str)
    if not (texts[0] or is_number(left)) or not (texts[1] or is_number(right)):
        raise JsonataError("T2008")
    if texts[0] is not texts[1]:
        raise JsonataError("T2007", value=left, value2=right)
    return 0 if left == right else -1 if below(left, right) else 1


def merge_sort(items: list[Any], after: Any) -> list[Any]:
    """Sorted by halves; the right half's item goes first only where `after(left, right)` says so."""
    if len(items) <= 1:
        return items
    middle = len(items) // 2
    left, right = merge_sort(items[:middle], after), merge_sort(items[middle:], after)
    merged: list[Any] = []
    i = j = 0
    while i < len(left) and j < len(right):
        if after(left[i], right[j]):
            merged.append(right[j])
            j += 1
        else:
            merged.append(left[i])
            i += 1
    return [*merged, *left[i:], *right[j:]]
