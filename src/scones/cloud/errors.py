"""The one exception by which a service speaks AWS to its caller. No HTTP here.

Anything else that leaves an operation is our bug: the gateway logs it and answers InternalFailure.
"""

from collections.abc import Mapping
from typing import Any

__all__ = ["ServiceError"]


class ServiceError(Exception):
    """An error AWS would give: `code` as in the service model, `message` in AWS's words.

    status: HTTP status for codes the service model does not list (many of S3's); where the
        model lists the code, the model wins.
    fields: further members of the error shape, e.g. {"OriginalStatusCode": 400} of ModelError.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 400,
        fields: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.fields: dict[str, Any] = dict(fields or {})
