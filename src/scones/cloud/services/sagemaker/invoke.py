"""InvokeEndpoint: one request to one process of a variant, and its answer back."""

import random
from dataclasses import dataclass

import aiohttp

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.capture import Captures, Exchange
from scones.cloud.services.sagemaker.fleet import Fleet, Variant
from scones.cloud.services.sagemaker.hosting import Hosting, log_group
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.wording import excerpt
from scones.cloud.services.sagemaker.worker import Worker
from scones.cloud.settings import CloudSettings

__all__ = ["Invoke"]

_QUOTED_CHARACTERS = 4096  # of a container's error, in the message
_DEFAULT_TYPE = "application/octet-stream"
_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"
_PASSED_ON = {
    "Accept": "Accept",
    "CustomAttributes": _ATTRIBUTES,
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}
_NOT_ADDED = ("User-Agent", "Accept", "Accept-Encoding")
_PIECE_BYTES = 64 * 1024
_UNSUPPORTED = (
    "TargetModel",
    "TargetContainerHostname",
    "EnableExplanations",
    "InferenceComponentName",
    "SessionId",
)
_TIMED_OUT = (
    "Your invocation timed out while waiting for a response from container primary. Review the latency"
    " metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
)
_NO_ANSWER = "Amazon SageMaker could not get a response from the primary endpoint."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    status: int
    content_type: str
    custom_attributes: str | None
    body: bytes


class Invoke:
    def __init__(
        self,
        *,
        hosting: Hosting,
        captures: Captures,
        settings: CloudSettings,
        draw: random.Random | None = None,
        limits: Limits,
    ) -> None:
        self._hosting = hosting
        self._captures = captures
        self._settings = settings
        self._draw = draw or random.Random()
        self._timeout = aiohttp.ClientTimeout(total=limits.invocation_s)

    async def invoke_endpoint(self, request: Wire, context: Context) -> Wire:
        for member in _UNSUPPORTED:
            if request.get(member):
                raise _invalid(f"{member} is not supported by this cloud.")
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
            answer = await self._ask(worker, request, body)
        except TimeoutError:
            fleet.run(worker.suspect())
            raise self._model_error(fleet, worker, 0, _TIMED_OUT) from None
        except (aiohttp.ClientError, OSError):
            raise self._model_error(fleet, worker, 0, _NO_ANSWER) from None
        finally:
            worker.in_flight -= 1
        if not 200 <= answer.status < 300:
            raise self._model_error(fleet, worker, answer.status, answer.body.decode("utf-8", "replace"))
        self._capture(fleet, variant, request, answer)
        reply: Wire = {
            "Body": answer.body,
            "ContentType": answer.content_type,
            "InvokedProductionVariant": variant.spec.name,
        }
        if answer.custom_attributes:
            reply["CustomAttributes"] = answer.custom_attributes
        return reply

    def _variant(self, fleet: Fleet, request: Wire) -> Variant:
        wanted = request.get("TargetVariant")
        if not wanted:
            return fleet.choose(self._draw)
        variant = fleet.variant(wanted)
        if not variant:
            raise _invalid(f"Variant {wanted} of endpoint {fleet.endpoint} not found.")
        return variant

    async def _ask(self, worker: Worker, request: Wire, body: bytes) -> _Answer:
        try:
            return await self._post(worker, request, body)
        except aiohttp.ServerDisconnectedError:
            if not worker.ready:
                raise
            return await self._post(worker, request, body)  # an idle connection was closed as we wrote

    async def _post(self, worker: Worker, request: Wire, body: bytes) -> _Answer:
        limit = self._settings.payload_limit_bytes
        async with self._hosting.session.post(
            f"{worker.url}/invocations",
            data=body,
            headers=_request_headers(request),
            skip_auto_headers=_NOT_ADDED,
            allow_redirects=False,
            timeout=self._timeout,
        ) as reply:
            if (reply.content_length or 0) > limit:
                raise aiohttp.ClientPayloadError("the answer is too long")
            answer = bytearray()
            async for piece in reply.content.iter_chunked(_PIECE_BYTES):
                answer += piece
                if len(answer) > limit:
                    raise aiohttp.ClientPayloadError("the answer is too long")
            return _Answer(
                status=reply.status,
                content_type=reply.headers.get("Content-Type", _DEFAULT_TYPE),
                custom_attributes=reply.headers.get(_ATTRIBUTES),
                body=bytes(answer),
            )

    def _capture(self, fleet: Fleet, variant: Variant, request: Wire, answer: _Answer) -> None:
        if not fleet.capture:
            return
        exchange = Exchange(
            request=request["Body"],
            request_type=request.get("ContentType") or _DEFAULT_TYPE,
            response=answer.body,
            response_type=answer.content_type,
            inference_id=request.get("InferenceId"),
            custom_attributes=request.get("CustomAttributes"),
            answered_attributes=answer.custom_attributes,
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


def _request_headers(request: Wire) -> dict[str, str]:
    """The headers a container gets to see; all others stop here."""
    headers = {"Content-Type": request.get("ContentType") or _DEFAULT_TYPE}
    for member, header in _PASSED_ON.items():
        if value := request.get(member):
            headers[header] = value
    for value in headers.values():
        if "\n" in value or "\r" in value or "\0" in value:
            raise _invalid("A header value holds a line break.")
    return headers


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationError", message)
