"""ETL as a processing job's program: what it leaves where the container contract says."""

import json
from pathlib import Path
from typing import Any

import pytest

from scones.workflow.objects import md5_of
from scones.workflow.prepare import PREPARATION_PREFIX
from scones.workflow.processing import main

ARGUMENTS = ["--classes", "motorcycle,bicycle", "--source", "s3://somewhere"]


@pytest.fixture
def opt_ml(tmp_path: Path) -> Path:
    for name in ("processing/input/archive", "processing/output", "output"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def test_pictures_lists_and_the_manifest_are_the_output(archives: Any, opt_ml: Path) -> None:
    archives.write(opt_ml / "processing" / "input" / "archive" / "some.tar.gz")
    assert main(ARGUMENTS, opt_ml) == 0
    output = opt_ml / "processing" / "output"
    manifest = json.loads((output / "manifest.json").read_text())
    assert (manifest["classes"], manifest["source"]) == (["motorcycle", "bicycle"], "s3://somewhere")
    files = {path.relative_to(output).as_posix(): path for path in output.rglob("*") if path.is_file()}
    assert {key: md5_of(path.read_bytes()) for key, path in files.items() if key in manifest["objects"]} == (
        manifest["objects"]
    )
    assert set(files) == {"manifest.json", *manifest["objects"]}
    assert not any(key.startswith(PREPARATION_PREFIX) for key in files)
    hyperparameters = json.loads((opt_ml / "output" / "message").read_text())
    assert hyperparameters == {"num_classes": "2", "num_training_samples": "4"}
    assert len((output / "train.lst").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("files", "classes", "message"),
    [
        (0, "bicycle,motorcycle", "expected one archive in"),
        (2, "bicycle,motorcycle", "expected one archive in"),
        (1, "bicycle,unicycle", "the archive has no class 'unicycle'"),
    ],
)
def test_what_is_wrong_is_the_exit_message(
    archives: Any, opt_ml: Path, files: int, classes: str, message: str
) -> None:
    for number in range(files):
        archives.write(opt_ml / "processing" / "input" / "archive" / f"{number}.tar.gz")
    assert main(["--classes", classes, "--source", "x"], opt_ml) == 1
    assert (opt_ml / "output" / "message").read_text().startswith(message)
    assert list((opt_ml / "processing" / "output").iterdir()) == []
