"""The training loop: follows a plan over arrays in memory, and logs as the built-in does."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from .checkpoint import CheckpointError, Saver
from .data import Split
from .hyperparameters import Hyperparameters
from .logs import TAB, log
from .objective import objective
from .pictures import Pixels
from .plan import Plan
from .turning import Turns
from .weights import fit_into

LOG_EVERY = 20  # batches
MEASURES = ("train_accuracy", "validation_accuracy", "seconds")  # of an epoch
MEASURE_BATCH = 256  # pictures at once where nothing is learnt


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one epoch came to. Accuracies from 0 to 1; the training one as training saw them."""

    epoch: int
    train_accuracy: float
    validation_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """network: the weights to store, in evaluation mode. stopped: before the last epoch's end.

    resumed: epochs that an earlier attempt trained.
    """

    network: nn.Module
    epochs: list[Epoch]
    steps: int
    stopped: bool
    resumed: int = 0

    def metrics(self) -> list[dict[str, float]]:
        """One map per finished epoch, for the training record."""
        return [asdict(epoch) for epoch in self.epochs]


@dataclass(slots=True)
class _Score:
    """Counts over an epoch so far."""

    seen: int = 0
    correct: int = 0
    among: int = 0  # right answer among the top_k
    began: float = field(default_factory=time.perf_counter)

    @property
    def accuracy(self) -> float:
        return self.correct / max(self.seen, 1)

    def add(self, counts: tuple[int, int, int]) -> None:
        self.seen += counts[0]
        self.correct += counts[1]
        self.among += counts[2]


def fit(
    plan: Plan,
    settings: Hyperparameters,
    train: Split,
    validation: Split,
    generator: Generator,
    stopped: Callable[[], bool],
    saver: Saver | None = None,
) -> Outcome:
    """Train until the last epoch, early stopping, or `stopped` turning true after a step.

    generator: on the CPU; source of all randomness here. train: at least one picture. saver: goes
    on from its checkpoint, if it has one, and is given every epoch.
    Raises ClientError when the checkpoint cannot be used.
    """
    run = Run(plan, settings, train, generator)
    top_k = None if settings.multi_label else settings.top_k
    epochs = _resume(run, saver) if saver else []
    resumed = len(epochs)
    for epoch in range(resumed, settings.epochs):
        if _has_stopped_early(epochs, settings):
            break
        began = time.perf_counter()
        score = run.epoch(epoch, stopped)
        if stopped():
            log.info("Stopped in epoch %d after %d steps in all.", epoch, run.steps)
            return Outcome(plan.keeper.final(plan.network).eval(), epochs, run.steps, True, resumed)
        log.info("Epoch[%d] Train-accuracy=%.6f", epoch, score.accuracy)
        _log_top_k("Train", epoch, score, top_k)
        seconds = time.perf_counter() - began
        log.info("Epoch[%d] Time cost=%.3f", epoch, seconds)
        measured = run.measure(validation)
        log.info("Epoch[%d] Validation-accuracy=%.6f", epoch, measured.accuracy)
        _log_top_k("Validation", epoch, measured, top_k)
        plan.keeper.after_epoch(plan.network, epoch, measured.accuracy)
        epochs.append(Epoch(epoch, score.accuracy, measured.accuracy, seconds))
        if saver:
            saver.keep(epoch, plan.keeper.candidate(plan.network))
            last = epoch + 1 == settings.epochs or _has_stopped_early(epochs, settings)
            saver.save(run.state() | {"epochs": [asdict(one) for one in epochs]}, last=last)
    if _has_stopped_early(epochs, settings):
        log.info("Early stopping after epoch %d.", len(epochs) - 1)
    return Outcome(plan.keeper.final(plan.network).eval(), epochs, run.steps, False, resumed)


def _has_stopped_early(epochs: Sequence[Epoch], settings: Hyperparameters) -> bool:
    accuracies = [epoch.validation_accuracy for epoch in epochs]
    return settings.early_stopping and len(epochs) < settings.epochs and no_more_gain(accuracies, settings)


