"""use_pretrained_model: a residual network that somebody trained on ImageNet.

The weights are the user's own: a file of a state in torchvision's names, `resnet18-….pth` to
`resnet152-….pth`, in the folder that PRETRAINED_MODELS names, else in PyTorch's own cache. Nothing
is downloaded. Everything but the last layer is taken over.
Source: He et al., "Deep Residual Learning for Image Recognition", 2015; torchvision, ResNet (names,
and the stride of a bottleneck in its 3x3 convolution).
"""

import hashlib
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .contract import ClientError
from .network import Normalise
from .weights import WeightsError, fit_into

FOLDER_VARIABLE = "PRETRAINED_MODELS"  # set it with CreateTrainingJob's Environment
UNITS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
BOTTLENECK = 50  # layers from which on units have three convolutions

# Of ImageNet's pixels from 0 to 255, as torchvision's networks were trained.
MEAN = (123.675, 116.28, 103.53)
SPREAD = (58.395, 57.12, 57.375)


class ImageNetNetwork(nn.Module):
    """Activation after convolution, four stages; its names are torchvision's."""

    def __init__(self, num_layers: int, num_classes: int) -> None:
        """num_layers: one of UNITS."""
        super().__init__()
        wide = 4 if num_layers >= BOTTLENECK else 1
        self.normalise = Normalise(torch.tensor(MEAN), torch.tensor(SPREAD))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        before = 64
        for stage, count in enumerate(UNITS[num_layers]):
            inner = 64 * 2**stage
            units = nn.Sequential()
            for unit in range(count):
                stride = 2 if unit == 0 and stage > 0 else 1
                units.append(_Unit(before, inner, inner * wide, stride))
                before = inner * wide
            self.add_module(f"layer{stage + 1}", units)
        self.fc = nn.Linear(before, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(self.normalise(pixels))))
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        for stage in range(1, 5):
            x = self.get_submodule(f"layer{stage}")(x)
        return self.fc(x.mean(dim=(2, 3)))  # type: ignore[no-any-return]


def pretrained(
    num_layers: int, num_classes: int, environment: Mapping[str, str] = os.environ
) -> tuple[nn.Module, dict[str, str]]:
    """The network with the weights of the user's file, its last layer new; and which file it was.

    Raises ClientError when there is no such file, or when it is not that of such a network.
    """
    if num_layers not in UNITS:
        raise ClientError(
            f"use_pretrained_model=1 goes with num_layers {', '.join(map(str, UNITS))}, not {num_layers}."
        )
    path = find_weights(num_layers, environment)
    network = ImageNetNetwork(num_layers, num_classes)
    own = {
        name: value for name, value in network.state_dict().items() if name.startswith(("fc.", "normalise."))
    }
    found = {name: value for name, value in _read(path).items() if not name.startswith("fc.")}
    # Files from before PyTorch 0.4.1 know nothing of batches counted.
    counts = {name: value for name, value in network.state_dict().items() if name.endswith("_tracked")}
    try:
        fit_into(network, counts | found | own)
    except WeightsError as error:
        raise ClientError(f"{path} is no ResNet of {num_layers} layers: {error}.") from error
    with path.open("rb") as file:
        return network, {"file": path.name, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def find_weights(num_layers: int, environment: Mapping[str, str]) -> Path:
    """The file for a depth; the first by name where there are several.

    Raises ClientError naming folder and pattern when there is none.
    """
    folder = _folder(environment)
    pattern = f"resnet{num_layers}[-.]*pth"
    found = sorted(path for path in folder.glob(pattern) if path.is_file()) if folder.is_dir() else []
    if not found:
        raise ClientError(
            f"use_pretrained_model=1 starts from weights trained on ImageNet, and {folder} has no file"
            f" resnet{num_layers}-*.pth in torchvision's form. Put one there, name another folder in the"
            f" environment variable {FOLDER_VARIABLE}, or set use_pretrained_model to 0."
        )
    return found[0]


def _folder(environment: Mapping[str, str]) -> Path:
    if named := environment.get(FOLDER_VARIABLE):
        return Path(named)
    if home := environment.get("TORCH_HOME"):
        return Path(home) / "hub/checkpoints"
    # A job's HOME is its own folder; the cache is its user's.
    return Path(pwd.getpwuid(os.getuid()).pw_dir) / ".cache/torch/hub/checkpoints"


def _read(path: Path) -> dict[str, Tensor]:
    try:
        found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # hostile bytes make a reader raise almost anything
        raise ClientError(f"{path} is no file of weights: {str(error)[:200]}") from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()
    ):
        raise ClientError(f"{path} does not hold a state of names and tensors.")
    return {name: value.float() if value.is_floating_point() else value for name, value in found.items()}


class _Unit(nn.Module):
    """Two convolutions, or three when after is wider than inner, beside a short cut."""

    def __init__(self, before: int, inner: int, after: int, stride: int) -> None:
        super().__init__()
        bottleneck = after != inner
        self.conv1 = nn.Conv2d(before, inner, *((1, 1, 0) if bottleneck else (3, stride, 1)), bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride if bottleneck else 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        if bottleneck:
            self.conv3 = nn.Conv2d(inner, after, 1, bias=False)
            self.bn3 = nn.BatchNorm2d(after)
        self.bottleneck = bottleneck
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            if stride != 1 or before != after
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        short = x if self.downsample is None else self.downsample(x)
        x = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            x = self.bn3(self.conv3(torch.relu(x)))
        return torch.relu(x + short)
