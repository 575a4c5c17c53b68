"""Channels to arrays: finds the .lst files, checks every line, reads every picture.

All mistakes in a user's data are found here, before any training, and named with their file and
line. Knows nothing of networks.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .contract import ClientError, Layout
from .hyperparameters import Hyperparameters
from .logs import log
from .machine import cores
from .pictures import PictureError, Pixels, decode, resize_short_side, to_pixels

SPLITS = ("train", "validation")
RECORD_TYPE = "application/x-recordio"
PICTURE_TYPES = ("application/x-image", "image/png", "image/jpeg")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a .lst file. number: counted from 1. label: class from 0."""

    number: int
    label: int
    path: str


@dataclass(frozen=True, slots=True)
class Split:
    """One part of the data, in the order of its .lst file.

    pictures: each (channels, height, width) uint8, at least as large as image_shape.
    labels: (N,) int64. sha256: hex digest over the .lst file and every picture's bytes in order.
    """

    pictures: list[Pixels]
    labels: NDArray[np.int64]
    sha256: str


def check_channels(config: Mapping[str, Any], layout: Layout) -> None:
    """Check inputdataconfig.json against what the image form needs.

    Raises ClientError for a missing channel, RecordIO, Pipe mode and incremental training.
    """
    for name, channel in config.items():
        _check_channel(name, channel if isinstance(channel, dict) else {})
    for split in SPLITS:
        for name in (split, f"{split}_lst"):
            if name not in config or not layout.channel(name).is_dir():
                raise ClientError(
                    f"The channel {name} is missing. Required for {PICTURE_TYPES[0]}: train,"
                    " validation, train_lst and validation_lst."
                )


def read_split(split: str, layout: Layout, settings: Hyperparameters, stopped: Callable[[], bool]) -> Split:
    """Read one split whole.

    split: "train" or "validation". stopped: asked before each picture; once true, the split comes
    back short. Raises ClientError naming the file and line of the first mistake.
    """
    folder = layout.channel(f"{split}_lst")
    log.info("Searching for .lst files in %s.", folder)
    list_path = find_list(folder, split)
    content = list_path.read_bytes()
    rows = parse_list(content, settings.num_classes, split, list_path.name)
    if split == "train":
        _check_training_rows(rows, settings, list_path.name)
    log.info("Reading the pictures of %s", list_path.name)
    result = _read_pictures(rows, layout.channel(split), list_path.name, content, settings, stopped)
    log.info("Done reading %d pictures...", len(result.pictures))
    return result


def find_list(folder: Path, split: str) -> Path:
    """The one .lst file of a channel; `<split>.lst` wins when there are several.

    Raises ClientError when there is none, or no telling which.
    """
    found = sorted(path for path in folder.rglob("*.lst") if path.is_file())
    named = [path for path in found if path.name == f"{split}.lst"]
    if len(found) == 1 or len(named) == 1:
        return named[0] if named else found[0]
    if not found:
        raise ClientError(f"No .lst file in the {split}_lst channel.")
    names = ", ".join(path.name for path in found)
    raise ClientError(f"Several .lst files in the {split}_lst channel: {names}. Leave one.")


