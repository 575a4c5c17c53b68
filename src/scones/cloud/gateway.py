"""The way of every request, in order: host, identity, route, body, parse, validate, run, serialize, log.

It knows services only by their parts: a public method named after an operation implements it.
"""

import hashlib
import inspect
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from botocore import xform_name

import scones
from scones.cloud.auth import Auth, Credentials, Identity, allow_host, identify
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Service, Stream, Wire, never
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.wire.body import collect, is_checked, open_body, plain_headers
from scones.cloud.wire.failure import serialize_error
from scones.cloud.wire.http import BytesStream, ClientGoneError, HttpRequest, HttpResponse
from scones.cloud.wire.model import OperationSpec, load
from scones.cloud.wire.parse import Incoming, parse
from scones.cloud.wire.read_form import parse_form
from scones.cloud.wire.route import Route, Router, is_form, parse_query, virtual_bucket
from scones.cloud.wire.serialize import serialize
from scones.cloud.wire.validate import refuse_unknown, validate

__all__ = ["Gateway", "OperationRow"]

_log = logging.getLogger(__name__)

_ANY_REGION = frozenset({"iam", "sts"})
_BODY_LIMIT = 32 * 1024 * 1024
_BODY_LIMITS = {"lambda": 70_167_211}
"""Largest body held in memory, in bytes; Lambda's is AWS's own, for a 50 MB zip in base64."""

