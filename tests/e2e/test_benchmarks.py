"""The benchmarks that need nothing but the project run, and count what they say they count."""

import re
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_waiting_executions_are_counted_before_and_after_a_kill() -> None:
    command = [sys.executable, str(BENCHMARKS / "waiting.py"), "--executions", "30"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    counts = re.findall(r"^\| [a-z].*?\| (\d+) \|", done.stdout, re.MULTILINE)
    assert counts == ["0", "30", "30"]


def test_an_endpoint_s_memory_is_watched_over_its_requests() -> None:
    command = [sys.executable, str(BENCHMARKS / "endpoint.py"), "--requests", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (\d+) \| [\d,]+ \| (\d+) \| (\d+) ", done.stdout, re.MULTILINE)
    assert [int(count) for count, _, _ in rows] == [0, 50, 100]
    assert all(int(cloud) > 0 and int(processes) > 0 for _, cloud, processes in rows)
