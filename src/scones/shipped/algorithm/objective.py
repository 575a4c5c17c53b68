"""What training makes small and what its log counts: one class a picture, or any number of them."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from .hyperparameters import Hyperparameters

WEIGHT_LIMIT = 100.0  # of a class that hardly any picture has


class Objective(Protocol):
    """Works on (N, num_classes) float32 logits and the labels of Split."""

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """One number to make small."""

    def score(self, logits: Tensor, labels: Tensor) -> tuple[int, int, int]:
        """How many answers there are, how many are right, and how many are among the top_k."""


class OneClass:
    """Softmax and cross-entropy."""

    def __init__(self, label_smoothing: float, top_k: int | None) -> None:
        self._label_smoothing, self._top_k = label_smoothing, top_k

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(logits, labels, label_smoothing=self._label_smoothing)

    def score(self, logits: Tensor, labels: Tensor) -> tuple[int, int, int]:
        best = logits.topk(self._top_k or 1, dim=1).indices
        return len(labels), int((best[:, 0] == labels).sum()), int((best == labels[:, None]).sum())


class AnyClasses:
    """A sigmoid for each class; an answer is one class of one picture, right at the threshold 0.5."""

    def __init__(self, weights: Tensor | None) -> None:
        """weights: (num_classes,) float32 by which pictures that have the class count more."""
        self._weights = weights

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(logits, labels.float(), pos_weight=self._weights)

    def score(self, logits: Tensor, labels: Tensor) -> tuple[int, int, int]:
        right = int(((logits > 0.0) == (labels > 0)).sum())
        return labels.numel(), right, right


def objective(
    settings: Hyperparameters, labels: Tensor, label_smoothing: float, device: torch.device
) -> Objective:
    """The objective that a request asks for. labels: those of all training pictures."""
    if not settings.multi_label:
        return OneClass(label_smoothing, settings.top_k)
    return AnyClasses(class_weights(labels).to(device) if settings.use_weighted_loss else None)


def class_weights(labels: Tensor) -> Tensor:
    """(num_classes,) float32: pictures without a class for each that has it, at most WEIGHT_LIMIT.

    labels: (N, num_classes) of 0 and 1.
    """
    having = labels.sum(dim=0).float()
    return ((len(labels) - having) / having.clamp(min=1.0)).clamp(1.0 / WEIGHT_LIMIT, WEIGHT_LIMIT)
