"""CloudWatch Logs operations.

Tokens are positions, not page numbers: a client that keeps the last forward token gets exactly the
events that arrived since. A page at the end has no events and answers the token it was asked with.
"""

import base64
import binascii
import itertools
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.logs.pattern import matcher
from scones.cloud.services.logs.store import Position, Store
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database, Row

__all__ = ["Logs"]

_PAGE_EVENTS = 10_000
_PAGE_BYTES = 1024 * 1024
_EVENT_OVERHEAD_BYTES = 26  # AWS counts them on top of each message, in batches and in pages
_SCANNED_EVENTS = 50_000  # by one FilterLogEvents; then it answers what it has, and a token
_MAX_STREAMS = 10_000  # searched by one FilterLogEvents
_END_OF_TIME = 2**63 - 1
_TOKEN = re.compile(r"([fb])/(\d{14})(\d{42})/s")
_OLDEST, _NEWEST = timedelta(days=14), timedelta(hours=2)


class Logs:
    """The service `logs`; it has no processes and no background work."""

    name = "logs"

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, settings: CloudSettings) -> None:
        self.parts: tuple[object, ...] = (self,)
        self._store = Store(db)
        self._clock = clock
        self._arns = f"arn:aws:logs:{settings.region}:{settings.account_id}:log-group:"

    async def start(self) -> None:
        """Nothing a crash could leave half-done: each operation is one transaction."""

    async def close(self) -> None:
        """Nothing runs."""

    # groups

    def create_log_group(self, request: Wire, context: Context) -> Wire:
        name = request["logGroupName"]
        for member in ("kmsKeyId", "deletionProtectionEnabled"):
            if request.get(member):
                raise _invalid(f"{member} is not supported here")
        if self._store.group(name):
            raise ServiceError("ResourceAlreadyExistsException", "The specified log group already exists")
        tags = orjson.dumps(request.get("tags", {})).decode()
        group_class = request.get("logGroupClass", "STANDARD")
        self._store.add_group(name, created=self._now(), group_class=group_class, tags=tags)
        return {}

    def delete_log_group(self, request: Wire, context: Context) -> Wire:
        self._store.delete_group(self._group(request)["name"])
        return {}

    def describe_log_groups(self, request: Wire, context: Context) -> Wire:
        prefix, part = request.get("logGroupNamePrefix", ""), request.get("logGroupNamePattern", "")
        if prefix and part:
            raise _invalid(
                "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
            )
        if request.get("logGroupIdentifiers"):
            raise _invalid("logGroupIdentifiers is not supported here: use logGroupNamePrefix")
        limit = request.get("limit", 50)
        after = _unpack(request["nextToken"], str) if "nextToken" in request else [""]
        rows = self._store.groups(
            prefix=prefix,
            part=part,
            group_class=request.get("logGroupClass"),
            after=after[0],
            limit=limit + 1,
        )
        reply: Wire = {"logGroups": [self._describe_group(row) for row in rows[:limit]]}
        if len(rows) > limit:
            reply["nextToken"] = _pack(rows[limit - 1]["name"])
        return reply

    def _describe_group(self, row: Row) -> Wire:
        arn = self._arns + row["name"]
        return {
            "logGroupName": row["name"],
            "creationTime": row["created"],
            "metricFilterCount": 0,
            "arn": f"{arn}:*",
            "logGroupArn": arn,
            "storedBytes": row["stored_bytes"],
            "logGroupClass": row["class"],
        }

    def list_tags_for_resource(self, request: Wire, context: Context) -> Wire:
        return {"tags": orjson.loads(self._tagged(request)["tags"])}

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        group = self._tagged(request)
        self._tag(group, orjson.loads(group["tags"]) | request["tags"])
        return {}

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        group = self._tagged(request)
        gone = set(request["tagKeys"])
        self._tag(group, {k: v for k, v in orjson.loads(group["tags"]).items() if k not in gone})
        return {}

    def _tag(self, group: Row, tags: dict[str, str]) -> None:
        if len(tags) > 50:
            raise ServiceError("TooManyTagsException", "A log group can have at most 50 tags.")
        self._store.tag_group(group["name"], orjson.dumps(tags).decode())

    def _tagged(self, request: Wire) -> Row:
        group = self._store.group(self._name_of(request["resourceArn"]))
        if group is None:
            raise _absent("resource")
        return group

    # streams

    def create_log_stream(self, request: Wire, context: Context) -> Wire:
        group, name = self._group(request)["name"], request["logStreamName"]
        if self._store.stream(group, name):
            raise ServiceError("ResourceAlreadyExistsException", "The specified log stream already exists")
        self._store.add_stream(group, name, created=self._now())
        return {}

    def delete_log_stream(self, request: Wire, context: Context) -> Wire:
        self._store.delete_stream(self._stream(request)["id"])
        return {}

    def describe_log_streams(self, request: Wire, context: Context) -> Wire:
        group = self._group(request)["name"]
        prefix = request.get("logStreamNamePrefix", "")
        by_time = request.get("orderBy") == "LastEventTime"
        if by_time and prefix:
            raise _invalid("Cannot order by LastEventTime with a logStreamNamePrefix.")
        limit, descending = request.get("limit", 50), request.get("descending", False)
        after = _unpack(request["nextToken"], int, str) if "nextToken" in request else None
        if by_time:
            key = (after[0], after[1]) if after else None
            rows = self._store.streams_by_time(group, descending=descending, after=key, limit=limit + 1)
        else:
            name = after[1] if after else None
            rows = self._store.streams_by_name(
                group, prefix=prefix, descending=descending, after=name, limit=limit + 1
            )
        reply: Wire = {"logStreams": [self._describe_stream(row) for row in rows[:limit]]}
        if len(rows) > limit:  # a token on the last page would send some clients round for ever
            last = rows[limit - 1]
            reply["nextToken"] = _pack(last["last"], last["name"])
        return reply

    def _describe_stream(self, row: Row) -> Wire:
        described = {
            "logStreamName": row["name"],
            "creationTime": row["created"],
            "firstEventTimestamp": row["first_event"],
            "lastEventTimestamp": row["last_event"],
            "lastIngestionTime": row["last_ingestion"],
            "uploadSequenceToken": _sequence_token(row["events"]) if row["events"] else None,
            "arn": f"{self._arns}{row['group_name']}:log-stream:{row['name']}",
            "storedBytes": 0,  # AWS answers zero for streams since 2019
        }
        return {key: value for key, value in described.items() if value is not None}

    # events

    def put_log_events(self, request: Wire, context: Context) -> Wire:
        """Append a batch in order; events too old or too new are counted in the reply, not kept."""
        stream = self._stream(request)
        events = [(e["timestamp"], _storable(e["message"])) for e in request["logEvents"]]
        size = sum(len(message.encode()) + _EVENT_OVERHEAD_BYTES for _, message in events)
        if size > _PAGE_BYTES:
            raise _invalid(f"Upload too large: {size} bytes exceeds limit of {_PAGE_BYTES}")
        if any(a[0] > b[0] for a, b in itertools.pairwise(events)):
            raise _invalid("Log events in a single PutLogEvents request must be in chronological order.")
        if events[-1][0] - events[0][0] > 24 * 3600 * 1000:
            raise _invalid(
                "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
            )
        now = self._now()
        too_old = sum(at < now - _milliseconds(_OLDEST) for at, _ in events)
        too_new = sum(at > now + _milliseconds(_NEWEST) for at, _ in events)
        kept = events[too_old : len(events) - too_new]
        if kept:
            self._store.append(stream, kept, size=sum(len(m.encode()) for _, m in kept), now=now)
        reply: Wire = {"nextSequenceToken": _sequence_token(stream["events"] + len(kept))}
        rejected = {}
        if too_old:
            rejected["tooOldLogEventEndIndex"] = too_old
        if too_new:
            rejected["tooNewLogEventStartIndex"] = len(events) - too_new
        if rejected:
            reply["rejectedLogEventsInfo"] = rejected
        return reply

    def get_log_events(self, request: Wire, context: Context) -> Wire:
        stream = self._stream(request)
        forward, boundary = _boundary(request)
        scan = self._store.events(
            stream["id"],
            boundary,
            forward=forward,
            start=min(request.get("startTime", 0), _END_OF_TIME),
            end=min(request.get("endTime", _END_OF_TIME), _END_OF_TIME),
            limit=request.get("limit", _PAGE_EVENTS),
        )
        rows = _one_page(scan)
        if not forward:
            rows.reverse()
        timestamp, sequence = boundary
        if rows:
            first = (rows[0]["timestamp"], rows[0]["sequence"])
            last = (rows[-1]["timestamp"], rows[-1]["sequence"])
        elif "nextToken" not in request:  # nothing yet: later events are all ahead
            first = last = (0, 0)
        elif forward:  # between events: the same place, seen from the other side
            first, last = (timestamp, sequence + 1), boundary
        else:
            first, last = boundary, (timestamp, max(sequence - 1, 0))
        return {
            "events": [_event(row) for row in rows],
            "nextForwardToken": _position_token("f", last),
            "nextBackwardToken": _position_token("b", first),
        }

    def filter_log_events(self, request: Wire, context: Context) -> Wire:
        """One pass over the group's events by time, at most `_SCANNED_EVENTS` of them in a call."""
        group = self._group(request)["name"]
        wanted = matcher(request.get("filterPattern", ""))
        streams = {row["id"]: row["name"] for row in self._searched(group, request)}
        limit, size = request.get("limit", _PAGE_EVENTS), 0
        after = _unpack(request["nextToken"], int, int, int) if "nextToken" in request else [-1, 0, 0]
        found: list[Wire] = []
        token = None
        scan = self._store.events_across(
            list(streams),
            start=min(request.get("startTime", 0), _END_OF_TIME),
            end=min(request.get("endTime", _END_OF_TIME), _END_OF_TIME),
            after=(after[0], after[1], after[2]),
            limit=_SCANNED_EVENTS + 1,
        )
        last = after
        for scanned, row in enumerate(scan):
            if len(found) == limit or size > _PAGE_BYTES or scanned == _SCANNED_EVENTS:
                token = _pack(*last)
                break
            last = [row["timestamp"], row["stream_id"], row["sequence"]]
            if wanted(row["message"]):
                size += len(row["message"]) + _EVENT_OVERHEAD_BYTES
                event_id = f"{row['timestamp']:014d}{row['stream_id']:014d}{row['sequence']:028d}"
                found.append(_event(row) | {"logStreamName": streams[row["stream_id"]], "eventId": event_id})
        reply: Wire = {"events": found, "searchedLogStreams": []}
        return reply | {"nextToken": token} if token else reply

    def _searched(self, group: str, request: Wire) -> list[Row]:
        names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix", "")
        if names and prefix:
            raise _invalid("logStreamNames and logStreamNamePrefix are mutually exclusive parameters.")
        if not names:
            return self._store.streams_by_name(
                group, prefix=prefix, descending=False, after=None, limit=_MAX_STREAMS
            )
        found = [self._store.stream(group, name) for name in names]
        if None in found:
            raise _absent("log stream")
        return [row for row in found if row is not None]

    # lookups

    def _now(self) -> int:
        return round(self._clock.now().timestamp() * 1000)

    def _name_of(self, identifier: str) -> str:
        """A group's name from its name or ARN."""
        if not identifier.startswith("arn:"):
            return identifier
        if not identifier.startswith(self._arns):
            raise _absent("log group")
        return identifier[len(self._arns) :].removesuffix(":*")

    def _group(self, request: Wire) -> Row:
        name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
        if (name is None) == (identifier is None):
            raise _invalid("Specify either logGroupName or logGroupIdentifier, and not both.")
        group = self._store.group(name or self._name_of(identifier or ""))
        if group is None:
            raise _absent("log group")
        return group

    def _stream(self, request: Wire) -> Row:
        group = self._group(request)["name"]
        stream = self._store.stream(group, request["logStreamName"])
        if stream is None:
            raise _absent("log stream")
        return stream


