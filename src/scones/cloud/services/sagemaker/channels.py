"""What a channel of a training job asks for, checked: where its data lies and how it is to arrive."""

from enum import StrEnum

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.wording import S3Uri, invalid

__all__ = ["DataType", "check_channel", "checkpoint_folder", "data_type", "input_mode", "source_uri"]

_CHECKPOINTS = "/opt/ml/checkpoints"


class DataType(StrEnum):
    """S3DataType, as far as this cloud feeds it."""

    PREFIX = "S3Prefix"
    MANIFEST = "ManifestFile"
    AUGMENTED = "AugmentedManifestFile"


def input_mode(request: Wire, channel: Wire) -> str:
    """File, FastFile or Pipe: the channel's own word, else the whole job's."""
    return str(channel.get("InputMode") or request["AlgorithmSpecification"]["TrainingInputMode"])


def data_type(channel: Wire) -> DataType:
    return DataType(channel["DataSource"]["S3DataSource"]["S3DataType"])


def source_uri(channel: Wire) -> S3Uri:
    """The prefix, or the manifest, that a channel names."""
    return S3Uri.parse(
        channel["DataSource"]["S3DataSource"]["S3Uri"], f'S3Uri of channel "{channel["ChannelName"]}"'
    )


def check_channel(request: Wire, channel: Wire) -> None:
    """Raises ValidationException for what contradicts itself and for what this cloud cannot feed."""
    where = f'channel "{channel["ChannelName"]}"'
    source = channel["DataSource"].get("S3DataSource")
    if not source:
        raise invalid(f"The data source of {where} must be an S3DataSource on this cloud.")
    if source["S3DataType"] not in list(DataType):
        raise invalid(f"S3DataType {source['S3DataType']} of {where} is not supported by this cloud.")
    for member in ("InstanceGroupNames", "ModelAccessConfig", "HubAccessConfig"):
        if source.get(member):
            raise invalid(f"{member} of {where} is not supported by this cloud; leave it out.")
    mode, kind = input_mode(request, channel), data_type(channel)
    if mode != "Pipe":
        for member in ("CompressionType", "RecordWrapperType"):
            if channel.get(member, "None") != "None":
                raise invalid(f"{member} of {where} must be None in {mode} mode, found {channel[member]}.")
    if kind is DataType.AUGMENTED:
        if mode != "Pipe":
            raise invalid(f"S3DataType {kind} of {where} needs the input mode Pipe, found {mode}.")
        if not source.get("AttributeNames"):
            raise invalid(f"AttributeNames of {where} are required with S3DataType {kind}.")
    elif source.get("AttributeNames"):
        raise invalid(f"AttributeNames of {where} go with S3DataType {DataType.AUGMENTED} only.")
    if mode == "FastFile" and kind is not DataType.PREFIX:
        raise invalid(f"FastFile of {where} goes with S3DataType {DataType.PREFIX} only, found {kind}.")
    source_uri(channel)


def checkpoint_folder(request: Wire) -> str | None:
    """Where checkpoints lie below /opt/ml; None where none are asked for.

    Raises ValidationException for a folder elsewhere: jobs are processes here, and share one disk.
    """
    config = request.get("CheckpointConfig")
    if not config:
        return None
    path = str(config.get("LocalPath", _CHECKPOINTS)).rstrip("/")
    parts = path.split("/")
    if not f"{path}/".startswith(f"{_CHECKPOINTS}/") or {".", ".."} & set(parts) or "\0" in path:
        raise invalid(
            f"CheckpointConfig.LocalPath must be {_CHECKPOINTS} or a folder below it on this cloud,"
            f' found "{config["LocalPath"]}".'
        )
    return path.removeprefix("/opt/ml/")
