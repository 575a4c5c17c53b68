"""How one job trains: network, optimiser, learning rate, augmentation, and which weights to keep.

Two ways to make a plan, one shape: `by_recipe` and `as_documented`. The loop (fit.py) follows a
plan and knows neither hyperparameters nor recipe.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from . import augment, network, recipe
from .hyperparameters import Hyperparameters
from .logs import log
from .muon import Muon
from .weights import fit_into


class Keeper(Protocol):
    """Decides which weights a job ends with."""

    def after_step(self, current: nn.Module) -> None:
        """Take notice of new weights."""

    def candidate(self, current: nn.Module) -> nn.Module:
        """The network to measure on the validation channel."""

    def after_epoch(self, current: nn.Module, epoch: int, accuracy: float) -> None:
        """Take notice of an epoch, counted from 0, and its validation accuracy."""

    def final(self, current: nn.Module) -> nn.Module:
        """The network to store."""

    def describe(self) -> str:
        """How the stored weights came about, in one sentence without a full stop."""

    def state(self) -> dict[str, Any]:
        """All that `restore` needs, as tensors, numbers, strings, lists and maps."""

    def restore(self, state: dict[str, Any], current: nn.Module) -> None:
        """Be as the keeper was whose state this is. Raises WeightsError, KeyError and TypeError."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a training loop needs to know besides the data."""

    network: nn.Module
    optimizer: torch.optim.Optimizer
    rate: Callable[[int, float], float]  # (epoch, share of all steps done) to learning rate
    augment: augment.Augment
    random_crop: bool  # of pictures larger than the network's input; centre otherwise
    label_smoothing: float
    keeper: Keeper
    calibrate: bool  # hold out training pictures and fit a temperature on them
    shown: dict[str, object]  # what the log's parameter list says


def by_recipe(
    settings: Hyperparameters, mean: Tensor, spread: Tensor, begun: nn.Module | None = None
) -> Plan:
    """The default recipe. mean, spread: (C,) float32 of the training pixels, on the device.

    begun: the network to train, if it is there already.
    """
    net = (begun or network.recipe_network(settings, mean, spread)).to(mean.device)
    return Plan(
        network=net,
        optimizer=_recipe_optimizer(net),
        rate=lambda _, done: recipe_rate(done),
        augment=augment.by_recipe(mean, spread),
        random_crop=True,
        label_smoothing=recipe.LABEL_SMOOTHING,
        keeper=RunningAverage(net, recipe.AVERAGE_DECAY),
        calibrate=True,
        shown={
            "num_layers": network.recipe_depth(settings),
            "optimizer": "muon",
            "momentum": recipe.MOMENTUM,
            "weight_decay": recipe.WEIGHT_DECAY,
            "learning_rate": recipe.PEAK_RATE,
            "augmentation_type": "recipe",
        },
    )


def as_documented(
    settings: Hyperparameters, mean: Tensor, spread: Tensor, begun: nn.Module | None = None
) -> Plan:
    """The built-in's way: explicit hyperparameters, best validation epoch kept."""
    if begun is None:
        begun = network.documented(settings, mean, spread)
    net = begun.to(mean.device)
    return Plan(
        network=net,
        optimizer=_documented_optimizer(settings, net),
        rate=lambda epoch, _: documented_rate(settings, epoch),
        augment=augment.by_type(settings.augmentation_type),
        random_crop=settings.augmentation_type is not None,
        label_smoothing=0.0,
        keeper=BestEpoch(),
        calibrate=False,
        shown=_shown_documented(settings, settings.num_layers or network.recipe_depth(settings)),
    )


def recipe_rate(done: float) -> float:
    """Straight up to the peak, straight down to nothing. done: share of all steps, 0 to 1."""
    up, down = done / recipe.WARM_UP, (1.0 - done) / (1.0 - recipe.WARM_UP)
    return recipe.PEAK_RATE * min(up, down)


def documented_rate(settings: Hyperparameters, epoch: int) -> float:
    """learning_rate, times the factor for every step reached. epoch: from 0."""
    reached = sum(epoch >= step for step in settings.lr_scheduler_step)
    return settings.learning_rate * settings.lr_scheduler_factor**reached


