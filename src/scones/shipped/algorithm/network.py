"""Networks: raw pixels in, one score per class out.

Every network takes (N, C, H, W) float32 pixels from 0 to 255 and returns (N, num_classes) float32
logits, so that no caller ever normalises anything.
"""

from torch import Tensor, nn

from . import recipe, turning
from .hyperparameters import SMALL_DEPTHS, Hyperparameters


class Normalise(nn.Module):
    """Shift and scale each colour; the constants travel with the weights."""

    mean: Tensor
    spread: Tensor

    def __init__(self, mean: Tensor, spread: Tensor) -> None:
        """mean, spread: (C,) float32 in pixel values; spread must be positive."""
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("spread", spread.view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        return (pixels - self.mean) / self.spread


def recipe_depth(settings: Hyperparameters) -> int:
    """Layers with weights on the longest path through `recipe_network`."""
    return max(_halvings(settings), 1) + 2 * len(recipe.WIDTHS) + 1


def recipe_network(settings: Hyperparameters, mean: Tensor, spread: Tensor) -> turning.Turned:
    """The project's own small network (recipe.py), which learns from quarter turns too.

    mean, spread: as in Normalise.
    """
    turns = 1 if settings.multi_label else turning.count(settings.image_shape)
    before = settings.image_shape[0]
    layers: list[nn.Module] = [Normalise(mean, spread)]
    for stride in [2] * _halvings(settings) or [1]:
        layers.append(_convolution(before, recipe.STEM_WIDTH, stride))
        before = recipe.STEM_WIDTH
    for width in recipe.WIDTHS:
        layers.append(_Group(before, width))
        before = width
    last = nn.Linear(before, settings.num_classes * turns)
    if settings.multi_label:
        # Weighted, a class that nearly every picture has is hardly learnt: it must not begin far off.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), last]
    return turning.Turned(nn.Sequential(*layers), settings.num_classes, turns)


def documented(settings: Hyperparameters, mean: Tensor, spread: Tensor) -> nn.Module:
    """The residual network of the depth that a request names, else the recipe's."""
    if settings.num_layers is None:
        return recipe_network(settings, mean, spread)
    return resnet(settings, settings.num_layers)


def resnet(settings: Hyperparameters, num_layers: int) -> nn.Module:
    """A residual network with activation before convolution, of documented depth.

    Depths 20 to 110 have three stages for small pictures; 18 to 200 have four, with bottlenecks
    from 50. He et al., "Identity Mappings in Deep Residual Networks", 2016.
    """
    channels, height, _ = settings.image_shape
    units, widths = _stages(num_layers)
    bottleneck = num_layers >= 50 and num_layers not in SMALL_DEPTHS
    stem_width = widths[0] // 4 if bottleneck else widths[0]
    # The built-in starts with a normalisation that learns a shift but no scale.
    layers: list[nn.Module] = [nn.BatchNorm2d(channels, eps=2e-5)]
    if height <= 32 or num_layers in SMALL_DEPTHS:
        layers.append(nn.Conv2d(channels, stem_width, 3, 1, 1, bias=False))
    else:
        layers.append(nn.Conv2d(channels, stem_width, 7, 2, 3, bias=False))
        layers += [*_activation(stem_width), nn.MaxPool2d(3, 2, 1)]
    before = stem_width
    for stage, (count, width) in enumerate(zip(units, widths, strict=True)):
        for unit in range(count):
            stride = 2 if unit == 0 and stage > 0 else 1
            layers.append(_PreActivation(before, width, stride, bottleneck, first=unit == 0))
            before = width
    layers += [*_activation(before), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    network = nn.Sequential(*layers, nn.Linear(before, settings.num_classes))
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in")
    return network


def _halvings(settings: Hyperparameters) -> int:
    side, count = max(settings.image_shape[1:]), 0
    while side > recipe.STEM_SIDE:
        side, count = -(-side // 2), count + 1
    return count


def _stages(num_layers: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Units per stage and channels per stage."""
    if num_layers in SMALL_DEPTHS:
        return ((num_layers - 2) // 6,) * 3, (16, 32, 64)
    units = {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
        200: (3, 24, 36, 3),
    }[num_layers]
    return units, (256, 512, 1024, 2048) if num_layers >= 50 else (64, 128, 256, 512)


def _activation(channels: int) -> tuple[nn.Module, nn.Module]:
    return nn.BatchNorm2d(channels, eps=2e-5), nn.ReLU(inplace=True)


def _convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    # Normalisation after the convolution folds into it when the graph is optimised for serving.
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


class _Group(nn.Module):
    """Two 3x3 convolutions, the first at half the side afterwards, the second beside a short cut."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = _convolution(before, after)
        self.first.insert(1, nn.MaxPool2d(2, ceil_mode=True))
        self.second = _convolution(after, after)
        for convolution in (self.first[0], self.second[0]):
            # As many channels as fit start by passing on what they get.
            nn.init.dirac_(convolution.weight.data[: convolution.in_channels])  # type: ignore[index]

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        return x + self.second(x)  # type: ignore[no-any-return]


class _PreActivation(nn.Module):
    """One unit of `resnet`. first: of its stage, where the short cut is a convolution."""

    def __init__(self, before: int, after: int, stride: int, bottleneck: bool, *, first: bool) -> None:
        super().__init__()
        self.activation = nn.Sequential(*_activation(before))
        inner = after // 4
        self.body = (
            nn.Sequential(
                nn.Conv2d(before, inner, 1, bias=False),
                *_activation(inner),
                nn.Conv2d(inner, inner, 3, stride, 1, bias=False),
                *_activation(inner),
                nn.Conv2d(inner, after, 1, bias=False),
            )
            if bottleneck
            else nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False),
                *_activation(after),
                nn.Conv2d(after, after, 3, 1, 1, bias=False),
            )
        )
        self.short = nn.Conv2d(before, after, 1, stride, bias=False) if first else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.activation(x)
        short = x if self.short is None else self.short(active)
        return self.body(active) + short  # type: ignore[no-any-return]
