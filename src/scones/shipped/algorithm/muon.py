"""Muon: convolution kernels step in a direction whose singular values are all about one.

A gradient of a kernel is dominated by few directions; made orthogonal, it moves all of them
alike. Kernels are kept at a fixed length, so that a rate is the share of a kernel that a step
replaces; normalisation after every convolution makes that length irrelevant otherwise. Source:
Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Odd polynomial a x + b x^3 + c x^5, steep at zero: a few rounds bring singular values near one.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ROUNDS = 4
TINY = 1e-7  # keeps a gradient of nothing but zeros from dividing by zero


class Muon(torch.optim.Optimizer):
    """Orthogonal steps for kernels, stochastic gradient descent for the rest; both with Nesterov momentum.

    kernels: each (after, before, ...), followed by a normalisation. matrices: decay, by weight_decay.
    vectors: do not. All share one learning rate.
    """

    def __init__(
        self,
        kernels: Iterable[Tensor],
        matrices: Iterable[Tensor],
        vectors: Iterable[Tensor],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(kernels), "orthogonal": True},
            {"params": list(matrices), "weight_decay": weight_decay},
            {"params": list(vectors)},
        ]
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": 0.0, "orthogonal": False}
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """Change every weight that has a gradient."""
        for group in self.param_groups:
            change = _turn_kernel if group["orthogonal"] else _descend
            for value in group["params"]:
                if value.grad is not None:
                    state = self.state[value]
                    if not state:
                        state["momentum_buffer"] = torch.zeros_like(value)
                    change(value, value.grad, state["momentum_buffer"], group)


def orthogonal(matrix: Tensor) -> Tensor:
    """(rows, columns): the same singular vectors, singular values about one (0.7 to 1.2)."""
    first, third, fifth = COEFFICIENTS
    tall = matrix.size(0) > matrix.size(1)
    x: Tensor = (matrix.T if tall else matrix) / (matrix.norm() + TINY)
    for _ in range(ROUNDS):
        square = x @ x.T
        x = first * x + (third * square + fifth * square @ square) @ x
    return x.T if tall else x


def _turn_kernel(value: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    momentum.lerp_(gradient, 1.0 - group["momentum"])
    ahead = gradient.lerp(momentum, group["momentum"])
    length = value.size(0) ** 0.5
    value.mul_(length / (value.norm() + TINY))
    direction = orthogonal(ahead.reshape(len(ahead), -1)).view_as(value)
    value.sub_(direction * (group["lr"] * length / (direction.norm() + TINY)))


def _descend(value: Tensor, gradient: Tensor, momentum: Tensor, group: dict[str, Any]) -> None:
    gradient = gradient.add(value, alpha=group["weight_decay"])
    momentum.mul_(group["momentum"]).add_(gradient)
    value.sub_(group["lr"] * gradient.add(momentum, alpha=group["momentum"]))
