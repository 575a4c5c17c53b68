"""The benchmarks that need nothing but the project run, and count what they say they count."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.pictures import draw_pictures

from scones.shipped.algorithm.artefact import describe, save
from scones.shipped.algorithm.export import export
from scones.shipped.algorithm.novelty import learn
from scones.workflow import drawn
from scones.workflow.frames import png

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def table(script: str, *arguments: str) -> list[list[str]]:
    """The cells of the rows below the heading."""
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


def test_waiting_executions_are_counted_before_and_after_a_kill() -> None:
    assert [row[1] for row in table("waiting.py", "--executions", "30")] == ["0", "30", "30"]


def test_a_map_is_measured_at_every_size() -> None:
    rows = table("map_items.py", "--sizes", "3", "200", "--rounds", "1", "--no-baseline")
    assert [row[:2] for row in rows] == [["scones", "3"], ["scones", "200"]]


def test_a_distributed_map_is_measured_too() -> None:
    few = ["--mode", "distributed", "--sizes", "3", "40", "--rounds", "1", "--no-baseline"]
    assert [row[:2] for row in table("map_items.py", *few)] == [["scones", "3"], ["scones", "40"]]


def test_the_vehicle_workflow_is_measured_beside_its_endpoint(tmp_path: Path) -> None:
    pictures = str(draw_pictures(tmp_path / "pictures"))
    few = ["--pictures", "6", "--under-way", "3", "--rounds", "1"]
    rows = table("vehicle_workflow.py", "--data", pictures, *few)
    assert [row[0] for row in rows] == ["endpoint", "workflow"]


@pytest.mark.timeout(240)
@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="trains: pip install scones[train]")
def test_batch_transform_is_measured_beside_the_bare_loop() -> None:
    command = [sys.executable, str(BENCHMARKS / "batch_transform.py"), "--pictures", "100", "--rounds", "1"]
    done = subprocess.run(
        [*command, "--instances", "1"], capture_output=True, text=True, timeout=220, check=False
    )
    assert done.returncode == 0, done.stderr
    assert re.findall(r"^\| (bare loop|transform job) \| [\d,]+ ", done.stdout, re.MULTILINE) == [
        "bare loop",
        "transform job",
    ]
    assert "100 pictures, InstanceCount 1" in done.stdout


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


def test_an_endpoint_s_memory_is_watched_over_its_requests() -> None:
    command = [sys.executable, str(BENCHMARKS / "endpoint.py"), "--requests", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\d+) \| [\d,]+ \| (\d+) \| (\d+) ", done.stdout, re.MULTILINE)
    assert [int(count) for count, _, _ in rows] == [0, 50, 100]
    assert all(int(cloud) > 0 and int(processes) > 0 for _, cloud, processes in rows)
