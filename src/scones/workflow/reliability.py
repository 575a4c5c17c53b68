"""Do probabilities mean what they say? Confidences against how often they are right. Pure.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["BINS", "Bin", "Reliability", "reliability"]

BINS = 10  # of equal width from 0 to 1; with two classes a confidence is never below 0.5, so five are used
_ROUNDS = 1000  # drawn samples behind each of the two intervals
_OUTSIDE = 0.025  # of an interval's probability, on either side


@dataclass(frozen=True, slots=True)
class Bin:
    """The answers whose confidence is at least `low` and below `high` (the last bin has 1 too)."""

    low: float
    high: float
    count: int
    confidence: float
    """Mean."""
    accuracy: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Expected calibration error: distance of accuracy and confidence, mean over the bins by their counts."""

    error: float
    interval: tuple[float, float]
    """95 %, from as many answers drawn from these with replacement. It leans upwards, as the error itself
    does: accidents of different bins never cancel."""
    faultless: tuple[float, float]
    """Mean and 95th percentile of the error that faultless probabilities would show on as many answers."""
    count: int
    bins: list[Bin]
    """Those with answers."""


def reliability(confidences: Sequence[float], right: Sequence[bool], bins: int = BINS) -> Reliability:
    """confidences: of the predicted classes, 0 to 1; at least one."""
    heights, correct = np.asarray(confidences, float), np.asarray(right, float)
    place = np.minimum((heights * bins).astype(np.int64), bins - 1)
    random, count = np.random.default_rng(0), len(heights)
    gaps = heights - correct
    drawn = [
        _error(place[chosen], gaps[chosen])
        for chosen in (random.integers(0, count, count) for _ in range(_ROUNDS))
    ]
    faultless = [_error(place, heights - (random.random(count) < heights)) for _ in range(_ROUNDS)]
    low, high = np.quantile(drawn, (_OUTSIDE, 1 - _OUTSIDE)).tolist()
    return Reliability(
        error=_error(place, gaps),
        interval=(low, high),
        faultless=(float(np.mean(faultless)), float(np.quantile(faultless, 0.95))),
        count=count,
        bins=[
            Bin(
                low=b / bins,
                high=(b + 1) / bins,
                count=int(here.sum()),
                confidence=float(heights[here].mean()),
                accuracy=float(correct[here].mean()),
            )
            for b in range(bins)
            if (here := place == b).any()
        ],
    )


def _error(place: "NDArray[np.int64]", gaps: "NDArray[np.float64]") -> float:
    """place: (N,) bins. gaps: (N,) confidence less 1 or 0 for right and wrong."""
    return float(np.abs(np.bincount(place, gaps)).sum() / len(gaps))
