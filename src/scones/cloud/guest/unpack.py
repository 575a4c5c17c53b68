"""Unpack a model archive that may be hostile.

`python unpack.py ARCHIVE FOLDER LIMIT_BYTES`: writes regular files and folders below FOLDER and
nothing else. Whatever is wrong with the archive is told in the last line of the output, exit code 1.
Standard library only: this file runs in somebody else's interpreter.
"""

import sys
import tarfile
import zlib
from pathlib import Path

MEMBER_LIMIT = 100_000


class RefusedError(Exception):
    """The archive holds something that must not be written."""


def main(archive: str, folder: str, limit: str) -> None:
    try:
        unpack(Path(archive), Path(folder), int(limit))
    except (RefusedError, OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        sys.exit(f"{error}")


def unpack(archive: Path, folder: Path, limit: int) -> None:
    left = limit
    with tarfile.open(archive, "r:gz") as tar:
        for count, member in enumerate(tar):
            if count >= MEMBER_LIMIT:
                raise RefusedError(f"more than {MEMBER_LIMIT} members")
            target = folder.joinpath(*_checked(member.name))
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isreg():
                left -= member.size
                if left < 0:
                    raise RefusedError(f"it unpacks to more than {limit} bytes")
                _write(tar, member, target)
            else:
                raise RefusedError(f"member {member.name!r} is neither a file nor a folder")


def _checked(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
        raise RefusedError(f"member {name!r} would leave the model folder")
    return parts


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise RefusedError(f"member {member.name!r} has no bytes")
    with target.open("wb") as file:
        while piece := source.read(1 << 20):
            file.write(piece)


if __name__ == "__main__":
    main(*sys.argv[1:])
