"""Thresholds are proposed only when the labelled answers prove them, and the proof holds."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from scones.workflow.bound import attainable, chance, enough, lower_bound, propose, wanted


@pytest.mark.parametrize(
    ("count", "wrong", "precision"), [(5, 1, 0.9), (8, 0, 0.99), (6, 3, 0.5), (4, 4, 0.7)]
)
def test_the_chance_is_that_of_counting_every_outcome(count: int, wrong: int, precision: float) -> None:
    total = 0.0
    for outcome in itertools.product((True, False), repeat=count):
        errors = outcome.count(False)
        total += (precision ** (count - errors) * (1 - precision) ** errors) if errors <= wrong else 0.0
    assert chance(count, wrong, precision) == pytest.approx(total)


def test_so_many_faultless_answers_prove_a_precision() -> None:
    # The smallest n with 0.99 ** n <= 0.05, and Clopper and Pearson's bounds as published tables have them.
    assert enough(0, 0.99, 0.95) == 299
    assert enough(1, 0.99, 0.95) == 473
    assert enough(0, 0.95, 0.95) == 59
    assert attainable(299, 0.95) >= 0.99 > attainable(298, 0.95)
    assert lower_bound(10, 1, 0.95) == pytest.approx(0.6058, abs=1e-4)
    assert lower_bound(20, 0, 0.975) == pytest.approx(0.8316, abs=1e-4)
    assert lower_bound(3, 3, 0.95) == 0.0


def test_too_few_answers_prove_nothing_and_it_is_said_how_many_would() -> None:
    heights, right = [0.5 + index / 200 for index in range(100)], [True] * 100
    assert propose(heights, right, 0.99, 0.95) is None
    assert wanted(heights, right, 0.99, 0.95) == 299
    assert propose([], [], 0.99, 0.95) is None


def test_the_threshold_goes_down_to_where_the_errors_begin() -> None:
    heights = [0.5 + index / 2000 for index in range(1000)]
    right = [height >= 0.7 for height in heights]
    found = propose(heights, right, 0.95, 0.95)
    assert found is not None
    assert 0.66 <= found.threshold <= 0.7
    assert found.count == sum(height >= found.threshold for height in heights)
    assert found.wrong == sum(h >= found.threshold and not r for h, r in zip(heights, right, strict=True))
    assert chance(found.count, found.wrong, 0.95) <= 0.05


def test_a_model_that_is_wrong_where_it_is_surest_gets_no_threshold() -> None:
    heights = [index / 500 for index in range(500)]
    right = [height < 0.98 for height in heights]
    assert propose(heights, right, 0.95, 0.95) is None
    assert wanted([0.9, 0.8], [False, False], 0.95, 0.95) is None


def test_answers_of_the_same_confidence_stay_together() -> None:
    heights = [1.0] * 80 + [0.9] * 200
    right = [True] * 80 + [True, False] * 100
    assert propose(heights, right, 0.99, 0.95) is None, "299 faultless ones are needed, and 80 can be had"
    found = propose(heights, right, 0.9, 0.95)
    assert found is not None
    assert (found.threshold, found.count) == (1.0, 80)


@pytest.mark.parametrize("count", [100, 400])
@pytest.mark.parametrize("manner", ["flat", "rising", "steep"])
def test_a_promise_is_broken_no_more_often_than_stated(count: int, manner: str) -> None:
    """Draws of labelled pictures from a world where the precision above each threshold is known."""
    worlds: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
        "flat": lambda height: np.full_like(height, 0.895),
        "rising": lambda height: 0.6 + 0.4 * height,
        "steep": lambda height: np.where(height > 0.45, 0.93, 0.6),
    }
    rates = worlds[manner]
    random, broken, draws = np.random.default_rng(count), 0, 600
    for _ in range(draws):
        heights = random.random(count)
        right = random.random(count) < rates(heights)
        found = propose(heights.tolist(), right.tolist(), 0.9, 0.95)
        if found:
            broken += float(rates(np.linspace(found.threshold, 1, 2001)).mean()) < 0.9
    # 5 % of 600 draws is 30; that a true 5 % shows more than 46 has a chance below 0.2 %. The draws are fixed.
    assert broken <= 46
