"""Any operation of any service here as a task: the `aws-sdk:` integrations.

They answer in the manner of AWS's second Java SDK: members in PascalCase, instants as ISO texts, bytes
as text, errors named Service.CodeException. Shapes come from botocore's models. Pure.
"""

import base64
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

from scones.cloud.asl.journal import Failed, Invoke, Submitted, Succeeded
from scones.cloud.asl.jsontext import dumps, loads, too_large
from scones.cloud.asl.timestamps import instant_ms
from scones.cloud.errors import ServiceError
from scones.cloud.ports import FileBody, Wire

from .times import moment

__all__ = ["has_operation", "sdk_answer", "sdk_failure", "sdk_request"]

_SERVICES = {
    "cloudwatchlogs": ("logs", "CloudWatchLogs"),
    "eventbridge": ("events", "EventBridge"),
    "iam": ("iam", "Iam"),
    "lambda": ("lambda", "Lambda"),
    "s3": ("s3", "S3"),
    "sagemaker": ("sagemaker", "SageMaker"),
    "sagemakerruntime": ("sagemaker-runtime", "SageMakerRuntime"),
    "sfn": ("stepfunctions", "Sfn"),
    "sns": ("sns", "Sns"),
    "sts": ("sts", "Sts"),
}
"""By the name in a Resource: the service's name in botocore, and the one that its errors begin with."""


def _service(invoke: Invoke) -> tuple[str, str]:
    return _SERVICES[invoke.service.removeprefix("aws-sdk:")]


@lru_cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def _operation(invoke: Invoke) -> OperationModel:
    service, _ = _service(invoke)
    name = invoke.operation[0].upper() + invoke.operation[1:]
    model = _model(service)
    if name not in model.operation_names:
        raise ServiceError("NotImplemented", f"The service {service} has no operation '{name}'.", status=501)
    return model.operation_model(name)


def has_operation(service: str, action: str) -> bool:
    """Whether AWS has it, for all that is known here. service: as in a Resource."""
    name, _ = _SERVICES.get(service, ("", ""))
    return not name or f"{action[:1].upper()}{action[1:]}" in _model(name).operation_names


def sdk_request(invoke: Invoke) -> tuple[str, str, Wire]:
    """(service, operation, request). Raises ServiceError for what the service does not know."""
    operation = _operation(invoke)
    given = loads(invoke.parameters)
    if not isinstance(given, dict):
        raise ServiceError("ValidationException", "The Parameters of a task must be an object")
    shape = operation.input_shape
    wire = _convert(given, shape, _asked) if shape is not None else given
    _add_checksum(operation, wire)
    return operation.service_model.service_name, operation.name, wire


def _add_checksum(operation: OperationModel, wire: Wire) -> None:
    """As recorded, the SDK sends a CRC-32 with every body for which it is given no checksum."""
    checksummed = "requestAlgorithmMember" in (operation.http_checksum or {})
    named = any(member.startswith("Checksum") for member in wire)
    if checksummed and not named and isinstance(body := wire.get("Body"), bytes):
        wire["ChecksumCRC32"] = base64.b64encode(zlib.crc32(body).to_bytes(4)).decode()


def sdk_answer(invoke: Invoke, reply: Wire) -> Succeeded | Failed | Submitted:
    shape = _operation(invoke).output_shape
    text = dumps(_convert(reply, shape, _shown) if shape is not None else {})
    if too_large(text):
        return Failed(
            invoke.task,
            "States.DataLimitExceeded",
            f"The state/task '{invoke.service}' returned a result with a size exceeding"
            " the maximum number of bytes service limit.",
        )
    return (Submitted if invoke.pattern else Succeeded)(invoke.task, text)


def sdk_failure(invoke: Invoke, problem: ServiceError, request_id: str) -> Failed:
    _, name = _service(invoke)
    error = f"{name}.{problem.code.removesuffix('Exception')}Exception"
    details = f"Service: {name}, Status Code: {problem.status}, Request ID: {request_id}"
    if name == "S3":
        details += f", Extended Request ID: {request_id}"
    return Failed(invoke.task, error, f"{problem.message} ({details}) (SDK Attempt Count: 1)")


# Values ---------------------------------------------------------------------------------------------

Leaf = Callable[[Any, str], Any]


def _convert(value: Any, shape: Any, leaf: Leaf) -> Any:
    """A value with its members renamed between PascalCase and the model's names, leaves by `leaf`."""
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        asked = leaf is _asked
        names = {(_pascal(name) if asked else name): name for name in shape.members}
        converted = {}
        for name, item in value.items():
            known = names.get(name)
            if item is None or (not asked and known is None):
                continue
            member = _convert(item, shape.members[known], leaf) if known else item
            converted[(known or name) if asked else _pascal(name)] = member
        return converted
    if kind == "list" and isinstance(value, list | tuple):
        return [_convert(item, shape.member, leaf) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _convert(item, shape.value, leaf) for key, item in value.items()}
    return leaf(value, kind)


def _pascal(name: str) -> str:
    return name[0].upper() + name[1:]


def _asked(value: Any, kind: str) -> Any:
    """Bytes are a value's JSON, a text's quotes included, as recorded; so is a text for what is none."""
    if kind == "blob":
        return dumps(value).encode()
    if kind == "string" and not isinstance(value, str):
        return dumps(value)
    if kind == "timestamp" and (instant := instant_ms(value)) is not None:
        return moment(instant)
    return value


def _shown(value: Any, kind: str) -> Any:
    if isinstance(value, FileBody):
        value = value.read()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, datetime):
        text = value.astimezone(UTC).isoformat(timespec="milliseconds")
        return text.replace("+00:00", "Z").replace(".000Z", "Z")
    return value
