"""The temperature comes from pictures kept aside, and makes overconfidence modest."""

import numpy as np
import pytest

from scones.shipped.algorithm.calibration import calibrate, hold_out


def test_held_out_pictures_are_apart_balanced_and_repeatable() -> None:
    labels = np.repeat(np.arange(2), 500)
    inside, aside = hold_out(labels, 0)
    assert sorted([*inside, *aside]) == list(range(1000))
    assert np.bincount(labels[aside]).tolist() == [50, 50]
    assert np.array_equal(hold_out(labels, 0)[1], aside)
    assert not np.array_equal(hold_out(labels, 1)[1], aside)


def test_a_small_training_set_keeps_everything() -> None:
    inside, aside = hold_out(np.arange(60) % 2, 0)
    assert (len(inside), len(aside)) == (60, 0)


def test_a_large_training_set_gives_up_little() -> None:
    assert len(hold_out(np.arange(10_000) % 2, 0)[1]) == 256


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_logits_is_found(scale: float) -> None:
    random = np.random.default_rng(0)
    true = random.normal(0, 2, (20_000, 2)).astype(np.float32)
    chance = 1 / (1 + np.exp(true[:, 0] - true[:, 1]))
    labels = (random.random(len(true)) < chance).astype(np.int64)
    found = calibrate(true * np.float32(scale), labels)
    assert found.temperature == pytest.approx(scale, rel=0.05)
    assert found.loss_after is not None
    assert found.loss_before is not None
    assert found.loss_after <= found.loss_before
