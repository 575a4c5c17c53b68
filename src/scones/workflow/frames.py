"""Rows of pictures and what becomes of them: pixels, PNG bytes, lines of a .lst file. Pure."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["SIDE", "Dataset", "Frame", "lst", "pixels", "png", "row", "unique"]

SIDE = 32
"""Pixels of a picture's side."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One split: picture i is called filenames[i], belongs to class labels[i] and has the pixels rows[i].

    labels: (n,) int64, index of the class among the chosen ones.
    rows: (n, 3072) uint8, channel-major: 1,024 red values line by line, then green, then blue.
    """

    filenames: tuple[str, ...]
    labels: "NDArray[np.int64]"
    rows: "NDArray[np.uint8]"

    def __post_init__(self) -> None:
        count = len(self.filenames)
        if self.labels.shape != (count,) or self.rows.shape != (count, 3 * SIDE * SIDE):
            raise ValueError("filenames, labels and rows disagree")
        if self.rows.dtype != np.uint8:
            raise ValueError("rows must be bytes")

    def __len__(self) -> int:
        return len(self.filenames)


@dataclass(frozen=True, slots=True)
class Dataset:
    """Both splits of the chosen classes, and where they come from."""

    classes: tuple[str, ...]
    train: Frame
    test: Frame
    source: str
    sha256: str = ""
    """Of the archive's bytes; empty when there is no archive."""
    drawn: bool = False
    """The project drew these pictures itself: no figure made from them says anything about CIFAR-100."""


def pixels(row: "NDArray[np.uint8]") -> "NDArray[np.uint8]":
    """(3072,) channel-major -> (32, 32, 3)."""
    return row.reshape(3, SIDE, SIDE).transpose(1, 2, 0)


def row(picture: Image.Image) -> "NDArray[np.uint8]":
    """Any picture -> (3072,) channel-major, resized to 32x32 RGB where need be."""
    picture = picture.convert("RGB")
    if picture.size != (SIDE, SIDE):
        picture = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1).reshape(-1)


def png(row: "NDArray[np.uint8]") -> bytes:
    """The row as a PNG file, pixel for pixel."""
    with io.BytesIO() as file:
        Image.fromarray(np.ascontiguousarray(pixels(row))).save(file, "PNG")
        return file.getvalue()


def lst(labels: Iterable[int], filenames: Sequence[str]) -> str:
    """The algorithm's list: index, label and path below the channel, between tabs."""
    return "".join(
        f"{index}\t{label}\t{name}\n"
        for index, (label, name) in enumerate(zip(labels, filenames, strict=True))
    )


def unique(filenames: Iterable[str]) -> tuple[str, ...]:
    """The names in order; a name met before gets -2, -3 ... before its ending."""
    taken: set[str] = set()
    result = []
    for name in filenames:
        stem, dot, ending = name.rpartition(".")
        candidate, number = name, 1
        while candidate in taken:
            number += 1
            candidate = f"{stem}-{number}{dot}{ending}" if dot else f"{name}-{number}"
        taken.add(candidate)
        result.append(candidate)
    return tuple(result)
