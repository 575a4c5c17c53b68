"""The hyperparameters of the built-in algorithm: names, types, ranges, defaults.

Pure: a map of strings in, a record out. Source: SageMaker Developer Guide, "Image Classification
Hyperparameters".

Two ways of training follow from what a request names. Naming any of `TRAINING_NAMES`, or asking
for early stopping or a pretrained model, means the documented algorithm with its documented
defaults; otherwise the project's own recipe decides (recipe.py). One default differs: the network
is the recipe's unless `num_layers` or a pretrained model is asked for, where the built-in takes 152
layers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from . import recipe
from .contract import ClientError

SMALL_DEPTHS = (20, 32, 44, 56, 110)
LARGE_DEPTHS = (18, 34, 50, 101, 152, 200)

TRAINING_NAMES = frozenset(
    {
        "num_layers",
        "learning_rate",
        "lr_scheduler_step",
        "lr_scheduler_factor",
        "optimizer",
        "momentum",
        "weight_decay",
        "beta_1",
        "beta_2",
        "eps",
        "gamma",
        "augmentation_type",
    }
)

# SageMaker adds this one to every job of a tuning job; the algorithm has no use for it.
IGNORED_NAMES = frozenset({"_tuning_objective_metric"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameters:
    """One job's hyperparameters, checked. None means that the request says nothing."""

    num_classes: int
    num_training_samples: int
    image_shape: tuple[int, int, int] = (3, 224, 224)  # channels, height, width
    num_layers: int | None = None
    use_pretrained_model: int = 0
    epochs: int = 30
    mini_batch_size: int = 32
    learning_rate: float = 0.1
    lr_scheduler_step: tuple[int, ...] = ()  # epochs
    lr_scheduler_factor: float = 0.1
    optimizer: str = "sgd"
    momentum: float = 0.9
    weight_decay: float = 0.0001
    beta_1: float = 0.9
    beta_2: float = 0.999
    eps: float = 1e-8
    gamma: float = 0.9
    augmentation_type: str | None = None
    resize: int | None = None  # pixels of the shorter side
    top_k: int | None = None
    multi_label: int = 0
    use_weighted_loss: int = 0
    precision_dtype: str = "float32"
    kv_store: str | None = None
    checkpoint_frequency: int | None = None  # epochs
    early_stopping: bool = False
    early_stopping_min_epochs: int = 10
    early_stopping_patience: int = 5  # epochs
    early_stopping_tolerance: float = 0.0  # relative gain
    given: frozenset[str] = field(default_factory=frozenset)  # names found in the request

    @property
    def follows_recipe(self) -> bool:
        """True when the request leaves the manner of training to us."""
        return not (self.given & TRAINING_NAMES or self.early_stopping or self.use_pretrained_model)


def parse(values: Mapping[str, Any]) -> Hyperparameters:
    """Check the content of hyperparameters.json and turn it into a record.

    values: name to string, as SageMaker writes them.
    Raises ClientError for an unknown or missing name, a wrong type, a value out of range, values
    that contradict each other, and what is documented but not supported.
    """
    values = {name: value for name, value in values.items() if name not in IGNORED_NAMES}
    _check_names(values)
    parsed = {name: _parse_one(name, value) for name, value in values.items()}
    result = Hyperparameters(**parsed, given=frozenset(parsed))
    if result.follows_recipe:
        parsed = {"epochs": recipe.EPOCHS, "mini_batch_size": recipe.MINI_BATCH_SIZE} | parsed
        result = Hyperparameters(**parsed, given=result.given)
    _check_together(result)
    return result


def defaults(follows_recipe: bool) -> dict[str, Any]:
    """The defaults in force, in the form of the built-in's default-input.json."""
    if follows_recipe:
        return {
            "use_pretrained_model": 0,
            "epochs": recipe.EPOCHS,
            "learning_rate": recipe.PEAK_RATE,
            "optimizer": "muon",
            "momentum": recipe.MOMENTUM,
            "weight_decay": recipe.WEIGHT_DECAY,
            "mini_batch_size": recipe.MINI_BATCH_SIZE,
            "image_shape": "3,224,224",
            "precision_dtype": "float32",
        }
    names = (
        "use_pretrained_model epochs learning_rate lr_scheduler_factor optimizer momentum"
        " weight_decay beta_1 beta_2 eps gamma mini_batch_size precision_dtype"
    )
    record = Hyperparameters(num_classes=2, num_training_samples=1)
    return {name: getattr(record, name) for name in names.split()} | {"image_shape": "3,224,224"}


def _check_names(values: Mapping[str, Any]) -> None:
    for name in values:
        if name not in _PARSERS:
            known = ", ".join(sorted(_PARSERS))
            raise ClientError(f"Unknown hyperparameter {name!r}. Known: {known}.")
    for name in ("num_classes", "num_training_samples"):
        if name not in values:
            raise ClientError(f"The hyperparameter {name} is required.")