def _resume(run: "Run", saver: Saver) -> list[Epoch]:
    """The epochs that need not be trained again."""
    state = saver.load()
    if state is None:
        return []
    try:
        epochs = [
            Epoch(int(one["epoch"]), *(float(one[name]) for name in MEASURES)) for one in state["epochs"]
        ]
        run.restore(state)
    except Exception as error:  # hostile content makes its reader raise almost anything
        reason = str(error).partition("\n")[0][:200]
        raise saver.unusable(CheckpointError(f"it does not fit this job ({reason})")) from error
    log.info("Resuming from the checkpoint of epoch %d.", len(epochs) - 1)
    return epochs


def no_more_gain(accuracies: Sequence[float], settings: Hyperparameters) -> bool:
    """True when early stopping's patience is used up.

    accuracies: on validation, one per epoch so far. An epoch gains when it beats the best before
    it by more than the tolerance, as a share of that best.
    """
    best, last_gain = -1.0, 0
    for epoch, accuracy in enumerate(accuracies):
        if best < 0.0 or accuracy > best * (1.0 + settings.early_stopping_tolerance):
            best, last_gain = accuracy, epoch
    waited = len(accuracies) - 1 - last_gain
    return (
        len(accuracies) >= settings.early_stopping_min_epochs and waited >= settings.early_stopping_patience
    )


@torch.no_grad()
def logits(network: nn.Module, pictures: Sequence[Pixels], settings: Hyperparameters) -> Tensor:
    """(N, num_classes) float32 on the CPU, from centre crops, in evaluation mode."""
    device = next(network.parameters()).device
    network.eval()
    parts = [
        network(_to_device(batch, device)).float().cpu() for batch in _batches(pictures, settings.image_shape)
    ]
    return torch.cat(parts) if parts else torch.zeros(0, settings.num_classes)


def crops(
    pictures: Sequence[Pixels], shape: tuple[int, int, int], generator: Generator | None
) -> NDArray[np.uint8]:
    """(N, *shape) uint8: one crop per picture, anywhere with a generator, else from the centre."""
    _, height, width = shape
    result = np.empty((len(pictures), *shape), dtype=np.uint8)
    for place, picture in zip(result, pictures, strict=True):
        down, across = picture.shape[1] - height, picture.shape[2] - width
        top, left = down // 2, across // 2
        if generator is not None and (down or across):
            top = int(torch.randint(down + 1, (), generator=generator))
            left = int(torch.randint(across + 1, (), generator=generator))
        place[:] = picture[:, top : top + height, left : left + width]
    return result


def _batches(pictures: Sequence[Pixels], shape: tuple[int, int, int]) -> Iterator[NDArray[np.uint8]]:
    for first in range(0, len(pictures), MEASURE_BATCH):
        yield crops(pictures[first : first + MEASURE_BATCH], shape, None)


