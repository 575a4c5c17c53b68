"""The container contract: which files lie where, and how a job says that it failed.

Knows paths and JSON; knows nothing of pictures or networks.
Source: SageMaker Developer Guide, "How Amazon SageMaker Provides Training Information".
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# DescribeTrainingJob shows this many characters of the failure file.
FAILURE_LIMIT = 1024

SEED_VARIABLE = "RANDOM_SEED"  # set it with CreateTrainingJob's Environment
DEFAULT_SEED = 0


class ClientError(Exception):
    """The request or its data is wrong; the message tells the user what to change."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The tree below the base directory, `/opt/ml` in a container."""

    base: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Layout":
        """Take the base directory from SAGEMAKER_BASE_DIR, as the training toolkit does."""
        return cls(Path(environment.get("SAGEMAKER_BASE_DIR") or "/opt/ml"))

    @property
    def hyperparameters(self) -> Path:
        return self.base / "input/config/hyperparameters.json"

    @property
    def input_data_config(self) -> Path:
        return self.base / "input/config/inputdataconfig.json"

    @property
    def resource_config(self) -> Path:
        return self.base / "input/config/resourceconfig.json"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def failure(self) -> Path:
        return self.base / "output/failure"

    @property
    def checkpoints(self) -> Path:
        return self.base / "checkpoints"

    def channel(self, name: str) -> Path:
        return self.base / "input/data" / name

    def pipe(self, name: str, epoch: int) -> Path:
        return self.base / f"input/data/{name}_{epoch}"


def read_object(path: Path, *, required: bool = True) -> dict[str, Any]:
    """Read a JSON object; an absent file is empty when it is not required.

    Raises ClientError naming the file when it is missing, not JSON, or not an object.
    """
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        if required:
            raise ClientError(f"{path} is missing.") from None
        return {}
    except (OSError, ValueError) as error:
        raise ClientError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ClientError(f"{path} must hold a JSON object.")
    return value


def read_hosts(layout: Layout) -> list[str]:
    """The names of all hosts of the job; one when the file is absent."""
    hosts = read_object(layout.resource_config, required=False).get("hosts", ["algo-1"])
    return [str(host) for host in hosts] if isinstance(hosts, list) else []


def read_seed(environment: Mapping[str, str] = os.environ) -> int:
    """The seed of every random choice, 0 to 2**63-1.

    Raises ClientError when the variable holds anything else.
    """
    text = environment.get(SEED_VARIABLE) or str(DEFAULT_SEED)
    if not (text.isascii() and text.isdigit() and int(text) < 2**63):
        raise ClientError(f"{SEED_VARIABLE} must be an integer from 0 to 2**63-1, got {text!r}.")
    return int(text)


def write_atomically(path: Path, content: bytes) -> None:
    """Put the whole content at path, or leave what was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def report_failure(layout: Layout, kind: str, message: str) -> None:
    """Write `kind: message` to the failure file, cut where SageMaker would cut it.

    kind: "ClientError" or "AlgorithmError".
    """
    write_atomically(layout.failure, f"{kind}: {message}"[:FAILURE_LIMIT].encode())
