"""Lambda's errors: each carries `Type: User`, which clients and state machines see."""

from scones.cloud.errors import ServiceError

__all__ = ["conflict", "invalid", "not_found", "precondition_failed", "service_failure", "throttled"]

_USER = {"Type": "User"}


def invalid(message: str) -> ServiceError:
    return ServiceError("InvalidParameterValueException", message, fields=_USER)


def not_found(message: str) -> ServiceError:
    return ServiceError("ResourceNotFoundException", message, status=404, fields=_USER)


def conflict(message: str) -> ServiceError:
    return ServiceError("ResourceConflictException", message, status=409, fields=_USER)


def precondition_failed() -> ServiceError:
    return ServiceError(
        "PreconditionFailedException",
        "The RevisionId provided does not match the latest RevisionId. Call the GetFunction/GetAlias API"
        " to retrieve the latest RevisionId for your resource.",
        status=412,
        fields=_USER,
    )


def throttled(reason: str) -> ServiceError:
    return ServiceError(
        "TooManyRequestsException", "Rate Exceeded.", status=429, fields=_USER | {"Reason": reason}
    )


def service_failure(message: str) -> ServiceError:
    return ServiceError("ServiceException", message, status=500, fields={"Type": "Service"})
