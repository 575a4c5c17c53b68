"""Random changes to a batch of training pictures, each picture its own.

Batches are (N, C, H, W) float32 pixels from 0 to 255 and stay so. Every random number comes from
the generator given, which lives on the CPU whatever the device, so that a seed means the same
everywhere.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn import functional

from . import recipe

Augment = Callable[[Tensor, Generator], Tensor]


def unchanged(batch: Tensor, generator: Generator) -> Tensor:
    """Return the batch as it is."""
    return batch


def by_recipe(mean: Tensor, spread: Tensor) -> Augment:
    """The recipe's augmentation. mean, spread: (C,) float32 of the training pixels."""
    blank = mean.view(1, -1, 1, 1)
    scale = spread.view(1, -1, 1, 1)

    def augment(batch: Tensor, generator: Generator) -> Tensor:
        batch = warp(
            batch,
            generator,
            flip=recipe.FLIP,
            rotation=recipe.ROTATION,
            scale=recipe.SCALE,
            aspect=recipe.ASPECT,
            shear=recipe.SHEAR,
            shift=recipe.SHIFT,
        )
        return _shift_colours((batch - blank) / scale, generator) * scale + blank

    return augment


def by_type(augmentation_type: str | None) -> Augment:
    """The built-in's augmentation of that name; the random crop itself happens on reading.

    crop: mirror images. crop_color: hue, saturation and lightness too. crop_color_transform:
    rotation up to 10 degrees, shear up to 0.1 and aspect ratio up to 0.25 too.
    """
    if augmentation_type is None:
        return unchanged

    def augment(batch: Tensor, generator: Generator) -> Tensor:
        if augmentation_type == "crop_color_transform":
            batch = warp(batch, generator, flip=0.5, rotation=10.0, shear=0.1, aspect=math.log(1.25))
        else:
            batch = warp(batch, generator, flip=0.5)
        if augmentation_type != "crop" and batch.shape[1] == 3:
            batch = _turn_colours(batch, generator)
        return batch

    return augment


def warp(
    batch: Tensor,
    generator: Generator,
    *,
    flip: float = 0.0,
    rotation: float = 0.0,
    scale: float = 0.0,
    aspect: float = 0.0,
    shear: float = 0.0,
    shift: float = 0.0,
) -> Tensor:
    """Mirror, turn, scale, stretch, slant and move, all in one resampling.

    flip: chance. rotation: degrees. scale, aspect: natural logarithms. shear: tangent. shift: share
    of the side. Each is the largest change, drawn evenly either way; borders are reflected.
    """
    count, _, height, width = batch.shape
    mirror = 1.0 - 2.0 * (torch.rand(count, generator=generator) < flip).float()
    angle = _either_way(count, generator) * math.radians(rotation)
    zoom = torch.exp(_either_way(count, generator) * scale)
    stretch = torch.exp(_either_way(count, generator) * aspect)
    slant = _either_way(count, generator) * shear
    cosine, sine = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    across = (mirror * cosine * stretch, slant - mirror * sine * height / width)
    down = (sine * width / height, cosine / stretch)
    # Coordinates run from -1 to 1, so a share of the side counts twice.
    moves = [2.0 * shift * _either_way(count, generator) for _ in range(2)]
    matrix = torch.stack([torch.stack([*across, moves[0]], 1), torch.stack([*down, moves[1]], 1)], 1).to(
        batch.device
    )
    grid = functional.affine_grid(matrix, list(batch.shape), align_corners=False)
    return functional.grid_sample(
        batch, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )


def _either_way(count: int, generator: Generator, shape: tuple[int, ...] = ()) -> Tensor:
    """(count, *shape) float32, evenly from -1 to 1."""
    return torch.rand(count, *shape, generator=generator) * 2.0 - 1.0


def _shift_colours(batch: Tensor, generator: Generator) -> Tensor:
    """Contrast, brightness and tint. batch: normalised, about mean 0 and spread 1."""
    count, channels = batch.shape[:2]
    contrast = torch.exp(_either_way(count, generator, (1, 1, 1)) * recipe.CONTRAST)
    offset = _either_way(count, generator, (1, 1, 1)) * recipe.BRIGHTNESS
    offset = offset + _either_way(count, generator, (channels, 1, 1)) * recipe.TINT
    return batch * contrast.to(batch.device) + offset.to(batch.device)


def _turn_colours(batch: Tensor, generator: Generator) -> Tensor:
    """Hue by up to 36 of 360 degrees, saturation and lightness by up to 50 of 255.

    Works on luma and two colour differences, where turning and scaling stay linear.
    """
    count = batch.shape[0]
    angle = (_either_way(count, generator) * math.radians(36)).to(batch.device)
    saturation = (1.0 + _either_way(count, generator) * 50 / 255).to(batch.device)
    lightness = (_either_way(count, generator) * 50).to(batch.device)
    # ITU-R BT.601: brightness, blue difference, red difference.
    to_luma = batch.new_tensor([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])
    luma = torch.einsum("ij,njhw->nihw", to_luma, batch)
    cosine = (torch.cos(angle) * saturation).view(-1, 1, 1)
    sine = (torch.sin(angle) * saturation).view(-1, 1, 1)
    bright, blue, red = luma.unbind(1)
    turned = torch.stack(
        [
            bright + lightness.view(-1, 1, 1),
            cosine * blue - sine * red,
            sine * blue + cosine * red,
        ],
        1,
    )
    back = torch.linalg.inv(to_luma)
    return torch.einsum("ij,njhw->nihw", back, turned).clamp(0.0, 255.0)
