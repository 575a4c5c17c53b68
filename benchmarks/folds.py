"""The default recipe, or a changed one, on training pictures it did not see: no look at the test split.

    python benchmarks/folds.py --data ARCHIVE [--folds 0 1 2 3 4] [--seeds 0] [NAME=VALUE ...]

The training split is divided into five folds, class by class; each fold asked for is predicted by a
network trained on the other four. NAME=VALUE changes a number of recipe.py, as in EPOCHS=60. The loss
is the mean negative log-likelihood in nats under the temperature that suits it best: it tells two
recipes apart long before their accuracies do. One thread; CPU seconds include measuring every epoch.

Needs `pip install 'scones[train]'`.
"""

import argparse
import ast
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from scones.shipped.algorithm import plan, recipe
from scones.shipped.algorithm.calibration import calibrate
from scones.shipped.algorithm.data import Split
from scones.shipped.algorithm.fit import fit, logits
from scones.shipped.algorithm.hyperparameters import parse
from scones.shipped.algorithm.job import colours
from scones.workflow import archive
from scones.workflow.frames import Frame
from scones.workflow.source import DEFAULT_CLASSES

FOLDS = 5
DIVISION = 123  # seed of the division into folds


def fold_of(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) int64: each picture's fold, every class spread evenly."""
    random, result = np.random.default_rng(DIVISION), np.zeros(len(labels), dtype=np.int64)
    for label in np.unique(labels):
        positions = random.permutation(np.flatnonzero(labels == label))
        result[positions] = np.arange(len(positions)) % FOLDS
    return result


def part(frame: Frame, chosen: NDArray[np.bool_]) -> Split:
    """The chosen pictures as the algorithm reads them."""
    pictures = [row.reshape(3, 32, 32) for row in frame.rows[chosen]]
    return Split(pictures, frame.labels[chosen], "")


def run(train: Split, held: Split, classes: int, seed: int) -> tuple[NDArray[np.float32], float]:
    """(N, classes) logits of the pictures held out, and CPU seconds."""
    began = time.process_time()
    settings = parse(
        {
            "image_shape": "3,32,32",
            "num_classes": str(classes),
            "num_training_samples": str(len(train.pictures)),
        }
    )
    torch.manual_seed(seed)
    made = plan.by_recipe(settings, *colours(train, torch.device("cpu")))
    outcome = fit(made, settings, train, held, torch.Generator().manual_seed(seed), lambda: False)
    return logits(outcome.network, held.pictures, settings).numpy(), time.process_time() - began


def show(name: str, found: Sequence[NDArray[np.float32]], labels: Sequence[NDArray[np.int64]]) -> str:
    scores, truth = np.concatenate(found), np.concatenate(labels)
    accuracy = float((scores.argmax(1) == truth).mean())
    return f"{name}: accuracy {accuracy:.4f}, loss {calibrate(scores, truth).loss_after:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="an archive of CIFAR-100's layout")
    parser.add_argument("--folds", type=int, nargs="+", default=list(range(FOLDS)))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("changes", nargs="*", metavar="NAME=VALUE")
    asked = parser.parse_args()
    for change in asked.changes:
        name, _, value = change.partition("=")
        if not hasattr(recipe, name):
            raise SystemExit(f"recipe.py has no {name}")
        setattr(recipe, name, ast.literal_eval(value))
    torch.set_num_threads(1)
    frame = archive.read(Path(asked.data), DEFAULT_CLASSES, asked.data).train
    folds = fold_of(frame.labels)
    every, truths = [], []
    for seed in asked.seeds:
        for fold in asked.folds:
            held = part(frame, folds == fold)
            found, seconds = run(part(frame, folds != fold), held, len(DEFAULT_CLASSES), seed)
            every.append(found)
            truths.append(held.labels)
            print(
                show(f"seed {seed}, fold {fold}", [found], [held.labels]), f"{seconds:.1f} CPU s", flush=True
            )
    print(show("together", every, truths))


if __name__ == "__main__":
    main()
