"""Pictures still encoded, with their labels, as the three ways of giving them yield them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .contract import ClientError

Label = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sample:
    """One picture. where: for messages, after "The picture". load: its bytes; may raise ClientError."""

    where: str
    label: Label
    load: Callable[[], bytes]


class Source(Protocol):
    """The pictures of one split, in order."""

    name: str  # the file or pipe they come from
    labels: list[Label] | None  # of all pictures, where they are known before any is read
    seal: bytes  # goes into the split's digest before the pictures

    def samples(self) -> Iterable[Sample]:
        """Each picture once. Raises ClientError naming the first mistake."""


def empty(name: str, split: str) -> ClientError:
    """The error for a split without pictures, in the built-in's words."""
    return ClientError(f"Unable to start training. Empty {name} in {split} channel.")
