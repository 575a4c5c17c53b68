"""Operations beside the function itself: reserved concurrency, resource policy, tags, account limits."""

from typing import Any

import orjson

from scones.cloud.ports import Context, Wire
from scones.cloud.services.lambda_.errors import conflict, invalid, not_found, precondition_failed
from scones.cloud.services.lambda_.names import FunctionName, Place
from scones.cloud.services.lambda_.store import Store
from scones.cloud.state.db import Row

__all__ = ["Access"]

_ACCOUNT_CONCURRENCY = 1000
_LEAST_UNRESERVED = 100
_TAGS = 50


class Access:
    """The policy is kept and shown; who may invoke is not checked, as nobody else can reach this cloud."""

    def __init__(self, *, store: Store, place: Place) -> None:
        self._store = store
        self._place = place

    def put_function_concurrency(self, request: Wire, context: Context) -> Wire:
        """Honoured exactly: the function runs at most so many at once, and none at zero."""
        name = self._named(request).name
        reserved = request["ReservedConcurrentExecutions"]
        if self._store.reserved_elsewhere(name) + reserved > _ACCOUNT_CONCURRENCY - _LEAST_UNRESERVED:
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's"
                f" UnreservedConcurrentExecution below its minimum value of [{_LEAST_UNRESERVED}]."
            )
        self._store.set_reserved_concurrency(name, reserved)
        return {"ReservedConcurrentExecutions": reserved}

    def get_function_concurrency(self, request: Wire, context: Context) -> Wire:
        reserved = self._function(self._named(request))["reserved_concurrency"]
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def delete_function_concurrency(self, request: Wire, context: Context) -> Wire:
        self._store.set_reserved_concurrency(self._named(request).name, None)
        return {}

    def add_permission(self, request: Wire, context: Context) -> Wire:
        named = self._named(request)
        statements = self._statements(named)
        self._matching(named, request)
        statement_id = request["StatementId"]
        key = f"{named.qualifier}/{statement_id}"
        if key in statements:
            raise conflict(
                f"The statement id ({statement_id}) provided already exists."
                " Please provide a new statement id, or remove the existing statement."
            )
        statement = _statement(request, self._place.arn(named.name, named.qualifier))
        self._store.set_policy(named.name, statements | {key: statement})
        return {"Statement": orjson.dumps(statement).decode()}

    def remove_permission(self, request: Wire, context: Context) -> Wire:
        named = self._named(request)
        statements = self._statements(named)
        self._matching(named, request)
        key = f"{named.qualifier}/{request['StatementId']}"
        if key not in statements:
            raise not_found(f"Statement {request['StatementId']} is not found in resource policy.")
        del statements[key]
        self._store.set_policy(named.name, statements)
        return {}

    def get_policy(self, request: Wire, context: Context) -> Wire:
        named = self._named(request)
        prefix = f"{named.qualifier}/"
        statements = [s for key, s in self._statements(named).items() if key.startswith(prefix)]
        if not statements:
            raise not_found("The resource you requested does not exist.")
        policy = {"Version": "2012-10-17", "Id": "default", "Statement": statements}
        return {"Policy": orjson.dumps(policy).decode(), "RevisionId": self._revision(named)}

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        row = self._tagged(request)
        tags = self._store.tags(row) | request["Tags"]
        if len(tags) > _TAGS:
            raise invalid(f"A function can have at most {_TAGS} tags")
        self._store.set_tags(row["name"], tags)
        return {}

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        row = self._tagged(request)
        gone = set(request["TagKeys"])
        self._store.set_tags(row["name"], {k: v for k, v in self._store.tags(row).items() if k not in gone})
        return {}

    def list_tags(self, request: Wire, context: Context) -> Wire:
        return {"Tags": self._store.tags(self._tagged(request))}

    def _tagged(self, request: Wire) -> Row:
        return self._function(self._place.parse(request["Resource"]))

    def _named(self, request: Wire) -> FunctionName:
        """The function and version a request is about; both exist."""
        named = self._place.parse(request["FunctionName"], request.get("Qualifier", ""))
        self._function(named)
        return named

    def _function(self, named: FunctionName) -> Row:
        row = self._store.function(named.name)
        if row is None or self._store.version(named.name, named.version) is None:
            raise not_found(f"Function not found: {self._place.arn(named.name, named.qualifier)}")
        return row

    def _statements(self, named: FunctionName) -> dict[str, Any]:
        statements: dict[str, Any] = orjson.loads(self._function(named)["policy"])
        return statements

    def _revision(self, named: FunctionName) -> str:
        version = self._store.version(named.name, named.version)
        return version.revision_id if version else ""

    def _matching(self, named: FunctionName, request: Wire) -> None:
        if request.get("RevisionId") and request["RevisionId"] != self._revision(named):
            raise precondition_failed()


def _statement(request: Wire, arn: str) -> Wire:
    """The policy statement AWS makes of AddPermission's parameters."""
    principal = request["Principal"]
    if principal == "*":
        who: Any = "*"
    elif principal.endswith(".amazonaws.com"):
        who = {"Service": principal}
    else:
        account = principal.isdigit() and len(principal) == 12
        who = {"AWS": f"arn:aws:iam::{principal}:root" if account else principal}
    statement: Wire = {
        "Sid": request["StatementId"],
        "Effect": "Allow",
        "Principal": who,
        "Action": request["Action"],
        "Resource": arn,
    }
    conditions = {
        "ArnLike": ("AWS:SourceArn", request.get("SourceArn")),
        "StringEquals": ("AWS:SourceAccount", request.get("SourceAccount")),
    }
    condition = {test: {key: value} for test, (key, value) in conditions.items() if value}
    return statement | {"Condition": condition} if condition else statement
