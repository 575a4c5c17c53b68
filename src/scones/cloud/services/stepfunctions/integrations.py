"""How a task's question goes to another service and comes back: requests, results, error names.

The optimised integrations answer in the manner of AWS's first Java SDK: the response with its HTTP
envelope; errors named Service.ExceptionClass. Pure; the runner does the calling.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import format_datetime
from typing import Any, Self

from scones.cloud.asl.journal import Failed, Invoke, Submitted, Succeeded
from scones.cloud.asl.jsontext import dumps, loads, too_large
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Ids, Wire

from .event_tasks import events_put, events_request
from .records import split_qualifier
from .sagemaker_tasks import CLASSES, job_outcome, sagemaker_request
from .sdk import sdk_answer, sdk_failure, sdk_request
from .times import milliseconds

__all__ = ["Answer", "Envelope", "answer", "begun_arn", "failure", "outcome", "request", "waits_for_job"]

Answer = Succeeded | Failed | Submitted

_STATUSES = {"ResourceNotFoundException": 404, "TooManyRequestsException": 429, "ServiceException": 500,
             "NotFound": 404, "NotFoundException": 404, "ResourceConflictException": 409,
             "RequestTooLargeException": 413}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the HTTP response that the local call never had would have told."""

    request_id: str
    date: str
    """As in the HTTP header."""
    trace_id: str

    @classmethod
    def draw(cls, clock: Clock, ids: Ids) -> Self:
        return cls(
            request_id=ids.uuid(),
            date=format_datetime(clock.now(), usegmt=True),
            trace_id=f"Root=1-{ids.token(8)}-{ids.token(24)};Sampled=0",
        )


def request(invoke: Invoke, name: str, origin: Sequence[str] = ()) -> tuple[str, str, Wire]:
    """(service, operation, request) to call. Raises ServiceError for parameters of the wrong type.

    name: for an execution whose task gives it none.  origin: ARNs of the task's own execution and machine.
    """
    if invoke.service.startswith("aws-sdk:"):
        return sdk_request(invoke)
    parameters = loads(invoke.parameters)
    if not invoke.action:
        name, qualifier = _split_function(invoke.resource)
        wire: Wire = {"FunctionName": name, "Payload": invoke.parameters.encode()}
        if qualifier:
            wire["Qualifier"] = qualifier
        return "lambda", "Invoke", wire
    if not isinstance(parameters, dict):
        raise ServiceError("ValidationException", "The Parameters of a task must be an object")
    if invoke.service == "lambda":
        payload = parameters.pop("Payload", None)
        if payload is not None:  # null is no payload, and the function then sees {}
            parameters["Payload"] = _payload(payload)
        return "lambda", "Invoke", parameters
    if invoke.service == "sagemaker":
        return sagemaker_request(invoke)
    if invoke.service == "events":
        return events_request(parameters, origin)
    if invoke.service == "states":
        return "stepfunctions", "StartExecution", {"name": name} | _execution(parameters)
    if not isinstance(parameters.get("Message", ""), str):
        parameters["Message"] = dumps(parameters["Message"])
    return "sns", "Publish", parameters


def _execution(parameters: Wire) -> Wire:
    """No Input at all, and null, start the execution with {}; whatever is no text, with its JSON."""
    wire: Wire = {f"{name[0].lower()}{name[1:]}": value for name, value in parameters.items()}
    given = wire.pop("input", None)
    if given is not None:
        wire["input"] = given if isinstance(given, str) else dumps(given)
    return wire


def begun_arn(request: Wire) -> str:
    """The ARN of the execution that a request to start one begins."""
    machine, _ = split_qualifier(request["stateMachineArn"])
    return f"{machine.replace(':stateMachine:', ':execution:', 1)}:{request['name']}"


def _split_function(arn: str) -> tuple[str, str]:
    """A function's ARN and its qualifier, if the ARN has one."""
    parts = arn.split(":")
    return ":".join(parts[:7]), ":".join(parts[7:])


def _payload(value: Any) -> bytes:
    """A text that is itself JSON is sent as it stands, any other value as its JSON."""
    if isinstance(value, str):
        try:
            loads(value)
        except ValueError:
            return dumps(value).encode()
        return value.encode()
    return dumps(value).encode()


