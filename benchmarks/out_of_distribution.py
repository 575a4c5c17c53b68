"""What is neither class: how well the novelty of an answer tells, beside the answer's own confidence.

    python benchmarks/out_of_distribution.py [--data ARCHIVE|FOLDER] [--model FOLDER] [--count N] [--rounds N]

Trains with the default recipe on the archive (SCONES_DATA, or the published one), or takes --model, a
folder with model.onnx and model.json. Then for every kind of odd picture: AUROC against the test
split, and the share accepted by the limit that accepts 95 % of the test split, with the novelty and
with the confidence (max softmax). The last two columns are what a caller meets: the share whose confidence
reaches 0.93, and what the novelty's limit of 1 leaves of it. Below, what the score costs: a request to the
container, in turn with the same model without it.

Needs `pip install 'scones[train]'`, and 'scones[bench]' for the photographs.
"""

import argparse
import contextlib
import hashlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import psutil
from numpy.typing import NDArray

import scones
from oddities import Pictures, oddities
from scones.shipped.algorithm.artefact import (
    CARD_FILE,
    GRAPH_FILE,
    INPUT_NAME,
    OUTPUT_NAME,
    Model,
    load,
    save,
)
from scones.workflow.frames import Frame, lst, png
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings
from scones.workflow.source import open_dataset

ACCEPTED = 0.95
THRESHOLD = 0.93
BATCH = 100
LONGEST_S = 60.0  # for a container to start
ALGORITHM = Path(scones.__file__).parent / "shipped" / "algorithm"