class RunningAverage:
    """Keeps the exponential average of all weights; validation has no say in it."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._average = copy.deepcopy(network).eval()
        self._decay = decay
        self._steps = 0

    @torch.no_grad()
    def after_step(self, current: nn.Module) -> None:
        self._steps += 1
        # Early on the average is over all steps so far, so that the start does not linger.
        weight = max(1.0 - self._decay, 10.0 / (self._steps + 10.0))
        pairs = zip(self._average.state_dict().values(), current.state_dict().values(), strict=True)
        for average, value in pairs:
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:
                average.copy_(value)

    def candidate(self, current: nn.Module) -> nn.Module:
        return self._average

    def after_epoch(self, current: nn.Module, epoch: int, accuracy: float) -> None:
        pass

    def final(self, current: nn.Module) -> nn.Module:
        return self._average

    def state(self) -> dict[str, Any]:
        return {"average": self._average.state_dict(), "steps": self._steps}

    def restore(self, state: dict[str, Any], current: nn.Module) -> None:
        fit_into(self._average, state["average"])
        self._steps = int(state["steps"])

    def describe(self) -> str:
        return "running average of the weights after every step, validation accuracy not consulted"


class BestEpoch:
    """Keeps the weights of the first epoch with the highest validation accuracy."""

    def __init__(self) -> None:
        self._best: nn.Module | None = None
        self._epoch = -1
        self._accuracy = -1.0

    def after_step(self, current: nn.Module) -> None:
        pass

    def candidate(self, current: nn.Module) -> nn.Module:
        return current

    def after_epoch(self, current: nn.Module, epoch: int, accuracy: float) -> None:
        if accuracy > self._accuracy:
            log.info("Storing the best model with validation accuracy: %.6f", accuracy)
            self._best = copy.deepcopy(current).eval()
            self._epoch, self._accuracy = epoch, accuracy

    def final(self, current: nn.Module) -> nn.Module:
        return self._best or current

    def state(self) -> dict[str, Any]:
        best = self._best.state_dict() if self._best else None
        return {"best": best, "epoch": self._epoch, "accuracy": self._accuracy}

    def restore(self, state: dict[str, Any], current: nn.Module) -> None:
        if state["best"] is not None:
            self._best = copy.deepcopy(current).eval()
            fit_into(self._best, state["best"])
        self._epoch, self._accuracy = int(state["epoch"]), float(state["accuracy"])

    def describe(self) -> str:
        if self._best is None:
            return "weights at the stop, before the first epoch ended"
        return f"weights after epoch {self._epoch}, the best on the validation channel"


def _recipe_optimizer(net: nn.Module) -> torch.optim.Optimizer:
    return Muon(
        kernels=[value for value in net.parameters() if value.ndim > 2],
        matrices=[value for value in net.parameters() if value.ndim == 2],
        vectors=[value for value in net.parameters() if value.ndim < 2],
        lr=recipe.PEAK_RATE,
        momentum=recipe.MOMENTUM,
        weight_decay=recipe.WEIGHT_DECAY,
    )


def _documented_optimizer(settings: Hyperparameters, net: nn.Module) -> torch.optim.Optimizer:
    rate, values = settings.learning_rate, list(net.parameters())
    match settings.optimizer:
        case "adam":
            betas = (min(settings.beta_1, _BELOW_ONE), min(settings.beta_2, _BELOW_ONE))
            return torch.optim.Adam(values, lr=rate, betas=betas, eps=settings.eps)
        case "rmsprop":
            return torch.optim.RMSprop(values, lr=rate, alpha=settings.gamma, eps=settings.eps)
        case name:
            return torch.optim.SGD(
                values,
                lr=rate,
                momentum=settings.momentum,
                weight_decay=settings.weight_decay,
                nesterov=name == "nag" and settings.momentum > 0.0,
            )


_BELOW_ONE = 1.0 - 1e-7  # the documented range ends at 1, where PyTorch's Adam refuses


def _shown_documented(settings: Hyperparameters, depth: int) -> dict[str, object]:
    names = {
        "adam": ("beta_1", "beta_2", "eps"),
        "rmsprop": ("gamma", "eps"),
    }.get(settings.optimizer, ("momentum", "weight_decay"))
    return {
        "num_layers": depth,
        "optimizer": settings.optimizer,
        **{name: getattr(settings, name) for name in names},
        "learning_rate": settings.learning_rate,
        "augmentation_type": settings.augmentation_type,
    }