def _parse_one(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        raise ClientError(f"The hyperparameter {name} must be a string, got {value!r}.")
    expected, parser = _PARSERS[name]
    try:
        return parser(value.strip())
    except ValueError:
        raise ClientError(f"The hyperparameter {name} must be {expected}, got {value!r}.") from None


def _check_together(result: Hyperparameters) -> None:
    channels, height, width = result.image_shape
    if result.use_pretrained_model and channels != 3:
        raise ClientError(
            f"use_pretrained_model=1 needs colour: image_shape must have 3 channels, not {channels}."
        )
    if result.use_pretrained_model and result.num_layers in SMALL_DEPTHS:
        raise ClientError(
            f"use_pretrained_model=1 goes with num_layers {', '.join(map(str, LARGE_DEPTHS))},"
            f" not {result.num_layers}."
        )
    if result.top_k is not None and result.top_k > result.num_classes:
        raise ClientError(f"top_k ({result.top_k}) must not exceed num_classes ({result.num_classes}).")
    if result.checkpoint_frequency is not None and result.checkpoint_frequency > result.epochs:
        raise ClientError(
            f"checkpoint_frequency ({result.checkpoint_frequency}) must not exceed epochs ({result.epochs})."
        )
    if result.resize is not None and result.resize < max(height, width):
        raise ClientError(
            f"resize ({result.resize}) must be at least the height and width of image_shape"
            f" ({height}, {width})."
        )


def _integer(low: int, high: int | None = None) -> Callable[[str], int]:
    def parse_integer(text: str) -> int:
        value = int(text)
        if value < low or (high is not None and value > high):
            raise ValueError(text)
        return value

    return parse_integer


def _unit(text: str) -> float:
    value = float(text)
    if not 0.0 <= value <= 1.0:  # also false for nan
        raise ValueError(text)
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse_choice(text: str) -> str:
        if text not in choices:
            raise ValueError(text)
        return text

    return parse_choice


def _depth(text: str) -> int:
    value = int(text)
    if value not in SMALL_DEPTHS + LARGE_DEPTHS:
        raise ValueError(text)
    return value


def _boolean(text: str) -> bool:
    return _one_of("true", "false", "1", "0")(text.lower()) in ("true", "1")


def _shape(text: str) -> tuple[int, int, int]:
    channels, height, width = (int(part) for part in text.split(","))
    if channels not in (1, 3) or height < 1 or width < 1:
        raise ValueError(text)
    return channels, height, width


def _rising_epochs(text: str) -> tuple[int, ...]:
    steps = tuple(int(part) for part in text.split(","))
    if steps[0] < 1 or any(late <= early for early, late in pairwise(steps)):
        raise ValueError(text)
    return steps


_UNIT = ("a number from 0 to 1", _unit)
_FLAG = ("0 or 1", _integer(0, 1))
_POSITIVE = ("an integer greater than 0", _integer(1))

_PARSERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "num_classes": ("an integer greater than 1", _integer(2)),
    "num_training_samples": _POSITIVE,
    "num_layers": (
        f"one of {', '.join(map(str, sorted(SMALL_DEPTHS + LARGE_DEPTHS)))}",
        _depth,
    ),
    "image_shape": ("channels,height,width with 1 or 3 channels, such as 3,32,32", _shape),
    "use_pretrained_model": _FLAG,
    "epochs": _POSITIVE,
    "mini_batch_size": _POSITIVE,
    "learning_rate": _UNIT,
    "lr_scheduler_step": ("rising epochs separated by commas, such as 10,20", _rising_epochs),
    "lr_scheduler_factor": _UNIT,
    "optimizer": ("sgd, adam, rmsprop or nag", _one_of("sgd", "adam", "rmsprop", "nag")),
    "momentum": _UNIT,
    "weight_decay": _UNIT,
    "beta_1": _UNIT,
    "beta_2": _UNIT,
    "eps": _UNIT,
    "gamma": _UNIT,
    "augmentation_type": (
        "crop, crop_color or crop_color_transform",
        _one_of("crop", "crop_color", "crop_color_transform"),
    ),
    "resize": _POSITIVE,
    "top_k": ("an integer greater than 1", _integer(2)),
    "multi_label": _FLAG,
    "use_weighted_loss": _FLAG,
    "precision_dtype": ("float32 or float16", _one_of("float32", "float16")),
    "kv_store": ("dist_sync or dist_async", _one_of("dist_sync", "dist_async")),
    "checkpoint_frequency": _POSITIVE,
    "early_stopping": ("True or False", _boolean),
    "early_stopping_min_epochs": _POSITIVE,
    "early_stopping_patience": _POSITIVE,
    "early_stopping_tolerance": _UNIT,
}
