"""PutEvents, entry by entry, and TestEventPattern."""

import logging
from typing import Any

from scones.cloud.asl.jsontext import dumps, loads
from scones.cloud.ports import Context, Wire
from scones.cloud.services.events.dispatch import Dispatch
from scones.cloud.services.events.names import Names, invalid
from scones.cloud.services.events.rules import checked_pattern
from scones.cloud.services.events.store import Store

__all__ = ["Putting"]

_log = logging.getLogger(__name__)

_SIZE_LIMIT_BYTES = 1024 * 1024
_TIME_BYTES = 14
_DETAIL_TYPE_LENGTH = 128
_TESTED = ("id", "account", "source", "time", "region", "detail-type")
"""What an event must have to be tested against a pattern."""


class Putting:
    def __init__(self, *, store: Store, names: Names, dispatch: Dispatch) -> None:
        self._store = store
        self._names = names
        self._dispatch = dispatch

    def put_events(self, request: Wire, context: Context) -> Wire:
        """A bad entry fails alone. As on AWS, an event for a bus that is not there is accepted and lost."""
        entries: list[Wire] = request["Entries"]
        if "EndpointId" in request:
            raise invalid("Parameter EndpointId is not valid. Reason: this cloud has no global endpoints.")
        if sum(_size_bytes(entry) for entry in entries) > _SIZE_LIMIT_BYTES:
            raise invalid("Total size of the entries in the request is over the limit.")
        results = [self._put(entry) for entry in entries]
        return {
            "FailedEntryCount": sum("ErrorCode" in result for result in results),
            "Entries": results,
        }

    def _put(self, entry: Wire) -> Wire:
        for member in ("Source", "DetailType", "Detail"):
            if not entry.get(member):
                return _failed(member, f"{member} is a required argument.")
        if len(entry["DetailType"]) > _DETAIL_TYPE_LENGTH:
            return _failed("DetailType", f"DetailType has at most {_DETAIL_TYPE_LENGTH} characters.")
        if entry["Source"].startswith("aws."):
            code, message = "NotAuthorizedForSourceException", "Not authorized for the source."
            return {"ErrorCode": code, "ErrorMessage": message}
        detail = _parsed(entry["Detail"])
        if not isinstance(detail, dict):
            return {"ErrorCode": "MalformedDetail", "ErrorMessage": "Detail is malformed."}
        event = self._dispatch.event(
            source=entry["Source"],
            detail_type=entry["DetailType"],
            resources=entry.get("Resources", []),
            detail=detail,
            moment=entry.get("Time"),
        )
        bus = self._names.bus_name(entry.get("EventBusName"))
        if self._store.bus(bus) is None:
            _log.warning("event %s was put on the bus %s, which does not exist", event["id"], bus)
        else:
            self._dispatch.put(bus, event)
        return {"EventId": event["id"]}

    def test_event_pattern(self, request: Wire, context: Context) -> Wire:
        pattern, event = checked_pattern(request["EventPattern"]), _parsed(request["Event"])
        if not isinstance(event, dict) or any(name not in event for name in _TESTED):
            raise invalid("Parameter Event is not valid.")
        return {"Result": pattern.matches(event)}


def _parsed(text: str) -> Any:
    """A JSON text's value; None where it is none, or is nested deeper than can be written again."""
    try:
        value = loads(text)
        dumps(value)
    except ValueError:
        return None
    return value


def _failed(member: str, reason: str) -> Wire:
    message = f"Parameter {member} is not valid. Reason: {reason}"
    return {"ErrorCode": "InvalidArgument", "ErrorMessage": message}


def _size_bytes(entry: Wire) -> int:
    """Source: EventBridge User Guide, "Calculating PutEvents event entry size"."""
    texts = [entry.get(member, "") for member in ("Source", "DetailType", "Detail")]
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in (*texts, *entry.get("Resources", [])))
    return size + (_TIME_BYTES if "Time" in entry else 0)
