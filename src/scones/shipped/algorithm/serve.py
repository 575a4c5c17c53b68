"""The `serve` command: `GET /ping`, `POST /invocations` and batch transform's `GET
/execution-parameters` over one loaded model.

One process, one event loop: a small network answers within the time that handing it to a thread
would take. Never imports PyTorch.
Source: SageMaker Developer Guide, "Use Your Own Inference Code with Hosting Services".
"""

import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from os import environ
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from .artefact import Model, ModelError, load
from .contract import Layout
from .logs import log, start
from .pictures import PictureError, decode, resize_exactly, to_pixels

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

PICTURE_TYPES = (b"image/png", b"image/jpeg", b"application/x-image")
JSON, JSON_LINES, TEXT = b"application/json", b"application/jsonlines", b"text/plain"
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

# The built-in's own words, which reach the client inside a ModelError.
UNDECODABLE = b"unable to evaluate payload provided"

BATCH_REQUESTS = 8  # in flight: more would only wait

MODEL_STATUS = 1  # exit status: the model cannot be served
PORT_STATUS = 1  # exit status: the address cannot be had


@dataclass(frozen=True, slots=True)
class Binding:
    """Where to listen and how much to accept. body_limit: bytes."""

    host: str
    port: int
    body_limit: int

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = environ) -> "Binding":
        """Read BIND_HOST and the variables that SageMaker sets.

        Raises ValueError when a number is not one.
        """
        return cls(
            # A container is reached from outside, so it listens on every address unless told.
            host=environment.get("BIND_HOST") or "0.0.0.0",
            port=int(environment.get("SAGEMAKER_BIND_TO_PORT") or 8080),
            body_limit=int(environment.get("SAGEMAKER_MAX_PAYLOAD_IN_MB") or 6) * 2**20,
        )


class Service:
    """The ASGI application."""

    def __init__(self, model: Model, body_limit: int) -> None:
        """body_limit: bytes; longer bodies are refused with 413."""
        self._model = model
        self._body_limit = body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        if path == "/invocations":
            if method == "POST":
                await self._invoke(scope["headers"], receive, send)
            else:
                await respond(send, 405, b"use POST /invocations")
        elif path == "/ping":
            if method in ("GET", "HEAD"):
                await respond(send, 200, b"")
            else:
                await respond(send, 405, b"use GET /ping")
        elif path == "/execution-parameters" and method == "GET":
            await respond(send, 200, batch_parameters(self._body_limit), JSON)
        else:
            await respond(send, 404, b"no such path; there are /ping and /invocations")

    async def _invoke(self, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send) -> None:
        content_type = accept = b""
        for name, value in headers:
            if name == b"content-type":
                content_type = media_type(value)
            elif name == b"accept":
                accept = value.lower()
            elif name == b"content-length" and int(value) > self._body_limit:
                return await self._refuse_length(send)
        if content_type and content_type not in PICTURE_TYPES:
            return await respond(send, 415, unsupported(content_type))
        body = await read_body(receive, self._body_limit)
        if body is None:
            return await self._refuse_length(send)
        try:
            probabilities, novelty = self.answer(body)
        except PictureError as error:
            log.info("Cannot use the picture sent: %s.", error)
            return await respond(send, 400, UNDECODABLE)
        if JSON_LINES in accept:
            return await respond(send, 200, json_line(probabilities), JSON_LINES, attributes(novelty))
        return await respond(send, 200, json_list(probabilities), JSON, attributes(novelty))

    def answer(self, body: bytes) -> tuple[list[float], float | None]:
        """Probability of each class, by label, for the bytes of one picture; and its novelty, if scored.

        Raises PictureError when the bytes are no usable picture.
        """
        channels, height, width = self._model.shape
        image = resize_exactly(decode(body, channels), height, width)
        probabilities, novelty = self._model.answers(to_pixels(image)[None])
        return probabilities[0].tolist(), None if novelty is None else float(novelty[0])

    async def _refuse_length(self, send: Send) -> None:
        await respond(send, 413, b"the body is longer than %d bytes" % self._body_limit)


def media_type(value: bytes) -> bytes:
    """A Content-Type header without its parameters, in lower case."""
    return value.partition(b";")[0].strip().lower()


def unsupported(content_type: bytes) -> bytes:
    """The message for a content type that is not a picture's."""
    return b"content type %b is not supported; supported: %b" % (
        content_type[:100],
        b", ".join(PICTURE_TYPES),
    )


def json_list(probabilities: list[float]) -> bytes:
    """`[0.25, 0.75]`: a float32 widened to a double prints all its digits, as the built-in's do."""
    return str(probabilities).encode()


def attributes(novelty: float | None) -> Headers:
    """The header in which a novelty travels beside the answer, whose form the built-in fixes.

    InvokeEndpoint's reply has it as CustomAttributes: `novelty=0.412`.
    """
    return [] if novelty is None else [(ATTRIBUTES, b"novelty=%.3f" % novelty)]


def json_line(probabilities: list[float]) -> bytes:
    """`{"prediction": [0.25, 0.75]}`, the form of batch transform."""
    return b'{"prediction": %b}' % json_list(probabilities)


def batch_parameters(body_limit: int) -> bytes:
    """How batch transform should send: one picture in a request, the next ones already waiting.

    Source: SageMaker Developer Guide, "Use Your Own Inference Code with Batch Transform".
    """
    megabytes = body_limit // 2**20
    return b'{"MaxConcurrentTransforms": %d, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": %d}' % (
        BATCH_REQUESTS,
        megabytes,
    )


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body, or None as soon as it is longer than limit bytes."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body", False):  # most pictures come in one piece
        return body if len(body) <= limit else None
    parts, size = [body], len(body)
    while size <= limit and message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    return b"".join(parts) if size <= limit else None


async def respond(
    send: Send, status: int, body: bytes, content_type: bytes = TEXT, more: Headers | None = None
) -> None:
    """Send a whole response. more: headers besides those of the body."""
    headers = [(b"content-type", content_type), (b"content-length", b"%d" % len(body)), *(more or [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> int:
    """Serve until SIGTERM and return the exit status: 0, or 1 when there is nothing to serve."""
    # uvicorn hands the signal on when it has closed its sockets; before and after that, we end.
    signal.signal(signal.SIGTERM, _leave)
    start()
    layout = Layout.from_environment()
    try:
        binding = Binding.from_environment()
        model = load(layout.model)
        listener = _listen(binding)
    except ValueError as error:
        print(f"A number in the environment is wrong: {error}.", file=sys.stderr)
        return MODEL_STATUS
    except ModelError as error:
        print(f"The model cannot be served: {error}", file=sys.stderr)
        return MODEL_STATUS
    except OSError as error:
        print(f"Cannot listen on {binding.host}:{binding.port}: {error}.", file=sys.stderr)
        return PORT_STATUS
    log.info("Serving %s on %s:%d", layout.model, *listener.getsockname()[:2])
    uvicorn.Server(_configuration(Service(model, binding.body_limit))).run([listener])
    return 0


def _listen(binding: Binding) -> socket.socket:
    family = socket.AF_INET6 if ":" in binding.host else socket.AF_INET
    return socket.create_server((binding.host, binding.port), family=family, backlog=1024)


def _configuration(service: Service) -> uvicorn.Config:
    return uvicorn.Config(
        service,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        timeout_keep_alive=75,  # longer than a caller's connection pool keeps idle connections
        timeout_graceful_shutdown=2,
    )


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
