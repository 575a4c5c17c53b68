"""What a picture's label means: one class, or for multi-label any number of them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FORMATS = ("multi-hot", "class-id")  # of multi-label; the first is the default


class LabelError(Exception):
    """A label does not fit; the message says why."""


@dataclass(frozen=True, slots=True)
class Labels:
    """How to read labels. form: of multi-label, one of FORMATS."""

    num_classes: int
    multi_label: bool = False
    form: str = FORMATS[0]

    def read(self, values: Sequence[float]) -> NDArray[np.int64]:
        """One picture's label: its class, shape (), or a 0 or 1 for each class, (num_classes,).

        values: the numbers written beside the picture. Raises LabelError.
        """
        whole = np.array([_whole(value) for value in values], dtype=np.int64)
        if not self.multi_label:
            if len(whole) > 1:
                raise LabelError("more than one label, and multi_label is not set")
            if not len(whole):
                raise LabelError("no label")
            self._check_classes(whole)
            return whole.reshape(())
        if self.form == "class-id":
            self._check_classes(whole)
            hot = np.zeros(self.num_classes, dtype=np.int64)
            hot[whole] = 1
            return hot
        if len(whole) != self.num_classes:
            raise LabelError(
                f"Mismatch between number of labels in the multi-label data ({len(whole)}) and the"
                f" num_classes parameter ({self.num_classes})"
            )
        if not np.isin(whole, (0, 1)).all():
            raise LabelError("a multi-hot label must hold nothing but 0 and 1")
        return whole

    def gather(self, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Those of many pictures: (N,) classes, or (N, num_classes) of 0 and 1."""
        shape = (len(rows), self.num_classes) if self.multi_label else (len(rows),)
        return np.array(rows, dtype=np.int64).reshape(shape)

    def _check_classes(self, classes: NDArray[np.int64]) -> None:
        for label in classes.tolist():
            if not 0 <= label < self.num_classes:
                raise LabelError(f"the label {label} is not in 0..{self.num_classes - 1} (num_classes)")


def _whole(value: float) -> int:
    """An integer of 64 bits, also one written as im2rec does: `1.000000`."""
    if not abs(value) < 2**53 or value != int(value):  # the first is also true for nan
        raise LabelError(f"the label {value} is not a whole number")
    return int(value)
