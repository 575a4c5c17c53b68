"""What the endpoint answers to any request, without a socket."""

import asyncio
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scones.shipped.algorithm.artefact import Model
from scones.shipped.algorithm.connections import BATCH, Request, Server
from scones.shipped.algorithm.serve import Binding, Service, json_line, json_list

LIMIT = 10_000


class Means:
    """Stands in for the graph: answers with the mean of the picture's first two channels."""

    def run(
        self, output_names: list[str] | None, input_feed: Mapping[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        pixels = input_feed["image"]
        assert pixels.shape[1:] == (3, 32, 24)
        assert pixels.dtype == np.uint8
        if output_names == ["probabilities", "novelty"]:
            return [pixels.mean(axis=(2, 3))[:, :2].astype(np.float32) / 255, np.array([1.23456], np.float32)]
        return [pixels.mean(axis=(2, 3))[:, :2].astype(np.float32) / np.float32(255)]


def ask(
    path: str = "/invocations",
    body: bytes | list[bytes] = b"",
    method: str = "POST",
    **headers: str,
) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer. A list is a body that comes in pieces."""
    parts = body if isinstance(body, list) else [body]
    length = headers.pop("content_length", str(sum(map(len, parts))))
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *lines, "", ""])
    [answer] = exchange([head.encode(), *parts])
    return answer


def exchange(pieces: list[bytes], graph: Any = None) -> list[tuple[int, str, bytes]]:
    """All answers of a server to what one connection sends, piece by piece."""
    service = Service(Model(graph or Means(), (3, 32, 24), ["a", "b"]), LIMIT)

    async def serve() -> bytes:
        server = Server(service.answer, LIMIT)
        connection = server.connect()
        wire = Wire()
        connection.connection_made(wire)
        for piece in pieces:
            connection.data_received(piece)
        for _ in range(4):
            await asyncio.sleep(0)
        return wire.written

    return list(answers(asyncio.run(serve())))


class Wire(asyncio.Transport):
    """Keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def answers(written: bytes) -> Iterator[tuple[int, str, bytes]]:
    while written:
        head, _, rest = written.partition(b"\r\n\r\n")
        status, *lines = head.decode().split("\r\n")
        headers = dict(line.split(": ") for line in lines)
        length = int(headers["content-length"])
        yield int(status.split()[1]), headers["content-type"], rest[:length]
        written = rest[length:]


def picture(mode: str = "RGB", size: tuple[int, int] = (24, 32), form: str = "PNG") -> bytes:
    image = Image.new("RGB", size, (255, 51, 0)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, form)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "kind", ["image/png", "image/jpeg", "application/x-image", "IMAGE/PNG; charset=binary"]
)
def test_one_picture_gives_a_bare_list(kind: str) -> None:
    status, content_type, body = ask(body=picture(), content_type=kind)
    assert (status, content_type) == (200, "application/json")
    assert body == b"[1.0, 0.20000000298023224]"


def test_the_novelty_travels_in_a_header_and_the_body_stays() -> None:
    request = Request(b"POST", b"/invocations", b"image/png", b"", picture())
    for scores, headers in (
        (True, b"x-amzn-sagemaker-custom-attributes: novelty=1.235\r\n"),
        (False, b""),
    ):
        service = Service(Model(Means(), (3, 32, 24), ["a", "b"], scores), LIMIT)
        (reply,) = service.answer([request])
        assert (reply.headers, reply.body) == (headers, b"[1.0, 0.20000000298023224]")


@pytest.mark.parametrize("mode", ["RGBA", "P"])
@pytest.mark.parametrize("size", [(24, 32), (7, 5), (300, 100)])
def test_any_size_and_mode_is_converted(mode: str, size: tuple[int, int]) -> None:
    status, _, body = ask(body=picture(mode, size), content_type="image/png")
    assert status == 200
    assert json.loads(body) == pytest.approx([1.0, 0.2], abs=0.01)


def test_json_lines_when_accepted() -> None:
    status, content_type, body = ask(body=picture(), content_type="image/png", accept="application/jsonlines")
    assert (status, content_type) == (200, "application/jsonlines")
    assert body == b'{"prediction": [1.0, 0.20000000298023224]}'


def test_a_body_in_pieces_is_put_together() -> None:
    content = picture()
    assert ask(body=[content[:10], content[10:20], content[20:]], content_type="image/png")[0] == 200


def test_float32_prints_all_digits_of_the_double() -> None:
    values = np.array([0.997246265411377, 0.002753784181550145], dtype=np.float32).tolist()
    assert json_list(values) == b"[0.997246265411377, 0.002753784181550145]"
    assert json.loads(json_line(values)) == {"prediction": values}


@pytest.mark.parametrize(
    "body",
    [b"", b"16\t0\tbike.png\n", picture()[:60], picture(form="GIF"), b"\x89PNG\r\n\x1a\n" + b"\0" * 50],
)
def test_no_picture_is_the_callers_mistake(body: bytes) -> None:
    assert ask(body=body, content_type="image/png") == (
        400,
        "text/plain",
        b"unable to evaluate payload provided",
    )


def test_a_bomb_is_refused_without_decoding() -> None:
    buffer = io.BytesIO()
    Image.new("1", (8_000, 7_000)).save(buffer, "PNG")
    body = buffer.getvalue()
    assert len(body) < LIMIT
    assert ask(body=body, content_type="image/png")[0] == 400


def test_other_content_types_are_named() -> None:
    status, _, body = ask(body=b"{}", content_type="text/csv")
    assert status == 415
    assert body.startswith(b"content type text/csv is not supported; supported: image/png,")


def test_too_long_a_body_is_refused_by_header_and_by_count() -> None:
    assert ask(body=b"", content_type="image/png", content_length=str(LIMIT + 1))[0] == 413
    assert ask(body=[b"a" * LIMIT, b"b", b"c"], content_type="image/png")[0] == 413
    assert ask(body=b"a" * (LIMIT + 1), content_type="image/png")[0] == 413


def invocation(body: bytes, accept: str = "*/*") -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nContent-Type: image/png\r\nAccept: {accept}\r\n"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


class Counting(Means):
    """Notes how many pictures each run of the graph had."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def run(
        self, output_names: list[str] | None, input_feed: Mapping[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        self.runs.append(len(input_feed["image"]))
        return super().run(output_names, input_feed)


def test_what_waits_is_one_batch_and_every_answer_is_its_own() -> None:
    graph = Counting()
    red, white = picture(), picture("L")
    ping = b"GET /ping HTTP/1.1\r\n\r\n"
    wanted = [invocation(red), ping, invocation(b"?"), invocation(white, "application/jsonlines;verbose")]
    found = exchange([b"".join(wanted)], graph)
    assert graph.runs == [2]
    assert [status for status, _, _ in found] == [200, 200, 400, 200]
    assert found[0][2] == b"[1.0, 0.20000000298023224]"
    assert found[1][2] == b""
    assert found[3][1] == "application/jsonlines"
    assert json.loads(found[3][2])["prediction"][0] == pytest.approx(0.416, abs=0.01)


def test_a_batch_has_an_end() -> None:
    graph = Counting()
    assert len(exchange([invocation(picture()) * 40], graph)) == 40
    assert graph.runs == [BATCH, BATCH, 40 - 2 * BATCH]


def test_a_failure_is_told_and_the_next_request_is_answered() -> None:
    class Broken(Means):
        def run(self, *_: Any) -> list[NDArray[np.float32]]:
            raise RuntimeError("no memory")

    found = exchange([invocation(picture()), b"GET /ping HTTP/1.1\r\n\r\n"], Broken())
    assert found[0][0] == 500
    assert b"no memory" not in found[0][2]


def test_what_is_not_http_is_refused() -> None:
    assert exchange([b"\x16\x03\x01\x02\x00\r\n\r\n"])[0][0] == 400


def test_a_client_that_waits_for_leave_gets_it() -> None:
    head = b"POST /ping HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"

    async def leave() -> bytes:
        connection, wire = Server(lambda requests: [], LIMIT).connect(), Wire()
        connection.connection_made(wire)
        connection.data_received(head)
        return wire.written

    assert asyncio.run(leave()) == b"HTTP/1.1 100 Continue\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/ping", "GET", 200),
        ("/ping", "POST", 405),
        ("/invocations", "GET", 405),
        ("/", "GET", 404),
        ("/execution-parameters", "POST", 404),
    ],
)
def test_paths_and_methods(path: str, method: str, status: int) -> None:
    found, _, body = ask(path, method=method)
    assert found == status
    assert (body == b"") == (status == 200)


def test_batch_transform_is_told_how_to_send() -> None:
    status, kind, body = ask("/execution-parameters", method="GET")
    assert (status, kind) == (200, "application/json")
    offered = json.loads(body)
    assert offered["BatchStrategy"] == "SINGLE_RECORD"
    assert offered["MaxConcurrentTransforms"] > 1


def test_binding_comes_from_the_environment() -> None:
    assert Binding.from_environment({}) == Binding("0.0.0.0", 8080, 6 * 2**20)
    given = {"BIND_HOST": "127.0.0.1", "SAGEMAKER_BIND_TO_PORT": "9000", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "1"}
    assert Binding.from_environment(given) == Binding("127.0.0.1", 9000, 2**20)
