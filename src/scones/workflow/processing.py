"""ETL as the program of a SageMaker processing job: an archive in, pictures, lists and the manifest out.

`python -m scones.workflow.processing --classes bicycle,motorcycle --source TEXT` in a container that has
numpy and Pillow. Nothing of scones need be installed there: `prepare` sends the files that this imports.
The ExitMessage is, as JSON, the hyperparameters that only the data can tell, or what is wrong.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from scones.workflow import archive
from scones.workflow.errors import WorkflowError
from scones.workflow.frames import Dataset
from scones.workflow.objects import counts, manifest, md5_of, plan

__all__ = ["main"]


def main(arguments: list[str], opt_ml: Path = Path("/opt/ml")) -> int:
    """The exit code. opt_ml: where the container contract has its folders."""
    parser = argparse.ArgumentParser(description="Make pictures and lists of an archive.")
    parser.add_argument("--classes", required=True, help="names between commas, label 0 first")
    parser.add_argument("--source", required=True, help="where the archive comes from, for the manifest")
    given = parser.parse_args(arguments)
    message = opt_ml / "output" / "message"
    try:
        dataset = _read(opt_ml / "processing" / "input" / "archive", given.classes.split(","), given.source)
    except WorkflowError as error:
        message.write_text(error.message)
        print(f"{error.message}. {error.hint}" if error.hint else error.message, file=sys.stderr)
        return 1
    document = _write(dataset, opt_ml / "processing" / "output")
    message.write_text(json.dumps(counts(document)))
    print(f"{len(dataset.train)} train and {len(dataset.test)} test pictures of {', '.join(dataset.classes)}")
    return 0


def _read(folder: Path, classes: list[str], source: str) -> Dataset:
    found = sorted(folder.iterdir())
    if len(found) != 1:
        raise WorkflowError(f"expected one archive in {folder}, found {len(found)}")
    return archive.read(found[0], classes, source, archive.sha256_of(found[0]))


def _write(dataset: Dataset, folder: Path) -> dict[str, Any]:
    objects = {}
    for upload in plan(dataset):
        content = upload.content()
        path = folder / upload.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        objects[upload.key] = md5_of(content)
    document = manifest(dataset, objects)
    (folder / "manifest.json").write_text(json.dumps(document, indent=1))
    return document


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
