"""The functions on arrays and objects, and those that call a function for each member."""

from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .paths import merge_sort
from .sequences import below, boolean, equal, is_finite_number, numbers
from .text import rounded
from .values import UNDEFINED, Closure, Items, Lambda, Native, is_function, keys_of, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = [
    "assert_that", "clone", "count", "distinct", "each", "fail", "filter_items", "keys", "map_items", "merge",
    "reduce_items", "reverse", "sift", "single", "sort", "spread", "type_of", "zip_arrays",
]  # fmt: skip


def _arity(function: Any) -> int:
    """How many arguments a function is given, at most."""
    while isinstance(function, Closure):
        function = function.function
    if isinstance(function, Lambda):
        return len(function.names)
    return function.parameters - function.optional if isinstance(function, Native) else 2


def _arguments(function: Any, *arguments: Any) -> tuple[Any, ...]:
    return arguments[: max(_arity(function), 1)]


def count(items: Any = UNDEFINED) -> int:
    return 0 if items is UNDEFINED else len(items)


def map_items(run: "Evaluation", items: list[Any], function: Any) -> Any:
    results = (run.call(function, *_arguments(function, item, n, items)) for n, item in enumerate(items))
    return sequence(result for result in results if result is not UNDEFINED)


def filter_items(run: "Evaluation", items: list[Any], function: Any) -> Any:
    kept = sequence()
    for n, item in enumerate(items):
        if boolean(run.call(function, *_arguments(function, item, n, items))):
            kept.append(item)
    return kept


def single(run: "Evaluation", items: list[Any], function: Any = UNDEFINED) -> Any:
    found = []
    for n, item in enumerate(items):
        if function is UNDEFINED or boolean(run.call(function, *_arguments(function, item, n, items))):
            found.append(item)
        if len(found) > 1:
            raise JsonataError("D3138")
    if not found:
        raise JsonataError("D3139")
    return found[0]


def reduce_items(run: "Evaluation", items: list[Any], function: Any, initial: Any = UNDEFINED) -> Any:
    arity = _arity(function)
    if arity < 2:
        raise JsonataError("D3050")
    result, start = (items[0], 1) if initial is UNDEFINED and items else (initial, 0)
    for n in range(start, len(items)):
        result = run.call(function, *(result, items[n], n, items)[:arity])
    return result


def each(run: "Evaluation", members: Any, function: Any) -> Any:
    found = sequence()
    for key in keys_of(members) if isinstance(members, dict) else ():
        value = run.call(function, *_arguments(function, members[key], key, members))
        if value is not UNDEFINED:
            found.append(value)
    return found


def sift(run: "Evaluation", members: Any, function: Any = UNDEFINED) -> Any:
    if not isinstance(members, dict):
        return UNDEFINED
    kept = {
        key: members[key]
        for key in keys_of(members)
        if boolean(run.call(function, *_arguments(function, members[key], key, members)))
    }
    return kept or UNDEFINED


def sort(run: "Evaluation", items: list[Any], function: Any = UNDEFINED) -> list[Any]:
    if len(items) <= 1:
        return items
    if function is not UNDEFINED:
        return merge_sort(items, lambda left, right: _truthy(run.call(function, left, right)))
    if not numbers(items) and not all(isinstance(item, str) for item in items):
        raise JsonataError("D3070")
    return merge_sort(items, lambda left, right: below(right, left))


def _truthy(value: Any) -> bool:
    """JavaScript's own truth."""
    return isinstance(value, list | dict) or is_function(value) or (
        value is not UNDEFINED and value == value and bool(value)
    )  # fmt: skip


def zip_arrays(*arrays: Any) -> list[list[Any]]:
    if any(not isinstance(array, list) for array in arrays):
        return []
    return [list(items) for items in zip(*arrays, strict=False)]


def keys(value: Any = UNDEFINED) -> Any:
    if isinstance(value, list):
        return sequence(keys_of(dict.fromkeys(key for item in value for key in keys(item))))
    return sequence(keys_of(value) if isinstance(value, dict) else ())


def spread(value: Any = UNDEFINED) -> Any:
    if isinstance(value, dict):
        return sequence({key: value[key]} for key in keys_of(value))
    if not isinstance(value, list):
        return value
    members: list[Any] = []
    for part in map(spread, value):
        members.extend(part if isinstance(part, list) else [part])
    return members if value else sequence()


def merge(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {key: value for each in objects for key, value in each.items()}


def reverse(items: list[Any]) -> list[Any]:
    return items if len(items) <= 1 else items[::-1]


def distinct(run: "Evaluation", items: Any = UNDEFINED) -> Any:
    if not isinstance(items, list) or len(items) <= 1:
        return items
    kept: list[Any] = []
    for item in items:
        if not any(equal(run, item, other) for other in kept):
            kept.append(item)
    return sequence(kept) if isinstance(items, Items) and items.sequence else kept


def fail(message: Any = UNDEFINED) -> Any:
    raise JsonataError(
        "D3137", message="$error() function evaluated" if message in (UNDEFINED, "") else message
    )


def assert_that(condition: Any = UNDEFINED, message: Any = UNDEFINED) -> Any:
    if condition is not True:
        raise JsonataError(
            "D3141", message="$assert() statement failed" if message in (UNDEFINED, "") else message
        )
    return UNDEFINED


def type_of(value: Any) -> str:
    if value is None:
        return "null"
    if is_finite_number(value):
        return "number"
    if is_function(value):
        return "function"
    return _TYPES.get(type(value), "object")


_TYPES = {str: "string", bool: "boolean", list: "array", Items: "array"}


def clone(run: "Evaluation", value: Any) -> Any:
    """A copy by way of its JSON text: numbers to 15 digits, functions as empty texts."""
    if isinstance(value, dict | list):
        run.charge(len(value) // 4)
    if isinstance(value, dict):
        return {key: clone(run, value[key]) for key in keys_of(value) if value[key] is not UNDEFINED}
    if isinstance(value, list):
        return [clone(run, item) for item in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return rounded(value) if value == value else None
    return None if value is UNDEFINED else ""
