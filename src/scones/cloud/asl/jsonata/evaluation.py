"""One evaluation: walks an expression's tree, under a budget of work and of depth.

The rules are those of JSONata 2.0.6, with its errors and its oddities.
Source: what the reference implementation answers; docs.jsonata.org.
"""

from collections.abc import Callable
from typing import Any

from scones.cloud.asl.queryerrors import DEPTH, MEMORY, TIME, QueryError

from . import operators, paths
from .errors import JsonataError
from .sequences import LONGEST_ARRAY, LONGEST_TEXT, boolean, kind_of, look_up
from .transform import transformer
from .values import (
    UNDEFINED,
    Closure,
    Frame,
    Items,
    Lambda,
    Matcher,
    Native,
    is_function,
    keys_of,
    sequence,
)  # fmt: skip

__all__ = ["BUDGET", "Evaluation"]

BUDGET = 100_000
_DEPTH = 100
"""Of nested evaluations, as measured on AWS; each takes a few frames of Python."""
_PLACEHOLDER = object()
"""Stands where a function partly applied still takes an argument."""

Node = Any
"""Of the parser's tree; its `type` says which attributes it has."""


class Evaluation:
    """now_ms: since 1970. draw: 128 random bits. Raises JsonataError all over."""

    def __init__(self, now_ms: int, draw: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.draw = draw
        self.budget = BUDGET
        self._depth = 0
        self._tokens: dict[Native, Any] = {}
        """The name each built-in function was last called by; errors show it."""

    def charge(self, work: int) -> None:
        self.budget -= 1 + work
        if self.budget < 0:
            raise QueryError("", TIME)

    def evaluate(self, node: Node, given: Any, frame: Frame) -> Any:
        self.budget -= 1
        self._depth += 1
        if self.budget < 0:
            raise QueryError("", TIME)
        if self._depth > _DEPTH:
            raise QueryError("", DEPTH)
        kind = node.type
        step = _STEPS.get(kind)
        result = step(self, node, given, frame) if step else UNDEFINED
        if node.predicate is not None:
            for predicate in node.predicate:
                result = paths.filtered(self, predicate.expr, result, frame)
        if node.group is not None and kind != "path":
            result = paths.grouped(self, node.group, result, frame)
        made = type(result)
        if made is Items and result.sequence and not result.tuple_stream:
            result = _reduced(result, node.keep_array)
            made = type(result)
        if made is str or made is list or made is Items:
            self.budget -= _weight(result)
        self._depth -= 1
        return result

    def apply(self, function: Any, arguments: list[Any], context: Any) -> Any:
        """Call a function; a call at the end of a lambda's body is made here, in turn."""
        result = self._call(function, arguments, context)
        while type(result) is Lambda and result.thunk:
            call = result.body
            target = self.evaluate(call.procedure, result.input, result.frame)
            if call.procedure.type == "variable":
                self.name(target, call.procedure.value)
            evaluated = [self.evaluate(item, result.input, result.frame) for item in call.arguments]
            result = self._call(target, evaluated, context)
        return result

    def call(self, function: Any, *arguments: Any) -> Any:
        """What a built-in function calls that was given to it."""
        if not is_function(function):
            raise JsonataError("T1006")
        return self.apply(function, list(arguments), None)

    def _call(self, function: Any, arguments: list[Any], context: Any) -> Any:
        kind = type(function)
        try:
            if kind is Lambda:
                return self._call_lambda(function, arguments, context)
            if kind is Native:
                if function.signature is not None:
                    arguments = function.signature.validate(arguments, context, kind_of, UNDEFINED)
                return self.call_native(function, arguments)
            if kind is Closure:
                return self.apply(function.function, arguments, None)
            if kind is Matcher:
                return function.match(*arguments[:2]) if arguments else UNDEFINED
            raise JsonataError("T1006")
        except JsonataError as problem:
            token = self._token(function)
            if token is not UNDEFINED:
                problem.details.setdefault("token", token)
            raise

    def call_native(self, native: Native, arguments: list[Any]) -> Any:
        """Without a look at the arguments."""
        if native.strict and (not arguments or arguments[0] is UNDEFINED):
            return UNDEFINED
        if native.work is not None:
            self.charge(native.work(*arguments))
        return native.call(self, *arguments) if native.aware else native.call(*arguments)

    def _call_lambda(self, function: Lambda, arguments: list[Any], context: Any) -> Any:
        if function.signature is not None:
            arguments = function.signature.validate(arguments, context, kind_of, UNDEFINED)
        missing = len(function.names) - len(arguments)
        if missing > 0:
            arguments = [*arguments, *[UNDEFINED] * missing]
        frame = Frame(function.frame, dict(zip(function.names, arguments, strict=False)))
        if function.native is not None:
            return self.call_raw(function.native, frame)
        return self.evaluate(function.body, function.input, frame)

    def call_raw(self, native: Any, frame: Frame) -> Any:
        """A built-in function partly applied: its arguments are numbered variables."""
        arguments = [frame.lookup(str(n)) for n in range(_parameters(native))]
        if isinstance(native, Matcher):
            return native.match(*arguments)
        return self.call_native(native, arguments)

    def name(self, function: Any, token: Any) -> None:
        if type(function) is Native:
            self._tokens[function] = token
        elif type(function) is Lambda:
            function.token = token

    def _token(self, function: Any) -> Any:
        if type(function) is Native:
            return self._tokens.get(function, UNDEFINED)
        return function.token if type(function) is Lambda else UNDEFINED

    def invoke(self, node: Node, given: Any, frame: Frame, first: tuple[Any, ...] = ()) -> Any:
        """A function call as it is written; `first`: what `~>` puts before its arguments."""
        procedure = node.procedure
        function = self.evaluate(procedure, given, frame)
        name = _name_of(procedure)
        if function is UNDEFINED and procedure.type == "path" and _known(frame, procedure):
            raise JsonataError("T1005", token=name)
        arguments = list(first)
        for argument in node.arguments:
            value = self.evaluate(argument, given, frame)
            arguments.append(Closure(value) if is_function(value) else value)
        self.name(function, name)
        try:
            return self.apply(function, arguments, given)
        except JsonataError as problem:
            if name is not UNDEFINED:
                problem.details.setdefault("token", name)
            raise

    def partially(self, node: Node, given: Any, frame: Frame) -> Lambda:
        arguments = [
            _PLACEHOLDER if item.type == "operator" else self.evaluate(item, given, frame)
            for item in node.arguments
        ]
        procedure = node.procedure
        function = self.evaluate(procedure, given, frame)
        if function is UNDEFINED and procedure.type == "path" and _known(frame, procedure):
            raise JsonataError("T1007", token=_name_of(procedure))
        if isinstance(function, Closure):  # the reference trips over the parameters of its own wrapper
            raise JsonataError("S0202", value=")", token="..")
        if isinstance(function, Native) and function.optional:  # and over a default value in a declaration
            raise JsonataError("S0208", value=function.parameters)
        if isinstance(function, Native | Matcher):
            names = [str(n) for n in range(_parameters(function))]
            function = Lambda(names, None, UNDEFINED, Frame(), native=function)
        if not isinstance(function, Lambda):
            raise JsonataError("T1008")
        arguments += [UNDEFINED] * (len(function.names) - len(arguments))
        bound = dict(zip(function.names, arguments, strict=False))
        left = [name for name in function.names if bound[name] is _PLACEHOLDER]
        inner = Frame(function.frame, {name: bound[name] for name in function.names if name not in left})
        return Lambda(left, function.body, function.input, inner, native=function.native)


def _weight(value: str | list[Any]) -> int:
    """The work of whatever looks at the whole of a value."""
    size = len(value)
    text = isinstance(value, str)
    if size > (LONGEST_TEXT if text else LONGEST_ARRAY):
        raise QueryError("", MEMORY)
    return size >> (12 if text else 6)


def _reduced(items: Items, keep_array: bool) -> Any:
    if keep_array:
        items.keep_singleton = True
    if not items:
        return UNDEFINED
    return items[0] if len(items) == 1 and not items.keep_singleton else items


def _parameters(native: Any) -> int:
    """A function without parameters still counts one."""
    return max(native.parameters, 1) if isinstance(native, Native) else 2


def _name_of(procedure: Node) -> Any:
    if procedure.type == "path":
        procedure = procedure.steps[0]
    if procedure.type in ("block", "lambda", "condition", "parent", "transform"):
        return UNDEFINED
    return procedure.value


def _known(frame: Frame, procedure: Node) -> bool:
    """Whether somebody simply forgot the leading $."""
    name = procedure.steps[0].value
    value = frame.lookup(name) if isinstance(name, str) else UNDEFINED
    return is_function(value) or isinstance(value, list | dict) or boolean(value)


def _name(_run: Evaluation, node: Node, given: Any, _frame: Frame) -> Any:
    return look_up(given, node.value)


def _literal(_run: Evaluation, node: Node, _given: Any, _frame: Frame) -> Any:
    return node.value


def _variable(_run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    if node.value == "":
        return given[0] if isinstance(given, Items) and given.outer_wrapper else given
    return frame.lookup(node.value)


def _parent(_run: Evaluation, node: Node, _given: Any, frame: Frame) -> Any:
    return frame.lookup(node.slot.label)


def _condition(run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    if boolean(run.evaluate(node.condition, given, frame)):
        return run.evaluate(node.then, given, frame)
    return UNDEFINED if node._else is None else run.evaluate(node._else, given, frame)


def _block(run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    inner = Frame(frame)
    result = UNDEFINED
    for expression in node.expressions:
        result = run.evaluate(expression, given, inner)
    return result


def _bind(run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    value = run.evaluate(node.rhs, given, frame)
    frame.bindings[node.lhs.value] = value
    return value


def _regex(_run: Evaluation, node: Node, _given: Any, _frame: Frame) -> Any:
    return Matcher(node.value)


def _lambda(_run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    names = [argument.value for argument in node.arguments]
    return Lambda(names, node.body, given, frame, node.signature, thunk=bool(node.thunk))


def _apply(run: Evaluation, node: Node, given: Any, frame: Frame) -> Any:
    left = run.evaluate(node.lhs, given, frame)
    if node.rhs.type == "function":
        return run.invoke(node.rhs, given, frame, (left,))
    function = run.evaluate(node.rhs, given, frame)
    if not is_function(function):
        raise JsonataError("T2006")
    if is_function(left):
        return _chained(left, function)
    return run.apply(function, [left], None)


def _chained(first: Any, second: Any) -> Native:
    """One function after another; errors call them f and g."""

    def chain(run: Evaluation, value: Any = UNDEFINED, *_: Any) -> Any:
        run.name(first, "f")
        between = run.apply(first, [_wrapped(value)], None)
        run.name(second, "g")
        return run.apply(second, [_wrapped(between)], None)

    return Native(chain, 1, strict=False, aware=True)


def _wrapped(value: Any) -> Any:
    return Closure(value) if is_function(value) else value


def _wildcard(_run: Evaluation, _node: Node, given: Any, _frame: Frame) -> Any:
    if isinstance(given, Items) and given.outer_wrapper and given:
        given = given[0]
    found: list[Any] = []
    if isinstance(given, dict):
        given = [given[key] for key in keys_of(given)]
    elif not isinstance(given, list):
        return sequence()
    flat = True
    for value in given:
        flat = flat and not isinstance(value, list)
        _flatten(value, found)
    return sequence(found) if flat else found


def _flatten(value: Any, into: list[Any]) -> None:
    if isinstance(value, list):
        for item in value:
            _flatten(item, into)
    else:
        into.append(value)


def _descendants(run: Evaluation, _node: Node, given: Any, _frame: Frame) -> Any:
    found = sequence()
    if given is not UNDEFINED:
        _descend(given, found)
        run.charge(len(found) // 16)
    return found[0] if len(found) == 1 else found if found else UNDEFINED


def _descend(value: Any, into: list[Any]) -> None:
    if not isinstance(value, list):
        into.append(value)
    members = [value[key] for key in keys_of(value)] if isinstance(value, dict) else value
    if isinstance(members, list):
        for member in members:
            _descend(member, into)


_STEPS: dict[str, Callable[[Evaluation, Node, Any, Frame], Any]] = {
    "path": paths.path, "binary": operators.binary, "unary": operators.unary, "name": _name,
    "string": _literal, "number": _literal, "value": _literal, "wildcard": _wildcard,
    "descendant": _descendants, "parent": _parent, "condition": _condition, "block": _block, "bind": _bind,
    "regex": _regex, "function": Evaluation.invoke, "variable": _variable, "lambda": _lambda,
    "partial": Evaluation.partially, "apply": _apply, "transform": transformer,
}  # fmt: skip
