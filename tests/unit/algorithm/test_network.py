"""Shapes of every network, what augmentation may change, and that a seed decides everything."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from scones.shipped.algorithm import augment, network, plan, recipe
from scones.shipped.algorithm.data import Split
from scones.shipped.algorithm.export import export
from scones.shipped.algorithm.fit import Run, crops, fit, logits, no_more_gain
from scones.shipped.algorithm.hyperparameters import Hyperparameters, parse

MEAN, SPREAD = torch.full((3,), 120.0), torch.full((3,), 60.0)


def settings(**values: str) -> Hyperparameters:
    return parse({"num_classes": "2", "num_training_samples": "8", "image_shape": "3,32,32"} | values)


def tiny_split(count: int = 8, shape: tuple[int, int, int] = (3, 32, 32)) -> Split:
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, shape, dtype=np.uint8) for _ in range(count)]
    return Split(pictures, np.arange(count) % 2, "")


@pytest.mark.parametrize(
    ("depth", "shape", "layers"),
    [
        (18, (3, 32, 32), 18),
        (18, (3, 64, 48), 18),
        (20, (1, 28, 28), 20),
        (34, (3, 16, 16), 34),
        (50, (3, 32, 32), 50),
        (56, (3, 32, 32), 56),
    ],
)
def test_documented_network_has_its_depth_and_shape(
    depth: int, shape: tuple[int, int, int], layers: int
) -> None:
    values = settings(num_layers=str(depth), image_shape=",".join(map(str, shape)), num_classes="5")
    net = network.resnet(values, depth).eval()
    with torch.no_grad():
        assert net(torch.zeros(2, *shape)).shape == (2, 5)
    weighted = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
    short_cuts = sum(name.endswith("short") for name, _ in net.named_modules())
    assert len(weighted) - short_cuts == layers


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 17, 9), (1, 1, 1), (3, 100, 224)])
def test_recipe_network_takes_any_shape_and_exports_exactly(shape: tuple[int, int, int]) -> None:
    values = settings(image_shape=",".join(map(str, shape)), num_classes="3")
    net = network.recipe_network(values, MEAN[: shape[0]], SPREAD[: shape[0]]).eval()
    split = tiny_split(3, shape)
    assert logits(net, split.pictures, values).shape == (3, 3)
    assert export(net, 1.5, split.pictures, shape)


def test_recipe_depth_counts_layers() -> None:
    net = network.recipe_network(settings(), MEAN, SPREAD)
    longest = [
        name
        for name, module in net.named_modules()
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear) and "short" not in name
    ]
    assert network.recipe_depth(settings()) == len(longest)


@pytest.mark.parametrize(
    "change",
    [
        augment.by_recipe(MEAN, SPREAD),
        augment.by_type(None),
        augment.by_type("crop"),
        augment.by_type("crop_color"),
        augment.by_type("crop_color_transform"),
    ],
)
def test_augmentation_keeps_shape_and_follows_the_seed(change: augment.Augment) -> None:
    batch = torch.rand(4, 3, 20, 12) * 255
    once, again = (change(batch.clone(), torch.Generator().manual_seed(3)) for _ in range(2))
    assert once.shape == batch.shape
    assert torch.equal(once, again)


def test_warp_without_changes_is_the_identity_and_mirrors_when_asked() -> None:
    batch = torch.rand(2, 3, 6, 10) * 255
    random = torch.Generator()
    assert torch.allclose(augment.warp(batch, random), batch, atol=1e-2)
    assert torch.allclose(augment.warp(batch, random, flip=1.0), batch.flip(3), atol=1e-2)


def test_crops_are_central_or_anywhere() -> None:
    picture = np.arange(3 * 8 * 6, dtype=np.uint8).reshape(3, 8, 6)
    assert np.array_equal(crops([picture], (3, 4, 4), None)[0], picture[:, 2:6, 1:5])
    generator = torch.Generator().manual_seed(0)
    found = {crops([picture], (3, 4, 4), generator)[0, 0, 0, 0] for _ in range(60)}
    assert len(found) > 5


def test_rates() -> None:
    assert plan.recipe_rate(0.0) == 0.0
    assert plan.recipe_rate(recipe.WARM_UP) == pytest.approx(recipe.PEAK_RATE)
    assert plan.recipe_rate(1.0) == 0.0
    stepped = settings(lr_scheduler_step="2,4", learning_rate="0.1")
    rates = [plan.documented_rate(stepped, epoch) for epoch in range(5)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.001])


def test_early_stopping_waits_for_its_patience() -> None:
    values = settings(
        early_stopping="True", early_stopping_min_epochs="2", early_stopping_patience="2",
        early_stopping_tolerance="0.1",
    )  # fmt: skip
    assert not no_more_gain([0.5, 0.5], values)
    assert no_more_gain([0.5, 0.5, 0.54], values)
    assert not no_more_gain([0.5, 0.5, 0.56], values)


def trained(
    values: Hyperparameters, seed: int, stopped: Callable[[], bool] = lambda: False
) -> tuple[torch.Tensor, int]:
    """Logits of the network kept, and the number of epochs finished."""
    torch.manual_seed(seed)
    make = plan.by_recipe if values.follows_recipe else plan.as_documented
    made = make(values, MEAN, SPREAD)
    split = tiny_split()
    outcome = fit(made, values, split, split, torch.Generator().manual_seed(seed), stopped)
    return logits(outcome.network, split.pictures, values), len(outcome.epochs)


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"optimizer": "adam", "beta_2": "1", "augmentation_type": "crop_color"},
        {"optimizer": "rmsprop", "learning_rate": "0.001"},
        {"optimizer": "nag", "momentum": "0", "top_k": "2"},
        {"precision_dtype": "float16"},
    ],
)
def test_same_seed_same_result(extra: dict[str, str]) -> None:
    values = settings(epochs="2", mini_batch_size="4", **extra)
    once, again, other = trained(values, 1)[0], trained(values, 1)[0], trained(values, 2)[0]
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("extra", [{}, {"num_layers": "18"}])
def test_large_pictures_of_several_classes_are_trained_on(extra: dict[str, str]) -> None:
    values = settings(
        image_shape="3,224,224", num_classes="5", epochs="1", mini_batch_size="2", top_k="3", **extra
    )
    split = tiny_split(2, (3, 230, 240))
    make = plan.by_recipe if values.follows_recipe else plan.as_documented
    outcome = fit(make(values, MEAN, SPREAD), values, split, split, torch.Generator(), lambda: False)
    assert logits(outcome.network, split.pictures, values).shape == (2, 5)


@pytest.mark.parametrize("extra", [{}, {"learning_rate": "0.1"}])
def test_a_stop_ends_after_the_step_under_way(extra: dict[str, str]) -> None:
    found, epochs = trained(settings(epochs="1000", mini_batch_size="4", **extra), 1, lambda: True)
    assert epochs == 0
    assert found.isfinite().all()


def test_documented_training_keeps_the_best_epoch() -> None:
    keeper = plan.BestEpoch()
    net = torch.nn.Linear(1, 1)
    for epoch, accuracy in enumerate([0.5, 0.75, 0.75, 0.6]):
        torch.nn.init.constant_(net.weight, epoch)
        keeper.after_epoch(net, epoch, accuracy)
    kept = keeper.final(net)
    assert isinstance(kept, torch.nn.Linear)
    assert kept.weight.item() == 1.0
    assert "epoch 1" in keeper.describe()


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"optimizer": "adam", "augmentation_type": "crop_color_transform"},
        {"multi_label": "1", "use_weighted_loss": "1"},
    ],
)
def test_a_step_happens_on_the_device_of_the_network(extra: dict[str, str]) -> None:
    """The device without memory stands for a GPU: it refuses tensors of the CPU as one would."""
    values = settings(mini_batch_size="4", **extra)
    make = plan.by_recipe if values.follows_recipe else plan.as_documented
    made = make(values, MEAN.to("meta"), SPREAD.to("meta"))
    split = tiny_split(8, (3, 40, 36))
    if values.multi_label:
        split = Split(split.pictures, np.stack([split.labels, 1 - split.labels], axis=1), "")
    run = Run(made, values, split, torch.Generator().manual_seed(0))
    found, labels = run.step(0, torch.arange(4))
    assert {found.device.type, labels.device.type} == {"meta"}
