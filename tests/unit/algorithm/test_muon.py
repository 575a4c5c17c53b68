"""Kernels step by a fixed share in an orthogonal direction; the rest is plain Nesterov descent."""

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from scones.shipped.algorithm.muon import Muon, orthogonal


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def optimizer(kernels: Sequence[Tensor], matrices: Sequence[Tensor], vectors: Sequence[Tensor]) -> Muon:
    return Muon(kernels, matrices, vectors, lr=0.1, momentum=0.9, weight_decay=0.01)


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4), (1, 9), (9, 1)])
def test_orthogonal_keeps_directions_and_levels_their_sizes(shape: tuple[int, int]) -> None:
    matrix = drawn(*shape)
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    inside = left.T @ orthogonal(matrix) @ right.T
    sizes = inside.diagonal()
    assert (sizes > 0.4).all()
    assert (sizes < 1.3).all()
    assert torch.allclose(inside, torch.diag(sizes), atol=1e-4)


@pytest.mark.parametrize("strength", [1e-3, 1.0, 1e3])
def test_a_step_replaces_the_same_share_of_a_kernel_whatever_the_gradient(strength: float) -> None:
    kernel = torch.nn.Parameter(drawn(6, 4, 3, 3))
    kernel.data *= 6**0.5 / kernel.data.norm()
    before = kernel.detach().clone()
    kernel.grad = drawn(6, 4, 3, 3, seed=1) * strength
    optimizer([kernel], [], []).step()
    change = kernel.detach() - before
    assert float(change.norm() / before.norm()) == pytest.approx(0.1, rel=1e-3)
    assert float(change.flatten() @ kernel.grad.flatten()) < 0.0


def test_a_kernel_without_slope_stays_finite_and_where_it_points() -> None:
    kernel = torch.nn.Parameter(drawn(6, 4, 3, 3))
    before = torch.nn.functional.normalize(kernel.detach().flatten(), dim=0)
    kernel.grad = torch.zeros_like(kernel)
    optimizer([kernel], [], []).step()
    assert torch.allclose(torch.nn.functional.normalize(kernel.detach().flatten(), dim=0), before, atol=1e-6)


def test_everything_else_descends_as_nesterov_does() -> None:
    ours = [torch.nn.Parameter(drawn(3, 5)), torch.nn.Parameter(drawn(5))]
    theirs = copy.deepcopy(ours)
    muon = optimizer([], ours[:1], ours[1:])
    groups = [
        {"params": theirs[:1], "weight_decay": 0.01},
        {"params": theirs[1:], "weight_decay": 0.0},
    ]
    sgd = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True)
    for number in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = drawn(*mine.shape, seed=number)
            other.grad = mine.grad.clone()
        muon.step()
        sgd.step()
    for mine, other in zip(ours, theirs, strict=True):
        assert torch.allclose(mine, other, atol=1e-6)


def test_a_stored_state_goes_on_as_if_nothing_had_happened() -> None:
    def steps(muon: Muon, values: list[torch.nn.Parameter], numbers: range) -> None:
        for number in numbers:
            for value in values:
                value.grad = drawn(*value.shape, seed=number)
            muon.step()

    straight = [torch.nn.Parameter(drawn(4, 2, 3, 3)), torch.nn.Parameter(drawn(4))]
    halted = copy.deepcopy(straight)
    steps(optimizer(straight[:1], [], straight[1:]), straight, range(4))
    first = optimizer(halted[:1], [], halted[1:])
    steps(first, halted, range(2))
    second = optimizer(halted[:1], [], halted[1:])
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(second, halted, range(2, 4))
    assert all(torch.equal(one, other) for one, other in zip(straight, halted, strict=True))
