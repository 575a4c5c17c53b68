"""Which pictures to work with: the ones asked for, else the published archive, else drawn ones."""

from pathlib import Path
from urllib.parse import urlsplit

from scones.workflow import archive, drawn, folder
from scones.workflow.archive import ArchiveError, sha256_of
from scones.workflow.download import UnreachableError, fetch
from scones.workflow.errors import WorkflowError
from scones.workflow.frames import Dataset
from scones.workflow.progress import Progress
from scones.workflow.settings import PUBLISHED_ARCHIVE, Settings

__all__ = ["DEFAULT_CLASSES", "DRAWN_BANNER", "open_archive", "open_dataset"]

DEFAULT_CLASSES = drawn.CLASSES
DRAWN_BANNER = (
    "These are NOT photographs: CIFAR-100 could not be fetched, so the project drew its own pictures. "
    "The figures show that the workflow works and say nothing about CIFAR-100."
)

# As the data set's author publishes it beside the link.
_PUBLISHED_MD5 = {PUBLISHED_ARCHIVE: "eb9058c3a382ffc7106e4002c42a8d85"}


def open_dataset(settings: Settings, progress: Progress) -> Dataset:
    """Raises WorkflowError when what a person asked for cannot be had; only the default has a substitute."""
    try:
        return _asked_for(settings, progress)
    except UnreachableError as error:
        if settings.data_given or settings.data != PUBLISHED_ARCHIVE:
            raise
        if settings.classes and settings.classes != drawn.CLASSES:
            raise WorkflowError(
                f"{error.message}, and the project can draw only {' and '.join(drawn.CLASSES)}",
                "use --data PATH",
            ) from error
        progress.warn(f"{error.message}. {DRAWN_BANNER}")
        return drawn.draw()


def open_archive(settings: Settings, progress: Progress) -> tuple[Path, str, str]:
    """A file of the CIFAR-100 python layout, where it comes from, and its SHA-256.

    Raises WorkflowError where there is none; there is no substitute.
    """
    path = _local(settings)
    if path is None:
        md5 = _PUBLISHED_MD5.get(settings.data, "")
        fetched, sha256 = fetch(settings.data, settings.cache_dir, progress, md5=md5)
        return fetched, settings.data, sha256
    if path.is_dir():
        raise ArchiveError(f"{path} is a folder, not an archive", "`scones etl` takes folders")
    return path, str(path), sha256_of(path)


def _asked_for(settings: Settings, progress: Progress) -> Dataset:
    path = _local(settings)
    if path and path.is_dir():
        return folder.read(path, settings.classes)
    found, source, sha256 = open_archive(settings, progress)
    return archive.read(found, settings.classes or DEFAULT_CLASSES, source, sha256)


def _local(settings: Settings) -> Path | None:
    """What is there at the path that `data` is; None where it is a URL to fetch."""
    scheme = urlsplit(settings.data).scheme
    if scheme in {"http", "https"}:
        return None
    if scheme and len(scheme) > 1 and scheme != "file":
        raise ArchiveError(f"{settings.data}: only http, https and paths are understood")
    path = Path(urlsplit(settings.data).path if scheme == "file" else settings.data).expanduser()
    if not path.exists():
        raise ArchiveError(f"there is no archive at {path}", "--data PATH|URL, or SCONES_DATA")
    return path
