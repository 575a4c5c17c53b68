"""The calibration error is the textbook one, and comes with how sure it is."""

import numpy as np
import pytest

from scones.workflow.reliability import reliability


def test_the_error_is_the_weighted_distance_over_bins() -> None:
    found = reliability([0.55, 0.55, 0.95, 0.95, 0.95, 1.0], [True, False, True, True, True, False])
    assert [(bin.low, bin.count) for bin in found.bins] == [(0.5, 2), (0.9, 4)]
    assert [bin.accuracy for bin in found.bins] == [0.5, 0.75]
    expected = (2 * abs(0.55 - 0.5) + 4 * abs(0.9625 - 0.75)) / 6
    assert found.error == pytest.approx(expected)
    assert found.count == 6


def test_faultless_probabilities_look_faultless_and_bold_ones_do_not() -> None:
    random = np.random.default_rng(1)
    heights = random.uniform(0.5, 1, 400)
    modest = reliability(heights.tolist(), (random.random(400) < heights).tolist())
    assert modest.error <= modest.faultless[1]
    bold = reliability(np.minimum(1, heights + 0.2).tolist(), (random.random(400) < heights).tolist())
    assert bold.error > bold.faultless[1]
    assert bold.interval[0] < bold.error < bold.interval[1]


def test_the_same_answers_give_the_same_interval() -> None:
    heights, right = [0.6, 0.7, 0.8, 0.9], [True, False, True, True]
    assert reliability(heights, right) == reliability(heights, right)
