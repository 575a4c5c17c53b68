"""Image URIs to what runs for them here: a folder started as `python FOLDER train|serve`.

There are no containers on this machine, so only images with a known entry can be honoured.
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

    def metrics(self, image: str) -> list[Wire]:
        """MetricDefinitions that the service itself has for an image."""
        return _BUILT_IN_METRICS.get(self._name(image), [])

    def _name(self, image: str) -> str:
        if image in self._algorithms:
            return image
        match = _ECR.fullmatch(image)
        if match and match["tag"] in _TAGS and match["repository"] in self._algorithms:
            return match["repository"]
        known = ", ".join(
            name if "/" in name else f"<account>.dkr.ecr.<region>.amazonaws.com/{name}:1"
            for name in sorted(self._algorithms)
        )
        raise invalid(f'The image "{image}" cannot run on this cloud. Known images: {known or "none"}.')
