"""What a client may choose about a function: defaults, limits, and what is refused by name. Pure."""

from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.lambda_ import environment
from scones.cloud.services.lambda_.errors import invalid

__all__ = ["created", "updated"]

_CHOSEN = (
    "Runtime", "Role", "Handler", "Description", "Timeout", "MemorySize", "Environment",
    "EphemeralStorage", "Architectures",
)  # fmt: skip
_LIMITS = {"Timeout": ("timeout", 900), "MemorySize": ("memorySize", 10240)}
_REFUSED = (
    "Layers", "KMSKeyArn", "FileSystemConfigs", "ImageConfig", "CodeSigningConfigArn", "TenancyConfig",
    "CapacityProviderConfig", "DurableConfig", "RuntimeConfig", "AcceleratorConfig", "PublishTo",
)  # fmt: skip
_DEFAULTS: Wire = {
    "Description": "",
    "Timeout": 3,
    "MemorySize": 128,
    "TracingConfig": {"Mode": "PassThrough"},
    "Architectures": ["x86_64"],
    "EphemeralStorage": {"Size": 512},
    "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
}


def created(request: Wire, *, name: str) -> Wire:
    """The configuration of a new function; raises InvalidParameterValueException."""
    if request.get("PackageType", "Zip") != "Zip":
        raise invalid("PackageType Image is not supported here: functions are Zip packages")
    if not request.get("Runtime") or not request.get("Handler"):
        raise invalid(
            "Runtime and Handler are mandatory parameters for functions created with deployment packages."
        )
    logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"}
    return updated(_DEFAULTS | {"LoggingConfig": logging}, request)


def updated(configuration: Wire, request: Wire) -> Wire:
    """`configuration` with what `request` changes; raises InvalidParameterValueException."""
    _refuse(request)
    for member, (spelled, most) in _LIMITS.items():
        if (value := request.get(member)) is not None and value > most:
            raise ServiceError(
                "ValidationException",
                f"1 validation error detected: Value '{value}' at '{spelled}' failed to satisfy constraint:"
                f" Member must have value less than or equal to {most}",
            )
    runtime = request.get("Runtime")
    if runtime is not None and not runtime.startswith("python3."):
        raise invalid(f"Runtime {runtime} is not supported here: functions run on this machine's Python 3")
    changed: dict[str, Any] = {m: request[m] for m in _CHOSEN if request.get(m) is not None}
    if "Environment" in changed:
        variables = changed["Environment"].get("Variables") or {}
        environment.check(variables)
        changed["Environment"] = {"Variables": variables}
    if group := (request.get("LoggingConfig") or {}).get("LogGroup"):
        changed["LoggingConfig"] = configuration["LoggingConfig"] | {"LogGroup": group}
    result = configuration | changed
    if not result.get("Environment", {}).get("Variables", True):
        del result["Environment"]
    return result


def _refuse(request: Wire) -> None:
    """What cannot be honoured is not ignored. An explicit default or an empty value is nothing to honour."""
    refused = [member for member in _REFUSED if request.get(member)]
    vpc = request.get("VpcConfig") or {}
    if vpc.get("SubnetIds") or vpc.get("SecurityGroupIds"):
        refused.append("VpcConfig")
    if (request.get("DeadLetterConfig") or {}).get("TargetArn"):
        refused.append("DeadLetterConfig")
    if (request.get("TracingConfig") or {}).get("Mode", "PassThrough") != "PassThrough":
        refused.append("TracingConfig.Mode Active")
    if (request.get("SnapStart") or {}).get("ApplyOn", "None") != "None":
        refused.append("SnapStart")
    logging = request.get("LoggingConfig") or {}
    if logging.get("LogFormat", "Text") != "Text":
        refused.append("LoggingConfig.LogFormat JSON")
    refused += [f"LoggingConfig.{m}" for m in ("ApplicationLogLevel", "SystemLogLevel") if logging.get(m)]
    if refused:
        raise invalid(f"{', '.join(refused)} not supported here")
