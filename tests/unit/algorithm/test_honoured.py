"""Every hyperparameter acts as documented: what changes with it, and what does not.

Source: SageMaker Developer Guide, "Image Classification Hyperparameters".
"""

from __future__ import annotations

import logging
from itertools import combinations

import numpy as np
import pytest
import torch

from scones.shipped.algorithm import plan
from scones.shipped.algorithm.data import Split
from scones.shipped.algorithm.fit import Outcome, fit
from scones.shipped.algorithm.hyperparameters import _PARSERS, Hyperparameters, parse
from scones.shipped.algorithm.labels import Labels
from scones.shipped.algorithm.objective import class_weights
from scones.shipped.algorithm.weights import pack

MEAN, SPREAD = torch.full((3,), 120.0), torch.full((3,), 60.0)
LEAST = {
    "num_classes": "2", "num_training_samples": "8", "image_shape": "3,8,8", "epochs": "2",
    "mini_batch_size": "4", "learning_rate": "0.05",
}  # fmt: skip
MANY = {"multi_label": "1", "num_classes": "3"}
PATIENT = {
    "learning_rate": "0", "epochs": "9", "early_stopping": "True", "early_stopping_min_epochs": "3",
    "early_stopping_patience": "1", "early_stopping_tolerance": "1",
}  # fmt: skip

# Beside what, and which change of one name gives other weights.
ACTS: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"learning_rate": "0.01"}),
    ({}, {"lr_scheduler_step": "1"}),
    ({"lr_scheduler_step": "1"}, {"lr_scheduler_factor": "0.5"}),
    ({}, {"momentum": "0.5"}),
    ({}, {"weight_decay": "0.1"}),
    ({"optimizer": "nag"}, {"momentum": "0.5"}),
    ({"optimizer": "nag"}, {"weight_decay": "0.1"}),
    ({"optimizer": "adam"}, {"beta_1": "0.5"}),
    ({"optimizer": "adam"}, {"beta_2": "0.5"}),
    ({"optimizer": "adam"}, {"eps": "0.1"}),
    ({"optimizer": "rmsprop"}, {"gamma": "0.5"}),
    ({"optimizer": "rmsprop"}, {"eps": "0.1"}),
    ({}, {"mini_batch_size": "8"}),
    ({}, {"epochs": "3"}),
    ({}, {"num_layers": "20"}),
    ({}, {"precision_dtype": "float16"}),
    ({}, {"image_shape": "3,6,6"}),
    ({}, {"num_classes": "3"}),
    (MANY, {"use_weighted_loss": "1"}),
    ({"num_classes": "3"}, {"multi_label": "1"}),
]

# What has, as documented, no effect on one machine or beside other choices.
IDLE: list[tuple[dict[str, str], dict[str, str]]] = [
    ({}, {"kv_store": "dist_sync"}),
    ({}, {"kv_store": "dist_async"}),
    ({}, {"num_training_samples": "5"}),
    ({}, {"top_k": "2"}),
    ({}, {"use_weighted_loss": "1"}),
    ({}, {"beta_1": "0.5"}),
    ({}, {"gamma": "0.5"}),
    ({}, {"lr_scheduler_factor": "0.5"}),
    ({}, {"early_stopping_patience": "1"}),
    ({"optimizer": "adam"}, {"momentum": "0.5"}),
    ({"optimizer": "adam"}, {"weight_decay": "0.1"}),
    ({"optimizer": "rmsprop"}, {"beta_2": "0.5"}),
]

# Tested by other means: below, in test_data.py, test_beginning.py and test_checkpoint.py.
ELSEWHERE = {
    "optimizer", "augmentation_type", "resize", "use_pretrained_model", "checkpoint_frequency",
    "early_stopping", "early_stopping_min_epochs", "early_stopping_patience", "early_stopping_tolerance",
    "top_k",
}  # fmt: skip


def train(**values: str) -> tuple[Outcome, torch.nn.Module]:
    """How training went, and the network as the last step left it."""
    settings = parse(LEAST | values)
    assert not settings.follows_recipe
    torch.manual_seed(1)
    made = plan.as_documented(settings, MEAN, SPREAD)
    split = pictures(settings)
    outcome = fit(made, settings, split, split, torch.Generator().manual_seed(1), lambda: False)
    return outcome, made.network


def pictures(settings: Hyperparameters) -> Split:
    random = np.random.default_rng(0)
    found = [random.integers(0, 256, (3, 12, 10), dtype=np.uint8) for _ in range(8)]
    labels = Labels(settings.num_classes, bool(settings.multi_label), "class-id")
    rows = [
        labels.read([0, 2] if settings.multi_label and n < 6 else [n % settings.num_classes])
        for n in range(8)
    ]
    return Split(found, labels.gather(rows), "")


