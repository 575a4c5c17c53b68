"""Lambda zips, the same to the byte whenever the same files go in."""

import io
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from scones.workflow.errors import WorkflowError

__all__ = ["RUNTIME", "build", "pack"]

# The runtime nearest to this Python, so that wheels fit it here and on AWS.
RUNTIME = f"python3.{min(max(sys.version_info.minor, 10), 13)}"

_PLATFORM = "manylinux_2_28_x86_64"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_UNSTABLE = {"RECORD", "direct_url.json", "INSTALLER", "REQUESTED"}  # they tell how pip was called
_PIP_TIMEOUT_S = 600


def build(handler: Path) -> bytes:
    """The zip of one handler file, with what HANDLER.requirements.txt beside it asks for, if it is there."""
    requirements = handler.with_suffix(".requirements.txt")
    files = {handler.name: handler.read_bytes()}
    if requirements.exists():
        files |= dependencies(requirements)
    return pack(files.items())


def pack(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Path inside the zip -> content, whatever the order: sorted, with fixed times and modes."""
    with io.BytesIO() as target:
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            for name, content in sorted(files):
                entry = zipfile.ZipInfo(name, _EPOCH)
                entry.create_system = 3  # Unix, wherever it is made
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, content)
        return target.getvalue()


def dependencies(requirements: Path, *options: str) -> dict[str, bytes]:
    """The files of the wheels that the list needs, for Lambda's own platform.

    options: more for pip, such as --no-index --find-links FOLDER.
    """
    with tempfile.TemporaryDirectory() as folder:
        command = [
            *(
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-compile",
            ),
            *("--target", folder, "--platform", _PLATFORM, "--only-binary=:all:"),
            *("--implementation", "cp", "--python-version", RUNTIME.removeprefix("python")),
            *(*options, "-r", str(requirements)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PIP_TIMEOUT_S, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
            raise WorkflowError(f"the dependencies in {requirements} cannot be had: {last}")
        root = Path(folder)
        return {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.name not in _UNSTABLE and "__pycache__" not in path.parts
        }
