"""A processing job as its row holds it, and what its request settles. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from scones.cloud.services.sagemaker.job import Job
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["Output", "ProcessingJob", "Source"]

_ROOT = "/opt/ml/"
_DEFAULT_RUNTIME_S = 86_400  # documented


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input. folder: where it belongs below /opt/ml."""

    uri: S3Uri
    folder: str
    manifest: bool
    sharded: bool
    """Each instance gets a part of the objects, instead of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One output. folder: where it is written below /opt/ml."""

    name: str
    uri: S3Uri
    folder: str
    continuous: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessingJob(Job):
    exit_message: str | None = None
    processed: int | None = None
    """The attempt whose processes have all ended well, so that its outputs only need to be stored."""

    @property
    def hosts(self) -> list[str]:
        """The names of the instances."""
        cluster = self.request["ProcessingResources"]["ClusterConfig"]
        return [f"algo-{number}" for number in range(1, cluster.get("InstanceCount", 1) + 1)]

    @property
    def max_runtime_s(self) -> int:
        return int(self.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME_S))

    def log_stream(self, host: str) -> str:
        return f"{self.name}/{host}-{self.created // 1000}"

    def sources(self) -> Iterator[Source]:
        """What is to be brought; the job itself fetches what is AppManaged."""
        for item in self.request.get("ProcessingInputs", ()):
            if not item.get("AppManaged"):
                source = item["S3Input"]
                yield Source(
                    uri=S3Uri.parse(source["S3Uri"], "S3Uri"),
                    folder=source["LocalPath"].removeprefix(_ROOT).rstrip("/"),
                    manifest=source["S3DataType"] == "ManifestFile",
                    sharded=source.get("S3DataDistributionType") == "ShardedByS3Key",
                )

    def outputs(self) -> Iterator[Output]:
        """What is to be stored; the job itself stores what is AppManaged."""
        for item in self.request.get("ProcessingOutputConfig", {}).get("Outputs", ()):
            if not item.get("AppManaged"):
                target = item["S3Output"]
                yield Output(
                    name=item["OutputName"],
                    uri=S3Uri.parse(target["S3Uri"], "S3Uri"),
                    folder=target["LocalPath"].removeprefix(_ROOT).rstrip("/"),
                    continuous=target["S3UploadMode"] == "Continuous",
                )
