"""A trained network to an ONNX graph with everything inside, checked against the network."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .artefact import INPUT_NAME, OUTPUT_NAME, open_session
from .fit import crops
from .pictures import Pixels

OPSET = 17  # understood by every ONNX Runtime since 1.12
TOLERANCE = 1e-3  # of a probability; kernels add up in different orders


class _Served(nn.Module):
    """uint8 pixels in, calibrated probabilities out."""

    temperature: Tensor

    def __init__(self, network: nn.Module, temperature: float, multi_label: bool) -> None:
        super().__init__()
        self.network = network
        self.multi_label = multi_label
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.network(pixels.float()) / self.temperature
        return torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, dim=1)


def export(
    network: nn.Module,
    temperature: float,
    samples: Sequence[Pixels],
    shape: tuple[int, int, int],
    multi_label: bool = False,
) -> bytes:
    """The graph's bytes.

    samples: at least one picture, on which graph and network must agree. multi_label: each class
    gets a probability of its own, instead of all sharing one.
    Raises RuntimeError when they do not.
    """
    served = _Served(network, temperature, multi_label).cpu().float().eval()
    served.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = crops(samples, shape, None)
    graph = _to_onnx(served, torch.from_numpy(pixels))
    with torch.no_grad():
        wanted = served(torch.from_numpy(pixels)).numpy()
    found = open_session(graph).run([OUTPUT_NAME], {INPUT_NAME: pixels})[0]
    difference = float(np.abs(found - wanted).max())
    if not difference <= TOLERANCE:  # also true for nan
        raise RuntimeError(f"the exported graph differs from the network by {difference}")
    return graph


def _to_onnx(served: nn.Module, pixels: Tensor) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        path = Path(folder) / "graph.onnx"
        # The exporter that needs no further packages announces its age at every call.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            served,
            (pixels,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=[INPUT_NAME],
            output_names=[OUTPUT_NAME],
            dynamic_axes={INPUT_NAME: {0: "pictures"}, OUTPUT_NAME: {0: "pictures"}},
        )
        return path.read_bytes()
