"""A Lambda runtime for machines for which AWS publishes none: asks the Runtime API, calls the handler.

`python -u lambda_runtime.py HANDLER`, with the environment of AWS Lambda; unbuffered, because a line
must be out before its answer. What a function and its caller can observe (context, error shapes, log
lines) is what AWS's own client for Python does.
Standard library only: this file runs in somebody else's interpreter.
Source: Lambda Developer Guide, "Using the Lambda runtime API" and "Lambda context object in Python".
"""

import decimal
import http.client
import importlib
import json
import logging
import os
import sys
import time
import traceback
from types import SimpleNamespace, TracebackType
from typing import Any

_BASE = "/2018-06-01/runtime"
_LOG_FORMAT = "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s"
_UNESCAPED_SINCE = 12  # python3.12 and later write UTF-8 where earlier ones escaped it


class FaultError(Exception):
    """An error of the runtime's own, with AWS's name for it."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind = kind
        self.trace = trace or []


class Context:
    """What a handler gets as its second argument."""

    def __init__(self, headers: http.client.HTTPMessage) -> None:
        env = os.environ
        self.aws_request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        self.invoked_function_arn = headers["Lambda-Runtime-Invoked-Function-Arn"]
        self.function_name = env["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = env["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = env["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = env["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = env["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = SimpleNamespace(cognito_identity_id=None, cognito_identity_pool_id=None)
        self.client_context = _client_context(headers["Lambda-Runtime-Client-Context"])
        self.tenant_id = None
        self._deadline_ms = int(headers["Lambda-Runtime-Deadline-Ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(self._deadline_ms - int(time.time() * 1000), 0)

    def log(self, message: object) -> None:
        sys.stdout.write(str(message))


def _client_context(header: str | None) -> SimpleNamespace | None:
    if not header:
        return None
    given = json.loads(header)
    fields = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    client = given.get("client")
    if client is not None:
        client = SimpleNamespace(**{field: client.get(field) for field in fields})
    return SimpleNamespace(custom=given.get("custom"), env=given.get("env"), client=client)


class RuntimeApi:
    """The connection to the platform, kept alive."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address)

    def next(self) -> tuple[http.client.HTTPMessage, bytes]:
        self._connection.request("GET", f"{_BASE}/invocation/next")
        response = self._connection.getresponse()
        return response.headers, response.read()

    def post(self, path: str, body: bytes, *, kind: str = "") -> None:
        headers = {"Content-Type": "application/json"}
        if kind:
            headers["Lambda-Runtime-Function-Error-Type"] = kind
        self._connection.request("POST", _BASE + path, body, headers)
        response = self._connection.getresponse()
        said = response.read().decode("utf-8", "replace")
        if response.status != 202:
            raise RuntimeError(f"the platform refused {path}: HTTP {response.status} {said}")


class _JsonEncoder(json.JSONEncoder):
    """Decimals are numbers, as simplejson has them in AWS's runtime."""

    def default(self, o: Any) -> Any:
        if isinstance(o, decimal.Decimal):
            whole = o.is_finite() and o == o.to_integral_value()
            return int(o) if whole else float(o)
        return super().default(o)


def _encode(value: Any) -> bytes:
    minor = os.environ.get("AWS_EXECUTION_ENV", "").rpartition("python3.")[2]
    escaped = not (minor.isdigit() and int(minor) >= _UNESCAPED_SINCE)
    return _JsonEncoder(ensure_ascii=escaped).encode(value).encode()


def _marshal(value: Any) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return _encode(value)
    except Exception as error:
        raise FaultError("Runtime.MarshalError", f"Unable to marshal response: {error}") from error


def _load(handler: str) -> Any:
    """The handler's function; raises FaultError, or whatever the module raises."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise FaultError("Runtime.MalformedHandlerName", f"Bad handler '{handler}': {reason}")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        message = f"Unable to import module '{module_name}': {error}"
        raise FaultError("Runtime.ImportModuleError", message) from error
    except SyntaxError as error:
        where = f'  File "{error.filename}" Line {error.lineno}\n    {error.text}'
        message = f"Syntax error in module '{module_name}': {error}"
        raise FaultError("Runtime.UserCodeSyntaxError", message, [where]) from error
    if not hasattr(module, function_name):
        message = f"Handler '{function_name}' missing on module '{module_name}'"
        raise FaultError("Runtime.HandlerNotFound", message)
    return getattr(module, function_name)


def _described(error: Exception, request_id: str) -> dict[str, Any]:
    """The error as callers get it; the trace begins in the function's own code."""
    if isinstance(error, FaultError):
        kind, trace = error.kind, error.trace
    else:
        kind, trace = type(error).__name__, traceback.format_tb(_own(error.__traceback__))
    return {"errorMessage": str(error), "errorType": kind, "requestId": request_id, "stackTrace": trace}


def _own(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    return trace


def _log_error(error: dict[str, Any]) -> None:
    """One log event: its lines are parted by carriage returns, and indented by non-breaking spaces."""
    lines = [f"[ERROR] {error['errorType']}: {error['errorMessage']}", "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            bare = line.lstrip(" ")
            lines.append("\u00a0" * (len(line) - len(bare)) + bare)
    sys.stdout.write("\r".join(lines) + "\n")


class _RequestIdFilter(logging.Filter):
    request_id = ""

    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = self.request_id
        return True


def _set_up_logging() -> _RequestIdFilter:
    current = _RequestIdFilter()
    handler = logging.StreamHandler(sys.stdout)
    formatter = logging.Formatter(_LOG_FORMAT, "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    handler.addFilter(current)
    logging.getLogger().addHandler(handler)
    return current


def _invoke(api: RuntimeApi, function: Any, headers: http.client.HTTPMessage, body: bytes) -> None:
    request_id = headers["Lambda-Runtime-Aws-Request-Id"]
    os.environ["_X_AMZN_TRACE_ID"] = headers["Lambda-Runtime-Trace-Id"] or ""
    try:
        context = Context(headers)
        try:
            event = json.loads(body)
        except ValueError as error:
            raise FaultError("Runtime.UnmarshalError", f"Unable to unmarshal input: {error}") from error
        result = _marshal(function(event, context))
    except Exception as error:
        described = _described(error, request_id)
        _log_error(described)
        api.post(f"/invocation/{request_id}/error", _encode(described), kind=described["errorType"])
    else:
        api.post(f"/invocation/{request_id}/response", result)


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.path[0] = os.environ["LAMBDA_TASK_ROOT"]
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    current = _set_up_logging()
    try:
        function = _load(sys.argv[1])
    except Exception as error:
        described = _described(error, "")
        _log_error(described)
        api.post("/init/error", _encode(described), kind=described["errorType"])
        sys.exit(1)
    while True:
        headers, body = api.next()
        current.request_id = headers["Lambda-Runtime-Aws-Request-Id"]
        _invoke(api, function, headers, body)


if __name__ == "__main__":
    main()