def answer(invoke: Invoke, reply: Wire, envelope: Envelope) -> Answer:
    """The stimulus that a reply is."""
    if not invoke.action:
        return _bare_function(invoke, reply)
    if invoke.service.startswith("aws-sdk:"):
        return sdk_answer(invoke, reply)
    result = _limited(invoke, _SHAPES[invoke.service](invoke, reply, envelope))
    if invoke.pattern and isinstance(result, Succeeded):
        return Submitted(result.task, result.output)
    return result


def _limited(invoke: Invoke, result: Answer) -> Answer:
    if not isinstance(result, Succeeded) or not too_large(result.output):
        return result
    subject = invoke.service if invoke.action else invoke.resource
    return Failed(
        invoke.task,
        "States.DataLimitExceeded",
        f"The state/task '{subject}' returned a result with a size exceeding"
        " the maximum number of bytes service limit.",
    )


def _text_of(reply: Wire) -> str:
    payload = reply.get("Payload") or b"null"
    return bytes(payload).decode("utf-8", "replace")


def _bare_function(invoke: Invoke, reply: Wire) -> Answer:
    """The function's own text is the result, and the cause of its failure, unchanged."""
    text = _text_of(reply)
    if reply.get("FunctionError"):
        return _function_error(invoke, text, text)
    try:
        loads(text)
    except ValueError:
        text = dumps(text)
    return _limited(invoke, Succeeded(invoke.task, text))


def _function_error(invoke: Invoke, text: str, cause: str) -> Failed:
    try:
        payload = loads(text)
    except ValueError:
        payload = None
    name = payload.get("errorType") if isinstance(payload, dict) else None
    return Failed(invoke.task, name if isinstance(name, str) and name else "Lambda.Unknown", cause)


def _invoked(invoke: Invoke, reply: Wire, envelope: Envelope) -> Answer:
    text = _text_of(reply)
    try:
        payload = loads(text)
        compact = dumps(payload)
    except ValueError:
        payload, compact = text, text
    if reply.get("FunctionError"):
        return _function_error(invoke, text, compact)
    version = reply.get("ExecutedVersion") or "$LATEST"
    log = reply.get("LogResult")
    headers: list[tuple[str, str]] = [("X-Amz-Log-Result", log)] if log else []
    headers += [
        ("X-Amz-Executed-Version", version),
        ("x-amzn-Remapped-Content-Length", "0"),
        ("Connection", "keep-alive"),
        ("x-amzn-RequestId", envelope.request_id),
        ("Content-Length", str(len(text.encode()))),
        ("Date", envelope.date),
        ("X-Amzn-Trace-Id", envelope.trace_id),
        ("Content-Type", "application/json"),
    ]
    result: dict[str, Any] = {"ExecutedVersion": version}
    if log:
        result["LogResult"] = log
    result["Payload"] = payload
    result |= _metadata(headers, envelope, int(reply.get("StatusCode") or 200))
    result["StatusCode"] = int(reply.get("StatusCode") or 200)
    return Succeeded(invoke.task, dumps(result))


def _published(invoke: Invoke, reply: Wire, envelope: Envelope) -> Answer:
    headers = [
        ("x-amzn-RequestId", envelope.request_id),
        ("connection", "keep-alive"),
        ("Content-Length", "352" if "SequenceNumber" in reply else "294"),
        ("Date", envelope.date),
        ("Content-Type", "text/xml"),
    ]
    result = {"MessageId": reply["MessageId"], **_metadata(headers, envelope, 200)}
    if "SequenceNumber" in reply:
        result["SequenceNumber"] = reply["SequenceNumber"]
    return Succeeded(invoke.task, dumps(result))


def _begun(invoke: Invoke, reply: Wire, envelope: Envelope) -> Answer:
    headers = [
        ("x-amzn-RequestId", envelope.request_id),
        ("connection", "keep-alive"),
        ("Content-Length", str(len(dumps(reply["executionArn"])) + _BEGUN_BYTES)),
        ("Date", envelope.date),
        ("Content-Type", "application/x-amz-json-1.0"),
    ]
    result = {
        "ExecutionArn": reply["executionArn"],
        **_metadata(headers, envelope, 200),
        "StartDate": milliseconds(reply["startDate"]),
    }
    return Succeeded(invoke.task, dumps(result))


