"""What a CreateTransformJob request may ask of this cloud. Pure; raises ValidationException."""

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.transform.joining import Joining
from scones.cloud.services.sagemaker.wording import S3Uri, check_environment, invalid, refuse, resource_limit

__all__ = ["check_request", "source_uri"]

_INSTANCES = 4  # processes of one job: this is one machine
_PAYLOADS_MB = 100  # at one instance at a time, documented


def check_request(request: Wire) -> None:
    """Everything that needs no look at the model or at S3."""
    refuse(request, ("DataCaptureConfig", "ExperimentConfig"))
    source = request["TransformInput"]
    kind = source["DataSource"]["S3DataSource"]["S3DataType"]
    if kind not in ("S3Prefix", "ManifestFile"):
        raise invalid(f"S3DataType {kind} cannot feed a transform job; use S3Prefix or ManifestFile.")
    source_uri(request)
    if source.get("SplitType") == "TFRecord":
        raise invalid("SplitType TFRecord is not supported by this cloud; use None, Line or RecordIO.")
    S3Uri.parse(request["TransformOutput"]["S3OutputPath"], "TransformOutput.S3OutputPath")
    count = request["TransformResources"]["InstanceCount"]
    if count > _INSTANCES:
        raise resource_limit(
            f"TransformResources.InstanceCount is {count}; this cloud is one machine and runs at most"
            f" {_INSTANCES} instances for a job."
        )
    check_environment(request.get("Environment", {}))
    for member, value in (
        ("TransformInput.ContentType", source.get("ContentType", "")),
        ("TransformOutput.Accept", request["TransformOutput"].get("Accept", "")),
    ):
        if any(character in value for character in "\r\n\0"):
            raise invalid(f"{member} holds a line break.")
    _check_payloads(request)
    Joining.of(request)


def source_uri(request: Wire) -> S3Uri:
    """Where the input's objects, or its manifest, lie."""
    source = request["TransformInput"]["DataSource"]["S3DataSource"]
    return S3Uri.parse(source["S3Uri"], "TransformInput.DataSource.S3DataSource.S3Uri")


def _check_payloads(request: Wire) -> None:
    payload = request.get("MaxPayloadInMB")
    if payload == 0:
        raise invalid("MaxPayloadInMB 0 (requests of any length, in chunks) is not supported by this cloud.")
    megabytes = (payload or 1) * max(request.get("MaxConcurrentTransforms", 1), 1)
    if megabytes > _PAYLOADS_MB:
        raise invalid(
            f"MaxConcurrentTransforms times MaxPayloadInMB is {megabytes}; it must not exceed"
            f" {_PAYLOADS_MB} MB."
        )
