"""The benchmarks that need nothing but the project run, and count what they say they count."""

import re
import subprocess
import sys
from pathlib import Path

import torch

from scones.shipped.algorithm.artefact import describe, save
from scones.shipped.algorithm.export import export
from scones.shipped.algorithm.novelty import learn
from scones.workflow import drawn
from scones.workflow.frames import png

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_waiting_executions_are_counted_before_and_after_a_kill() -> None:
    command = [sys.executable, str(BENCHMARKS / "waiting.py"), "--executions", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"^\| [a-z].*?\| (\d+) \|", done.stdout, re.MULTILINE)
    assert counts == ["0", "30", "30"]


def test_odd_pictures_are_told_better_than_by_confidence(tmp_path: Path) -> None:
    dataset = drawn.draw({"train": 100, "test": 10})
    for split, frame in (("train", dataset.train), ("test", dataset.test)):
        for name, label, row in zip(frame.filenames, frame.labels, frame.rows, strict=True):
            folder = tmp_path / "data" / split / dataset.classes[label]
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(png(row))
    shape, pictures = (3, 32, 32), list(dataset.train.rows.reshape(-1, 3, 32, 32))
    novelty = learn(pictures, shape, torch.full((3,), 128.0), torch.full((3,), 60.0), seed=0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 2))
    graph = export(network, 1.0, pictures[:2], shape, novelty=novelty)
    save(
        tmp_path / "model", graph, describe(graph, shape, list(dataset.classes), {}, {}, novelty is not None)
    )
    command = [sys.executable, str(BENCHMARKS / "out_of_distribution.py"), "--count", "6", "--rounds", "200"]
    command += ["--data", str(tmp_path / "data"), "--model", str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    rows = {
        line.split(" | ")[0][2:]: line.split(" | ")[1:] for line in done.stdout.splitlines() if " | " in line
    }
    for kind in ("one colour", "uniform noise", "stripes and checkers"):
        assert float(rows[kind][0]) == 1.0
    assert float(rows["mean of the kinds"][0]) > float(rows["mean of the kinds"][1])
    assert "Of 20 test pictures" in done.stdout
    assert float(rows["processor time"][0]) > 0
