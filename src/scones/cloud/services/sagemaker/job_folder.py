"""The folder of one attempt at a training job, laid out as the container contract has it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.channels import checkpoint_folder, input_mode
from scones.cloud.services.sagemaker.records import TrainingJob

__all__ = ["JobFolder"]

_FAILURE_CHARACTERS = 1024


@dataclass(frozen=True, slots=True)
class JobFolder:
    root: Path

    @property
    def base(self) -> Path:
        """What the container knows as /opt/ml."""
        return self.root / "opt" / "ml"

    @property
    def model(self) -> Path:
        return self.base / "model"

    @property
    def output(self) -> Path:
        return self.base / "output" / "data"

    @property
    def log(self) -> Path:
        return self.root / "log.tsv"

    @property
    def inputs(self) -> Path:
        return self.base / "input" / "data"

    def channel(self, name: str) -> Path:
        return self.inputs / name

    def create(self, job: TrainingJob) -> None:
        """Folders and configuration files; inputs come later."""
        config = self.base / "input" / "config"
        for folder in (config, self.inputs, self.model, self.output, self.base / "code"):
            folder.mkdir(parents=True)
        if where := checkpoint_folder(job.request):
            (self.base / where).mkdir(parents=True)
        channels = job.request.get("InputDataConfig", [])
        for channel in channels:
            if input_mode(job.request, channel) != "Pipe":
                self.channel(channel["ChannelName"]).mkdir(parents=True)
        _write(config / "hyperparameters.json", job.request.get("HyperParameters", {}))
        _write(
            config / "inputdataconfig.json",
            {channel["ChannelName"]: _channel_config(job.request, channel) for channel in channels},
        )
        _write(config / "resourceconfig.json", _resource_config(job.request.get("ResourceConfig", {})))

    def failure(self) -> str:
        """The start of the failure file, "" where the process wrote none."""
        try:
            with (self.base / "output" / "failure").open(encoding="utf-8", errors="replace") as file:
                return file.read(_FAILURE_CHARACTERS)
        except OSError:
            return ""

    def has_model(self) -> bool:
        return _holds_files(self.model)

    def has_output(self) -> bool:
        return _holds_files(self.output)


def _holds_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*")) if folder.is_dir() else False


def _channel_config(request: Wire, channel: Wire) -> dict[str, str]:
    source = channel["DataSource"]["S3DataSource"]
    mode = input_mode(request, channel)
    config = {
        # Programs that know File read FastFile without knowing; so the Developer Guide has it.
        "TrainingInputMode": "File" if mode == "FastFile" else mode,
        "S3DistributionType": source.get("S3DataDistributionType", "FullyReplicated"),
        "RecordWrapperType": channel.get("RecordWrapperType", "None"),
    }
    if "ContentType" in channel:
        config["ContentType"] = channel["ContentType"]
    return config


def _resource_config(resources: Wire) -> dict[str, Any]:
    instance_type = resources.get("InstanceType", "local")
    return {
        "current_host": "algo-1",
        "current_instance_type": instance_type,
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": instance_type,
                "hosts": ["algo-1"],
            }
        ],
        "network_interface_name": "eth0",
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
