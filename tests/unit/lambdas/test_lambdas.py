"""The three handlers, as the files that are shipped: started by path, without the package."""

import base64
import importlib.util
import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import scones

SHIPPED = Path(scones.__file__).parent / "shipped" / "lambdas"
PICTURE = b"\x89PNG a picture"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"handler_{name}", SHIPPED / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Bucket:
    """Stands where boto3's S3 client would."""

    def __init__(self, **objects: bytes) -> None:
        self.objects = objects

    def get_object(self, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - AWS's names
        content = self.objects[Key]
        return {"ContentLength": len(content), "Body": io.BytesIO(content)}


class Runtime:
    """Stands where boto3's SageMaker runtime client would."""

    def __init__(self, answer: bytes, attributes: str | None = None) -> None:
        self.answer = answer
        self.attributes = attributes
        self.asked: dict[str, Any] = {}

    def invoke_endpoint(self, **request: Any) -> dict[str, Any]:
        self.asked = request
        told = {} if self.attributes is None else {"CustomAttributes": self.attributes}
        return {"Body": io.BytesIO(self.answer)} | told


def serialize(event: Any, **objects: bytes) -> Any:
    module = load("serialize")
    module.s3 = lambda: Bucket(**objects)  # type: ignore[attr-defined]
    return module.lambda_handler(event, None)


def test_serialize_puts_the_object_into_the_event_as_text() -> None:
    event = {"image_data": "", "s3_bucket": "b", "s3_key": "k", "mine": 1}
    result = serialize(event, k=PICTURE)
    assert base64.b64decode(result["image_data"]) == PICTURE
    assert result["inferences"] == []
    assert (result["s3_key"], result["mine"]) == ("k", 1)
    assert json.loads(json.dumps(result)) == result


@pytest.mark.parametrize("event", [{}, {"s3_bucket": "b"}, {"s3_bucket": "b", "s3_key": 5}, "text", None])
def test_serialize_says_what_the_event_lacks(event: Any) -> None:
    with pytest.raises(Exception, match=r'the event needs "s3_'):
        serialize(event, k=PICTURE)


def test_serialize_refuses_what_a_state_cannot_carry() -> None:
    with pytest.raises(Exception, match=r"s3://b/k has 200,000 bytes; a state can carry 180,000") as caught:
        serialize({"s3_bucket": "b", "s3_key": "k"}, k=bytes(200_000))
    assert type(caught.value).__name__ == "ImageTooLarge"


def test_classify_sends_the_picture_and_returns_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    module, runtime = load("classify"), Runtime(b"[0.25, 0.75]")
    module.runtime = lambda: runtime  # type: ignore[attr-defined]
    monkeypatch.setenv("ENDPOINT_NAME", "the-endpoint")
    event = {"image_data": base64.b64encode(PICTURE).decode(), "s3_key": "k"}
    result = module.lambda_handler(event, None)
    assert runtime.asked == {"EndpointName": "the-endpoint", "ContentType": "image/png", "Body": PICTURE}
    assert result == event | {"inferences": [0.25, 0.75]}


@pytest.mark.parametrize(
    ("attributes", "novelty"),
    [
        ("novelty=0.412", 0.412),
        ("trace=a, novelty=-0.1", -0.1),
        ("novelty=", None),
        ("novelty=nan", None),
        ("x", None),
    ],
)
def test_classify_puts_the_novelty_into_the_event_where_the_endpoint_tells_it(
    attributes: str, novelty: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("classify")
    module.runtime = lambda: Runtime(b"[0.25, 0.75]", attributes)  # type: ignore[attr-defined]
    monkeypatch.setenv("ENDPOINT_NAME", "the-endpoint")
    event = {"image_data": base64.b64encode(PICTURE).decode(), "novelty": 99}
    assert module.lambda_handler(event, None).get("novelty") == novelty


@pytest.mark.parametrize("text", ["", None, 7, "no base64!"])
def test_classify_refuses_an_event_without_a_picture(text: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("classify")
    module.runtime = lambda: Runtime(b"[]")  # type: ignore[attr-defined]
    monkeypatch.setenv("ENDPOINT_NAME", "the-endpoint")
    with pytest.raises(Exception, match="image_data") as caught:
        module.lambda_handler({"image_data": text}, None)
    assert type(caught.value).__name__ == "InvalidEvent"


@pytest.mark.parametrize("scores", [[0.93, 0.07], [0.0, 1.0]])
def test_filter_passes_the_event_of_a_confident_classification(
    scores: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THRESHOLD", "0.93")
    event = {"inferences": scores, "s3_key": "k"}
    assert load("filter").lambda_handler(event, None) == event


def test_filter_refuses_a_confident_picture_that_is_too_novel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRESHOLD", "0.93")
    monkeypatch.setenv("NOVELTY_LIMIT", "1.0")
    handler = load("filter").lambda_handler
    with pytest.raises(Exception, match=r"the novelty 1\.5 is above the limit 1") as caught:
        handler({"inferences": [0.99, 0.01], "novelty": 1.5}, None)
    assert type(caught.value).__name__ == "OUT_OF_DISTRIBUTION"
    with pytest.raises(Exception, match="below the threshold") as caught:
        handler({"inferences": [0.6, 0.4], "novelty": 1.5}, None)
    assert type(caught.value).__name__ == "THRESHOLD_CONFIDENCE_NOT_MET"
    for passing in ({"novelty": 1.0}, {}, {"novelty": None}):
        event = {"inferences": [0.99, 0.01]} | passing
        assert handler(event, None) == event
    monkeypatch.setenv("NOVELTY_LIMIT", "")
    assert handler({"inferences": [0.99, 0.01], "novelty": 1.5}, None)["novelty"] == 1.5


def test_filter_names_scores_and_threshold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRESHOLD", "0.93")
    with pytest.raises(Exception, match=r"\[0.5, 0.5\].*0\.93") as caught:
        load("filter").lambda_handler({"inferences": [0.5, 0.5]}, None)
    assert type(caught.value).__name__ == "THRESHOLD_CONFIDENCE_NOT_MET"


@pytest.mark.parametrize("scores", [[], None, "[0.99, 0.01]", ["0.99"], [True]])
def test_filter_takes_nothing_but_numbers(scores: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THRESHOLD", "0.93")
    with pytest.raises(Exception, match="inferences") as caught:
        load("filter").lambda_handler({"inferences": scores}, None)
    assert type(caught.value).__name__ == "InvalidEvent"
