"""Brings a model's files from S3 to where a container looks for them."""

from pathlib import Path

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call
from scones.cloud.services.sagemaker.container import Containers, GuestError
from scones.cloud.services.sagemaker.records import ModelSource
from scones.cloud.services.sagemaker.transfer import TransferError, download, download_prefix, remove_tree
from scones.cloud.services.sagemaker.wording import S3Uri, excerpt

__all__ = ["ModelDataError", "bring_model"]


class ModelDataError(Exception):
    """A model could not be brought; the message is SageMaker's."""


async def bring_model(
    source: ModelSource | None, base: Path, *, call: Call, containers: Containers, limit_bytes: int
) -> None:
    """The model into `base`/model, unless it is there; nothing half-brought is ever found there.

    limit_bytes: of the unpacked model. Raises ModelDataError and OSError.
    """
    if (base / "model").is_dir():
        return
    incoming = base / "incoming"
    await remove_tree(base)
    incoming.mkdir(parents=True)
    if source:
        archive = base / "model.tar.gz"
        await _fetch(source, call, archive if source.archive else incoming)
        if source.archive:
            await _unpack(source, archive, incoming, containers, limit_bytes)
    incoming.rename(base / "model")


async def _fetch(source: ModelSource, call: Call, target: Path) -> None:
    uri = S3Uri.parse(source.url, "ModelDataUrl")
    try:
        if source.archive:
            await download(call, uri, target)
        else:
            await download_prefix(call, uri, target)
    except (ServiceError, TransferError) as error:
        raise ModelDataError(
            f'Failed to download model data for container "container_1" from URL: "{source.url}". Please'
            " ensure that there is an object located at the URL and that the role passed to CreateModel"
            " has permissions to download the object."
        ) from error


async def _unpack(
    source: ModelSource, archive: Path, folder: Path, containers: Containers, limit_bytes: int
) -> None:
    try:
        await containers.run_guest(
            "unpack.py", str(archive), str(folder), str(limit_bytes), purpose="unpack model"
        )
    except GuestError as error:
        raise ModelDataError(
            excerpt(
                'Failed to extract model data archive for container "container_1" from URL'
                f' "{source.url}". Please ensure that the object located at the URL is a valid tar.gz'
                f" archive. ({error})"
            )
        ) from error
    archive.unlink()
