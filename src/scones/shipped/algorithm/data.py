"""One split, whole and in memory: every picture decoded and checked, every mistake named.

All mistakes in a user's data are found here, before any training. Knows nothing of networks.
"""

import hashlib
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .channels import Channels, Form
from .contract import ClientError, Layout
from .hyperparameters import Hyperparameters
from .labels import Labels
from .lists import ListSource
from .logs import log
from .machine import cores, memory
from .pictures import PictureError, Pixels, decode, resize_short_side, to_pixels
from .samples import Label, Sample, Source
from .streams import RecordSource

MEMORY_SHARE = 0.5  # of the memory, for the pictures of one split
WINDOW = 16  # pictures decoded before anybody asks for them


@dataclass(frozen=True, slots=True)
class Split:
    """One part of the data, in its own order.

    pictures: each (channels, height, width) uint8, at least as large as image_shape; larger only
    where training cuts out other parts than the centre.
    labels: (N,) int64 classes, or with multi_label (N, num_classes) int64 of 0 and 1.
    sha256: hex digest over labels and every picture's bytes in order.
    """

    pictures: list[Pixels]
    labels: NDArray[np.int64]
    sha256: str


def read_split(
    split: str, layout: Layout, channels: Channels, settings: Hyperparameters, stopped: Callable[[], bool]
) -> Split:
    """Read one split whole.

    split: "train" or "validation". stopped: asked before each picture; once true, the split comes
    back short. Raises ClientError naming the first mistake and where it stands.
    """
    form = channels.forms[split]
    labels = Labels(settings.num_classes, bool(settings.multi_label), channels.label_format)
    source: Source
    if form is Form.LIST:
        source = ListSource(split, layout, labels)
    else:
        source = RecordSource(split, form, layout, labels, stopped)
        if settings.resize is not None:
            log.warning("resize has an effect on pictures in files only, not on those in records.")
    if source.labels is not None:
        _check(split, source.name, labels.gather(source.labels), settings)
    log.info("Reading the pictures of %s", source.name)
    digest = hashlib.sha256(source.seal)
    pictures: list[Pixels] = []
    found: list[Label] = []
    resize = settings.resize if form is Form.LIST else None
    # Where only the centre is ever looked at, the rest of a large picture need not be kept.
    whole = split == "train" and (settings.follows_recipe or settings.augmentation_type is not None)
    room = int(MEMORY_SHARE * memory())
    for pixels, label, sealed in _decoded(source.samples(), resize, whole, settings, stopped):
        pictures.append(pixels)
        room -= pixels.nbytes
        if room < 0:
            raise ClientError(
                f"The pictures of the {split} channel do not fit into memory: {len(pictures)} of them take"
                f" {MEMORY_SHARE:.0%} of it. Set resize, or give smaller or fewer pictures."
            )
        found.append(label)
        digest.update(sealed if source.labels is not None else sealed + label.tobytes())
    result = Split(pictures, labels.gather(found), digest.hexdigest())
    if source.labels is None and not stopped():
        _check(split, source.name, result.labels, settings)
    log.info("Done reading %d pictures...", len(pictures))
    return result


def numbered(num_classes: int) -> list[str]:
    """Class names where nobody gives any: the labels' digits."""
    return [str(label) for label in range(num_classes)]


def read_class_names(layout: Layout, num_classes: int) -> list[str] | None:
    """Class names by label from `classes.json` in the train channel; None where there is none.

    Raises ClientError when the file is there but is not a list of num_classes different strings.
    """
    path = layout.channel("train") / "classes.json"
    if not path.is_file():
        return None
    try:
        names = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ClientError(f"classes.json in the train channel is not JSON: {error}.") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ClientError("classes.json in the train channel must be a JSON list of strings.")
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise ClientError(
            f"classes.json in the train channel names {len(set(names))} different classes and"
            f" num_classes is {num_classes}."
        )
    return names


def _check(split: str, name: str, labels: NDArray[np.int64], settings: Hyperparameters) -> None:
    """What the training pictures must be as a whole."""
    if split != "train":
        return
    if not settings.multi_label and (distinct := len(np.unique(labels))) != settings.num_classes:
        raise ClientError(
            f"Mismatch between number of labels in {name} ({distinct}) and the num_classes"
            f" parameter ({settings.num_classes})."
        )
    if len(labels) < settings.mini_batch_size:
        raise ClientError(
            "The number of input images must be bigger or equal to the mini_batch_size."
            f" {name} lists {len(labels)} and mini_batch_size is {settings.mini_batch_size}."
        )
    if len(labels) != settings.num_training_samples:
        log.warning(
            "num_training_samples is %d and %s lists %d pictures; all of them are used.",
            settings.num_training_samples,
            name,
            len(labels),
        )


_Decoded = tuple[Pixels, Label, bytes]  # the last: digest of the picture's bytes


def _decoded(
    samples: Iterable[Sample],
    resize: int | None,
    whole: bool,
    settings: Hyperparameters,
    stopped: Callable[[], bool],
) -> Iterator[_Decoded]:
    """In order, and never far ahead of the reader."""

    def read(sample: Sample) -> _Decoded | None:
        return None if stopped() else _read(sample, resize, whole, settings)

    waiting: deque[Future[_Decoded | None]] = deque()
    with ThreadPoolExecutor(cores()) as pool:  # decoders release the interpreter's lock
        try:
            for sample in samples:
                waiting.append(pool.submit(read, sample))
                if len(waiting) >= WINDOW:
                    if (found := waiting.popleft().result()) is None:
                        return
                    yield found
            while waiting and (found := waiting.popleft().result()) is not None:
                yield found
        finally:
            pool.shutdown(cancel_futures=True)


def _read(sample: Sample, resize: int | None, whole: bool, settings: Hyperparameters) -> _Decoded:
    channels, height, width = settings.image_shape
    content = sample.load()
    try:
        image = decode(content, channels)
    except PictureError as error:
        raise ClientError(f"The picture {sample.where} cannot be used: {error}.") from error
    if resize is not None:
        image = resize_short_side(image, resize)
    if image.height < height or image.width < width:
        raise ClientError(
            f"The picture {sample.where} has {image.width}x{image.height} pixels, smaller than"
            f" image_shape ({width}x{height}). Set resize, or a smaller image_shape."
        )
    if not whole:
        left, top = (image.width - width) // 2, (image.height - height) // 2
        image = image.crop((left, top, left + width, top + height))
    return to_pixels(image), sample.label, hashlib.sha256(content).digest()
