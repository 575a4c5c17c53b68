"""How often a wanted precision is missed by accident, and which threshold labelled answers vouch for. Pure.

What is claimed holds with the stated confidence although the same answers choose the threshold: thresholds
are tried from the highest downwards at places fixed beforehand, and the first that fails ends the search
(fixed-sequence testing; Angelopoulos et al., "Learn then Test", 2021). Each is tested by the exact binomial
tail behind Clopper and Pearson's bound. Needed for it: the labelled pictures are drawn as traffic is, and
confidence ranks sensibly, so that raising the threshold never makes the accepted answers worse.
"""

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Accepted", "attainable", "chance", "enough", "lower_bound", "propose", "wanted"]

_FIRST = 0.2  # share of the answers tried first: one accident among fewer would end the search
_RANKS = 200  # places at which `wanted` looks: what it says is rough anyway
_MOST = 2**40  # pictures; nobody labels more


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answers at or above a threshold."""

    threshold: float
    count: int
    wrong: int


def chance(count: int, wrong: int, precision: float) -> float:
    """Probability of at most `wrong` wrong answers among `count`, each right with probability `precision`.

    precision: above 0, below 1.
    """
    term = count * math.log(precision)  # logarithm of the probability of no wrong answer
    odds = math.log1p(-precision) - math.log(precision)
    terms = [term]
    for index in range(wrong):
        if index >= count:
            return 1.0
        term += math.log((count - index) / (index + 1)) + odds
        terms.append(term)
    return min(1.0, math.fsum(math.exp(term) for term in terms))


def enough(wrong: int, precision: float, confidence: float) -> int:
    """The fewest accepted answers that prove the precision with `wrong` wrong ones among them."""
    doubt, high = 1 - confidence, wrong + 1
    while chance(high, wrong, precision) > doubt:
        if high > _MOST:
            return high
        high *= 2
    return bisect.bisect_left(range(high), -doubt, wrong, key=lambda count: -chance(count, wrong, precision))


def lower_bound(count: int, wrong: int, confidence: float) -> float:
    """Clopper and Pearson's one-sided lower bound of a precision whose answers were chosen beforehand."""
    if wrong >= count:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if chance(count, wrong, middle) <= 1 - confidence else (low, middle)
    return low


def attainable(count: int, confidence: float) -> float:
    """The highest precision that so many answers could prove, were all of them accepted and right."""
    return math.pow(1 - confidence, 1 / count) if count else 0.0


def propose(
    confidences: Sequence[float], right: Sequence[bool], precision: float, confidence: float
) -> Accepted | None:
    """The lowest threshold whose accepted answers are proven right at the rate `precision`, or None.

    confidences, right: of the labelled answers, in any order.
    """
    ranked = sorted(zip(confidences, right, strict=True), reverse=True)
    heights, wrong = [height for height, _ in ranked], [0]
    for _, correct in ranked:
        wrong.append(wrong[-1] + (not correct))
    best, allowed, last = 0, 0, 0
    while enough(allowed, precision, confidence) < _FIRST * len(ranked):
        allowed += 1
    while last < len(ranked):
        last = min(max(enough(allowed, precision, confidence), last + 1), len(ranked))
        while last < len(ranked) and heights[last] == heights[last - 1]:
            last += 1  # no threshold parts answers of the same confidence
        if chance(last, wrong[last], precision) > 1 - confidence:
            break
        best, allowed = last, allowed + 1
    if not best:
        return None
    below = heights[best] if best < len(heights) else 0.0
    return Accepted(_round_between(below, heights[best - 1]), best, wrong[best])


def wanted(
    confidences: Sequence[float], right: Sequence[bool], precision: float, confidence: float
) -> int | None:
    """About how many labelled pictures would prove it, if all went as these; None: no number would."""
    ranked = [correct for _, correct in sorted(zip(confidences, right, strict=True), reverse=True)]
    totals, step = [], max(1, len(ranked) // _RANKS)
    for count in range(step, len(ranked) + 1, step):
        rate = ranked[:count].count(False) / count
        if rate < 1 - precision:
            totals.append(math.ceil(_accepted(rate, precision, confidence) * len(ranked) / count))
    return min(totals, default=None)


def _accepted(rate: float, precision: float, confidence: float) -> int:
    """The fewest accepted answers that prove the precision when the share `rate` of them is wrong."""
    low, high = 0, 1
    while high <= _MOST and chance(high, math.ceil(rate * high), precision) > 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        proven = chance(middle, math.ceil(rate * middle), precision) <= 1 - confidence
        low, high = (low, middle) if proven else (middle, high)
    return high


def _round_between(below: float, height: float) -> float:
    """The number of fewest digits above `below` and not above `height`."""
    for digits in range(1, 17):
        rounded = math.floor(height * 10.0**digits) / 10.0**digits
        if below < rounded <= height:
            return rounded
    return height
