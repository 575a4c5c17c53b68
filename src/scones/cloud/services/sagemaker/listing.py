"""List operations: filters, order and pages, the same for every resource."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

import orjson

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.records import millis
from scones.cloud.services.sagemaker.store import Page, Store, Table
from scones.cloud.services.sagemaker.wording import invalid
from scones.cloud.state.db import Row

__all__ = ["list_rows"]

_FILTERS = (
    "CreationTimeAfter",
    "CreationTimeBefore",
    "LastModifiedTimeAfter",
    "LastModifiedTimeBefore",
    "NameContains",
    "StatusEquals",
)
_DEFAULT_PAGE = 10  # the service's own, where a request has no MaxResults
_SORT_VALUE = {"Name": "name", "CreationTime": "created", "Status": "status"}


def list_rows(store: Store, table: Table, request: Wire, *, newest_first: bool) -> tuple[list[Row], Wire]:
    """One page of a table, and {"NextToken": ...} where more follow.

    newest_first: the order where the request names none, as the operation documents it.
    """
    sort_by = request.get("SortBy", "CreationTime")
    order = request.get("SortOrder", "Descending" if newest_first else "Ascending")
    limit = request.get("MaxResults", _DEFAULT_PAGE)
    rows = store.page(
        table,
        Page(
            filters={name: _value(request[name]) for name in _FILTERS if name in request},
            sort_by=sort_by,
            descending=order == "Descending",
            after=_read_token(request["NextToken"], sort_by) if request.get("NextToken") else None,
            limit=limit + 1,
        ),
    )
    if len(rows) <= limit:
        return rows, {}
    last = rows[limit - 1]
    return rows[:limit], {"NextToken": _token(sort_by, last[_SORT_VALUE[sort_by]], last["name"])}


def _value(value: object) -> object:
    return millis(value) if isinstance(value, datetime) else value


def _token(sort_by: str, value: object, name: str) -> str:
    return urlsafe_b64encode(orjson.dumps([sort_by, value, name])).decode()


def _read_token(token: str, sort_by: str) -> tuple[str | int, str]:
    try:
        sorted_by, value, name = orjson.loads(urlsafe_b64decode(token))
    except ValueError:
        sorted_by = value = name = None
    if sorted_by != sort_by or not isinstance(value, str | int) or not isinstance(name, str):
        raise invalid("Invalid NextToken: it is not from an earlier page of this listing.")
    return value, name
