"""Which hyperparameters are accepted, what they default to, and what is said about the rest."""

import pytest

from scones.shipped.algorithm import recipe
from scones.shipped.algorithm.contract import ClientError
from scones.shipped.algorithm.hyperparameters import defaults, parse

LEAST = {"num_classes": "2", "num_training_samples": "1000", "image_shape": "3,32,32"}


def test_least_request_follows_the_recipe() -> None:
    settings = parse(LEAST)
    assert settings.follows_recipe
    assert (settings.epochs, settings.mini_batch_size) == (recipe.EPOCHS, recipe.MINI_BATCH_SIZE)
    assert settings.image_shape == (3, 32, 32)


def test_epochs_and_batch_size_leave_the_recipe_in_force() -> None:
    settings = parse(LEAST | {"epochs": "3", "mini_batch_size": "10"})
    assert settings.follows_recipe
    assert (settings.epochs, settings.mini_batch_size) == (3, 10)


@pytest.mark.parametrize(
    "extra",
    [{"num_layers": "18"}, {"learning_rate": "0.01"}, {"optimizer": "adam"}, {"early_stopping": "True"}],
)
def test_a_choice_of_training_means_the_documented_algorithm(extra: dict[str, str]) -> None:
    settings = parse(LEAST | extra)
    assert not settings.follows_recipe
    assert (settings.epochs, settings.mini_batch_size, settings.momentum) == (30, 32, 0.9)


def test_every_documented_value_is_read() -> None:
    settings = parse(
        LEAST
        | {
            "num_layers": "152",
            "epochs": "30",
            "lr_scheduler_step": "10,20",
            "lr_scheduler_factor": "0.5",
            "optimizer": "rmsprop",
            "gamma": "0.8",
            "eps": "1e-8",
            "augmentation_type": "crop_color",
            "resize": "40",
            "top_k": "2",
            "precision_dtype": "float16",
            "kv_store": "dist_sync",
            "checkpoint_frequency": "5",
            "early_stopping": "True",
            "early_stopping_min_epochs": "3",
            "early_stopping_patience": "2",
            "early_stopping_tolerance": "0.01",
            "use_weighted_loss": "1",
            "multi_label": "0",
            "use_pretrained_model": "0",
            "_tuning_objective_metric": "validation:accuracy",
        }
    )
    assert settings.lr_scheduler_step == (10, 20)
    assert (settings.gamma, settings.eps, settings.early_stopping) == (0.8, 1e-8, True)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"colour": "red"}, "Unknown hyperparameter 'colour'"),
        ({"epochs": 3}, "epochs must be a string"),
        ({"epochs": "0"}, "epochs must be an integer greater than 0, got '0'"),
        ({"epochs": "many"}, "epochs must be an integer"),
        ({"epochs": "2.5"}, "epochs must be an integer"),
        ({"num_classes": "1"}, "num_classes must be an integer greater than 1"),
        ({"num_layers": "19"}, "num_layers must be one of 18, 20,"),
        ({"image_shape": "3,32"}, "image_shape must be channels,height,width"),
        ({"image_shape": "4,32,32"}, "image_shape must be"),
        ({"image_shape": "3,0,32"}, "image_shape must be"),
        ({"learning_rate": "1.5"}, "learning_rate must be a number from 0 to 1"),
        ({"learning_rate": "nan"}, "learning_rate must be"),
        ({"lr_scheduler_step": "20,10"}, "lr_scheduler_step must be rising epochs"),
        ({"lr_scheduler_step": "0,10"}, "lr_scheduler_step must be"),
        ({"lr_scheduler_step": ""}, "lr_scheduler_step must be"),
        ({"optimizer": "lion"}, "optimizer must be sgd, adam, rmsprop or nag"),
        ({"momentum": "-0.1"}, "momentum must be"),
        ({"augmentation_type": "flip"}, "augmentation_type must be"),
        ({"resize": "16"}, "resize (16) must be at least"),
        ({"top_k": "1"}, "top_k must be an integer greater than 1"),
        ({"top_k": "3"}, "top_k (3) must not exceed num_classes (2)"),
        ({"multi_label": "2"}, "multi_label must be 0 or 1"),
        ({"precision_dtype": "int8"}, "precision_dtype must be"),
        ({"kv_store": "local"}, "kv_store must be"),
        ({"epochs": "3", "checkpoint_frequency": "4"}, "checkpoint_frequency (4) must not exceed epochs (3)"),
        ({"early_stopping": "maybe"}, "early_stopping must be True or False"),
    ],
)
def test_wrong_value_is_named(extra: dict[str, object], words: str) -> None:
    with pytest.raises(ClientError) as caught:
        parse(LEAST | extra)
    assert words in str(caught.value)


@pytest.mark.parametrize("name", ["num_classes", "num_training_samples"])
def test_required_name_is_asked_for(name: str) -> None:
    with pytest.raises(ClientError, match=f"The hyperparameter {name} is required"):
        parse({key: value for key, value in LEAST.items() if key != name})


def test_logged_defaults_are_those_in_force() -> None:
    assert defaults(True)["epochs"] == recipe.EPOCHS
    assert defaults(False)["epochs"] == 30
    assert "beta_1" in defaults(False)
