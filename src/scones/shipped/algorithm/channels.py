"""Which channels a job has and in which form each split comes: inputdataconfig.json, checked.

Source: SageMaker Developer Guide, "Input/Output Interface for the Image Classification Algorithm".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from .contract import ClientError, Layout
from .labels import FORMATS

SPLITS = ("train", "validation")
MODEL = "model"  # the channel of incremental training

RECORD_TYPE = "application/x-recordio"
MODEL_TYPE = "application/x-sagemaker-model"
PICTURE_TYPES = ("application/x-image", "image/png", "image/jpeg")


class Form(Enum):
    """How the pictures of a split come."""

    LIST = "pictures in files, named by a .lst file in a channel of its own"
    RECORDS = "one .rec file"
    RECORD_PIPE = "the content of .rec files through a pipe"
    PAIR_PIPE = "records of picture and label by turns through a pipe: an augmented manifest"


@dataclass(frozen=True, slots=True)
class Channels:
    """The forms of both splits, the form of multi-label, and whether a model comes along."""

    forms: Mapping[str, Form]
    label_format: str
    has_model: bool


def read_channels(config: Mapping[str, Any], layout: Layout) -> Channels:
    """Check the content of inputdataconfig.json.

    Raises ClientError for a missing channel, and for a content type or mode that does not fit.
    """
    channels = {name: value if isinstance(value, dict) else {} for name, value in config.items()}
    for split in SPLITS:
        if split not in channels:
            raise ClientError(
                f"The channel {split} is missing. Required: train and validation, and for"
                f" {PICTURE_TYPES[0]} in File mode also train_lst and validation_lst."
            )
    forms = {split: _form(split, channels, layout) for split in SPLITS}
    if MODEL in channels:
        _check_model(channels[MODEL])
    formats = {_label_format(split, channels[split]) for split in SPLITS}
    if len(formats) > 1:
        raise ClientError("The channels train and validation have different label-format parameters.")
    return Channels(forms, formats.pop(), MODEL in channels)


def _form(split: str, channels: Mapping[str, Mapping[str, Any]], layout: Layout) -> Form:
    channel = channels[split]
    content_type, _ = _content_type(channel)
    if content_type not in (*PICTURE_TYPES, RECORD_TYPE):
        raise ClientError(
            f"The channel {split} has content type {content_type}."
            f" Supported: {', '.join((*PICTURE_TYPES, RECORD_TYPE))}."
        )
    if _mode(split, channel) == "Pipe":
        if channel.get("RecordWrapperType") == "RecordIO":
            return Form.PAIR_PIPE
        if content_type == RECORD_TYPE:
            return Form.RECORD_PIPE
        raise ClientError(
            f"The channel {split} sends {content_type} through a pipe. In Pipe mode give {RECORD_TYPE}, or"
            " an augmented manifest with RecordWrapperType RecordIO."
        )
    if content_type == RECORD_TYPE:
        _check_folder(split, channels, layout)
        return Form.RECORDS
    for name in (split, f"{split}_lst"):
        _check_folder(name, channels, layout)
    return Form.LIST


def _check_folder(name: str, channels: Mapping[str, Mapping[str, Any]], layout: Layout) -> None:
    if name not in channels or not layout.channel(name).is_dir():
        raise ClientError(
            f"The channel {name} is missing. Required for {PICTURE_TYPES[0]}: train, validation, train_lst"
            f" and validation_lst; for {RECORD_TYPE}: train and validation."
        )
    if _mode(name, channels[name]) == "Pipe":
        raise ClientError(f"The channel {name} must use TrainingInputMode File or FastFile.")


def _check_model(channel: Mapping[str, Any]) -> None:
    content_type, _ = _content_type(channel)
    if channel.get("ContentType") and content_type != MODEL_TYPE:
        raise ClientError(f"The channel {MODEL} has content type {content_type}; it must be {MODEL_TYPE}.")
    if _mode(MODEL, channel) == "Pipe":
        raise ClientError(f"The channel {MODEL} must use TrainingInputMode File.")


def _mode(name: str, channel: Mapping[str, Any]) -> str:
    mode = channel.get("TrainingInputMode", "File")
    if mode not in ("File", "FastFile", "Pipe"):
        raise ClientError(f"The channel {name} has the unknown TrainingInputMode {mode!r}.")
    return str(mode)


def _content_type(channel: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Media type and parameters, such as `application/x-recordio; label-format=class-id`."""
    media, *rest = str(channel.get("ContentType") or PICTURE_TYPES[0]).split(";")
    pairs = (part.partition("=") for part in rest)
    return media.strip().lower(), {name.strip().lower(): value.strip() for name, _, value in pairs}


def _label_format(name: str, channel: Mapping[str, Any]) -> str:
    found = _content_type(channel)[1].get("label-format", FORMATS[0])
    if found not in FORMATS:
        raise ClientError(
            f"The channel {name} has label-format {found!r}; it must be {' or '.join(FORMATS)}."
        )
    return found
