"""A folder of pictures with a sub-folder per class, as a data set."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from scones.workflow.errors import WorkflowError
from scones.workflow.frames import Dataset, Frame, row, unique

__all__ = ["read", "read_all"]

_ENDINGS = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"}
_TEST_SHARE = 6  # one picture in six tests, as in CIFAR-100


def read(folder: Path, classes: Sequence[str] = ()) -> Dataset:
    """train/CLASS/* and test/CLASS/*, or CLASS/* divided 5 to 1 by name: always the same way.

    Raises WorkflowError for a class without pictures and for a file that is no picture.
    """
    divided = (folder / "train").is_dir() and (folder / "test").is_dir()
    top = folder / "train" if divided else folder
    chosen = tuple(classes) or tuple(sorted(entry.name for entry in top.iterdir() if entry.is_dir()))
    if len(chosen) < 2:
        raise WorkflowError(f"{top} has fewer than two sub-folders", "make one sub-folder per class")
    if divided:
        splits = [[_pictures(folder / part / name) for name in chosen] for part in ("train", "test")]
    else:
        halves = [_divide(_pictures(folder / name)) for name in chosen]
        splits = [[half[0] for half in halves], [half[1] for half in halves]]
    return Dataset(classes=chosen, train=_frame(splits[0]), test=_frame(splits[1]), source=str(folder))


def read_all(folder: Path, classes: Sequence[str]) -> Frame:
    """CLASS/* of all the classes, undivided. Raises WorkflowError as `read` does."""
    return _frame([_pictures(folder / name) for name in classes])


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise WorkflowError(f"there is no folder {folder}", "--classes names the sub-folders to use")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in _ENDINGS and file.is_file())
    if not files:
        raise WorkflowError(f"{folder} holds no pictures")
    return files


def _divide(files: list[Path]) -> tuple[list[Path], list[Path]]:
    if len(files) < 2:
        raise WorkflowError(f"{files[0].parent} holds one picture; training and testing need one each")
    shuffled = sorted(files, key=lambda file: hashlib.sha256(file.name.encode()).digest())
    tests = max(1, len(files) // _TEST_SHARE)
    return sorted(shuffled[tests:]), sorted(shuffled[:tests])


def _frame(classes: list[list[Path]]) -> Frame:
    labelled = [(file, label) for label, files in enumerate(classes) for file in files]
    return Frame(
        unique(f"{_plain(file.stem)}.png" for file, _ in labelled),
        np.array([label for _, label in labelled], dtype=np.int64),
        np.stack([_row(file) for file, _ in labelled]),
    )


def _plain(stem: str) -> str:
    """The name without what a .lst line or a key cannot bear."""
    return "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in stem)


def _row(file: Path) -> "np.ndarray[tuple[int], np.dtype[np.uint8]]":
    try:
        with Image.open(file) as picture:
            return row(picture)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError) as error:
        raise WorkflowError(f"{file} is not a readable picture ({error})", "remove or replace it") from error
