"""The objects that a data set is in S3: pictures, lists, names of the labels, a manifest of all. Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scones.workflow.frames import Dataset, Frame, lst, png

__all__ = ["Upload", "counts", "manifest", "md5_of", "plan"]


@dataclass(frozen=True, slots=True)
class Upload:
    """One object to be: its bytes are made when they are needed."""

    key: str
    content: Callable[[], bytes] = field(repr=False)
    content_type: str = "image/png"


def plan(dataset: Dataset) -> list[Upload]:
    """Every object of the data set: the pictures, both lists, and the names of the labels."""
    uploads = []
    for split, frame in (("train", dataset.train), ("test", dataset.test)):
        uploads += [
            Upload(f"{split}/{name}", lambda frame=frame, index=index: png(frame.rows[index]))  # type: ignore[misc]
            for index, name in enumerate(frame.filenames)
        ]
        text = lst(frame.labels.tolist(), frame.filenames).encode()
        uploads.append(Upload(f"{split}.lst", lambda text=text: text, "text/plain"))  # type: ignore[misc]
    names = json.dumps(list(dataset.classes)).encode()
    return [*uploads, Upload("train/classes.json", lambda: names, "application/json")]


def md5_of(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def manifest(dataset: Dataset, objects: Mapping[str, str]) -> dict[str, Any]:
    """What later steps read of the data set. objects: MD5 of every key."""
    return {
        "classes": list(dataset.classes),
        "source": dataset.source,
        "sha256": dataset.sha256,
        "drawn": dataset.drawn,
        "digest": hashlib.sha256(json.dumps(sorted(objects.items())).encode()).hexdigest(),
        "train": _labels("train", dataset.train),
        "test": _labels("test", dataset.test),
        "objects": dict(objects),
    }


def counts(document: Mapping[str, Any]) -> dict[str, str]:
    """The algorithm's hyperparameters that only the data can tell, from its manifest."""
    return {"num_classes": str(len(document["classes"])), "num_training_samples": str(len(document["train"]))}


def _labels(split: str, frame: Frame) -> dict[str, int]:
    pairs = zip(frame.filenames, frame.labels.tolist(), strict=True)
    return {f"{split}/{name}": label for name, label in pairs}
