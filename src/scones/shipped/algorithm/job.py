"""One training job once its input is known to be sound: train, calibrate, export, store."""

import hashlib
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from . import artefact, calibration, contract, novelty, plan, weights
from .begin import Beginning, begin
from .calibration import Calibration
from .checkpoint import Saver
from .contract import ClientError, Layout
from .data import Split
from .earlier import Earlier
from .export import export
from .fit import Outcome, crops, fit, logits
from .hyperparameters import Hyperparameters
from .logs import log
from .machine import cores

PACKAGES = ("torch", "numpy", "pillow", "onnx", "onnxruntime")  # whose versions are recorded
SAMPLES = 8  # training pictures on which graph and network are compared


@dataclass(frozen=True, slots=True)
class Job:
    """What stays the same for the whole job. began: from time.perf_counter()."""

    layout: Layout
    request: dict[str, Any]
    settings: Hyperparameters
    seed: int
    classes: list[str]
    versions: dict[str, str]
    began: float
    earlier: Earlier | None = None

    def run(self, train: Split, validation: Split, stopped: Callable[[], bool]) -> None:
        """Train on one split, measure on the other, and write the model folder.

        Raises ClientError when the weights run off to infinity.
        """
        device = self._prepare()
        trained_on, aside = self._part(train)
        mean, spread = colours(trained_on, device)
        beginning = begin(self.settings, mean, spread, self.earlier)
        made = (plan.by_recipe if self.settings.follows_recipe else plan.as_documented)(
            self.settings, mean, spread, beginning.network
        )
        self._log_parameters(beginning, made.shown | {"num_layers": beginning.num_layers}, device)
        generator = Generator().manual_seed(self.seed)
        saver = Saver(
            self.layout,
            self.settings,
            classes=self.classes,
            seed=self.seed,
            train_data=train.sha256,
            beginning=beginning.record,
        )
        outcome = fit(made, self.settings, trained_on, validation, generator, stopped, saver)
        if not all(bool(value.isfinite().all()) for value in outcome.network.parameters()):
            raise ClientError("Training diverged: the weights are not finite. Lower learning_rate.")
        log.info("Storing the final model: %s.", made.keeper.describe())
        found = self._calibrate(made.calibrate, outcome.network, aside)
        log.info("Calibration: temperature %.3f; %s.", found.temperature, found.method)
        odd = novelty.learn(train.pictures, self.settings.image_shape, mean, spread, self.seed)
        log.info("Novelty: %s.", "scored" if odd else "not scored, the pictures are too few or too small")
        graph = export(
            outcome.network,
            found.temperature,
            trained_on.pictures[:SAMPLES],
            self.settings.image_shape,
            multi_label=bool(self.settings.multi_label),
            novelty=odd,
        )
        data = {
            "train": {"pictures": len(train.pictures), "sha256": train.sha256},
            "validation": {"pictures": len(validation.pictures), "sha256": validation.sha256},
        }
        record = self._record(outcome, made.keeper.describe(), device, data)
        record["beginning"] = beginning.record
        shape = self.settings.image_shape
        card = artefact.describe(graph, shape, self.classes, asdict(found), record, odd is not None)
        card["held_out"] = self._held_out(graph, aside)
        if self.settings.multi_label:
            card["output"]["meaning"] = "probability of each class for itself (multi-label), sigmoid included"
        self._save(graph, card, beginning, outcome.network)
        saver.collect(len(outcome.epochs))

    def _save(self, graph: bytes, card: dict[str, Any], beginning: Beginning, network: nn.Module) -> None:
        """Write the model folder. The card comes last, so that it always has its files."""
        packed = weights.pack(network)
        card["network"] = {
            "family": beginning.family,
            "num_layers": beginning.num_layers,
            "parameters": sum(value.numel() for value in network.parameters()),
        }
        card["weights"] = {"file": weights.WEIGHTS_FILE, "sha256": hashlib.sha256(packed).hexdigest()}
        contract.write_atomically(self.layout.model / weights.WEIGHTS_FILE, packed)
        artefact.save(self.layout.model, graph, card)
        log.info("Saved %s, %s and %s", artefact.GRAPH_FILE, weights.WEIGHTS_FILE, artefact.CARD_FILE)

    def _prepare(self) -> torch.device:
        torch.manual_seed(self.seed)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.set_num_threads(cores())
        log.info("Setting number of threads: %d", cores())
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def _part(self, train: Split) -> tuple[Split, Split]:
        """Training pictures proper, and those kept aside for calibration, perhaps none."""
        inside, aside = np.arange(len(train.labels)), np.arange(0)
        if self.settings.follows_recipe and not self.settings.multi_label:
            inside, aside = calibration.hold_out(train.labels, self.seed)
        return _subset(train, inside), _subset(train, aside)

    def _calibrate(self, wanted: bool, network: nn.Module, aside: Split) -> Calibration:
        if not wanted:
            return calibration.NOT_CALIBRATED
        if self.settings.multi_label:
            return calibration.MULTI_LABEL
        if not aside.pictures:
            return calibration.TOO_FEW
        found = logits(network, aside.pictures, self.settings)
        return calibration.calibrate(found.numpy(), aside.labels)

    def _held_out(self, graph: bytes, aside: Split) -> dict[str, list[Any]]:
        """What the graph says of the pictures kept aside: exactly what an endpoint would say."""
        shape = self.settings.image_shape
        if not aside.pictures:
            return {"confidence": [], "right": []}
        model = artefact.Model(artefact.open_session(graph), shape, self.classes)
        return calibration.told(model.probabilities(crops(aside.pictures, shape, None)), aside.labels)

    def _log_parameters(self, beginning: Beginning, shown: dict[str, object], device: torch.device) -> None:
        settings = self.settings
        log.info("use_pretrained_model: %d", settings.use_pretrained_model)
        log.info("multi_label: %d", settings.multi_label)
        log.info("%s", beginning.told)
        log.info("---- Parameters ----")
        lines: dict[str, object] = {
            **shown,
            "data type": f"<class 'numpy.{settings.precision_dtype}'>",
            "epochs": settings.epochs,
            "num_training_samples": settings.num_training_samples,
            "mini_batch_size": settings.mini_batch_size,
            "image_shape": ",".join(map(str, settings.image_shape)),
            "num_classes": settings.num_classes,
            "kv_store": settings.kv_store or "device",
            "seed": self.seed,
            "device": device,
        }
        for name, value in lines.items():
            log.info("%s: %s", name, value)
        if settings.early_stopping:
            log.info("Using early stopping for training")
            log.info("Early stopping minimum epochs: %d", settings.early_stopping_min_epochs)
            log.info("Early stopping patience: %d", settings.early_stopping_patience)
            log.info("Early stopping tolerance: %s", settings.early_stopping_tolerance)
        log.info("--------------------")

    def _record(
        self, outcome: Outcome, kept: str, device: torch.device, data: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "hyperparameters": self.request,
            "manner": "recipe" if self.settings.follows_recipe else "documented",
            "weights": kept,
            "seed": self.seed,
            "seed_variable": contract.SEED_VARIABLE,
            "data": data,
            "epochs": outcome.metrics(),
            "steps": outcome.steps,
            "stopped_early": outcome.stopped,
            "epochs_resumed": outcome.resumed,
            "seconds": round(time.perf_counter() - self.began, 3),
            "device": str(device),
            "threads": torch.get_num_threads(),
            "versions": self.versions,
        }


def versions() -> dict[str, str]:
    """Version by name of all that decides a result.

    Raises ModuleNotFoundError naming the first package that is not installed.
    """
    return {"python": platform.python_version()} | {name: version(name) for name in PACKAGES}


def colours(split: Split, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all pictures, (C,) float32 each.

    The second is at least 1, so that pictures of one colour do no harm.
    """
    total = square = np.zeros(split.pictures[0].shape[0])
    count = 0
    for picture in split.pictures:
        pixels = picture.reshape(picture.shape[0], -1).astype(np.float64)
        total, square = total + pixels.sum(axis=1), square + (pixels**2).sum(axis=1)
        count += pixels.shape[1]
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - mean**2, 1.0))
    both = torch.tensor(np.stack([mean, spread]), dtype=torch.float32, device=device)
    return both[0], both[1]


def _subset(split: Split, positions: np.ndarray[Any, np.dtype[np.int64]]) -> Split:
    return Split([split.pictures[i] for i in positions], split.labels[positions], split.sha256)
