"""Pack a folder into a .tar.gz that depends on nothing but the files in it.

`python pack.py FOLDER ARCHIVE`: members sorted, without owners and times; what a link points to is
packed as a file, special files are left out. What goes wrong is told in the last line, exit code 1.
Standard library only: this file runs in somebody else's interpreter.
"""

import gzip
import sys
import tarfile
from pathlib import Path


def main(folder: str, archive: str) -> None:
    try:
        pack(Path(folder), Path(archive))
    except OSError as error:
        sys.exit(f"{error}")


def pack(folder: Path, archive: Path) -> None:
    with (
        archive.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder).as_posix())
            member.size = path.stat().st_size
            member.mode = 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