def weights(**values: str) -> bytes:
    return pack(train(**values)[1])


def shown(case: dict[str, str]) -> str:
    return ",".join(f"{name}={value}" for name, value in case.items()) or "plain"


def test_every_hyperparameter_is_tested() -> None:
    named = {name for _, change in ACTS + IDLE for name in change}
    assert named | ELSEWHERE == set(_PARSERS)


@pytest.mark.parametrize(("beside", "change"), ACTS, ids=shown)
def test_it_acts(beside: dict[str, str], change: dict[str, str]) -> None:
    assert weights(**beside | change) != weights(**beside)


@pytest.mark.parametrize(("beside", "change"), IDLE, ids=shown)
def test_it_has_no_effect_here(beside: dict[str, str], change: dict[str, str]) -> None:
    assert weights(**beside | change) == weights(**beside)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("optimizer", ["sgd", "nag", "adam", "rmsprop"]),
        ("augmentation_type", ["crop", "crop_color", "crop_color_transform"]),
    ],
)
def test_every_choice_is_one_of_its_own(name: str, values: list[str]) -> None:
    found = [weights(**{name: value}) for value in values]
    if name == "augmentation_type":
        found.append(weights())
    assert all(one != other for one, other in combinations(found, 2))


def test_optimizers_are_what_they_are_called() -> None:
    kinds = {}
    for name in ("sgd", "nag", "adam", "rmsprop"):
        made = plan.as_documented(
            parse(LEAST | {"optimizer": name, "momentum": "0.7", "weight_decay": "0.2", "beta_1": "0.6",
                           "beta_2": "0.7", "eps": "0.01", "gamma": "0.8"}),
            MEAN,
            SPREAD,
        )  # fmt: skip
        (group,) = made.optimizer.param_groups
        kinds[name] = (type(made.optimizer).__name__, group)
    sgd, nag, adam, rmsprop = (kinds[name][1] for name in ("sgd", "nag", "adam", "rmsprop"))
    assert [kinds[name][0] for name in kinds] == ["SGD", "SGD", "Adam", "RMSprop"]
    assert (sgd["momentum"], sgd["weight_decay"], sgd["nesterov"]) == (0.7, 0.2, False)
    assert (nag["momentum"], nag["weight_decay"], nag["nesterov"]) == (0.7, 0.2, True)
    assert (adam["betas"], adam["eps"], adam["weight_decay"]) == ((0.6, 0.7), 0.01, 0)
    assert (rmsprop["alpha"], rmsprop["eps"], rmsprop["momentum"], rmsprop["weight_decay"]) == (
        0.8,
        0.01,
        0,
        0,
    )


def test_the_learning_rate_falls_at_its_steps() -> None:
    settings = parse(LEAST | {"epochs": "5", "lr_scheduler_step": "2, 4", "lr_scheduler_factor": "0.5"})
    made = plan.as_documented(settings, MEAN, SPREAD)
    rates = [made.rate(epoch, epoch / 5) for epoch in range(5)]
    assert rates == pytest.approx([0.05, 0.05, 0.025, 0.025, 0.0125])


@pytest.mark.parametrize(
    ("change", "epochs"),
    [
        ({}, 3),
        ({"early_stopping_min_epochs": "5"}, 5),
        ({"early_stopping_patience": "6"}, 7),
        ({"early_stopping": "False"}, 9),
    ],
)
def test_early_stopping(change: dict[str, str], epochs: int) -> None:
    """A gain would have to double the accuracy, and nothing is learnt at a rate of 0."""
    assert len(train(**PATIENT | change)[0].epochs) == epochs


def test_top_k_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "algorithm")
    train(top_k="2", num_classes="3")
    assert any("Validation-top_k_accuracy_2=" in line for line in caplog.messages)
    caplog.clear()
    train(top_k="2", **MANY)
    assert not any("top_k" in line for line in caplog.messages)


def test_half_precision_keeps_whole_weights() -> None:
    network = train(precision_dtype="float16")[0].network
    assert {value.dtype for value in network.parameters()} == {torch.float32}
    assert all(bool(value.isfinite().all()) for value in network.parameters())


def test_rare_classes_weigh_more() -> None:
    labels = torch.tensor([[1, 0, 0, 1]] * 9 + [[1, 1, 0, 0]])
    assert class_weights(labels).tolist() == pytest.approx([0.01, 9.0, 10.0, 1 / 9])


def test_many_labels_are_scored_one_by_one() -> None:
    outcome, _ = train(**MANY, epochs="6", mini_batch_size="8")
    accuracies = [epoch.train_accuracy for epoch in outcome.epochs]
    assert all(accuracy * 24 == pytest.approx(round(accuracy * 24)) for accuracy in accuracies)
    assert len({round(accuracy * 24) for accuracy in accuracies}) > 1