def train(base: Path, splits: dict[str, Frame], classes: tuple[str, ...]) -> Path:
    """The model folder of a job with the default recipe."""
    for split, frame in splits.items():
        folder, lists = base / "input/data" / split, base / f"input/data/{split}_lst"
        folder.mkdir(parents=True)
        lists.mkdir()
        for name, row in zip(frame.filenames, frame.rows, strict=True):
            (folder / name).write_bytes(png(row))
        (lists / f"{split}.lst").write_text(lst(frame.labels.tolist(), frame.filenames))
    configuration = base / "input/config"
    configuration.mkdir(parents=True)
    values = {
        "image_shape": "3,32,32",
        "num_classes": len(classes),
        "num_training_samples": len(splits["train"]),
    }
    (configuration / "hyperparameters.json").write_text(json.dumps({k: str(v) for k, v in values.items()}))
    channels = [name for split in splits for name in (split, f"{split}_lst")]
    contents = {name: {"ContentType": "application/x-image"} for name in channels}
    (configuration / "inputdataconfig.json").write_text(json.dumps(contents))
    subprocess.run(
        [sys.executable, str(ALGORITHM), "train"],
        env=os.environ | {"SAGEMAKER_BASE_DIR": str(base)},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return base / "model"


def answers(model: Model, pictures: Pictures) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Novelty and confidence of each picture."""
    parts = [model.answers(pictures[first : first + BATCH]) for first in range(0, len(pictures), BATCH)]
    novelties = [novelty for _, novelty in parts if novelty is not None]
    if len(novelties) != len(parts):
        sys.exit("this model does not score novelty: it was trained on too few pictures")
    return np.concatenate(novelties), np.concatenate([found.max(axis=1) for found, _ in parts])


def auroc(usual: NDArray[np.float32], odd: NDArray[np.float32]) -> float:
    """Chance that an odd picture scores above a usual one, ties counting half."""
    ranked = np.sort(usual)
    below, upto = np.searchsorted(ranked, odd, "left"), np.searchsorted(ranked, odd, "right")
    return float((below + upto).mean() / 2 / len(usual))


def accepted(usual: NDArray[np.float32], odd: NDArray[np.float32]) -> float:
    """Share of the odd at or below the limit that accepts ACCEPTED of the usual."""
    return float((odd <= np.quantile(usual, ACCEPTED)).mean())


def table(model: Model, test: Pictures, count: int) -> None:
    usual, sure = answers(model, test)
    print(
        "| pictures | AUROC: novelty | confidence | accepted: novelty | confidence | reach 0.93 | pass |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    rows = []
    for kind, pictures in oddities(test, count).items():
        odd, bold = answers(model, pictures)
        reach = bold >= THRESHOLD
        figures = [auroc(usual, odd), auroc(-sure, -bold), accepted(usual, odd), accepted(-sure, -bold)]
        rows.append([*figures, float(reach.mean()), float((reach & (odd <= 1)).mean())])
        print(_row(kind, rows[-1]))
    print(_row("mean of the kinds", np.mean(rows, axis=0).tolist()))
    known, reach = usual <= 1, sure >= THRESHOLD
    print(
        f"\nOf {len(test)} test pictures {100 * known.mean():.1f} % are at or below the limit of 1;"
        f" {100 * reach.mean():.1f} % reach {THRESHOLD}, {100 * (reach & known).mean():.1f} % pass both."
    )


def _row(kind: str, figures: list[float]) -> str:
    return f"| {kind} | " + " | ".join(f"{figure:.3f}" for figure in figures) + " |"


def without(folder: Path, place: Path) -> Path:
    """The same model in a folder of its own, but for the part of the graph that scores novelty."""
    whole = onnx.load(str(folder / GRAPH_FILE))
    bare = onnx.utils.Extractor(whole).extract_model([INPUT_NAME], [OUTPUT_NAME]).SerializeToString()
    card = json.loads((folder / CARD_FILE).read_text())
    card |= {"novelty": None, "graph": card["graph"] | {"sha256": hashlib.sha256(bare).hexdigest()}}
    save(place, bare, card)
    return place


@contextlib.contextmanager
def serving(model: Path, base: Path) -> Iterator[tuple[http.client.HTTPConnection, psutil.Process]]:
    """A connection to a container that serves the model, and its process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    base.mkdir()
    (base / "model").symlink_to(model.resolve(), target_is_directory=True)
    told = {"SAGEMAKER_BASE_DIR": str(base), "SAGEMAKER_BIND_TO_PORT": str(port), "BIND_HOST": "127.0.0.1"}
    process = subprocess.Popen(
        [sys.executable, str(ALGORITHM), "serve"], env=os.environ | told, stdout=subprocess.DEVNULL
    )
    try:
        connection, deadline = http.client.HTTPConnection("127.0.0.1", port), time.monotonic() + LONGEST_S
        while True:
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit("the container does not start")
                time.sleep(0.05)
        yield connection, psutil.Process(process.pid)
        connection.close()
    finally:
        process.kill()
        process.wait()


def cost(folder: Path, place: Path, picture: bytes, rounds: int) -> None:
    """POST /invocations over kept connections, in turn with a model that has no score.

    The median time is what a caller waits; other work on the machine disturbs the processor's time least.
    """
    with (
        serving(folder, place / "with") as scored,
        serving(without(folder, place / "bare"), place / "without") as plain,
    ):
        containers = (scored, plain)
        waited: tuple[list[float], list[float]] = ([], [])
        began = [_processor_s(process) for _, process in containers]
        for _ in range(rounds):
            for (connection, _), seconds in zip(containers, waited, strict=True):
                start = time.perf_counter()
                connection.request("POST", "/invocations", picture, {"Content-Type": "image/png"})
                connection.getresponse().read()
                seconds.append(time.perf_counter() - start)
        spent = [
            _processor_s(process) - before for (_, process), before in zip(containers, began, strict=True)
        ]
    print(
        "\n| a request to the container, microseconds | with novelty | without | ratio |"
        "\n| --- | --- | --- | --- |"
    )
    for what, (first, second) in {
        "median wait": [statistics.median(seconds) for seconds in waited],
        "processor time": [seconds / rounds for seconds in spent],
    }.items():
        print(f"| {what} | {first * 1e6:.0f} | {second * 1e6:.0f} | {first / second:.2f} |")


def _processor_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", help="archive or folder")
    parser.add_argument("--model", type=Path, help="folder of a trained model; none: train one")
    parser.add_argument("--count", type=int, default=200, help="pictures of each kind")
    parser.add_argument("--rounds", type=int, default=2000, help="requests timed of each sort")
    given = parser.parse_args()
    settings = Settings.build({"data": given.data}, os.environ)
    dataset = open_dataset(settings, Silent())
    with tempfile.TemporaryDirectory() as name:
        splits = {"train": dataset.train, "validation": dataset.test}
        folder = given.model or train(Path(name), splits, dataset.classes)
        model = load(folder)
        table(model, dataset.test.rows.reshape(-1, 3, 32, 32), given.count)
        cost(folder, Path(name), png(dataset.test.rows[0]), given.rounds)


if __name__ == "__main__":
    main()
