"""What one value of an event may be: the leaves of event patterns. Pure.

Source: EventBridge User Guide, "Comparison operators for use in event patterns"; the wording of
mistakes is that of AWS's open Event Ruler.
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Any

from scones.cloud.asl.jackson import source
from scones.cloud.services.events.reading import Node, PatternError

__all__ = ["OPERATORS", "Matcher", "Matchers"]

Matcher = Callable[[Any], bool]
"""Whether a leaf's value (text, number, boolean or None) is one that was asked for."""

OPERATORS = frozenset(
    ("exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric",
     "cidr")
)  # fmt: skip

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda value, limit: value == limit,
    "<": lambda value, limit: value < limit,
    "<=": lambda value, limit: value <= limit,
    ">": lambda value, limit: value > limit,
    ">=": lambda value, limit: value >= limit,
}
_ADDRESS = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+|[0-9a-fA-F:]*:[0-9a-fA-F:]*")
_WITHIN_ANYTHING_BUT = ("equals-ignore-case", "prefix", "suffix", "wildcard")


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(wanted: Any) -> Matcher:
    """1, 1.0 and 1e0 are one number; true is none."""
    if is_number(wanted):
        return lambda value: is_number(value) and value == wanted
    return lambda value: type(value) is type(wanted) and value == wanted


def _textual(test: Callable[[str], bool]) -> Matcher:
    return lambda value: isinstance(value, str) and test(value)