def _event(row: Row) -> Wire:
    return {"timestamp": row["timestamp"], "message": row["message"], "ingestionTime": row["ingested"]}


def _one_page(scan: Iterable[Row]) -> list[Row]:
    """The first rows that fit into one page's bytes; at least one, if there is one."""
    page: list[Row] = []
    size = 0
    for row in scan:
        size += len(row["message"].encode()) + _EVENT_OVERHEAD_BYTES
        if size > _PAGE_BYTES and page:
            break
        page.append(row)
    return page


def _storable(message: str) -> str:
    """JSON can spell half a surrogate pair, UTF-8 cannot."""
    return message if message.isascii() else message.encode("utf-8", "replace").decode()


def _boundary(request: Wire) -> tuple[bool, Position]:
    """Reading direction and the place to read from."""
    if "nextToken" not in request:
        forward = request.get("startFromHead", False)
        return forward, (0, 0) if forward else (10**14 - 1, 0)
    found = _TOKEN.fullmatch(request["nextToken"])
    if not found:
        raise _invalid("The specified nextToken is invalid.")
    timestamp, sequence = int(found[2]), min(int(found[3]), _END_OF_TIME)
    return found[1] == "f", (timestamp, sequence)


def _position_token(direction: str, position: Position) -> str:
    return f"{direction}/{position[0]:014d}{position[1]:042d}/s"


def _sequence_token(count: int) -> str:
    return f"{count:056d}"


def _milliseconds(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


def _pack(*values: Any) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode()


def _unpack(token: str, *types: type) -> list[Any]:
    try:
        values: list[Any] = orjson.loads(base64.urlsafe_b64decode(token))
        if [type(v) for v in values] == list(types) and all(
            v <= _END_OF_TIME for v in values if isinstance(v, int)
        ):
            return values
    except (binascii.Error, ValueError, TypeError):
        pass
    raise _invalid("The specified nextToken is invalid.")


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterException", message)


def _absent(kind: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", f"The specified {kind} does not exist.")
