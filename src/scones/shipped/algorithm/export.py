"""A trained network to an ONNX graph with everything inside, checked against the network."""

import logging
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from .artefact import INPUT_NAME, NOVELTY_NAME, OUTPUT_NAME, open_session
from .fit import crops
from .pictures import Pixels

OPSET = 17  # understood by every ONNX Runtime since 1.12
TOLERANCE = 1e-3  # of a probability, and share of a novelty; kernels add up in different orders


class _Served(nn.Module):
    """uint8 pixels in, calibrated probabilities out, and how novel each picture is."""

    temperature: Tensor

    def __init__(
        self, network: nn.Module, temperature: float, multi_label: bool, novelty: nn.Module | None
    ) -> None:
        super().__init__()
        self.network = network
        self.multi_label = multi_label
        self.novelty = novelty
        self.register_buffer("temperature", torch.tensor(temperature))

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        pixels = pixels.float()
        logits = self.network(pixels) / self.temperature
        probabilities = torch.sigmoid(logits) if self.multi_label else torch.softmax(logits, dim=1)
        return (probabilities,) if self.novelty is None else (probabilities, self.novelty(pixels))


def export(
    network: nn.Module,
    temperature: float,
    samples: Sequence[Pixels],
    shape: tuple[int, int, int],
    multi_label: bool = False,
    novelty: nn.Module | None = None,
) -> bytes:
    """The graph's bytes.

    samples: at least one picture, on which graph and network must agree. multi_label: each class
    gets a probability of its own, instead of all sharing one. novelty: scores pixels, for a second
    output.
    Raises RuntimeError when they do not.
    """
    served = _Served(network, temperature, multi_label, novelty).cpu().float().eval()
    served.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    pixels = crops(samples, shape, None)
    names = [OUTPUT_NAME] if novelty is None else [OUTPUT_NAME, NOVELTY_NAME]
    graph = _to_onnx(served, torch.from_numpy(pixels), names)
    with torch.no_grad():
        wanted = served(torch.from_numpy(pixels))
    session = open_session(graph)
    for name, value in zip(names, wanted, strict=True):
        # All at once, and the first one alone, as requests come.
        together, alone = (session.run([name], {INPUT_NAME: part})[0] for part in (pixels, pixels[:1]))
        found, value = np.concatenate([together, alone]), torch.cat([value, value[:1]]).numpy()
        difference = float((np.abs(found - value) / np.maximum(1.0, np.abs(value))).max())
        if not difference <= TOLERANCE:  # also true for nan
            raise RuntimeError(f"the exported graph's {name} differ from the network's by {difference}")
    return graph


def _to_onnx(served: nn.Module, pixels: Tensor, names: list[str]) -> bytes:
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
            output_names=names,
            dynamic_axes={name: {0: "pictures"} for name in (INPUT_NAME, *names)},
        )
        return path.read_bytes()
