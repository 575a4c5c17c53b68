"""botocore's service models, each loaded once, seen as operations with what matters on the wire."""

from functools import cache, cached_property

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape

__all__ = ["ErrorSpec", "OperationSpec", "ServiceSpec", "load", "wire_name"]

_SPOKEN = ("rest-xml", "rest-json", "json", "query")
"""Protocols this room speaks, most specific first."""


def wire_name(shape: Shape, member: str) -> str:
    """What a member is called on the wire."""
    return str(shape.serialization.get("name", member))


class ErrorSpec:
    """An error shape: its code on the wire, its status, how its message member is spelt."""

    def __init__(self, shape: Shape) -> None:
        error = shape.metadata.get("error", {})
        self.shape = shape
        self.code = str(error.get("code", shape.name))
        self.fault = bool(shape.metadata.get("fault", False))
        self.status: int | None = error.get("httpStatusCode")
        self.members: dict[str, Shape] = dict(getattr(shape, "members", {}))
        self.message_member = next((m for m in self.members if m.lower() == "message"), None)


class OperationSpec:
    """One operation of one service."""

    def __init__(self, service: "ServiceSpec", model: OperationModel) -> None:
        self.service = service
        self.name = str(model.name)
        self.method = str(model.http.get("method", "POST"))
        path, _, query = str(model.http.get("requestUri", "/")).partition("?")
        self.path = path
        self.query = dict(_constant(part) for part in query.split("&") if part)
        self.success = int(model.http.get("responseCode", 200))
        self.deprecated = bool(model.deprecated)
        self.input: StructureShape | None = model.input_shape
        self.output: StructureShape | None = model.output_shape

    def __repr__(self) -> str:
        return f"{self.service.name}.{self.name}"

    @cached_property
    def document(self) -> str | None:
        """The member that is an XML document of its own."""
        member = self.input.serialization.get("payload") if self.input else None
        if member is None or self.input is None or self.service.protocol != "rest-xml":
            return None
        return str(member) if isinstance(self.input.members[member], StructureShape) else None

    @cached_property
    def streaming_member(self) -> str | None:
        """The member that carries a request body too long to hold in memory."""
        if self.input is None:
            return None
        member = self.input.serialization.get("payload")
        if member is None or not self.input.members[member].serialization.get("streaming"):
            return None
        return str(member)


def _constant(part: str) -> tuple[str, str | None]:
    name, equals, value = part.partition("=")
    return name, value if equals else None


class ServiceSpec:
    """One service model; operations and errors are built when first asked for."""

    def __init__(self, name: str, model: ServiceModel) -> None:
        metadata = model.metadata
        self.name = name
        self._model = model
        spoken = [*metadata.get("protocols", ()), metadata["protocol"]]
        self.protocols = tuple(p for p in _SPOKEN if p in spoken)
        self.protocol = self.protocols[0]
        self.api_version = str(metadata["apiVersion"])
        self.target_prefix = str(metadata.get("targetPrefix", ""))
        self.json_version = str(metadata.get("jsonVersion", "1.0"))
        self.signing_name = str(metadata.get("signingName", metadata["endpointPrefix"]))
        self.namespace = str(metadata.get("xmlNamespace", ""))
        self.query_compatible = "awsQueryCompatible" in metadata
        self.operation_names: tuple[str, ...] = tuple(model.operation_names)
        self._known = frozenset(self.operation_names)
        self._operations: dict[str, OperationSpec] = {}

    def __contains__(self, operation: str) -> bool:
        return operation in self._known

    def operation(self, name: str) -> OperationSpec:
        spec = self._operations.get(name)
        if spec is None:
            spec = self._operations[name] = OperationSpec(self, self._model.operation_model(name))
        return spec

    @cached_property
    def errors(self) -> dict[str, ErrorSpec]:
        """By wire code, and by shape name where that is another word."""
        specs = [ErrorSpec(shape) for shape in self._model.error_shapes]
        return {s.shape.name: s for s in specs} | {s.code: s for s in specs}


@cache
def load(name: str) -> ServiceSpec:
    """A service by botocore's name. Only the packaged models count, never those in the user's home.

    Raises botocore's UnknownServiceError.
    """
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    document = loader.load_service_model(name, "service-2")
    return ServiceSpec(name, ServiceModel(document, service_name=name))
