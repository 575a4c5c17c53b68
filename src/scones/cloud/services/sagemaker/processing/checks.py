"""What a CreateProcessingJob request may ask of this cloud. Pure; raises ValidationException."""

from collections.abc import Sequence

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.wording import S3Uri, check_environment, invalid, refuse, resource_limit

__all__ = ["check_request"]

_ROOT = "/opt/ml/processing/"
_INSTANCES = 4  # processes of one job: this is one machine


def check_request(request: Wire) -> None:
    """Everything that needs no look at images or at S3."""
    refuse(request, ("ExperimentConfig",))
    network = request.get("NetworkConfig", {})
    refuse(network, ("EnableNetworkIsolation",))
    _check_cluster(request["ProcessingResources"]["ClusterConfig"])
    check_environment(request.get("Environment", {}))
    specification = request["AppSpecification"]
    for member in ("ContainerEntrypoint", "ContainerArguments"):
        if any("\0" in word for word in specification.get(member, ())):
            raise invalid(f"AppSpecification.{member} holds a NUL character.")
    sources = request.get("ProcessingInputs", ())
    outputs = request.get("ProcessingOutputConfig", {}).get("Outputs", ())
    _check_names("ProcessingInputs", [item["InputName"] for item in sources])
    _check_names("ProcessingOutputConfig.Outputs", [item["OutputName"] for item in outputs])
    for item in sources:
        _check_input(item, f'ProcessingInput "{item["InputName"]}"')
    for item in outputs:
        _check_output(item, f'ProcessingOutput "{item["OutputName"]}"')


def _check_cluster(cluster: Wire) -> None:
    refuse(cluster, ("InstancePreferences",))
    count = cluster.get("InstanceCount", 1)
    if count > _INSTANCES:
        raise resource_limit(
            f"ProcessingResources.ClusterConfig.InstanceCount is {count}; this cloud is one machine and runs"
            f" at most {_INSTANCES} instances for a job."
        )


def _check_names(member: str, names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise invalid(f'{member} must have unique names, found "{name}" more than once.')


def _check_input(item: Wire, where: str) -> None:
    if "DatasetDefinition" in item:
        raise invalid(f"DatasetDefinition of {where} is not supported by this cloud; use S3Input.")
    source = item.get("S3Input")
    if not source:
        raise invalid(f"{where} must have an S3Input.")
    S3Uri.parse(source["S3Uri"], f"S3Uri of {where}")
    if item.get("AppManaged"):
        return
    if source.get("S3InputMode", "File") != "File":
        raise invalid(f"S3InputMode Pipe of {where} is not supported by this cloud; use File.")
    if source.get("S3CompressionType", "None") != "None":
        raise invalid(f"S3CompressionType Gzip of {where} goes with S3InputMode Pipe only.")
    _check_path(source.get("LocalPath", ""), where)


def _check_output(item: Wire, where: str) -> None:
    if "FeatureStoreOutput" in item:
        raise invalid(f"FeatureStoreOutput of {where} is not supported by this cloud; use S3Output.")
    target = item.get("S3Output")
    if not target:
        raise invalid(f"{where} must have an S3Output.")
    S3Uri.parse(target["S3Uri"], f"S3Uri of {where}")
    if not item.get("AppManaged"):
        _check_path(target.get("LocalPath", ""), where)


def _check_path(path: str, where: str) -> None:
    parts = path.rstrip("/").split("/")
    if not path.startswith(_ROOT) or {".", ".."} & set(parts) or "\0" in path or len(parts) < 5:
        raise invalid(f'LocalPath of {where} must be a folder below {_ROOT}, found "{path}".')
