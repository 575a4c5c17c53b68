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
