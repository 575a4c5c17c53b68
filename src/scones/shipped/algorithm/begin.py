"""What training begins from: random weights, an earlier job's model, or one trained on ImageNet."""

from dataclasses import dataclass

from torch import Tensor, nn

from . import network
from .contract import ClientError
from .earlier import Earlier
from .hyperparameters import Hyperparameters
from .pretrained import UNITS, ImageNetNetwork, pretrained
from .weights import WeightsError, load_into

DEFAULT_DEPTH = 152  # of the built-in, where a pretrained model is asked for without num_layers

RECIPE, PRE_ACTIVATION, IMAGENET = "recipe", "resnet-preactivation", "resnet-imagenet"


@dataclass(frozen=True, slots=True)
class Beginning:
    """family: whose network it is. told: for the log. record: for the model's card."""

    network: nn.Module
    family: str
    num_layers: int
    told: str
    record: dict[str, str]


def begin(settings: Hyperparameters, mean: Tensor, spread: Tensor, earlier: Earlier | None) -> Beginning:
    """The network to train. mean, spread: (C,) float32 of the training pixels.

    Raises ClientError when the weights asked for are not there or do not fit.
    """
    if settings.use_pretrained_model:
        depth = settings.num_layers or DEFAULT_DEPTH
        net, source = pretrained(depth, settings.num_classes)
        told = f"Loading pretrained model from {source['file']}"
        return Beginning(net, IMAGENET, depth, told, {"from": "pretrained model"} | source)
    family = earlier.family if earlier else (RECIPE if settings.num_layers is None else PRE_ACTIVATION)
    net, depth = _build(family, settings, mean, spread)
    if earlier is None:
        told = "Performing random weight initialization"
        return Beginning(net, family, depth, told, {"from": "random weights"})
    try:
        load_into(net, earlier.weights)
    except WeightsError as error:
        raise ClientError(
            f"The weights in the model channel do not fit the network of this job: {error}. They come from"
            " another version of the algorithm, or were changed."
        ) from error
    record = {"from": "model channel", "sha256": earlier.sha256}
    return Beginning(net, family, depth, "Loading the weights of the model channel", record)


def _build(family: str, settings: Hyperparameters, mean: Tensor, spread: Tensor) -> tuple[nn.Module, int]:
    depth = settings.num_layers
    if family == RECIPE and depth is None:
        return network.recipe_network(settings, mean, spread), network.recipe_depth(settings)
    if family == PRE_ACTIVATION and depth is not None:
        return network.resnet(settings, depth), depth
    if family == IMAGENET and depth in UNITS:
        return ImageNetNetwork(depth, settings.num_classes), depth
    raise ClientError(f"The model in the model channel has a network of the unknown kind {family!r}.")