_BEGUN_BYTES = len('{"executionArn":,"startDate":1.700000000123E9}')
"""What a reply of StartExecution holds beside the ARN."""


def _accepted(invoke: Invoke, reply: Wire, envelope: Envelope) -> Answer:
    headers = [
        ("x-amzn-RequestId", envelope.request_id),
        ("Content-Length", str(len(dumps(reply)))),
        ("Date", envelope.date),
        ("Content-Type", "application/x-amz-json-1.1"),
    ]
    return Succeeded(invoke.task, dumps(_metadata(headers, envelope, 200) | reply))


_SHAPES: dict[str, Callable[[Invoke, Wire, Envelope], Answer]] = {
    "events": lambda invoke, reply, _envelope: events_put(invoke, reply),
    "lambda": _invoked,
    "sagemaker": _accepted,
    "sns": _published,
    "states": _begun,
}


def waits_for_job(invoke: Invoke) -> bool:
    """Whether the task ends when what the service began has ended."""
    return invoke.pattern in ("sync", "sync:2")


def outcome(invoke: Invoke, described: Wire) -> Answer:
    """The answer that the end of what the task began is.

    Of a nested execution, `sync` shows the data as texts, `sync:2` as JSON.
    """
    if invoke.service == "sagemaker":
        return _limited(invoke, job_outcome(invoke, described))
    shown: dict[str, Any] = {}
    for name, value in described.items():
        if name in _DESCRIBED:
            shown[f"{name[0].upper()}{name[1:]}"] = value
    for name in ("StartDate", "StopDate"):
        if name in shown:
            shown[name] = milliseconds(shown[name])
    for name in ("Input", "Output"):
        if name in shown:
            shown[f"{name}Details"] = {"Included": True}
            if invoke.pattern == "sync:2":
                shown[name] = loads(shown[name])
    text = dumps(dict(sorted(shown.items())))
    if described["status"] != "SUCCEEDED":
        return Failed(invoke.task, "States.TaskFailed", text)
    return _limited(invoke, Succeeded(invoke.task, text))


_DESCRIBED = {"cause", "error", "executionArn", "input", "name", "output", "startDate", "stateMachineArn",
              "status", "stopDate", "traceHeader"}  # fmt: skip


def _metadata(headers: list[tuple[str, str]], envelope: Envelope, status: int) -> dict[str, Any]:
    return {
        "SdkHttpMetadata": {
            "AllHttpHeaders": {name: [value] for name, value in headers},
            "HttpHeaders": dict(sorted(headers, key=lambda header: header[0].lower())),
            "HttpStatusCode": status,
        },
        "SdkResponseMetadata": {"RequestId": envelope.request_id},
    }


def failure(invoke: Invoke, problem: ServiceError, envelope: Envelope) -> Failed:
    """The error a task sees when the service itself refused."""
    if invoke.service.startswith("aws-sdk:"):
        return sdk_failure(invoke, problem, envelope.request_id)
    code = problem.code
    status = _STATUSES.get(code, problem.status)
    if invoke.service == "lambda":
        known = code.endswith("Exception")
        name, service = f"Lambda.{code if known else 'AWSLambdaException'}", "AWSLambda"
    elif invoke.service == "states":
        name, service = f"StepFunctions.{code.removesuffix('Exception')}Exception", "AWSStepFunctions"
    elif invoke.service == "events":
        known = code == "InternalException"
        name, service = f"EventBridge.{code if known else 'AmazonEventBridgeException'}", "AmazonEventBridge"
    elif invoke.service == "sagemaker":
        known = code in CLASSES
        name = f"SageMaker.{code.removesuffix('Exception') if known else 'AmazonSageMaker'}Exception"
        service = "AmazonSageMaker"
    else:
        known = code in ("NotFound", "InvalidParameter", "AuthorizationError", "EndpointDisabled")
        name, service = f"SNS.{f'{code}Exception' if known else 'AmazonSNSException'}", "AmazonSNS"
    details = f"Service: {service}; Status Code: {status}; Error Code: {code}"
    cause = f"{problem.message} ({details}; Request ID: {envelope.request_id}; Proxy: null)"
    return Failed(invoke.task, name, cause)
