"""Which operation of which service a request means.

In order: `X-Amz-Target`; the service that the signature names; the paths of REST services; a form's
`Action`; else S3. REST paths, constants in the query and required parameters come from the models.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain
from urllib.parse import unquote

from scones.cloud.errors import ServiceError
from scones.cloud.wire.model import OperationSpec, ServiceSpec, load, wire_name

__all__ = ["Route", "Router", "is_form", "parse_query", "virtual_bucket"]

_FORM = "application/x-www-form-urlencoded"
_FORM_FIELDS = 10_000
_PATHS = 256  # whose operations are remembered, for each service

Query = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The operation, the protocol it is asked in, and the path's labels, still percent-encoded."""

    operation: OperationSpec
    protocol: str
    labels: Mapping[str, str] = field(default_factory=dict)


def parse_query(text: str) -> dict[str, list[str]]:
    """A query string or form, percent-decoded as UTF-8; order is kept within one name."""
    values: dict[str, list[str]] = {}
    parts = text.split("&") if text else []
    if len(parts) > _FORM_FIELDS:
        raise ServiceError("InvalidRequest", f"More than {_FORM_FIELDS} parameters in one request.")
    for part in parts:
        if not part:
            continue
        name, _, value = part.partition("=")
        if "%" in part or "+" in part:
            name, value = _decode(name), _decode(value)
        values.setdefault(name, []).append(value)
    return values


