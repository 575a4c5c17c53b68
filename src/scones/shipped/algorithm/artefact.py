"""The two files of a trained model, `model.onnx` and `model.json`: their form, loading, running.

Anybody can load the graph with ONNX Runtime alone; this file never imports PyTorch.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from .contract import write_atomically

FORMAT = 1
GRAPH_FILE = "model.onnx"
CARD_FILE = "model.json"
INPUT_NAME = "image"
OUTPUT_NAME = "probabilities"
NOVELTY_NAME = "novelty"


class ModelError(Exception):
    """The model files are missing, damaged, or of another format; the message says which."""


class Session(Protocol):
    """The part of onnxruntime.InferenceSession in use here."""

    def run(
        self, output_names: list[str] | None, input_feed: Mapping[str, NDArray[np.uint8]]
    ) -> list[NDArray[np.float32]]:
        """Compute the named outputs."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model. shape: (channels, height, width). classes: names by label.

    scores_novelty: it also says how unlike the training pictures a picture is.
    """

    session: Session
    shape: tuple[int, int, int]
    classes: list[str]
    scores_novelty: bool = False

    def probabilities(self, pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
        """(N, classes) float32 summing to 1 a row, for (N, *shape) uint8 pictures."""
        return self.session.run([OUTPUT_NAME], {INPUT_NAME: pictures})[0]

    def answers(self, pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Probabilities as above, and each picture's novelty: (N,) float32, None where it is not scored."""
        if not self.scores_novelty:
            return self.probabilities(pictures), None
        probabilities, novelty = self.session.run([OUTPUT_NAME, NOVELTY_NAME], {INPUT_NAME: pictures})
        return probabilities, novelty


def describe(
    graph: bytes,
    shape: tuple[int, int, int],
    classes: list[str],
    calibration: Mapping[str, Any],
    training: Mapping[str, Any],
    scores_novelty: bool = False,
) -> dict[str, Any]:
    """The content of model.json for a graph. training: the record of how it came about."""
    novelty = {
        "name": NOVELTY_NAME,
        "dtype": "float32",
        "shape": ["pictures"],
        "meaning": "0: as unusual as the middle one of the training pictures; 1: as one in twenty of them",
    }
    channels, height, width = shape
    return {
        "format": FORMAT,
        "algorithm": "image-classification",
        "image_shape": list(shape),
        "classes": classes,
        "input": {
            "name": INPUT_NAME,
            "dtype": "uint8",
            "shape": ["pictures", channels, height, width],
            "meaning": f"{'RGB' if channels == 3 else 'grey'} pixels from 0 to 255",
        },
        "output": {
            "name": OUTPUT_NAME,
            "dtype": "float32",
            "shape": ["pictures", len(classes)],
            "meaning": "probability of each class, calibration and softmax included",
        },
        "novelty": novelty if scores_novelty else None,
        "preprocessing": {
            "outside_graph": [
                "decode PNG or JPEG",
                f"convert to mode {'RGB' if channels == 3 else 'L'}, transparency dropped",
                f"resize to {width}x{height} (bilinear, aspect ratio not kept)",
                "channels first",
            ],
            "inside_graph": ["convert to float32", "normalise", "divide logits by temperature"],
        },
        "calibration": dict(calibration),
        "graph": {"file": GRAPH_FILE, "sha256": hashlib.sha256(graph).hexdigest()},
        "training": dict(training),
    }


def save(folder: Path, graph: bytes, card: Mapping[str, Any]) -> None:
    """Write both files; the card last, so that a card always has its graph."""
    write_atomically(folder / GRAPH_FILE, graph)
    write_atomically(folder / CARD_FILE, json.dumps(card, indent=1, allow_nan=False).encode())


def load(folder: Path) -> Model:
    """Load both files and run the graph once.

    Raises ModelError naming the file when one is missing, damaged or does not fit the other.
    """
    card = _read_card(folder / CARD_FILE)
    graph = _read(folder / GRAPH_FILE)
    try:
        shape = tuple(int(side) for side in card["image_shape"])
        classes = [str(name) for name in card["classes"]]
        digest = card["graph"]["sha256"]
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{folder / CARD_FILE} is incomplete: {error!r}.") from error
    if hashlib.sha256(graph).hexdigest() != digest:
        raise ModelError(f"{folder / GRAPH_FILE} is not the graph that {CARD_FILE} describes.")
    if len(shape) != 3:
        raise ModelError(f"{folder / CARD_FILE}: image_shape must have three numbers.")
    try:
        model = Model(open_session(graph), shape, classes, bool(card.get("novelty")))
        found = model.answers(np.zeros((1, *shape), dtype=np.uint8))[0].shape
    except Exception as error:  # ONNX Runtime's errors share no base class
        raise ModelError(f"{folder / GRAPH_FILE} cannot be run: {error}") from error
    if found != (1, len(classes)):
        raise ModelError(f"{folder / GRAPH_FILE} gives {found}, not one number per class.")
    return model


def open_session(graph: bytes) -> Session:
    """An ONNX Runtime session on one core: requests are small, so processes scale, not threads."""
    # From 1.29 on the library reports usage to its makers unless told not to before it is loaded.
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime  # type: ignore[import-untyped]

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return cast(Session, session)


def _read_card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(_read(path))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}.") from error
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise ModelError(f"{path} is not a model card of format {FORMAT}.")
    return card


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}.") from error
