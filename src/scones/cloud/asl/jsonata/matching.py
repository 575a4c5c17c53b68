"""The functions that look for patterns. A pattern is any function that gives matches as Matcher does."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .integers import number_prefix
from .sequences import is_finite_number
from .strings import whole
from .values import UNDEFINED, halved, is_function, is_number, paired, sequence

if TYPE_CHECKING:
    from .evaluation import Evaluation

__all__ = ["contains", "match", "replace", "split"]


def _look(run: "Evaluation", matcher: Any, *text: str) -> Any:
    """The match that a matcher gives, or undefined. Raises JsonataError T1010 for what is no match."""
    run.charge(sum(map(len, text)) // 1024)
    found = run.call(matcher, *text)
    if found is UNDEFINED or found is None or found is False or found == "" or found == 0:
        return found
    proper = isinstance(found, dict) and (
        is_number(found.get("start"))
        or is_number(found.get("end"))
        or isinstance(found.get("groups"), list)
        or is_function(found.get("next"))
    )
    if not proper:
        raise JsonataError("T1010")
    return found


def contains(run: "Evaluation", text: str, token: Any = UNDEFINED) -> bool:
    if isinstance(token, str):
        return token in text
    return _look(run, token, text) is not UNDEFINED


def _negative(limit: Any) -> bool:
    return limit is not UNDEFINED and bool(limit < 0)


def match(run: "Evaluation", text: str, pattern: Any = UNDEFINED, limit: Any = UNDEFINED) -> Any:
    if _negative(limit):
        raise JsonataError("D3040")
    found = sequence()
    if limit is not UNDEFINED and not limit > 0:
        return found
    each = _look(run, pattern, text)
    while each is not UNDEFINED and (limit is UNDEFINED or len(found) < limit):
        shown = {
            "match": _member(each, "match"),
            "index": _member(each, "start"),
            "groups": _member(each, "groups"),
        }
        found.append({name: value for name, value in shown.items() if value is not UNDEFINED})
        each = _look(run, _member(each, "next"))
    return found


def _member(found: Any, name: str) -> Any:
    return found.get(name, UNDEFINED) if isinstance(found, dict) else UNDEFINED


def split(run: "Evaluation", text: str, separator: Any = UNDEFINED, limit: Any = UNDEFINED) -> list[str]:
    if _negative(limit):
        raise JsonataError("D3020")
    if limit is not UNDEFINED and not limit > 0:
        return []
    if isinstance(separator, str):
        parts = text.split(separator) if separator else list(halved(text))
        run.charge(len(parts) // 64)
        return parts if limit is UNDEFINED else parts[: whole(limit)]
    each = _look(run, separator, text)
    if each is UNDEFINED:
        return [text]
    units, parts, start = halved(text), [], 0
    while each is not UNDEFINED and (limit is UNDEFINED or len(parts) < limit):
        parts.append(paired(units[start : _position(each, "start")]))
        start = _position(each, "end")
        each = _look(run, _member(each, "next"))
    if limit is UNDEFINED or len(parts) < limit:
        parts.append(paired(units[start:]))
    return parts


def _position(found: Any, name: str) -> int:
    value = _member(found, name)
    return max(whole(value), 0) if is_number(value) and is_finite_number(value) else 0


def replace(
    run: "Evaluation", text: str, pattern: Any = UNDEFINED, by: Any = UNDEFINED, limit: Any = UNDEFINED
) -> str:
    if pattern == "":
        raise JsonataError("D3010")
    if _negative(limit):
        raise JsonataError("D3011")
    if limit is not UNDEFINED and not limit > 0:
        return text
    if isinstance(pattern, str):
        if not isinstance(by, str):
            raise JsonataError("D3012")
        count = -1 if limit is UNDEFINED else -int(-limit // 1)
        return paired(text.replace(pattern, by, count))
    return _replace_matches(run, text, pattern, by, limit)


def _replace_matches(run: "Evaluation", text: str, pattern: Any, by: Any, limit: Any) -> str:
    substitute: Callable[[Any], Any] = (
        (lambda found: _expanded(by, found)) if isinstance(by, str) else (lambda found: run.call(by, found))
    )
    each = _look(run, pattern, text)
    if each is UNDEFINED:
        return text
    units, parts, position, count, written = halved(text), [], 0, 0, 0
    while each is not UNDEFINED and (limit is UNDEFINED or count < limit):
        start = _position(each, "start")
        parts.append(units[min(position, start) : max(position, start)])
        put = substitute(each)
        if not isinstance(put, str):
            raise JsonataError("D3012")
        parts.append(put)
        written += len(put)
        run.charge(len(put) // 256)
        position = start + len(halved(str(_member(each, "match"))))
        count += 1
        each = _look(run, _member(each, "next"))
    parts.append(units[position:])
    return paired("".join(parts))


def _expanded(template: str, found: Any) -> str:
    """`$$` is a dollar sign, `$0` the whole match, `$n` a group: of as many digits as there are groups."""
    groups = _member(found, "groups")
    groups = groups if isinstance(groups, list) else []
    head, *rest = template.split("$")
    written, literal = [head], False
    for n, part in enumerate(rest):
        if literal:  # the second sign of a pair
            written.append(part)
            literal = False
        elif part == "" and n < len(rest) - 1:
            written.append("$")
            literal = True
        elif part[:1] == "0":
            written.append(str(_member(found, "match")) + part[1:])
        else:
            written.append(_group(part, groups))
    return "".join(written)


def _group(part: str, groups: list[Any]) -> str:
    digits = len(str(len(groups))) if groups else 1
    number = number_prefix(part[:digits])
    if digits > 1 and number is not None and number > len(groups):
        number = number_prefix(part[: digits - 1])
    if number is None:
        return "$" + part
    value = groups[number - 1] if 0 < number <= len(groups) else ""
    return ("" if value is UNDEFINED else str(value)) + part[len(str(number)) :]
