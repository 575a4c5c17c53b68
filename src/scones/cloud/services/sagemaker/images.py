"""Image URIs to what runs for them here.

There are no containers on this machine, so only known images can be honoured: a folder stands for an
algorithm's image and is started as `python FOLDER train|serve`; our own Python, with the packages that
are installed there, stands for a framework's image, which runs what a processing job brings.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["Images"]

_ECR = re.compile(
    r"\d{12}\.dkr\.ecr\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/(?P<repository>[a-z0-9._/-]+?)(?::(?P<tag>[\w.-]+))?"
)
_TAGS = {None, "1", "latest"}  # what image_uris.retrieve gives for built-in algorithms

_FRAMEWORKS = {
    "huggingface-pytorch-training",
    "pytorch-inference",
    "pytorch-training",
    "sagemaker-base-python",
    "sagemaker-scikit-learn",
    "sagemaker-xgboost",
    "tensorflow-inference",
    "tensorflow-training",
}

# SageMaker knows the metrics of its own algorithms; requests for these never define any.
_BUILT_IN_METRICS: dict[str, list[Wire]] = {
    "image-classification": [
        {"Name": "train:accuracy", "Regex": r"Epoch\[\d+\] Train-accuracy=([0-9.]+)"},
        {"Name": "validation:accuracy", "Regex": r"Epoch\[\d+\] Validation-accuracy=([0-9.]+)"},
    ],
}


class Images:
    """algorithms: repository name of a built-in image, or any image's whole URI -> its folder."""

    def __init__(self, algorithms: Mapping[str, Path]) -> None:
        self._algorithms = algorithms

    def entry(self, image: str) -> Path:
        """The folder for an image; raises ValidationException naming what is known."""
        return self._algorithms[self._name(image)]

    def processing_entry(self, image: str) -> Path | None:
        """The folder for a processing job's image, None for a framework's.

        Raises ValidationException naming what is known.
        """
        match = _ECR.fullmatch(image)
        if match and match["repository"] in _FRAMEWORKS and image not in self._algorithms:
            return None
        return self._algorithms[self._name(image, *(f"{name}:<any tag>" for name in _FRAMEWORKS))]

    def metrics(self, image: str) -> list[Wire]:
        """MetricDefinitions that the service itself has for an image."""
        return _BUILT_IN_METRICS.get(self._name(image), [])

    def _name(self, image: str, *more: str) -> str:
        """more: repositories that the caller knows besides."""
        if image in self._algorithms:
            return image
        match = _ECR.fullmatch(image)
        if match and match["tag"] in _TAGS and match["repository"] in self._algorithms:
            return match["repository"]
        whole = [name for name in self._algorithms if "/" in name]
        repositories = [f"{name}:1" for name in self._algorithms if "/" not in name] + list(more)
        known = ", ".join(
            sorted(whole)
            + [f"<account>.dkr.ecr.<region>.amazonaws.com/{name}" for name in sorted(repositories)]
        )
        raise invalid(f'The image "{image}" cannot run on this cloud. Known images: {known or "none"}.')
