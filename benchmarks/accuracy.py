"""Accuracy, time and honesty of the default recipe, beside what SageMaker's own algorithm reached.

    python benchmarks/accuracy.py --data ARCHIVE [--seeds 0 1 2 3 4] [--epochs N] [--classes A B]

Each seed is one training job as the cloud runs it, in a process of its own under the /opt/ml contract,
with the least request: image_shape, num_classes, num_training_samples. The stored graph then answers
the test split. Time is from the start of the process until it has ended, or until it has printed the
first validation accuracy of at least the baseline's median; CPU seconds are the process's own.

The baseline: 91 runs of the built-in algorithm on the same 1,000 + 200 pictures, published in public
notebooks and logs; their best epochs by validation accuracy, on an ml.p3.2xlarge (one V100).

Needs `pip install 'scones[train]'`.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from numpy.typing import NDArray

import scones
from scones.shipped.algorithm import artefact
from scones.workflow import archive, folder
from scones.workflow.frames import Dataset, Frame, lst, pixels, png
from scones.workflow.source import DEFAULT_CLASSES

ALGORITHM = Path(scones.__file__).parent / "shipped/algorithm"
BASELINE = 0.8646  # median best validation accuracy of the public runs
SURE = 0.93  # the workflow's threshold
BINS = 10  # of the calibration error
SPLITS = {"train": "train", "validation": "test"}  # channel: split
VALIDATION = re.compile(r"Validation-accuracy=(\d\.\d+)")


@dataclass(frozen=True, slots=True)
class Training:
    """One job. to_baseline: wall and CPU seconds until the baseline was reached, None if it never was."""

    seconds: float
    cpu_seconds: float
    to_baseline: tuple[float, float] | None


def lay_out(base: Path, data: Dataset, extra: dict[str, str]) -> None:
    """The channels and configuration of one job."""
    for channel, split in SPLITS.items():
        frame: Frame = getattr(data, split)
        pictures, lists = base / "input/data" / channel, base / f"input/data/{channel}_lst"
        pictures.mkdir(parents=True)
        lists.mkdir()
        for name, row in zip(frame.filenames, frame.rows, strict=True):
            (pictures / name).write_bytes(png(row))
        (lists / f"{channel}.lst").write_text(lst(frame.labels.tolist(), frame.filenames))
    values = {
        "image_shape": "3,32,32",
        "num_classes": str(len(data.classes)),
        "num_training_samples": str(len(data.train.labels)),
    }
    channels = {
        name: {"ContentType": "application/x-image"}
        for channel in SPLITS
        for name in (channel, f"{channel}_lst")
    }
    configuration = base / "input/config"
    configuration.mkdir()
    (configuration / "hyperparameters.json").write_text(json.dumps(values | extra))
    (configuration / "inputdataconfig.json").write_text(json.dumps(channels))


def train(base: Path, seed: int) -> Training:
    """Run the job and watch its log."""
    environment = os.environ | {"SAGEMAKER_BASE_DIR": str(base), "RANDOM_SEED": str(seed)}
    began, reached = time.perf_counter(), None
    command = [sys.executable, str(ALGORITHM), "train"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        watched, lines = psutil.Process(process.pid), []
        assert process.stdout
        for line in process.stdout:
            lines.append(line)
            found = VALIDATION.search(line)
            if reached is None and found and float(found[1]) >= BASELINE:
                reached = (time.perf_counter() - began, _cpu_seconds(watched))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"training failed:\n{''.join(lines[-20:])}")
    return Training(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, reached)


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean gap between confidence and accuracy over bins of equal width, weighted by their pictures."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(right[bins == number].mean()) - float(confidence[bins == number].mean()))
        * float((bins == number).mean())
        for number in np.unique(bins)
    ]
    return sum(gaps)


def row(training: Training, model: artefact.Model, test: Frame) -> list[float]:
    """One line of the table."""
    pictures = np.stack([pixels(row).transpose(2, 0, 1) for row in test.rows])
    probabilities = model.probabilities(pictures)
    right, sure = probabilities.argmax(1) == test.labels, probabilities.max(1) >= SURE
    wall, cpu = training.to_baseline or (float("nan"), float("nan"))
    return [
        float(right.mean()),
        training.seconds,
        training.cpu_seconds,
        wall,
        cpu,
        calibration_error(probabilities, test.labels),
        float(sure.mean()),
        float(right[sure].mean()) if sure.any() else float("nan"),
    ]


def show(name: str, values: list[float]) -> None:
    accuracy, wall, cpu, to_wall, to_cpu, error, sure, right = values
    print(
        f"| {name} | {accuracy:.4f} | {wall:.1f} | {cpu:.1f} | {to_wall:.1f} | {to_cpu:.1f}"
        f" | {error:.3f} | {sure:.3f} | {right:.3f} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True, help="an archive of CIFAR-100's layout, or a folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--epochs", type=int, help="instead of the recipe's own number")
    parser.add_argument("--classes", nargs="+", default=list(DEFAULT_CLASSES))
    asked = parser.parse_args()
    path, classes = Path(asked.data), tuple(asked.classes)
    data = folder.read(path, classes) if path.is_dir() else archive.read(path, classes, str(path), "")
    extra = {"epochs": str(asked.epochs)} if asked.epochs else {}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"{len(data.train.labels):,} + {len(data.test.labels):,} pictures, {cores} cores\n")
    print(f"| seed | test accuracy | seconds | CPU | to {BASELINE} | CPU | ECE | reach {SURE} | right |")
    print("| --- " * 9 + "|")
    rows: list[list[float]] = []
    for seed in asked.seeds:
        with tempfile.TemporaryDirectory() as name:
            lay_out(Path(name), data, extra)
            training = train(Path(name), seed)
            rows.append(row(training, artefact.load(Path(name) / "model"), data.test))
        show(str(seed), rows[-1])
    columns = list(zip(*rows, strict=True))
    show("mean", [statistics.fmean(column) for column in columns])
    if len(rows) > 1:
        show("standard deviation", [statistics.stdev(column) for column in columns])
    print("\n91 public runs of SageMaker's own, best epoch: median 0.8646 (10-90 %: 0.849-0.880);")
    print("last epoch: median 0.833; 447 billable seconds (median) on a V100")


if __name__ == "__main__":
    main()
