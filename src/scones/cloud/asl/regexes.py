"""Regular expressions in time linear to their texts: the one place that knows RE2."""

from typing import Any

import re2  # type: ignore[import-untyped]

__all__ = ["RegexError", "compile_regex", "escaped"]

RegexError = re2.error


def compile_regex(pattern: str, *, case_sensitive: bool = True, dot_all: bool = False) -> Any:
    """Raises RegexError for what RE2 lacks (look-around, backreferences) and for what is no pattern."""
    options = re2.Options()
    options.case_sensitive = case_sensitive
    options.dot_nl = dot_all
    options.log_errors = False
    return re2.compile(pattern, options)


def escaped(text: str) -> str:
    """The expression that a text itself matches."""
    return str(re2.escape(text))
