"""Incremental training: the model of an earlier job, out of the channel `model`. Read as hostile.

Source: SageMaker Developer Guide, "Incremental Training in Amazon SageMaker".
"""

import hashlib
import json
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .artefact import CARD_FILE, FORMAT
from .contract import ClientError
from .hyperparameters import Hyperparameters
from .weights import WEIGHTS_FILE

FILE_LIMITS = {CARD_FILE: 64 * 2**20, WEIGHTS_FILE: 2**30}  # bytes
ARCHIVE_LIMIT = 32 * 2**30  # bytes of all members together; an archive may pretend to be small

_NEEDS = (
    "Incremental training needs the num_layers, image_shape and num_classes of the model that it starts"
    " from. Give the same, or leave the channel model out."
)


@dataclass(frozen=True, slots=True)
class Earlier:
    """A model to start from. family: see network.py. num_layers: None for the recipe's network.

    weights: bytes of the weights file. sha256: hex digest of these.
    """

    family: str
    num_layers: int | None
    image_shape: tuple[int, ...]
    classes: list[str]
    weights: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.weights).hexdigest()


def read_earlier(folder: Path) -> Earlier:
    """The model in the channel's folder, packed as SageMaker left it or unpacked.

    Raises ClientError when there is none, or one that this algorithm did not write.
    """
    archives = sorted(path for path in folder.rglob("*.tar.gz") if path.is_file())
    if len(archives) > 1:
        names = ", ".join(path.name for path in archives)
        raise ClientError(f"Several models in the model channel: {names}. Leave one.")
    files = _unpacked(archives[0]) if archives else _plain(folder)
    for name in FILE_LIMITS:
        if name not in files:
            where = archives[0].name if archives else "the model channel"
            raise ClientError(
                f"{name} is missing from {where}: training can start only from a model.tar.gz that this"
                " algorithm made."
            )
    return _read(files[CARD_FILE], files[WEIGHTS_FILE])


def check_fit(earlier: Earlier, settings: Hyperparameters, classes: list[str] | None) -> None:
    """Raises ClientError naming the first thing in which the model and the request differ.

    classes: their names, where the job gives any.
    """
    if settings.use_pretrained_model:
        raise ClientError("use_pretrained_model=1 and a channel model are two starts; leave one out.")
    for name, found, wanted in (
        ("num_layers", earlier.num_layers, settings.num_layers),
        ("image_shape", earlier.image_shape, settings.image_shape),
        ("num_classes", len(earlier.classes), settings.num_classes),
    ):
        if found != wanted:
            raise ClientError(
                f"The model in the model channel has {name} {_shown(found)} and the request"
                f" {_shown(wanted)}. {_NEEDS}"
            )
    if classes is not None and classes != earlier.classes:
        raise ClientError(
            f"The model in the model channel calls its classes {', '.join(earlier.classes)} and"
            f" classes.json {', '.join(classes)}. Their order is that of the labels and must be the same."
        )


def _shown(value: object) -> str:
    if value is None:
        return "none (the network of the default recipe)"
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _read(card: bytes, weights: bytes) -> Earlier:
    try:
        found = json.loads(card)
        if found["format"] != FORMAT:
            raise ValueError(f"format {found['format']!r}")
        network = found["network"]
        layers = None if network["family"] == "recipe" else int(network["num_layers"])
        shape = tuple(int(side) for side in found["image_shape"])
        classes = [str(name) for name in found["classes"]]
        return Earlier(str(network["family"]), layers, shape, classes, weights)
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise ClientError(
            f"{CARD_FILE} in the model channel is no card of a model that can be trained further"
            f" ({str(error)[:100]})."
        ) from error


def _plain(folder: Path) -> dict[str, bytes]:
    found = {}
    for name, limit in FILE_LIMITS.items():
        path = folder / name
        if path.is_file() and path.stat().st_size <= limit:
            found[name] = path.read_bytes()
    return found


def _unpacked(archive: Path) -> dict[str, bytes]:
    """The two files in an archive that matter; nothing is written anywhere."""
    found: dict[str, Any] = {}
    seen = 0
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                name = member.name.removeprefix("./")
                seen += member.size
                if seen > ARCHIVE_LIMIT:
                    raise ClientError(f"{archive.name} in the model channel holds too much to be a model.")
                if name not in FILE_LIMITS or not member.isreg():
                    continue
                if member.size > FILE_LIMITS[name]:
                    raise ClientError(f"{name} in the model channel has {member.size} bytes, too many.")
                stream = members.extractfile(member)
                assert stream is not None
                found[name] = stream.read()
                if len(found) == len(FILE_LIMITS):
                    break
    except ClientError:
        raise
    except Exception as error:  # hostile bytes make a reader raise almost anything
        raise ClientError(f"{archive.name} in the model channel is no readable archive ({error}).") from error
    return found
