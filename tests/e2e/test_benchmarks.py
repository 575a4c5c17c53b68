"""The benchmarks that need nothing but the project run, and count what they say they count."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.pictures import draw_pictures

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
