"""A job's folder with small drawn pictures, as SageMaker would lay it out."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

# Read once, when torch is imported. Networks here are so small that a second thread would only wait,
# and on a busy machine it waits long.
os.environ.setdefault("OMP_NUM_THREADS", "1")

CHANNELS = ("train", "validation", "train_lst", "validation_lst")


class Folder:
    """The base directory of one job; every part can be changed before the job reads it."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def channel(self, name: str) -> Path:
        return self.base / "input/data" / name

    def write_list(self, split: str, content: str | bytes) -> None:
        data = content.encode() if isinstance(content, str) else content
        (self.channel(f"{split}_lst") / f"{split}.lst").write_bytes(data)

    def configure(self, name: str, content: object) -> None:
        path = self.base / "input/config" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    def failure(self) -> str:
        return (self.base / "output/failure").read_text()

    @staticmethod
    def draw(label: int, number: int, side: int = 32) -> Image.Image:
        """Stripes across for label 0, down for label 1, in a colour and phase of their own."""
        random = np.random.default_rng(1000 * label + number)
        wave = 127 + 100 * np.sin(np.arange(side) * 0.8 + random.uniform(0, 6))
        stripes = np.tile(wave, (side, 1)) if label else np.tile(wave[:, None], (1, side))
        pixels = stripes[..., None] * random.uniform(0.5, 1, 3) + random.normal(0, 10, (side, side, 3))
        return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def lay_out(base: Path, counts: dict[str, int], **hyperparameters: Any) -> Folder:
    """Draw the pictures of each split and write every configuration file."""
    folder = Folder(base)
    for split, count in counts.items():
        folder.channel(split).mkdir(parents=True)
        folder.channel(f"{split}_lst").mkdir(parents=True)
        lines = []
        for number in range(count):
            name = f"{split}_{number}.png"
            Folder.draw(number % 2, number + (500 if split == "validation" else 0)).save(
                folder.channel(split) / name
            )
            lines.append(f"{number}\t{number % 2}\t{name}\n")
        folder.write_list(split, "".join(lines))
    values = {"image_shape": "3,32,32", "num_classes": "2", "num_training_samples": str(counts["train"])}
    folder.configure("hyperparameters", values | hyperparameters)
    folder.configure("inputdataconfig", {name: {"ContentType": "application/x-image"} for name in CHANNELS})
    folder.configure("resourceconfig", {"current_host": "algo-1", "hosts": ["algo-1"]})
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """Eight training and four validation pictures of two classes."""
    return lay_out(tmp_path, {"train": 8, "validation": 4}, mini_batch_size="4")
