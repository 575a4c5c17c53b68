"""A deployment package: hostile until checked, then unpacked once into a read-only folder.

Standard library only and nothing of ours, because it also runs by itself: `python archive.py ARCHIVE
TARGET` unpacks a large one without holding up the cloud. It then ends with status 2 and AWS's
message on stdout when the archive is refused.
"""

import errno
import os
import shutil
import stat
import sys
import uuid
import zipfile
import zlib
from pathlib import Path, PurePosixPath

__all__ = ["UNZIPPED_LIMIT_BYTES", "BadArchiveError", "remove", "unpack", "unpacked_size"]

UNZIPPED_LIMIT_BYTES = 262_144_000
_ENTRY_LIMIT = 100_000  # a 50 MB archive can name a million empty files
_DAMAGED = "Could not unzip uploaded file. Please check your file, then try to upload again."
_EMPTY = "Uploaded file must be a non-empty zip"
_TOO_LARGE = f"Unzipped size must be smaller than {UNZIPPED_LIMIT_BYTES} bytes"
_ENCRYPTED = 0x1  # general purpose flag, bit 0
_COPY_BYTES = 256 * 1024
_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}  # ours, not the archive's


class BadArchiveError(Exception):
    """The archive is refused; the text is AWS's."""


def unpacked_size(archive: Path) -> int:
    """Bytes the members say they have; raises BadArchiveError as `unpack` does."""
    with _opened(archive) as opened:
        return sum(member.file_size for member in _checked(opened))


def unpack(archive: Path, target: Path) -> None:
    """Make `target` appear, whole and read-only, or not at all. A target that exists is kept.

    Raises BadArchiveError.
    """
    if target.exists():
        return
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    try:
        with _opened(archive) as opened:
            for member in _checked(opened):
                _extract(opened, member, temporary)
        for folder, _, _ in os.walk(temporary, topdown=False):
            Path(folder).chmod(0o555)
        temporary.chmod(0o755)  # some systems cannot rename what they may not write
        try:
            temporary.rename(target)
        except OSError:
            if not target.exists():  # else another upload of the same bytes was quicker
                raise
        else:
            target.chmod(0o555)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
            raise
        raise BadArchiveError(_DAMAGED) from error
    finally:
        remove(temporary)


def remove(folder: Path) -> None:
    """Delete a read-only folder; nothing happens when it is not there."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o755)
    shutil.rmtree(folder, ignore_errors=True)


def _opened(archive: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise BadArchiveError(_DAMAGED) from error


def _checked(opened: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members, none of which would leave the folder, be a link, or burst the limit."""
    members = opened.infolist()
    if not any(not member.is_dir() for member in members):
        raise BadArchiveError(_EMPTY)
    if len(members) > _ENTRY_LIMIT:
        raise BadArchiveError(_DAMAGED)
    if sum(member.file_size for member in members) > UNZIPPED_LIMIT_BYTES:
        raise BadArchiveError(_TOO_LARGE)
    for member in members:
        kind = stat.S_IFMT(member.external_attr >> 16)
        if (
            member.flag_bits & _ENCRYPTED
            or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
            or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
            or not _stays_inside(member.orig_filename)
        ):
            raise BadArchiveError(_DAMAGED)
    return members


def _stays_inside(name: str) -> bool:
    parts = PurePosixPath(name).parts
    plain = "\\" not in name and "\0" not in name and not name.startswith("/")
    return plain and ".." not in parts and ":" not in name[:2] and bool(parts)


def _extract(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / member.filename
    if member.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_file():  # named twice: the last one counts
        target.unlink()
    left = member.file_size
    with opened.open(member) as source, target.open("wb") as file:
        while piece := source.read(_COPY_BYTES):
            left -= len(piece)
            if left < 0:
                raise zipfile.BadZipFile("longer than declared")
            file.write(piece)
    executable = member.external_attr >> 16 & 0o111
    target.chmod(0o555 if executable else 0o444)


def main() -> int:
    try:
        unpack(Path(sys.argv[1]), Path(sys.argv[2]))
    except BadArchiveError as refusal:
        sys.stdout.write(f"{refusal}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
