"""Quarter turns as a second question: which class, and which way up?

In training each picture is turned at random and the network names class and turn together, one
score for every pair; in use the scores of a class are averaged over all turns of the picture. The
second question comes free with every picture and teaches what a thing looks like, which is worth
more than any change to the network when pictures are few. Source: Lee, Hwang, Shin,
"Self-supervised Label Augmentation via Input Transformations", 2020.
"""

import torch
from torch import Generator, Tensor, nn


def count(shape: tuple[int, int, int]) -> int:
    """Turns that keep (channels, height, width) as it is: 4 of a square, else upright and half."""
    return 4 if shape[1] == shape[2] else 2


def turn(batch: Tensor, number: int, turns: int) -> Tensor:
    """(N, C, H, W) turned anticlockwise by `number` of the `turns` steps of a full circle."""
    match number * 4 // turns:
        case 0:
            return batch
        case 1:
            return batch.transpose(2, 3).flip(2)
        case 2:
            return batch.flip((2, 3))
        case _:
            return batch.transpose(2, 3).flip(3)


def turn_each(batch: Tensor, numbers: Tensor, turns: int) -> Tensor:
    """Each picture by its own number. numbers: (N,) int64 on the CPU."""
    result = torch.empty_like(batch)
    for number in range(turns):
        chosen = (numbers == number).nonzero()[:, 0]
        result[chosen] = turn(batch[chosen], number, turns)
    return result


class Turned(nn.Module):
    """A network with a score for every pair of class and turn.

    turns: 1 asks no second question. Training, it takes pictures that are turned already and
    returns (N, classes * turns); evaluating, (N, classes), averaged over all turns of a picture.
    """

    def __init__(self, network: nn.Module, classes: int, turns: int) -> None:
        super().__init__()
        self.network = network
        self.classes, self.turns = classes, turns

    def forward(self, batch: Tensor) -> Tensor:
        if self.training or self.turns == 1:
            return self.network(batch)  # type: ignore[no-any-return]
        every = torch.cat([turn(batch, number, self.turns) for number in range(self.turns)])
        scores: Tensor = self.network(every.contiguous(memory_format=torch.channels_last))
        scores = scores.view(self.turns, -1, self.classes, self.turns)
        # Turn by turn, and not by `diagonal`, of which ONNX makes a dozen nodes and a condition.
        return torch.stack([scores[number, :, :, number] for number in range(self.turns)]).mean(0)


class Turns:
    """The turns of one training batch. Without a Turned network everything stays as it is."""

    def __init__(self, network: nn.Module, count: int, generator: Generator) -> None:
        """count: pictures in the batch."""
        self._turns = network.turns if isinstance(network, Turned) else 1
        self._numbers = torch.randint(self._turns, (count,), generator=generator)

    def pictures(self, batch: Tensor) -> Tensor:
        """(N, C, H, W): each picture turned."""
        return batch if self._turns == 1 else turn_each(batch, self._numbers, self._turns)

    def targets(self, labels: Tensor) -> Tensor:
        """What the network is to answer for labels (N,): class and turn as one number."""
        return labels if self._turns == 1 else labels * self._turns + self._numbers.to(labels.device)

    def scores(self, found: Tensor) -> Tensor:
        """(N, classes): of the network's answer the scores of the turn that each picture has."""
        if self._turns == 1:
            return found
        apart = found.view(len(found), -1, self._turns)
        return apart[torch.arange(len(found)), :, self._numbers]
