"""The example notebook runs from top to bottom and leaves nothing behind."""

import importlib.util
import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scones.client_env import client_environment, misleading
from scones.testing import LocalAWS

NOTEBOOK = Path(__file__).parents[2] / "examples" / "notebook.ipynb"
NEEDED = ("sagemaker", "nbclient", "ipykernel", "pandas")

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(module) is None for module in NEEDED),
    reason="needs the extra: pip install scones[sdk]",
)

EXECUTE = """
import sys, nbclient, nbformat
notebook = nbformat.read(sys.argv[1], as_version=4)
client = nbclient.NotebookClient(notebook, timeout=150, resources={"metadata": {"path": sys.argv[2]}})
try:
    client.execute()
finally:
    nbformat.write(notebook, sys.argv[2] + "/executed.ipynb")
"""


def archive(folder: Path) -> Path:
    """Two colours under two classes' names, in the published archive's layout; no test needs a network."""
    labels = {"train": [8, 48] * 60, "test": [8, 48] * 20}
    parts: dict[str, Any] = {
        "meta": {
            b"fine_label_names": [
                {8: b"bicycle", 48: b"motorcycle"}.get(number, b"other-%d" % number) for number in range(100)
            ]
        }
    }
    for split, fine_labels in labels.items():
        noise = np.random.default_rng(0).integers(0, 64, (len(fine_labels), 3072))
        parts[split] = {
            b"filenames": [b"picture_s_%06d.png" % row for row in range(len(fine_labels))],
            b"fine_labels": fine_labels,
            b"data": (noise + np.where(np.array(fine_labels) == 8, 40, 180)[:, None]).astype(np.uint8),
        }
    path = folder / "archive.tar.gz"
    with tarfile.open(path, "w:gz") as file:
        for name, part in parts.items():
            content = pickle.dumps(part, protocol=3)
            member = tarfile.TarInfo(f"cifar-100-python/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return path


def execute(folder: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Run the notebook in `folder`; returns it with its outputs."""
    kept = {name: value for name, value in os.environ.items() if name not in misleading(os.environ)}
    command = [sys.executable, "-c", EXECUTE, str(NOTEBOOK), str(folder)]
    environment = kept | {"IPYTHONDIR": str(folder / "ipython"), "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    result = subprocess.run(command, env=environment | variables, capture_output=True, text=True, timeout=280)
    assert result.returncode == 0, result.stderr[-5000:]
    executed: dict[str, Any] = json.loads((folder / "executed.ipynb").read_text())
    return executed


def shown(notebook: dict[str, Any]) -> str:
    """All that the cells printed."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return "".join("".join(output.get("text", "")) for output in outputs)


def pictures(notebook: dict[str, Any]) -> int:
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    return sum("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.timeout(300)
def test_the_notebook_tells_the_whole_story(aws: LocalAWS, tmp_path: Path) -> None:
    variables = client_environment(aws.url, region="us-east-1", account_id="000000000000") | {
        "SCONES_DATA": os.environ.get("SCONES_DATA") or str(archive(tmp_path)),
        "SCONES_NOTEBOOK_IMAGES": "60",
        "SCONES_NOTEBOOK_EPOCHS": "2",
        "SCONES_NOTEBOOK_EXECUTIONS": "30",
        "SCONES_NOTEBOOK_PAUSE_S": "0.1",
        "SCONES_NOTEBOOK_QUIET_S": "4",
    }
    notebook = execute(tmp_path, variables)
    text = shown(notebook)
    assert "Billable seconds: " in text
    assert "of 30 passed the threshold 0.93" in text
    assert pictures(notebook) == 3
    assert "removed scones-" in text

    assert aws.client("sagemaker").list_endpoints(NameContains="scones-2")["Endpoints"] == []
    names = [function["FunctionName"] for function in aws.client("lambda").list_functions()["Functions"]]
    assert not any(name.startswith("scones-2") for name in names)


def test_the_notebook_is_stored_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") and cell.get("execution_count") is None for cell in cells)