class Matchers:
    """Reads the leaves of one pattern, whose text it repeats where something is wrong."""

    def __init__(self, text: str) -> None:
        self._text = text

    def wrong(self, reason: str, at: int, *, twice: bool = False) -> PatternError:
        """twice: as Event Ruler does inside lists, tell the place twice."""
        place = source(self._text, at)
        return PatternError(f"{reason}\n at {place}" if twice else reason, place)

    def read(self, node: Node) -> tuple[Matcher, bool]:
        """The matcher of one entry of a field's array, and whether it wants the field to be absent."""
        if node.kind == "array":
            raise self.wrong("Match value must be String, number, true, false, or null", node.at)
        if node.kind != "object":
            return _equal(node.value), False
        if not node.fields:
            raise self.wrong("Match expression name not found", node.end)
        name, value = node.fields[0]
        if name not in OPERATORS:
            raise self.wrong(f"Unrecognized match type {name}", value.at)
        matcher = getattr(self, f"_{name.replace('-', '_')}")(value)
        if len(node.fields) > 1:
            numeric = name in ("numeric", "anything-but")
            reason = "Too many elements in numeric expression" if numeric else self._only_one
            raise self.wrong(reason, node.fields[1][1].at)
        return matcher, name == "exists" and value.value is False

    _only_one = "Only one key allowed in match expression"

    def _string(self, node: Node, operator: str) -> str:
        if not isinstance(node.value, str):
            raise self.wrong(f"{operator} match pattern must be a string", node.at)
        return node.value

    def _exactly(self, node: Node) -> Matcher:
        return _equal(self._string(node, "exact"))

    def _equals_ignore_case(self, node: Node) -> Matcher:
        return _ignoring_case(self._string(node, "equals-ignore-case"))

    def _prefix(self, node: Node) -> Matcher:
        if node.kind == "object":
            start = self._inner_ignore_case(node, "prefix").lower()
            return _textual(lambda value: value.lower().startswith(start))
        return _starting(self._string(node, "prefix"))

    def _suffix(self, node: Node) -> Matcher:
        if node.kind == "object":
            end = self._inner_ignore_case(node, "suffix").lower()
            return _textual(lambda value: value.lower().endswith(end))
        return _ending(self._string(node, "suffix"))

    def _inner_ignore_case(self, node: Node, operator: str) -> str:
        if not node.fields:
            raise self.wrong(f"{operator.capitalize()} expression name not found", node.end)
        name, value = node.fields[0]
        if name != "equals-ignore-case":
            raise self.wrong(f"Unsupported {operator} pattern: {name}", value.at)
        text = self._string(value, "equals-ignore-case")
        if len(node.fields) > 1:
            raise self.wrong(self._only_one, node.fields[1][1].at)
        return text

    def _wildcard(self, node: Node) -> Matcher:
        return self._glob(self._string(node, "wildcard"), node)

    def _glob(self, text: str, node: Node) -> Matcher:
        """Asterisks stand for anything; a backslash takes its meaning from an asterisk or itself."""
        pieces, piece, at = [], "", 0
        while at < len(text):
            character, following = text[at], text[at + 1 : at + 2]
            place = (
                len(text[:at].encode("utf-8", "surrogatepass")) + 1
            )  # counted in bytes, and with the quote before
            if character == "*":
                if following == "*":
                    raise self.wrong(f"Consecutive wildcard characters at pos {place}", node.end)
                pieces.append(piece)
                piece = ""
            elif character == "\\":
                if following not in ("*", "\\"):
                    raise self.wrong(f"Invalid escape character at pos {place}", node.end)
                piece += following
                at += 1
            else:
                piece += character
            at += 1
        return _globbing([*pieces, piece])

    def _exists(self, node: Node) -> Matcher:
        if not isinstance(node.value, bool):
            raise self.wrong("exists match pattern must be either true or false.", node.at)
        wanted = node.value
        return lambda value: wanted

    def _cidr(self, node: Node) -> Matcher:
        text = self._string(node, "prefix")  # Event Ruler's own word
        address, slash, bits = text.partition("/")
        if not slash or "/" in bits or not bits:
            raise PatternError("Malformed CIDR, one '/' required")
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", bits):
            raise PatternError("Malformed CIDR, mask bits must be an integer")
        if int(bits) < 0:
            raise PatternError("Malformed CIDR, mask bits must not be negative")
        found = _address(address)
        if found is None:
            raise PatternError(f"Nonstandard IP address: {address}")
        if int(bits) >= found.max_prefixlen:
            raise PatternError(f"IPv{found.version} mask bits must be < {found.max_prefixlen}")
        network = ipaddress.ip_network((int(found) if found.version == 4 else str(found), int(bits)), False)

        def inside(value: str) -> bool:
            address = _address(value)
            return address is not None and address.version == network.version and address in network

        return _textual(inside)

    # Numbers ------------------------------------------------------------------------------------

    def _numeric(self, node: Node) -> Matcher:
        """One comparison, or two that make a range."""
        if node.kind != "array":
            raise self.wrong("Value of numeric must be an array.", node.at)
        operator = self._operator(node, 0, "Invalid member in numeric match")
        if operator not in _COMPARISONS:
            raise self.wrong(f"Unrecognized numeric range operator: {operator}", node.items[0].end)
        tests = [(_COMPARISONS[operator], self._limit(node, 1, "equals" if operator == "=" else operator))]
        if len(node.items) > 2:
            if operator not in (">", ">="):
                raise self.wrong("Too many elements in numeric expression", node.items[2].at)
            upper = self._operator(node, 2, "Bad value in numeric range")
            if upper not in ("<", "<="):
                raise self.wrong(f"Bad numeric range operator: {upper}", node.items[2].end)
            tests.append((_COMPARISONS[upper], self._limit(node, 3, upper)))
            if len(node.items) > 4:
                raise self.wrong("Too many terms in numeric range expression", node.items[4].at)
            if tests[0][1] >= tests[1][1]:
                raise self.wrong("Bottom must be less than top", node.end)
        return lambda value: is_number(value) and all(test(value, limit) for test, limit in tests)

    def _operator(self, node: Node, index: int, complaint: str) -> str:
        item = node.items[index] if len(node.items) > index else None
        if item is None or not isinstance(item.value, str):
            shown = "]" if item is None else self._text[item.at - 1 : item.end or item.at]
            raise self.wrong(f"{complaint}: {shown}", node.end if item is None else item.at)
        return item.value

    def _limit(self, node: Node, index: int, operator: str) -> int | float:
        item = node.items[index] if len(node.items) > index else None
        if item is None or item.kind != "number":
            place = node.end if item is None else item.at
            raise self.wrong(f"Value of {operator} must be numeric", place)
        assert isinstance(item.value, int | float)
        return item.value

    # Anything but -------------------------------------------------------------------------------

    def _anything_but(self, node: Node) -> Matcher:
        """Any value that is there and is none of those named."""
        operator, value = "", node
        if node.kind == "object":
            if not node.fields:
                raise self.wrong("Anything-But expression name not found", node.end)
            operator, value = node.fields[0]
            if operator not in _WITHIN_ANYTHING_BUT:
                raise self.wrong(f"Unsupported anything-but pattern: {operator}", value.at)
        if value.kind not in ("array", "string", "number"):
            reason = "Value of anything-but must be an array or single string/number value."
            raise self.wrong(reason, value.at)
        listed = value.kind == "array"
        wanted = value.items if listed else [value]
        if operator:
            unwanted = [self._unwanted(operator, item, listed) for item in wanted]
        else:
            unwanted = self._unwanted_values(value, wanted)
        if len(node.fields) > 1:
            raise self.wrong("Too many elements in numeric expression", node.fields[1][1].at)
        return lambda value: not any(matcher(value) for matcher in unwanted)

    def _unwanted_values(self, node: Node, wanted: list[Node]) -> list[Matcher]:
        for item in wanted:
            if item.kind not in ("string", "number"):
                reason = "Inside anything but list, start|null|boolean is not supported."
                raise self.wrong(reason, item.at, twice=True)
        if len({item.kind for item in wanted}) != 1:
            reason = "Inside anything but list, either all values are number or string, mixed type is not"
            raise self.wrong(f"{reason} supported", node.end)
        return [_equal(item.value) for item in wanted]

    def _unwanted(self, operator: str, item: Node, listed: bool) -> Matcher:
        if not isinstance(item.value, str):
            reason = {
                "equals-ignore-case": "Inside anything-but/equals-ignore-case list, number|start|null|boolean"
                " is not supported.",
                "wildcard": "wildcard match pattern must be a string",
            }.get(operator, "prefix/suffix match pattern must be a string")
            raise self.wrong(reason, item.at, twice=listed)
        if operator in ("prefix", "suffix") and not item.value:
            raise self.wrong("Null prefix/suffix not allowed", item.end, twice=listed)
        if operator == "wildcard":
            return self._glob(item.value, item)
        made = {"prefix": _starting, "suffix": _ending, "equals-ignore-case": _ignoring_case}
        return made[operator](item.value)


def _starting(start: str) -> Matcher:
    return _textual(lambda value: value.startswith(start))


def _ending(end: str) -> Matcher:
    return _textual(lambda value: value.endswith(end))


def _ignoring_case(text: str) -> Matcher:
    lower = text.lower()
    return _textual(lambda value: value.lower() == lower)


def _globbing(pieces: list[str]) -> Matcher:
    """Texts that consist of the pieces, with anything between them; takes time linear in the text."""
    first, *between = pieces
    if not between:
        return _equal(first)
    last = between.pop()

    def fits(value: str) -> bool:
        if len(value) < len(first) + len(last) or not value.startswith(first) or not value.endswith(last):
            return False
        at, end = len(first), len(value) - len(last)
        for piece in between:
            found = value.find(piece, at, end)
            if found < 0:
                return False
            at = found + len(piece)
        return True

    return _textual(fits)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    if not _ADDRESS.fullmatch(text):
        return None
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
