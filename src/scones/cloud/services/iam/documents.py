"""Policy documents: the grammar IAM itself checks before it keeps one. Pure.

Source: IAM User Guide, "Grammar of the IAM JSON policy language".
"""

import json
from typing import Any, Literal

from scones.cloud.errors import ServiceError

__all__ = ["check_document"]

Kind = Literal["identity", "trust"]
_VERSIONS = ("2012-10-17", "2008-10-17")
_STATEMENT_FIELDS = frozenset(
    {
        "Sid",
        "Effect",
        "Principal",
        "NotPrincipal",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Condition",
    }
)
_PRINCIPALS = ("Principal", "NotPrincipal")
_RESOURCES = ("Resource", "NotResource")


def check_document(text: str, kind: Kind) -> None:
    """Raise MalformedPolicyDocument unless `text` is a policy of this kind."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _malformed("This policy contains invalid Json") from error
    if not isinstance(document, dict) or document.keys() - {"Version", "Id", "Statement"}:
        raise _malformed("Syntax errors in policy.")
    if document.get("Version", _VERSIONS[1]) not in _VERSIONS:
        raise _malformed("The policy must contain a valid version string")
    statements = document.get("Statement")
    for statement in statements if isinstance(statements, list) else [statements]:
        _check_statement(statement, kind)


def _check_statement(statement: Any, kind: Kind) -> None:
    if not isinstance(statement, dict) or statement.keys() - _STATEMENT_FIELDS:
        raise _malformed("Syntax errors in policy.")
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Syntax errors in policy.")
    forbidden, needed = (_RESOURCES, _PRINCIPALS) if kind == "trust" else (_PRINCIPALS, _RESOURCES)
    for field in forbidden:
        if field in statement:
            raise _malformed(f"Has prohibited field {field}")
    for either in (needed, ("Action", "NotAction")):
        present = [field for field in either if field in statement]
        if not present:
            raise _malformed(f"Missing required field {either[0]}")
        if len(present) == 2 or not _well_formed(present[0], statement[present[0]]):
            raise _malformed("Syntax errors in policy.")
    if not isinstance(statement.get("Condition", {}), dict):
        raise _malformed("Syntax errors in policy.")


def _well_formed(field: str, value: Any) -> bool:
    """A string or a list of strings; a principal may also be a map of these."""
    if isinstance(value, dict):
        return field in _PRINCIPALS and bool(value) and all(_words(entry) for entry in value.values())
    return value == "*" if field in _PRINCIPALS else _words(value)


def _words(value: Any) -> bool:
    return isinstance(value, str) or (
        isinstance(value, list) and bool(value) and all(isinstance(entry, str) for entry in value)
    )


def _malformed(message: str) -> ServiceError:
    return ServiceError("MalformedPolicyDocument", message)