def _decode(text: str) -> str:
    try:
        return unquote(text.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise ServiceError("InvalidURI", "Couldn't parse the specified URI.") from None


def is_form(method: str, path: str, headers: Mapping[str, str]) -> bool:
    """Whether the operation's name may stand in the body."""
    return method == "POST" and path == "/" and headers.get("content-type", "").lower().startswith(_FORM)


def virtual_bucket(host: str, region: str) -> str | None:
    """The bucket in `bucket.localhost:4566` or `bucket.s3.localhost`; None for a bare host."""
    name = host.rsplit(":", 1)[0].lower()
    if not name.endswith(".localhost"):
        return None
    name = name.removesuffix(".localhost")
    for endpoint in (f"s3.{region}", f"s3-{region}", "s3"):
        if name == endpoint:
            return None
        if name.endswith("." + endpoint):
            return name.removesuffix("." + endpoint)
    return name


# --- REST services ------------------------------------------------------------------------------


class _Pattern:
    """One operation's path, constants and required parameters."""

    def __init__(self, operation: OperationSpec) -> None:
        self.operation = operation
        self.segments = tuple(s for s in operation.path.split("/") if s)
        self._literals = [(i, s) for i, s in enumerate(self.segments) if not s.startswith("{")]
        self.greedy = bool(self.segments) and self.segments[-1].endswith("+}")
        self.literals = len(self._literals)
        members = operation.input.members if operation.input else {}
        required = operation.input.required_members if operation.input else []
        at = {
            place: [
                wire_name(members[m], m)
                for m in required
                if members[m].serialization.get("location") == place
            ]
            for place in ("querystring", "header")
        }
        self.needs_query = tuple(at["querystring"])
        self.needs_headers = tuple(h.lower() for h in at["header"])
        self.accepts = {
            wire_name(s, m) for m, s in members.items() if s.serialization.get("location") == "querystring"
        } | operation.query.keys()

    def labels(self, parts: Sequence[str]) -> dict[str, str] | None:
        """The path's labels, or None where it is another path."""
        if len(parts) < len(self.segments) or (len(parts) > len(self.segments) and not self.greedy):
            return None
        for index, literal in self._literals:
            if parts[index] != literal:
                return None
        labels: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if not segment.startswith("{"):
                continue
            if segment.endswith("+}"):
                rest = "/".join(parts[index:])
                if not rest:
                    return None
                labels[segment[1:-2]] = rest
            elif not parts[index]:
                return None
            else:
                labels[segment[1:-1]] = parts[index]
        return labels

    def fits(self, query: Query, headers: Mapping[str, str], subresources: frozenset[str]) -> bool:
        for name, value in self.operation.query.items():
            if name not in query or (value is not None and value not in query[name]):
                return False
        if self.needs_query and not any(name in query for name in self.needs_query):
            return False
        # Without a constant of its own, a header is what tells CopyObject from PutObject.
        if not self.operation.query and not all(name in headers for name in self.needs_headers):
            return False
        return not any(name in subresources and name not in self.accepts for name in query)

    def rank(self, query: Query) -> tuple[bool, int, int, int, int, bool, str]:
        """Smallest is most specific."""
        return (
            self.operation.name not in query.get("x-id", ()),
            -self.literals,
            -len(self.operation.query),
            -sum(name in query for name in self.needs_query),
            -len(self.needs_headers),
            self.operation.deprecated,
            self.operation.name,
        )


class _RestTable:
    """All paths of one REST service."""

    def __init__(self, spec: ServiceSpec) -> None:
        self._by_method: dict[str, list[_Pattern]] = {}
        for name in spec.operation_names:
            pattern = _Pattern(spec.operation(name))
            self._by_method.setdefault(pattern.operation.method, []).append(pattern)
        patterns = [p for group in self._by_method.values() for p in group]
        # What selects an operation on some path: `acl`, `uploads`; no other operation may overlook it.
        self._subresources = frozenset(name for p in patterns for name in p.operation.query)
        self._matching = lru_cache(maxsize=_PATHS)(self._match)

    def find(
        self, method: str, path: str, query: Query, headers: Mapping[str, str]
    ) -> tuple[OperationSpec, dict[str, str]] | None:
        found = [
            (pattern, labels)
            for pattern, labels in self._matching(method, path)
            if pattern.fits(query, headers, self._subresources)
        ]
        if not found:
            return None
        pattern, labels = found[0] if len(found) == 1 else min(found, key=lambda pair: pair[0].rank(query))
        return pattern.operation, labels

    def _match(self, method: str, path: str) -> list[tuple[_Pattern, dict[str, str]]]:
        """Every operation of such a path, with its labels."""
        parts = path.removeprefix("/").split("/")
        whole = parts[:-1] if parts[-1] == "" else parts
        return [
            (pattern, labels)
            for pattern in self._by_method.get(method, ())
            if (labels := pattern.labels(parts if pattern.greedy else whole)) is not None
        ]


# --- all services -------------------------------------------------------------------------------

_SIGNERS = 256  # signing names remembered; whoever signs may write anything there
_SCOPE_HINTS = {"states": "stepfunctions", "monitoring": "cloudwatch"}
"""Signing names unlike botocore's service name: which model to load first. Only a matter of speed."""


class Router:
    """Routes among the services whose names `names` gives; models load when a request needs them."""

    def __init__(self, names: Callable[[], Iterable[str]]) -> None:
        self._names = names
        self._rest: dict[str, _RestTable] = {}
        self._signers: dict[tuple[str, int], list[ServiceSpec]] = {}

    def route(
        self,
        *,
        method: str,
        path: str,
        query: Query,
        headers: Mapping[str, str],
        scope: str | None,
        bucket: str | None = None,
        form: Query | None = None,
    ) -> Route:
        """scope: the service that the signature names.  bucket: from a virtual-hosted style host.
        form: the decoded body where `is_form` says so.

        Raises ServiceError NotImplemented, naming what was asked, where no service knows it.
        """
        if target := headers.get("x-amz-target"):
            return self._by_target(target, scope)
        if (action := _action(form)) or (action := _action(query) if path == "/" else None):
            return self._by_action(action, scope, form or query)
        for spec in self._rest_candidates(scope):
            if spec.name != "s3" and (found := self._table(spec).find(method, path, query, headers)):
                return Route(operation=found[0], protocol=spec.protocol, labels=found[1])
        if scope in (None, "", "s3") or any(s.name == "s3" for s in self._signed_as(scope)):
            return self._s3(method, f"/{bucket}{path}" if bucket else path, query, headers)
        if not self._signed_as(scope):
            raise ServiceError("NotImplemented", f"This cloud has no service '{scope}'.", status=501)
        raise ServiceError(
            "UnknownOperationException", f"No operation of '{scope}' answers {method} {path}.", status=404
        )

    def _specs(self) -> Iterator[ServiceSpec]:
        """Every service; whoever stops early spares the rest their loading."""
        return (load(name) for name in self._names())

    def _signed_as(self, scope: str | None) -> list[ServiceSpec]:
        """Services that sign as `scope`, loading the likely ones first."""
        if not scope:
            return []
        names = list(self._names())
        known = self._signers.get((scope, len(names)))
        if known is None and len(self._signers) < _SIGNERS:
            known = self._signers[scope, len(names)] = self._find_signers(scope, names)
        return self._find_signers(scope, names) if known is None else known

    def _find_signers(self, scope: str, names: list[str]) -> list[ServiceSpec]:
        likely = _SCOPE_HINTS.get(scope, scope)
        near = [load(n) for n in names if n == likely or n.startswith(f"{likely}-")]
        found = [spec for spec in near if spec.signing_name == scope]
        return found or [spec for spec in self._specs() if spec.signing_name == scope]

    def _rest_candidates(self, scope: str | None) -> list[ServiceSpec]:
        specs = self._signed_as(scope) if scope else list(self._specs())
        return [s for s in specs if s.protocol.startswith("rest-")]

    def _table(self, spec: ServiceSpec) -> _RestTable:
        table = self._rest.get(spec.name)
        if table is None:
            table = self._rest[spec.name] = _RestTable(spec)
        return table

    def _by_target(self, target: str, scope: str | None) -> Route:
        prefix, _, operation = target.rpartition(".")
        for spec in chain(self._signed_as(scope), self._specs()):
            if "json" in spec.protocols and spec.target_prefix == prefix:
                return Route(operation=_operation(spec, operation), protocol="json")
        raise ServiceError("NotImplemented", f"This cloud has no service '{prefix}'.", status=501)

    def _by_action(self, action: str, scope: str | None, form: Query) -> Route:
        version = (form.get("Version") or [""])[0]
        specs = [s for s in self._signed_as(scope) or list(self._specs()) if "query" in s.protocols]
        specs = [s for s in specs if action in s] or specs
        for spec in specs:
            if spec.api_version == version or (not version and action in spec) or scope:
                return Route(operation=_operation(spec, action), protocol="query")
        raise ServiceError(
            "InvalidAction", f"Could not find operation {action} for version {version or 'NO_VERSION'}."
        )

    def _s3(self, method: str, path: str, query: Query, headers: Mapping[str, str]) -> Route:
        if "s3" in self._names() and (found := self._s3_table.find(method, path, query, headers)):
            return Route(operation=found[0], protocol="rest-xml", labels=found[1])
        raise ServiceError(
            "MethodNotAllowed", "The specified method is not allowed against this resource.", status=405
        )

    @cached_property
    def _s3_table(self) -> _RestTable:
        return self._table(load("s3"))


def _action(form: Query | None) -> str | None:
    return form["Action"][0] if form and "Action" in form else None


def _operation(spec: ServiceSpec, name: str) -> OperationSpec:
    if name not in spec:
        code = "InvalidAction" if spec.protocol == "query" else "UnknownOperationException"
        raise ServiceError(code, f"The service {spec.name} has no operation '{name[:128]}'.")
    return spec.operation(name)
