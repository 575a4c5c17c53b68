"""Turning pictures, asking for the turn in training, and averaging over turns in use."""

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from scones.shipped.algorithm import turning
from scones.shipped.algorithm.turning import Turned, Turns


class Fixed(nn.Module):
    """Scores that depend on the picture's corners only: (N, 2 * 4)."""

    def forward(self, batch: Tensor) -> Tensor:
        corners = batch[:, 0, [0, 0, -1, -1], [0, -1, 0, -1]]
        return torch.cat([corners, corners**2], 1)


def test_turns_are_numpys_and_close_the_circle() -> None:
    batch = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    for number in range(4):
        wanted = np.rot90(batch.numpy(), number, (2, 3))
        assert np.array_equal(turning.turn(batch, number, 4).numpy(), wanted)
    assert torch.equal(turning.turn(turning.turn(batch, 1, 4), 3, 4), batch)


@pytest.mark.parametrize(("shape", "turns"), [((3, 8, 8), 4), ((1, 5, 5), 4), ((3, 8, 6), 2)])
def test_a_turn_keeps_the_shape(shape: tuple[int, int, int], turns: int) -> None:
    assert turning.count(shape) == turns
    batch = torch.rand(turns, *shape)
    turned = turning.turn_each(batch, torch.arange(turns), turns)
    assert turned.shape == batch.shape
    assert torch.equal(turned[0], batch[0])
    assert torch.equal(turned[turns // 2], batch[turns // 2].flip((1, 2)))


def test_training_asks_for_class_and_turn() -> None:
    net = Turned(Fixed(), 2, 4).train()
    batch, labels = torch.rand(64, 1, 4, 4), torch.arange(64) % 2
    turns = Turns(net, 64, Generator().manual_seed(0))
    pictures, targets = turns.pictures(batch), turns.targets(labels)
    assert torch.equal(targets // 4, labels)
    assert set((targets % 4).tolist()) == {0, 1, 2, 3}
    for picture, original, target in zip(pictures, batch, targets.tolist(), strict=True):
        assert torch.equal(picture, torch.rot90(original, target % 4, (1, 2)))
    found = net(pictures)
    picked = turns.scores(found)
    assert picked.shape == (64, 2)
    assert torch.equal(picked.gather(1, labels[:, None]), found.gather(1, targets[:, None]))


def test_use_averages_each_class_over_all_turns() -> None:
    batch = torch.rand(5, 1, 4, 4)
    found = Turned(Fixed(), 2, 4).eval()(batch)
    parts = [Fixed()(torch.rot90(batch, number, (2, 3)))[:, [number, 4 + number]] for number in range(4)]
    assert torch.allclose(found, torch.stack(parts).mean(0))


def test_a_network_without_turns_is_left_alone() -> None:
    batch, labels = torch.rand(6, 1, 4, 4), torch.zeros(6, 3, dtype=torch.int64)
    for net in (Fixed(), Turned(Fixed(), 8, 1)):
        turns = Turns(net, 6, Generator())
        assert turns.pictures(batch) is batch
        assert turns.targets(labels) is labels
        assert torch.equal(turns.scores(net.train()(batch)), net.eval()(batch))
