"""The transform operator: a copy of an object or array, in which what a pattern finds is changed."""

from typing import TYPE_CHECKING, Any

from .errors import JsonataError
from .signatures import parse_signature
from .values import UNDEFINED, Frame, Native, is_function

if TYPE_CHECKING:
    from .evaluation import Evaluation, Node

__all__ = ["transformer"]

_SIGNATURE = parse_signature("<(oa):o>")


def transformer(run: "Evaluation", node: "Node", _given: Any, frame: Frame) -> Native:
    """The function that the operator stands for. It raises JsonataError T2011, T2012, T2013."""

    def transform(value: Any) -> Any:
        clone = frame.lookup("clone")
        if not is_function(clone):
            raise JsonataError("T2013")
        copied = run.apply(clone, [value], None)
        matches = run.evaluate(node.pattern, copied, frame)
        if matches is not UNDEFINED:
            for match in matches if isinstance(matches, list) else [matches]:
                _change(run, node, match, frame)
        return copied

    return Native(transform, 1, _SIGNATURE)


def _change(run: "Evaluation", node: "Node", match: Any, frame: Frame) -> None:
    update = run.evaluate(node.update, match, frame)
    if update is not UNDEFINED:
        if not isinstance(update, dict) and not is_function(update):
            raise JsonataError("T2011", value=update)
        if isinstance(match, dict) and isinstance(update, dict):
            match.update(update)
    if node.delete is None:
        return
    deleted = run.evaluate(node.delete, match, frame)
    if deleted is UNDEFINED:
        return
    names = deleted if isinstance(deleted, list) else [deleted]
    if not all(isinstance(name, str) for name in names):
        raise JsonataError("T2012", value=deleted)
    if isinstance(match, dict):
        for name in names:
            match.pop(name, None)
