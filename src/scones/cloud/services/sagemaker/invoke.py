"""InvokeEndpoint: one request to one process of a variant, and its answer back."""

import random

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.capture import Captures, Exchange
from scones.cloud.services.sagemaker.connection import Answer, NoAnswerError
from scones.cloud.services.sagemaker.fleet import Fleet, Variant
from scones.cloud.services.sagemaker.hosting import Hosting, log_group
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.wording import excerpt
from scones.cloud.services.sagemaker.worker import Worker

__all__ = ["Invoke"]

_QUOTED_CHARACTERS = 4096  # of a container's error, in the message
_DEFAULT_TYPE = "application/octet-stream"
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_PASSED_ON = {
    "Accept": "Accept",
    "CustomAttributes": _ATTRIBUTES,
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_UNSUPPORTED = frozenset(
    ("TargetModel", "TargetContainerHostname", "EnableExplanations", "InferenceComponentName", "SessionId")
)
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency"
    " metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_NO_ANSWER = "Amazon SageMaker could not get a response from the primary endpoint."


class Invoke:
    def __init__(
        self, tools: Tools, hosting: Hosting, captures: Captures, draw: random.Random | None = None
    ) -> None:
        self._hosting = hosting
        self._captures = captures
        self._settings = tools.settings
        self._draw = draw or random.Random()
        self._timeout_s = tools.limits.invocation_s

    async def invoke_endpoint(self, request: Wire, context: Context) -> Wire:
        if not _UNSUPPORTED.isdisjoint(request):
            raise _invalid(f"{', '.join(_UNSUPPORTED & request.keys())} is not supported by this cloud.")
        body: bytes = request["Body"]
        if len(body) > self._settings.payload_limit_bytes:
            raise _invalid(f"Request {context.request_id} has oversize body.")
        name = request["EndpointName"]
        fleet = self._hosting.serving(name)
        if not fleet:
            raise _invalid(f"Endpoint {name} of account {self._settings.account_id} not found.")
        variant = self._variant(fleet, request)
        worker = await variant.worker()
        worker.in_flight += 1
        try:
            answer = await worker.invoke(_request_headers(request), body, timeout_s=self._timeout_s)
        except TimeoutError:
            fleet.run(worker.suspect())
            raise self._model_error(fleet, worker, 0, _TIMED_OUT) from None
        except (NoAnswerError, OSError):
            raise self._model_error(fleet, worker, 0, _NO_ANSWER) from None
        finally:
            worker.in_flight -= 1
        if not 200 <= answer.status < 300:
            raise self._model_error(fleet, worker, answer.status, answer.body.decode("utf-8", "replace"))
        content_type = _text(answer.headers.get(b"content-type")) or _DEFAULT_TYPE
        attributes = _text(answer.headers.get(_ATTRIBUTES.lower().encode())) or None
        self._capture(fleet, variant, request, answer, content_type, attributes)
        reply: Wire = {
            "Body": answer.body,
            "ContentType": content_type,
            "InvokedProductionVariant": variant.spec.name,
        }
        if attributes:
            reply["CustomAttributes"] = attributes
        return reply

    def _variant(self, fleet: Fleet, request: Wire) -> Variant:
        wanted = request.get("TargetVariant")
        if not wanted:
            return fleet.choose(self._draw)
        variant = fleet.variant(wanted)
        if not variant:
            raise _invalid(f"Variant {wanted} of endpoint {fleet.endpoint} not found.")
        return variant

    def _capture(
        self,
        fleet: Fleet,
        variant: Variant,
        request: Wire,
        answer: Answer,
        content_type: str,
        attributes: str | None,
    ) -> None:
        if not fleet.capture:
            return
        exchange = Exchange(
            request=request["Body"],
            request_type=request.get("ContentType") or _DEFAULT_TYPE,
            response=answer.body,
            response_type=content_type,
            inference_id=request.get("InferenceId"),
            custom_attributes=request.get("CustomAttributes"),
            answered_attributes=attributes,
        )
        self._captures.keep(fleet.capture, fleet.endpoint, variant.spec.name, exchange)

    def _model_error(self, fleet: Fleet, worker: Worker, status: int, text: str) -> ServiceError:
        """What SageMaker makes of a container's refusal, failure or silence (status 0)."""
        region, account = self._settings.region, self._settings.account_id
        group = log_group(fleet.endpoint)
        stream = f"log-group:{group}:log-stream:{worker.log.stream}"
        kind = "client" if 400 <= status < 500 else "server"
        quoted = excerpt(text, _QUOTED_CHARACTERS)
        return ServiceError(
            "ModelError",
            f'Received {kind} error ({status}) from primary with message "{quoted}". See'
            f" https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {account} for more information.",
            status=424,
            fields={
                "OriginalStatusCode": status,
                "OriginalMessage": quoted,
                "LogStreamArn": f"arn:aws:logs:{region}:{account}:{stream}",
            },
        )


def _request_headers(request: Wire) -> bytes:
    """The header lines a container gets to see; all others stop here."""
    lines = f"Content-Type: {request.get('ContentType') or _DEFAULT_TYPE}\r\n"
    count = 1
    for member, header in _PASSED_ON.items():
        if value := request.get(member):
            lines += f"{header}: {value}\r\n"
            count += 1
    if "\0" in lines or lines.count("\r") != count or lines.count("\n") != count:
        raise _invalid("A header value holds a line break.")
    return lines.encode()


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)
