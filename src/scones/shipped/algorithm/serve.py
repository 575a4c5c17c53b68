"""The `serve` command: `GET /ping`, `POST /invocations` and batch transform's `GET
/execution-parameters` over one loaded model.

One process, one thread: a small network answers within the time that handing it to another would
take. Never imports PyTorch.
Source: SageMaker Developer Guide, "Use Your Own Inference Code with Hosting Services".
"""

import asyncio
import signal
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from os import environ
from types import FrameType
from typing import NoReturn

import numpy as np

from .artefact import Model, ModelError, load
from .connections import Reply, Request, Server
from .contract import Layout
from .logs import log, start
from .pictures import PictureError, Pixels, decode, resize_exactly, to_pixels

PICTURE_TYPES = (b"image/png", b"image/jpeg", b"application/x-image")
JSON, JSON_LINES = b"application/json", b"application/jsonlines"
ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

# The built-in's own words, which reach the client inside a ModelError.
UNDECODABLE = b"unable to evaluate payload provided"

BATCH_REQUESTS = 8  # that batch transform keeps in flight: more would only wait

MODEL_STATUS = 1  # exit status: the model cannot be served
PORT_STATUS = 1  # exit status: the address cannot be had
GRACE_S = 2.0  # for requests under way at SIGTERM; the host kills after 30


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
    """What is answered, to one batch of requests after another."""

    def __init__(self, model: Model, body_limit: int) -> None:
        """body_limit: bytes; longer bodies are refused with 413."""
        self._model = model
        self._body_limit = body_limit

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """A reply to each; the graph runs once for all pictures."""
        found = [self._look(request) for request in requests]
        pictures = [look for look in found if not isinstance(look, Reply)]
        rows = self._predictions(pictures)
        return [
            look if isinstance(look, Reply) else prediction(*next(rows), request.accept)
            for look, request in zip(found, requests, strict=True)
        ]

    def _predictions(self, pictures: Sequence[Pixels]) -> Iterator[tuple[list[float], float | None]]:
        """Of each picture the probabilities, by label, and the novelty if it is scored."""
        if not pictures:
            return iter(())
        probabilities, novelty = self._model.answers(np.stack(pictures))
        scores = repeat(None) if novelty is None else novelty.tolist()
        return zip(probabilities.tolist(), scores, strict=False)

    def _look(self, request: Request) -> Reply | Pixels:
        """The picture that was sent, (channels, height, width) as the graph takes it, or a reply."""
        path, method = request.path, request.method
        if path == b"/ping":
            return Reply(200, b"") if method in (b"GET", b"HEAD") else Reply(405, b"use GET /ping")
        if path == b"/execution-parameters" and method == b"GET":
            return Reply(200, batch_parameters(self._body_limit), JSON)
        if path != b"/invocations":
            return Reply(404, b"no such path; there are /ping and /invocations")
        if method != b"POST":
            return Reply(405, b"use POST /invocations")
        content_type = media_type(request.content_type)
        if content_type and content_type not in PICTURE_TYPES:
            return Reply(415, unsupported(content_type))
        if request.body is None:
            return Reply(413, b"the body is longer than %d bytes" % self._body_limit)
        channels, height, width = self._model.shape
        try:
            return to_pixels(resize_exactly(decode(request.body, channels), height, width))
        except PictureError as error:
            log.info("Cannot use the picture sent: %s.", error)
            return Reply(400, UNDECODABLE)


def prediction(probabilities: list[float], novelty: float | None, accept: bytes) -> Reply:
    """Probability of each class, by label, in the form that is wanted."""
    headers = attributes(novelty)
    if JSON_LINES in accept.lower():
        return Reply(200, json_line(probabilities), JSON_LINES, headers)
    return Reply(200, json_list(probabilities), JSON, headers)


def attributes(novelty: float | None) -> bytes:
    """The header in which a novelty travels beside the answer, whose form the built-in fixes.

    InvokeEndpoint's reply has it as CustomAttributes: `novelty=0.412`.
    """
    return b"" if novelty is None else b"%b: novelty=%.3f\r\n" % (ATTRIBUTES, novelty)


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


def json_line(probabilities: list[float]) -> bytes:
    """`{"prediction": [0.25, 0.75]}`, the form of batch transform."""
    return b'{"prediction": %b}' % json_list(probabilities)


def batch_parameters(body_limit: int) -> bytes:
    """How batch transform should send: one picture in a request, the next ones already waiting.

    Source: SageMaker Developer Guide, "Use Your Own Inference Code with Batch Transform".
    """
    return b'{"MaxConcurrentTransforms": %d, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": %d}' % (
        BATCH_REQUESTS,
        body_limit // 2**20,
    )


def main() -> int:
    """Serve until SIGTERM and return the exit status: 0, or 1 when there is nothing to serve."""
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
    service = Service(model, binding.body_limit)
    Server(service.answer, binding.body_limit).run(listener, until=_terminated, grace_s=GRACE_S)
    return 0


def _listen(binding: Binding) -> socket.socket:
    family = socket.AF_INET6 if ":" in binding.host else socket.AF_INET
    return socket.create_server((binding.host, binding.port), family=family, backlog=1024)


def _terminated(over: asyncio.Event) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)