def parse_list(content: bytes, num_classes: int, split: str, name: str) -> list[Row]:
    """Read `index TAB label TAB path` lines; empty lines are skipped.

    Labels may be written as im2rec writes them (`1.000000`). Raises ClientError naming the line
    when it has another form, an index for the second time, or a label outside [0, num_classes);
    and when there is no line at all.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(split, f"{name} is not UTF-8 text.") from error
    rows: list[Row] = []
    indices: set[int] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        index, row = _parse_line(number, line.rstrip("\r"), num_classes, split, name)
        if index in indices:
            raise _invalid(split, f"{name}, line {number}: the index {index} is not unique.")
        indices.add(index)
        rows.append(row)
    if not rows:
        raise ClientError(f"Unable to start training. Empty .lst file {name} in {split} channel.")
    return rows


def read_class_names(layout: Layout, num_classes: int) -> list[str]:
    """Class names by label from `classes.json` in the train channel, else the labels' digits.

    Raises ClientError when the file is there but is not a list of num_classes different strings.
    """
    path = layout.channel("train") / "classes.json"
    if not path.is_file():
        return [str(label) for label in range(num_classes)]
    try:
        names = json.loads(path.read_bytes())
    except ValueError as error:
        raise ClientError(f"classes.json in the train channel is not JSON: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClientError("classes.json in the train channel must be a JSON list of strings.")
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise ClientError(
            f"classes.json in the train channel names {len(set(names))} different classes and"
            f" num_classes is {num_classes}."
        )
    return names


def _check_channel(name: str, channel: Mapping[str, Any]) -> None:
    content_type = str(channel.get("ContentType") or PICTURE_TYPES[0])
    if name == "model":
        raise ClientError("Incremental training (channel model) is not supported yet. Leave the channel out.")
    if content_type.startswith(RECORD_TYPE):
        raise ClientError(
            f"The channel {name} has content type {RECORD_TYPE}, which is not supported yet. Give"
            f" pictures as {PICTURE_TYPES[0]}."
        )
    if content_type not in PICTURE_TYPES:
        raise ClientError(
            f"The channel {name} has content type {content_type}. Supported: {', '.join(PICTURE_TYPES)}."
        )
    if channel.get("TrainingInputMode", "File") not in ("File", "FastFile"):
        raise ClientError(f"The channel {name} must use TrainingInputMode File.")


def _parse_line(number: int, line: str, num_classes: int, split: str, name: str) -> tuple[int, Row]:
    where = f"{name}, line {number}"
    parts = line.split("\t")
    if len(parts) > 3:
        raise _invalid(split, f"{where}: more than one label, and multi_label is not set.")
    try:
        index_text, label_text, path = parts
        index, label = _whole(index_text), _whole(label_text)
        if not path.strip() or "\0" in path:
            raise ValueError(line)
    except ValueError:
        raise _invalid(split, f"{where} is not index TAB label TAB path: {line[:80]!r}.") from None
    if not 0 <= label < num_classes:
        raise _invalid(split, f"{where}: the label {label} is not in 0..{num_classes - 1} (num_classes).")
    return index, Row(number, label, path.strip())


def _whole(text: str) -> int:
    """An integer, also one written as im2rec does: `1.000000`."""
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)


def _invalid(split: str, detail: str) -> ClientError:
    return ClientError(f"Invalid lst file in the {split} channel. {detail}")


def _check_training_rows(rows: list[Row], settings: Hyperparameters, name: str) -> None:
    distinct = len({row.label for row in rows})
    if distinct != settings.num_classes:
        raise ClientError(
            f"Mismatch between number of labels in {name} ({distinct}) and the num_classes"
            f" parameter ({settings.num_classes})."
        )
    if len(rows) < settings.mini_batch_size:
        raise ClientError(
            "The number of input images must be bigger or equal to the mini_batch_size."
            f" {name} lists {len(rows)} and mini_batch_size is {settings.mini_batch_size}."
        )
    if len(rows) != settings.num_training_samples:
        log.warning(
            "num_training_samples is %d and %s lists %d pictures; all of them are used.",
            settings.num_training_samples,
            name,
            len(rows),
        )


def _read_pictures(
    rows: list[Row],
    root: Path,
    name: str,
    content: bytes,
    settings: Hyperparameters,
    stopped: Callable[[], bool],
) -> Split:
    real_root = root.resolve()

    def read(row: Row) -> tuple[Pixels, bytes] | None:
        if stopped():
            return None
        return _read_picture(row, root, real_root, name, settings)

    digest = hashlib.sha256(content)
    pictures: list[Pixels] = []
    with ThreadPoolExecutor(cores()) as pool:  # decoders release the interpreter's lock
        try:
            for found in pool.map(read, rows):
                if found is None:
                    break
                pictures.append(found[0])
                digest.update(found[1])
        except ClientError:
            pool.shutdown(cancel_futures=True)
            raise
    labels = np.array([row.label for row in rows[: len(pictures)]], dtype=np.int64)
    return Split(pictures, labels, digest.hexdigest())


def _read_picture(
    row: Row, root: Path, real_root: Path, name: str, settings: Hyperparameters
) -> tuple[Pixels, bytes]:
    where = f"{row.path} ({name}, line {row.number})"
    channels, height, width = settings.image_shape
    relative = PurePosixPath(row.path)
    path = root / relative
    if relative.is_absolute() or ".." in relative.parts or not path.resolve().is_relative_to(real_root):
        raise ClientError(f"The path {where} leaves the {root.name} channel.")
    try:
        content = path.read_bytes()
    except OSError as error:
        reason = "is missing from" if isinstance(error, FileNotFoundError) else "is no file in"
        raise ClientError(f"The picture {where} {reason} the {root.name} channel.") from error
    try:
        image = decode(content, channels)
    except PictureError as error:
        raise ClientError(f"The picture {where} cannot be used: {error}.") from error
    if settings.resize is not None:
        image = resize_short_side(image, settings.resize)
    if image.height < height or image.width < width:
        raise ClientError(
            f"The picture {where} has {image.width}x{image.height} pixels, smaller than"
            f" image_shape ({width}x{height}). Set resize, or a smaller image_shape."
        )
    return to_pixels(image), hashlib.sha256(content).digest()
