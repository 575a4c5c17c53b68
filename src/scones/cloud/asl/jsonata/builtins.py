"""The built-in functions by name, each with its signature."""

from collections.abc import Callable
from typing import Any

from . import added, arrays, dates, formatting, integers, matching, numbers, sequences, strings
from .signatures import parse_signature
from .values import UNDEFINED, Native

__all__ = ["FUNCTIONS"]


def _native(signature: str, parameters: int, call: Callable[..., Any], **more: Any) -> Native:
    return Native(call, parameters, parse_signature(signature), **more)


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list) else 0


def _pad_work(_text: Any, width: Any = UNDEFINED, *_: Any) -> int:
    return 0 if width is UNDEFINED else int(min(abs(width), 1e12)) // 64


def _replace_work(text: Any, _pattern: Any = None, by: Any = None, *_: Any) -> int:
    return _length(text) * (1 + _length(by)) // 256


def _join_work(parts: Any, by: Any = None, *_: Any) -> int:
    return _length(parts) * (1 + _length(by)) // 256


def _append_work(first: Any = None, second: Any = None, *_: Any) -> int:
    return (_length(first) + _length(second)) // 16


def _size(items: Any = None, *_: Any) -> int:
    return _length(items)


def _member_work(items: Any = None, *_: Any) -> int:
    return _length(items) // 8


def _trim_work(text: Any = None, *_: Any) -> int:
    return _length(text) // 1024


def _distinct_work(items: Any = None, *_: Any) -> int:
    return _length(items) ** 2 // 256


FUNCTIONS: dict[str, Native] = {
    "sum": _native("<a<n>:n>", 1, numbers.total),
    "count": _native("<a:n>", 1, arrays.count, strict=False),
    "max": _native("<a<n>:n>", 1, numbers.maximum),
    "min": _native("<a<n>:n>", 1, numbers.minimum),
    "average": _native("<a<n>:n>", 1, numbers.average),
    "string": _native("<x-b?:s>", 2, strings.string, aware=True, optional=1),
    "substring": _native("<s-nn?:s>", 3, strings.substring),
    "substringBefore": _native("<s-s:s>", 2, strings.before),
    "substringAfter": _native("<s-s:s>", 2, strings.after),
    "lowercase": _native("<s-:s>", 1, str.lower),
    "uppercase": _native("<s-:s>", 1, str.upper),
    "length": _native("<s-:n>", 1, strings.length),
    "trim": _native("<s-:s>", 1, strings.trim, work=_trim_work),
    "pad": _native("<s-ns?:s>", 3, strings.pad, work=_pad_work),
    "match": _native("<s-f<s:o>n?:a<o>>", 3, matching.match, aware=True),
    "contains": _native("<s-(sf):b>", 2, matching.contains, aware=True),
    "replace": _native("<s-(sf)(sf)n?:s>", 4, matching.replace, aware=True, work=_replace_work),
    "split": _native("<s-(sf)n?:a<s>>", 3, matching.split, aware=True),
    "join": _native("<a<s>s?:s>", 2, strings.join, work=_join_work),
    "formatNumber": _native("<n-so?:s>", 3, formatting.format_number),
    "formatBase": _native("<n-n?:s>", 2, numbers.format_base),
    "formatInteger": _native("<n-s:s>", 2, integers.format_integer, aware=True),
    "parseInteger": _native("<s-s:n>", 2, integers.parse_integer),
    "number": _native("<(nsb)-:n>", 1, numbers.number),
    "floor": _native("<n-:n>", 1, numbers.floor),
    "ceil": _native("<n-:n>", 1, numbers.ceil),
    "round": _native("<n-n?:n>", 2, numbers.round_number),
    "abs": _native("<n-:n>", 1, abs),
    "sqrt": _native("<n-:n>", 1, numbers.root),
    "power": _native("<n-n:n>", 2, numbers.power),
    "boolean": _native("<x-:b>", 1, sequences.boolean),
    "not": _native("<x-:b>", 1, lambda value: not sequences.boolean(value)),
    "map": _native("<af>", 2, arrays.map_items, aware=True),
    "zip": _native("<a+>", 0, arrays.zip_arrays, strict=False),
    "filter": _native("<af>", 2, arrays.filter_items, aware=True),
    "single": _native("<af?>", 2, arrays.single, aware=True),
    "reduce": _native("<afj?:j>", 3, arrays.reduce_items, aware=True),
    "sift": _native("<o-f?:o>", 2, arrays.sift, aware=True),
    "keys": _native("<x-:a<s>>", 1, arrays.keys, work=_member_work),
    "lookup": _native("<x-s:x>", 2, sequences.look_up, work=_member_work),
    "append": _native("<xx:a>", 2, sequences.append, strict=False, work=_append_work),
    "exists": _native("<x:b>", 1, lambda value=UNDEFINED: value is not UNDEFINED, strict=False),
    "spread": _native("<x-:a<o>>", 1, arrays.spread, work=_member_work),
    "merge": _native("<a<o>:o>", 1, arrays.merge, work=_member_work),
    "reverse": _native("<a:a>", 1, arrays.reverse),
    "each": _native("<o-f:a>", 2, arrays.each, aware=True),
    "error": _native("<s?:x>", 1, arrays.fail, strict=False),
    "assert": _native("<bs?:x>", 2, arrays.assert_that, strict=False),
    "type": _native("<x:s>", 1, arrays.type_of),
    "sort": _native("<af?:a>", 2, arrays.sort, aware=True, work=_size),
    "shuffle": _native("<a:a>", 1, added.shuffle, aware=True, work=_size),
    "distinct": _native("<x:x>", 1, arrays.distinct, aware=True, work=_distinct_work),
    "base64encode": _native("<s-:s>", 1, strings.base64encode),
    "base64decode": _native("<s-:s>", 1, strings.base64decode),
    "encodeUrlComponent": _native("<s-:s>", 1, strings.encode_url("encodeUrlComponent", False)),
    "encodeUrl": _native("<s-:s>", 1, strings.encode_url("encodeUrl", True)),
    "decodeUrlComponent": _native("<s-:s>", 1, strings.decode_url("decodeUrlComponent", False)),
    "decodeUrl": _native("<s-:s>", 1, strings.decode_url("decodeUrl", True)),
    "toMillis": _native("<s-s?:n>", 2, dates.to_millis, aware=True),
    "fromMillis": _native("<n-s?s?:s>", 3, dates.from_millis),
    "clone": _native("<(oa)-:o>", 1, arrays.clone, aware=True),
    "now": _native("<s?s?:s>", 2, dates.format_now, strict=False, aware=True),
    "millis": _native("<:n>", 0, lambda run, *_: run.now_ms, strict=False, aware=True),
    "partition": _native("<x?x?>", 2, added.partition),
    "range": _native("<x?x?x?>", 3, added.make_range, strict=False, aware=True),
    "hash": _native("<x?x?>", 2, added.hash_text),
    "random": _native("<x?>", 1, added.random_number, strict=False, aware=True),
    "uuid": _native("<:s>", 0, added.unique_id, strict=False, aware=True),
    "parse": _native("<x?>", 1, added.parse, strict=False),
}
