"""Invoke: the request's checks, the three kinds of invocation, the reply."""

import base64
import binascii
import json

import orjson

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.lambda_.errors import invalid, not_found
from scones.cloud.services.lambda_.events import Events
from scones.cloud.services.lambda_.names import FunctionName, Place
from scones.cloud.services.lambda_.records import Event, Version
from scones.cloud.services.lambda_.runner import Runner
from scones.cloud.services.lambda_.store import Store
from scones.cloud.services.lambda_.worker import Outcome, Request
from scones.cloud.state.db import Database

__all__ = ["Invocations"]

_SYNC_LIMIT_BYTES = 6 * 1024 * 1024
_EVENT_LIMIT_BYTES = 1024 * 1024
_CONTEXT_LIMIT_BYTES = 3583


class Invocations:
    def __init__(
        self,
        *,
        db: Database,
        store: Store,
        runner: Runner,
        events: Events,
        place: Place,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._db = db
        self._store = store
        self._runner = runner
        self._events = events
        self._place = place
        self._clock = clock
        self._ids = ids

    async def invoke(self, request: Wire, context: Context) -> Wire:
        """Run the function and answer with its result; its failure is a result too."""
        named = self._place.parse(request["FunctionName"], request.get("Qualifier", ""))
        version = self._version(named)
        for member in ("DurableExecutionName", "TenantId"):
            if request.get(member):
                raise invalid(f"{member} not supported here")
        kind = request.get("InvocationType", "RequestResponse")
        payload = _payload(request.get("Payload") or b"", asynchronous=kind == "Event")
        client_context = _client_context(request.get("ClientContext", ""))
        if kind == "DryRun":
            return {"StatusCode": 204, "ExecutedVersion": version.version}
        if kind == "Event":
            self._accept(named, payload, client_context)
            return {"StatusCode": 202}
        outcome = await self._run(named, self._ids.uuid(), payload, client_context)
        reply: Wire = {"StatusCode": 200, "Payload": outcome.payload, "ExecutedVersion": version.version}
        if outcome.failed:
            reply["FunctionError"] = "Unhandled"
        if request.get("LogType") == "Tail":
            reply["LogResult"] = base64.b64encode(outcome.tail).decode()
        return reply

    async def run_event(self, event: Event) -> Outcome:
        """One delivery of an accepted event."""
        named = FunctionName(name=event.function, qualifier=event.version)
        return await self._run(named, event.id, event.payload, event.client_context)

    def _accept(self, named: FunctionName, payload: bytes, client_context: str) -> None:
        """Once this returns, the event is delivered at least once, whatever happens to the cloud."""
        now = self._clock.now().timestamp()
        event = Event(
            id=self._ids.uuid(),
            function=named.name,
            version=named.qualifier,
            payload=payload,
            client_context=client_context,
            accepted=now,
            due=now,
            failures=0,
        )
        with self._db.transaction():
            self._store.add_event(event)
            self._db.after_commit(self._events.wake)

    async def _run(
        self, named: FunctionName, request_id: str, payload: bytes, client_context: str
    ) -> Outcome:
        function = self._store.function(named.name)
        now = int(self._clock.now().timestamp())
        request = Request(
            id=request_id,
            arn=self._place.arn(named.name, named.qualifier),
            payload=payload,
            client_context=client_context,
            trace_id=f"Root=1-{now:08x}-{self._ids.token(24)};Parent={self._ids.token(16)};Sampled=0",
        )
        reserved = function["reserved_concurrency"] if function else None
        return await self._runner.invoke(
            named.name, request, reserved=reserved, load=lambda: self._version(named)
        )

    def _version(self, named: FunctionName) -> Version:
        found = self._store.version(named.name, named.version)
        if found is None:
            raise not_found(f"Function not found: {self._place.arn(named.name, named.qualifier)}")
        return found


def _payload(payload: bytes, *, asynchronous: bool) -> bytes:
    """The event, `{}` for none; raises RequestTooLargeException and InvalidRequestContentException."""
    if asynchronous and len(payload) > _EVENT_LIMIT_BYTES:
        raise _too_large(
            f"{len(payload)} byte payload is too large for the Event invocation type"
            f" (limit {_EVENT_LIMIT_BYTES} bytes)"
        )
    if len(payload) > _SYNC_LIMIT_BYTES:
        raise _too_large(
            f"Request must be smaller than {_SYNC_LIMIT_BYTES} bytes for the InvokeFunction operation"
        )
    if not payload:
        return b"{}"
    try:
        orjson.loads(payload)
    except ValueError as error:
        raise _bad_content(f"Could not parse request body into json: {error}") from error
    return payload


def _client_context(encoded: str) -> str:
    """The client context as JSON on one line; empty for none."""
    if not encoded:
        return ""
    try:
        text = base64.b64decode(encoded, validate=True)
        if len(text) > _CONTEXT_LIMIT_BYTES:
            raise ValueError(f"more than {_CONTEXT_LIMIT_BYTES} bytes")
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("not an object")
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _bad_content("Client context must be a valid Base64-encoded JSON object.") from error
    return json.dumps(value)  # ASCII: it travels in a header


def _too_large(message: str) -> ServiceError:
    return ServiceError("RequestTooLargeException", message, status=413, fields={"Type": "User"})


def _bad_content(message: str) -> ServiceError:
    return ServiceError("InvalidRequestContentException", message, fields={"Type": "User"})
