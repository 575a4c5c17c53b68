"""What every contender computes: bytes of a picture to one probability a class, on one core.

Uses the shipped algorithm's own files, so that all decode and run the very same way. Needs numpy,
Pillow and onnxruntime.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "src/scones/shipped"))
from algorithm.artefact import load
from algorithm.pictures import decode, to_pixels

__all__ = ["Predictor"]


class Predictor:
    """folder: of model.onnx and model.json."""

    def __init__(self, folder: str) -> None:
        self._model = load(Path(folder))

    def __call__(self, bodies: Sequence[bytes]) -> list[list[float]]:
        pixels = [to_pixels(decode(body, self._model.shape[0])) for body in bodies]
        rows: list[list[float]] = self._model.probabilities(np.stack(pixels)).tolist()
        return rows
