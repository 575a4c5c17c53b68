"""JSONata 2.0.6 as Step Functions runs it."""

from scones.cloud.asl.queryerrors import QueryError

from .parsing import stray_references
from .queries import Function, evaluate_query, parse_query
from .values import UNDEFINED

__all__ = ["UNDEFINED", "Function", "QueryError", "evaluate_query", "parse_query", "stray_references"]
