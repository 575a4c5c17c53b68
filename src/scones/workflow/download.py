"""A file from the web into the cache: resumed where it stopped, checked before it is believed."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from scones.workflow.archive import ArchiveError, digest_of, sha256_of
from scones.workflow.progress import Advance, Progress

__all__ = ["UnreachableError", "fetch"]

_CONNECT_TIMEOUT_S = 5.0  # also the longest silence between two pieces
_PIECE_BYTES = 256 * 1024
_ATTEMPTS = 4
_LARGEST_BYTES = 4 << 30


class UnreachableError(ArchiveError):
    """The host did not answer, or not with the file."""


def fetch(url: str, cache_dir: Path, progress: Progress, *, md5: str = "") -> tuple[Path, str]:
    """The cached file and its SHA-256, downloading what is not there yet.

    md5: as its author published it; empty: unknown.
    Raises UnreachableError, and ArchiveError for other bytes than expected.
    """
    folder = cache_dir / "archives" / hashlib.sha256(url.encode()).hexdigest()[:12]
    path = folder / (Path(urlsplit(url).path).name or "archive")
    recorded = path.with_name(path.name + ".sha256")
    if path.exists() and recorded.exists():
        if sha256_of(path) == recorded.read_text().strip():
            progress.detail(f"{path} is already here")
            return path, recorded.read_text().strip()
        progress.warn(f"{path} has changed since it was fetched; fetching it again")
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    _download(url, part, progress)
    if md5 and (found := digest_of(part, "md5")) != md5:
        part.unlink()
        raise ArchiveError(
            f"wrong checksum: {url} has MD5 {found}, its author published {md5}", "try again later"
        )
    digest = sha256_of(part)
    part.replace(path)
    recorded.write_text(digest + "\n")
    return path, digest


def _download(url: str, part: Path, progress: Progress) -> None:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            if _continue(url, part, progress):
                return
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
            begun = part.exists() and part.stat().st_size > 0
            if refused or not begun or attempt == _ATTEMPTS:
                hint = (
                    "run the same command again to resume"
                    if begun
                    else "check the network, or use --data PATH"
                )
                raise UnreachableError(
                    f"{url} cannot be fetched: {getattr(error, 'reason', error)}", hint
                ) from error
        progress.detail("the connection broke; resuming")
    raise ArchiveError(f"{url} was cut short {_ATTEMPTS} times", "run the same command again to resume")


def _continue(url: str, part: Path, progress: Progress) -> bool:
    """Fetch from where the part ends. Returns whether the file is whole."""
    validator = part.with_name(part.name + ".etag")
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "scones"}
    if have and validator.exists():
        headers |= {"Range": f"bytes={have}-", "If-Range": validator.read_text()}
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=_CONNECT_TIMEOUT_S) as reply:
        resumed = reply.status == 206
        if not resumed:
            have = 0
            if mark := reply.headers.get("ETag") or reply.headers.get("Last-Modified"):
                validator.write_text(mark)
        length = reply.headers.get("Content-Length")
        total = have + int(length) if length and length.isdigit() else None
        if (total or 0) > _LARGEST_BYTES:
            raise ArchiveError(f"{url} has {total:,} bytes, far more than CIFAR-100; it was not fetched")
        with progress.bar("downloading", total) as advance, part.open("ab" if resumed else "wb") as file:
            advance(have)
            size = have + _copy(reply, file, advance)
    whole = total is None or size >= total
    if whole:
        validator.unlink(missing_ok=True)
    return whole


def _copy(reply: http.client.HTTPResponse, file: BinaryIO, advance: Advance) -> int:
    size = 0
    while piece := reply.read(_PIECE_BYTES):
        file.write(piece)
        size += len(piece)
        advance(len(piece))
    return size
