"""What the endpoint answers to any request, without a socket."""

import asyncio
import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scones.shipped.algorithm.artefact import Model
from scones.shipped.algorithm.serve import Binding, Service, json_line, json_list

LIMIT = 10_000


class Means:
    """Stands in for the graph: answers with the mean of the picture's first two channels."""

    def run(
        self, output_names: list[str] | None, input_feed: Mapping[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        pixels = input_feed["image"]
        assert pixels.shape == (1, 3, 32, 24)
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
    """Status, content type and body of the answer."""
    parts = body if isinstance(body, list) else [body]
    messages = [{"type": "http.request", "body": p, "more_body": p is not parts[-1]} for p in parts]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    scope = {"type": "http", "path": path, "method": method, "headers": pairs}
    service = Service(Model(Means(), (3, 32, 24), ["a", "b"]), LIMIT)
    asyncio.run(service(scope, receive, send))
    start, content = sent
    return start["status"], dict(start["headers"])[b"content-type"].decode(), content["body"]


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
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": picture()}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "path": "/invocations", "method": "POST", "headers": []}
    for scores in (True, False):
        asyncio.run(Service(Model(Means(), (3, 32, 24), ["a", "b"], scores), LIMIT)(scope, receive, send))
    told, untold = dict(sent[0]["headers"]), dict(sent[2]["headers"])
    assert told[b"x-amzn-sagemaker-custom-attributes"] == b"novelty=1.235"
    assert b"x-amzn-sagemaker-custom-attributes" not in untold
    assert sent[1]["body"] == sent[3]["body"] == b"[1.0, 0.20000000298023224]"


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