def _to_device(batch: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(N, C, H, W) uint8 to float32 in the memory order that convolutions like best."""
    return torch.from_numpy(batch).to(device).float().contiguous(memory_format=torch.channels_last)


def _log_top_k(name: str, epoch: int, score: _Score, top_k: int | None) -> None:
    if top_k is not None:
        accuracy = score.among / max(score.seen, 1)
        log.info("Epoch[%d] %s-top_k_accuracy_%d=%.6f", epoch, name, top_k, accuracy)


class Run:
    """The moving parts of one training: weights, optimiser state, position."""

    def __init__(self, plan: Plan, settings: Hyperparameters, train: Split, generator: Generator) -> None:
        self._plan, self._settings, self._train = plan, settings, train
        self._generator = generator
        self._device = next(plan.network.parameters()).device
        plan.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._labels = torch.from_numpy(train.labels)
        self._objective = objective(settings, self._labels, plan.label_smoothing, self._device)
        self._batch = min(settings.mini_batch_size, len(train.pictures))
        self._steps_per_epoch = len(train.pictures) // self._batch
        half = torch.float16 if self._device.type == "cuda" else torch.bfloat16
        self._half = half if settings.precision_dtype == "float16" else None
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=self._half is torch.float16)
        self.steps = 0

    def epoch(self, epoch: int, stopped: Callable[[], bool]) -> _Score:
        """One pass in a new order; pictures that do not fill a batch wait for another epoch."""
        self._plan.network.train()
        order = torch.randperm(len(self._train.pictures), generator=self._generator)
        score, mark = _Score(), time.perf_counter()
        for number in range(self._steps_per_epoch):
            chosen = order[number * self._batch : (number + 1) * self._batch]
            found, labels = self.step(epoch, chosen)
            score.add(self._objective.score(found, labels))
            if number and number % LOG_EVERY == 0:
                speed = LOG_EVERY * self._batch / (time.perf_counter() - mark)
                log.info(
                    f"Epoch[{epoch}] Batch [{number}]{TAB}Speed: {speed:.3f} samples/sec"
                    f"{TAB}accuracy={score.accuracy:.6f}"
                )
                mark = time.perf_counter()
            if stopped():
                break
        return score

    def measure(self, split: Split) -> _Score:
        """Score the weights that would be stored now."""
        score = _Score()
        network = self._plan.keeper.candidate(self._plan.network)
        found = logits(network, split.pictures, self._settings)
        score.add(self._objective.score(found, torch.from_numpy(split.labels)))
        return score

    def state(self) -> dict[str, Any]:
        """All that decides how training goes on, to be saved between two epochs."""
        return {
            "steps": self.steps,
            "network": self._plan.network.state_dict(),
            "optimizer": self._plan.optimizer.state_dict()["state"],
            "keeper": self._plan.keeper.state(),
            "scaler": self._scaler.state_dict(),
            "generator": self._generator.get_state(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Be as the run was whose state this is; raises almost anything when it is another's."""
        plan = self._plan
        fit_into(plan.network, state["network"])
        values = [value for group in plan.optimizer.param_groups for value in group["params"]]
        for number, kept in state["optimizer"].items():
            for found in kept.values():
                if isinstance(found, Tensor) and found.ndim and found.shape != values[number].shape:
                    raise ValueError(f"optimizer state {number} has another shape")
        plan.optimizer.load_state_dict(plan.optimizer.state_dict() | {"state": state["optimizer"]})
        plan.keeper.restore(state["keeper"], plan.network)
        self._scaler.load_state_dict(state["scaler"])
        self._generator.set_state(state["generator"])
        self.steps = int(state["steps"])

    def step(self, epoch: int, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """One batch: (N, num_classes) float32 logits before the step, and (N,) labels."""
        plan = self._plan
        pictures = [self._train.pictures[index] for index in chosen.tolist()]
        random = self._generator if plan.random_crop else None
        batch = _to_device(crops(pictures, self._settings.image_shape, random), self._device)
        turns = Turns(plan.network, len(chosen), self._generator)
        batch = turns.pictures(plan.augment(batch, self._generator))
        batch = batch.contiguous(memory_format=torch.channels_last)
        labels = self._labels[chosen].to(self._device)
        self._set_rate(epoch)
        with torch.autocast(self._device.type, self._half) if self._half else nullcontext():
            found = plan.network(batch)
        found = found.float()
        loss = self._objective.loss(found, turns.targets(labels))
        plan.optimizer.zero_grad(set_to_none=True)
        self._scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        self._scaler.step(plan.optimizer)
        self._scaler.update()
        self.steps += 1
        plan.keeper.after_step(plan.network)
        return turns.scores(found.detach()), labels

    def _set_rate(self, epoch: int) -> None:
        done = self.steps / (self._settings.epochs * self._steps_per_epoch)
        for group in self._plan.optimizer.param_groups:
            group["lr"] = self._plan.rate(epoch, done)
