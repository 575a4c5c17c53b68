"""The workflow's settings: built once, flag over environment over default; the environment's one reader."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import platformdirs

from scones.workflow.errors import WorkflowError

__all__ = ["DEFAULT_ENDPOINT_URL", "PUBLISHED_ARCHIVE", "Settings"]

DEFAULT_ENDPOINT_URL = "http://127.0.0.1:4566"
PUBLISHED_ARCHIVE = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the workflow can be told."""

    endpoint_url: str | None = DEFAULT_ENDPOINT_URL
    """Where the AWS APIs answer; None is AWS itself, which only an explicit --aws chooses."""
    region: str | None = None
    """AWS region; None leaves it to the profile, or us-east-1 on this machine."""
    profile: str | None = None
    """Named profile of the AWS configuration files."""
    keyed: bool = False
    """The environment or a profile names credentials; without them a loopback endpoint gets dummy ones."""
    data: str = PUBLISHED_ARCHIVE
    """Archive of the CIFAR-100 python layout (path or URL), or a folder with a sub-folder per class."""
    data_given: bool = False
    """A person chose `data`: then nothing else is ever put in its place."""
    classes: tuple[str, ...] = ()
    """Names in label order: label 0 first; empty: bicycle, motorcycle, or every sub-folder of a folder."""
    cache_dir: Path = field(default_factory=lambda: Path(platformdirs.user_cache_dir("scones")))
    """Where downloaded archives are kept."""
    bucket: str = ""
    """S3 bucket; empty: scones-unlimited-<account>-<region>."""
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    """Given to the training job on top of image_shape, num_classes and num_training_samples."""
    training_instance: str = ""
    """Instance type; empty: ml.m5.xlarge on this machine, ml.g4dn.xlarge on AWS (it needs a GPU)."""
    processing_instance: str = "ml.m5.xlarge"
    """Instance type of the processing job."""
    hosting_instance: str = "ml.m5.xlarge"
    """Instance type of the endpoint."""
    max_training_s: int = 86_400
    """Seconds after which a training job is stopped."""
    endpoint_name: str = "scones-image-classification"
    """Name of the endpoint, and the first part of its configurations' names."""
    capture_percent: int = 40
    """Share of the endpoint's requests that are captured, 0 to 100."""
    threshold: float = 0.93
    """Confidence that a picture must reach, 0 to 1."""
    threshold_proposed: bool = False
    """Take the threshold that `scones threshold` proposes for the model being served instead."""
    precision: float | None = None
    """Rate at which accepted predictions are to be right; None: 0.99, or whatever was proposed before."""
    novelty_limit: float = 1.0
    """Novelty above which a confidently classified picture is refused; the endpoint scores one in twenty of
    the training pictures higher than 1. Infinite: none is refused."""
    report_dir: Path = Path("report")
    """Folder of the report."""
    sample: int = 40
    """Pictures of the test split that `run` sends through the state machine."""
    seed: int = 0
    """Chooses the sample."""
    workers: int = 16
    """Requests in flight at once."""
    capture_wait_s: float | None = None
    """Longest wait for the captures of a run; a file is delivered about 60 s after its first record.

    None: 75 s on this machine, 180 s on AWS.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise WorkflowError(f"the threshold must lie between 0 and 1, not {self.threshold}")
        if self.precision is not None and not 0 < self.precision < 1:
            raise WorkflowError(f"the precision must lie above 0 and below 1, not {self.precision}")
        if math.isnan(self.novelty_limit):
            raise WorkflowError("the limit of novelty must be a number, inf for none")
        if not 0 <= self.capture_percent <= 100:
            raise WorkflowError(f"the capture share must lie between 0 and 100 %, not {self.capture_percent}")
        if len(set(self.classes)) != len(self.classes):
            raise WorkflowError(f"a class is named twice: {', '.join(self.classes)}")
        if self.classes and len(self.classes) < 2:
            raise WorkflowError("a classifier needs two classes or more", "--classes bicycle,motorcycle")

    @property
    def on_this_machine(self) -> bool:
        """The APIs answer on loopback: polling is free, and credentials need not exist."""
        return self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname in _LOOPBACK

    @property
    def training_instance_type(self) -> str:
        return self.training_instance or ("ml.m5.xlarge" if self.on_this_machine else "ml.g4dn.xlarge")

    @property
    def longest_capture_wait_s(self) -> float:
        if self.capture_wait_s is None:
            return 75.0 if self.on_this_machine else 180.0
        return self.capture_wait_s

    @property
    def poll_s(self) -> float:
        """Seconds between two looks at something that takes its time."""
        return 0.5 if self.on_this_machine else 5.0

    @classmethod
    def build(cls, flags: Mapping[str, Any], environment: Mapping[str, str]) -> "Settings":
        """Settings from the flags that were given (None: not given) and the environment.

        Raises WorkflowError for a value that cannot be meant.
        """
        chosen = {name: value for name, value in _from_environment(environment).items() if value is not None}
        chosen |= {name: value for name, value in flags.items() if value is not None and name != "aws"}
        if flags.get("aws"):
            if flags.get("endpoint_url"):
                raise WorkflowError("--aws and --endpoint-url exclude each other")
            chosen["endpoint_url"] = None
        if chosen.get("threshold") == "auto":
            del chosen["threshold"]
            chosen["threshold_proposed"] = True
        chosen["data_given"] = "data" in chosen
        chosen["keyed"] = bool(environment.get("AWS_ACCESS_KEY_ID") or chosen.get("profile"))
        known = {entry.name for entry in fields(cls)}
        return cls(**{name: value for name, value in chosen.items() if name in known})


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    cache = environment.get("SCONES_CACHE_DIR")
    report = environment.get("SCONES_REPORT_DIR")
    classes = environment.get("SCONES_CLASSES")
    return {
        "endpoint_url": environment.get("AWS_ENDPOINT_URL") or None,
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or None,
        "profile": environment.get("AWS_PROFILE") or None,
        "data": environment.get("SCONES_DATA") or None,
        "bucket": environment.get("SCONES_BUCKET") or None,
        "classes": parse_classes(classes) if classes else None,
        "threshold": _threshold(environment.get("SCONES_THRESHOLD"), "SCONES_THRESHOLD"),
        "novelty_limit": _number("SCONES_NOVELTY_LIMIT", environment),
        "capture_wait_s": _number("SCONES_CAPTURE_WAIT", environment),
        "cache_dir": Path(cache) if cache else None,
        "report_dir": Path(report) if report else None,
    }


def _threshold(text: str | None, name: str) -> float | str | None:
    return "auto" if text == "auto" else _number(name, {name: text or ""})


def _number(name: str, environment: Mapping[str, str]) -> float | None:
    text = environment.get(name)
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        raise WorkflowError(f"{name} must be a number, not {text!r}") from None


def parse_classes(text: str) -> tuple[str, ...]:
    """Names between commas; blanks around them do not count."""
    return tuple(name for part in text.split(",") if (name := part.strip()))