Handler = Callable[[Wire, Context], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRow:
    """One line of the table of operations."""

    service: str
    operation: str
    implemented: bool


@dataclass(slots=True)
class _Trace:
    """What is known of a request so far, for its error and its log line."""

    request_id: str
    scope: str
    route: Route | None = None

    @property
    def name(self) -> str:
        return repr(self.route.operation) if self.route else (self.scope or "unknown")


class Gateway:
    """Every service's door, for requests from the socket (`handle`) and from within (`call`)."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        settings: CloudSettings,
        credentials: Credentials | None = None,
    ) -> None:
        """credentials: looks up keys that the cloud itself has issued."""
        self._db = db
        self._clock = clock
        self._ids = ids
        self._settings = settings
        self._auth = Auth(clock=clock, settings=settings, temporary=credentials)
        self._services: dict[str, Service] = {}
        self._handlers: dict[tuple[str, str], tuple[Handler, bool] | None] = {}
        self._router = Router(lambda: self._services)

    def add(self, service: Service) -> None:
        self._services[service.name] = service

    def table(self) -> list[OperationRow]:
        """Every operation of every service's model, implemented or not."""
        return [
            OperationRow(service=name, operation=op, implemented=self._handler(name, op) is not None)
            for name in sorted(self._services)
            for op in load(name).operation_names
        ]

    # --- from within ----------------------------------------------------------------------------

    async def call(self, service: str, operation: str, request: Wire) -> Wire:
        """An operation without the socket: the same checks, the same errors."""
        if service not in self._services:
            raise ServiceError("NotImplemented", f"This cloud has no service '{service}'.", status=501)
        spec = load(service)
        if operation not in spec:
            raise ServiceError(
                "NotImplemented", f"The service {service} has no operation '{operation}'.", status=501
            )
        op = spec.operation(operation)
        self._entry(op)
        refuse_unknown(op, request)
        validate(op, request)
        context = Context(
            request_id=self._ids.uuid(),
            account_id=self._settings.account_id,
            region=self._settings.region,
        )
        return await self._run(op, dict(request), context)

    # --- from the socket ------------------------------------------------------------------------

    async def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer one request. Raises only ClientGoneError, and what cancels it."""
        trace = _Trace(request_id=self._ids.uuid(), scope="")
        started = self._clock.monotonic()
        try:
            response = await self._answer(request, trace)
        except ServiceError as error:
            response = self._error(error, request, trace)
        except ClientGoneError:
            self._note(trace, 499, started)
            raise
        except Exception:
            _log.exception("%s %s failed", trace.request_id, trace.name, extra={"action": "internal_failure"})
            message = f"The cloud made a mistake; its log has the details under request {trace.request_id}."
            response = self._error(ServiceError("InternalFailure", message, status=500), request, trace)
        self._note(trace, response.status, started)
        return response

    async def _answer(self, request: HttpRequest, trace: _Trace) -> HttpResponse:
        allow_host(request.headers, self._settings)
        if request.path == "/_scones/health":
            return self._health(trace.request_id)
        query = parse_query(request.query_string)
        identity = identify(request, query)
        trace.scope = identity.service
        body, route = await self._route(request, query, identity)
        trace.route, operation = route, route.operation
        self._check_region(identity, operation)
        content: bytes | Stream
        if operation.streaming_member is not None:
            self._auth.verify(identity, request, _no_hash)
            content = open_body(request, self._auth.chunk_verifier(identity, request))
        else:
            if body is None:
                body = await self._whole(request, identity, operation.service.name)
            whole = body
            self._auth.verify(identity, request, lambda: hashlib.sha256(whole).hexdigest())
            content = body
        incoming = Incoming(
            labels=route.labels, query=query, headers=plain_headers(request.headers), body=content
        )
        self._entry(operation)
        wire = parse(operation, route.protocol, incoming)
        validate(operation, wire)
        context = Context(
            request_id=trace.request_id,
            account_id=self._settings.account_id,
            region=self._settings.region,
            access_key=identity.access_key,
            headers=dict(request.headers),
            body=body or b"",
            gone=request.gone or never,
        )
        reply = await self._run(operation, wire, context)
        return serialize(operation, route.protocol, reply, trace.request_id)

    async def _route(
        self, request: HttpRequest, query: Mapping[str, list[str]], identity: Identity
    ) -> tuple[bytes | None, Route]:
        """The operation, and the body where it had to be read to know."""
        body: bytes | None = None
        form: Mapping[str, list[str]] | None = None
        if is_form(request.method, request.path, request.headers):
            body = await self._whole(request, identity, identity.service)
            form = parse_form(body)
        route = self._router.route(
            method=request.method,
            path=request.path,
            query=query,
            headers=request.headers,
            scope=identity.service,
            bucket=virtual_bucket(request.headers.get("host", ""), self._settings.region),
            form=form,
        )
        return body, route

    async def _whole(self, request: HttpRequest, identity: Identity, service: str) -> bytes:
        limit = _BODY_LIMITS.get(service, _BODY_LIMIT)
        if request.body.length is not None and request.body.length > 2 * limit:
            raise _too_long(service, limit)
        if isinstance(request.body, BytesStream) and not is_checked(request.headers):
            body = request.body.data
            if len(body) > limit:
                raise _too_long(service, limit)
            return body
        stream = open_body(request, self._auth.chunk_verifier(identity, request))
        return await collect(stream, limit=limit, too_long=_too_long(service, limit))

    def _check_region(self, identity: Identity, operation: OperationSpec) -> None:
        here, there, service = self._settings.region, identity.region, operation.service.name
        if there in ("", here, "aws-global") or service in _ANY_REGION:
            return
        if service == "s3":
            # SDKs read Region (of a HEAD reply: the header) and sign again for it.
            raise ServiceError(
                "AuthorizationHeaderMalformed",
                f"The authorization header is malformed; the region '{there}' is wrong; expecting '{here}'",
                fields={
                    "Region": here,
                    "ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": here}},
                },
            )
        raise ServiceError(
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region. This cloud is '{here}', the request is signed "
            f"for '{there}': set AWS_DEFAULT_REGION={here}, or start the cloud as '{there}'.",
        )

    # --- running --------------------------------------------------------------------------------

    def _handler(self, service: str, operation: str) -> tuple[Handler, bool] | None:
        """The method that implements an operation, and whether it is a coroutine."""
        key = (service, operation)
        if key not in self._handlers:
            method = xform_name(operation)
            found = [getattr(part, method, None) for part in self._services[service].parts]
            handler = next((f for f in found if callable(f)), None)
            self._handlers[key] = handler and (handler, inspect.iscoroutinefunction(handler))
        return self._handlers[key]

    def _entry(self, operation: OperationSpec) -> tuple[Handler, bool]:
        """The handler, or a refusal that names what is missing. SDKs don't retry a 501."""
        entry = self._handler(operation.service.name, operation.name)
        if entry is None:
            raise ServiceError(
                "NotImplemented",
                f"This cloud does not implement {operation.service.name} {operation.name}.",
                status=501,
            )
        return entry

    async def _run(self, operation: OperationSpec, wire: Wire, context: Context) -> Wire:
        handler, waits = self._entry(operation)
        if waits:
            reply = await handler(wire, context)
        else:
            with self._db.transaction():
                reply = handler(wire, context)
        if not isinstance(reply, dict):
            raise TypeError(f"{operation} returned {type(reply).__name__}, not a dict")
        return reply

    # --- answers of its own ---------------------------------------------------------------------

    def _health(self, request_id: str) -> HttpResponse:
        document = {
            "version": scones.__version__,
            "account_id": self._settings.account_id,
            "region": self._settings.region,
            "services": sorted(self._services),
            "pid": os.getpid(),
        }
        headers = {"content-type": "application/json", "x-amzn-requestid": request_id}
        return HttpResponse(status=200, headers=headers, body=orjson.dumps(document))

    def _error(self, error: ServiceError, request: HttpRequest, trace: _Trace) -> HttpResponse:
        service = trace.route.operation.service if trace.route else None
        return serialize_error(
            error,
            service=service,
            protocol=trace.route.protocol if trace.route else _guess(request, trace.scope),
            request_id=trace.request_id,
            head=request.method == "HEAD",
            resource=request.path,
        )

    def _note(self, trace: _Trace, status: int, started: float) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        milliseconds = (self._clock.monotonic() - started) * 1000
        _log.info(
            "%s %s %d %.1f ms",
            trace.request_id,
            trace.name,
            status,
            milliseconds,
            extra={
                "action": "request",
                "request_id": trace.request_id,
                "operation": trace.name,
                "status": status,
                "milliseconds": milliseconds,
            },
        )


def _no_hash() -> str:
    raise ServiceError(
        "MissingSecurityHeader", "Your request was missing a required header: x-amz-content-sha256."
    )


def _guess(request: HttpRequest, scope: str) -> str:
    """The protocol to refuse in, where no operation is known."""
    if "x-amz-target" in request.headers:
        return "json"
    if is_form(request.method, request.path, request.headers):
        return "query"
    return "rest-xml" if scope in ("", "s3") else "rest-json"


def _too_long(service: str, limit: int) -> ServiceError:
    if service == "s3":
        return ServiceError("MaxMessageLengthExceeded", f"Your request was too big: at most {limit} bytes.")
    code = "RequestTooLargeException" if service == "lambda" else "RequestEntityTooLargeException"
    return ServiceError(code, f"Request must be smaller than {limit} bytes.", status=413)
