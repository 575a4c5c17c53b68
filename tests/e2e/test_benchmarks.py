"""The benchmarks that need nothing but the project run, and count what they say they count."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_waiting_executions_are_counted_before_and_after_a_kill() -> None:
    command = [sys.executable, str(BENCHMARKS / "waiting.py"), "--executions", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"^\| [a-z].*?\| (\d+) \|", done.stdout, re.MULTILINE)
    assert counts == ["0", "30", "30"]


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
