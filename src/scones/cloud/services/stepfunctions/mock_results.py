"""Whether a mocked result could be the answer of the API that its task would ask: botocore's models decide.

Fields that the model does not have are let through, as recorded.
"""

import re
from functools import cache
from typing import Any

from botocore.exceptions import UnknownServiceError
from botocore.loaders import Loader
from botocore.model import (
    ListShape,
    MapShape,
    OperationNotFoundError,
    ServiceModel,
    Shape,
    StringShape,
    StructureShape,
)

__all__ = ["mock_fault"]

_RESOURCE = re.compile(r"arn:aws[a-z-]*:states:::(?:aws-sdk:)?(?P<service>\w+):(?P<action>\w+)")
_MODELS = {"eventbridge": "events", "sfn": "stepfunctions", "states": "stepfunctions"}
_NUMBERS = ("integer", "long", "float", "double")
_TEXTS = ("string", "blob", "timestamp")


def mock_fault(resource: str, result: Any, *, required: bool) -> str | None:
    """What is wrong with the result, in AWS's words; None where nothing is known to be.

    required: whether the fields that the API always gives must be there.
    """
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        return None
    shape = _output(match["service"], match["action"])
    return None if shape is None else _fault(shape, result, "result", required)


@cache
def _output(service: str, action: str) -> Shape | None:
    name = _MODELS.get(service, service)
    try:
        model = ServiceModel(Loader().load_service_model(name, "service-2"), name)
        return model.operation_model(action[:1].upper() + action[1:]).output_shape
    except (UnknownServiceError, OperationNotFoundError):
        return None


def _upper(name: str) -> str:
    """Step Functions spells every field of an API in Pascal case."""
    return name[:1].upper() + name[1:]


def _fault(shape: Shape, value: Any, field: str, required: bool) -> str | None:
    if isinstance(shape, StructureShape):
        return _structure_fault(shape, value, field, required)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return f"Field '{field}' must be an array"
        return next((f for item in value if (f := _fault(shape.member, item, field, required))), None)
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            return f"Field '{field}' must be an object"
        return next((f for key, v in value.items() if (f := _fault(shape.value, v, key, required))), None)
    return _scalar_fault(shape, value, field)


def _structure_fault(shape: StructureShape, value: Any, field: str, required: bool) -> str | None:
    if not isinstance(value, dict):
        return f"Field '{field}' must be an object"
    for name in shape.required_members if required else ():
        if _upper(name) not in value:
            return f"Required field '{_upper(name)}' is missing"
    for name, member in shape.members.items():
        if _upper(name) in value and (fault := _fault(member, value[_upper(name)], _upper(name), required)):
            return fault
    return None


def _scalar_fault(shape: Shape, value: Any, field: str) -> str | None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"Field '{field}' must be a number"
        if low is not None and value < low:
            return f"Field '{field}' is less than the minimum value"
        return f"Field '{field}' exceeds the maximum value" if high is not None and value > high else None
    if shape.type_name in _TEXTS:
        if field == "Payload":  # a function's own answer, which the integration has parsed
            return None
        if not isinstance(value, str):
            return f"Field '{field}' must be a string"
        if low is not None and len(value) < low:
            return f"Field '{field}' is smaller than the minimum length"
        if high is not None and len(value) > high:
            return f"Field '{field}' exceeds the maximum length"
        known = shape.enum if isinstance(shape, StringShape) else []
        return f"Field '{field}' is not an expected value" if known and value not in known else None
    if shape.type_name == "boolean" and not isinstance(value, bool):
        return f"Field '{field}' must be a boolean"
    return None
