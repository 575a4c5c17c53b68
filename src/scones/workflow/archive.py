"""An archive of the CIFAR-100 python layout, read as what it is: a file from a stranger.

Members are read one by one and never extracted; every size is bounded before it is read; a pickle may
name only what an array of bytes needs, and even that reaches numpy through functions that check it.
"""

import difflib
import gzip
import hashlib
import io
import pickle
import re
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from scones.workflow.errors import WorkflowError
from scones.workflow.frames import SIDE, Dataset, Frame, unique

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ArchiveError", "digest_of", "read", "sha256_of", "unpickle"]

_WANTED = {"meta": 1 << 20, "train": 512 << 20, "test": 512 << 20}  # bytes at most; the real train has 155 MB
_UNPACKED_BYTES = 2 << 30
_MEMBERS = 10_000
_FILENAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,200}")
_DTYPES = {"u1", "|u1", "uint8", "i8", "<i8", "int64", "i4", "<i4", "int32"}


class ArchiveError(WorkflowError):
    """The archive is not there, not whole, or not what it says."""


def read(path: Path, classes: Sequence[str], source: str, sha256: str = "") -> Dataset:
    """Both splits of the chosen classes; label i means classes[i].

    Raises ArchiveError for an archive that is missing, cut short, hostile or of another layout, and for a
    class that it does not have.
    """
    members = dict(_members(path))
    if absent := [name for name in _WANTED if name not in members]:
        raise ArchiveError(
            f"{path} lacks {', '.join(absent)}: not an archive of the CIFAR-100 python layout",
            "expected a tar with cifar-100-python/meta, train and test",
        )
    names = _texts(_entry(unpickle(members["meta"], "meta"), "fine_label_names", "meta"), "meta")
    wanted = [_label(name, names) for name in classes]
    return Dataset(
        classes=tuple(classes),
        train=_frame(members["train"], "train", wanted, classes),
        test=_frame(members["test"], "test", wanted, classes),
        source=source,
        sha256=sha256,
    )


def sha256_of(path: Path) -> str:
    return digest_of(path, "sha256")


def digest_of(path: Path, algorithm: str) -> str:
    """Of a file's bytes, in hexadecimal digits; algorithm: a name that hashlib knows."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    unpacked = 0
    try:
        with tarfile.open(path, "r:*") as archive:
            for number, member in enumerate(archive):
                unpacked += member.size
                if number >= _MEMBERS or unpacked > _UNPACKED_BYTES:
                    raise ArchiveError(f"{path} unpacks to far more than CIFAR-100; it was not read")
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ArchiveError(f"{path} has a member that points outside of it: {member.name!r}")
                if name.name in _WANTED and not member.isdir():
                    yield name.name, _content(path, archive, member, _WANTED[name.name])
    except FileNotFoundError as error:
        raise ArchiveError(f"there is no archive at {path}", "--data PATH|URL, or SCONES_DATA") from error
    except (EOFError, tarfile.ReadError, zlib.error, gzip.BadGzipFile) as error:
        raise ArchiveError(f"{path} is cut short or not a tar archive ({error})", "fetch it again") from error
    except (OSError, tarfile.TarError) as error:
        raise ArchiveError(f"{path} cannot be read: {error}") from error


def _content(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, limit: int) -> bytes:
    if not member.isreg():
        raise ArchiveError(f"{path} has a member that is no regular file: {member.name!r}")
    if member.size > limit:
        raise ArchiveError(f"{member.name} in {path} has {member.size:,} bytes, more than {limit:,}")
    file = archive.extractfile(member)
    content = file.read() if file else b""
    if len(content) != member.size:
        raise ArchiveError(f"{path} is cut short in {member.name}", "fetch it again")
    return content


class _ArrayType:
    """Stands for numpy.ndarray, so that a pickle can name it but not call it."""


def _reconstruct(kind: object, shape: object, _typecode: object) -> "NDArray[np.uint8]":
    if kind is not _ArrayType or shape != (0,):
        raise pickle.UnpicklingError("an array built in an unusual way")
    return np.ndarray.__new__(np.ndarray, (0,), "u1")


def _dtype(code: object, align: object = False, copy: object = True) -> "np.dtype[Any]":
    text = code.decode("ascii", "replace") if isinstance(code, bytes) else code
    if not isinstance(text, str) or text not in _DTYPES:
        raise pickle.UnpicklingError(f"an array of {code!r}")
    return np.dtype(text, align=False, copy=True)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in {"latin1", "latin-1"}:
        raise pickle.UnpicklingError("text in an unusual encoding")
    return text.encode("latin1")


class _ArrayUnpickler(pickle.Unpickler):
    _ALLOWED = {  # noqa: RUF012 - a constant
        ("numpy", "ndarray"): _ArrayType,
        ("numpy", "dtype"): _dtype,
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no array needs")
        return self._ALLOWED[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to objects outside of itself")


def unpickle(content: bytes, what: str) -> dict[str, Any]:
    """The pickled dictionary with text keys; nothing in it can run. Raises ArchiveError."""
    try:
        value = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
    except pickle.UnpicklingError as error:
        raise ArchiveError(
            f"the pickle {what!r} was refused: {error}", "use the published archive"
        ) from error
    except Exception as error:  # a broken pickle can make the machine that reads it raise anything
        raise ArchiveError(f"the pickle {what!r} cannot be read: {type(error).__name__}: {error}") from error
    if not isinstance(value, dict):
        raise ArchiveError(f"the pickle {what!r} holds no dictionary")
    return {
        key.decode("latin1") if isinstance(key, bytes) else str(key): entry for key, entry in value.items()
    }


def _entry(values: dict[str, Any], key: str, what: str) -> Any:
    if key not in values:
        raise ArchiveError(f"{what!r} lacks {key!r}: not of the CIFAR-100 python layout")
    return values[key]


def _texts(values: Any, what: str) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, bytes | str) for value in values):
        raise ArchiveError(f"{what!r} holds something else than names")
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _label(name: str, names: list[str]) -> int:
    if name in names:
        return names.index(name)
    close = difflib.get_close_matches(name, names, n=5, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(names)}"
    raise ArchiveError(f"the archive has no class {name!r}", hint)


def _frame(content: bytes, what: str, wanted: list[int], classes: Sequence[str]) -> Frame:
    values = unpickle(content, what)
    rows, labels = _entry(values, "data", what), _entry(values, "fine_labels", what)
    filenames = _texts(_entry(values, "filenames", what), what)
    count = len(filenames)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape != (count, 3 * SIDE * SIDE):
        shape = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else type(rows).__name__
        raise ArchiveError(f"{what!r} holds {shape} for {count} names; expected uint8 ({count}, 3072)")
    if not isinstance(labels, list) or len(labels) != count or not all(isinstance(i, int) for i in labels):
        raise ArchiveError(f"{what!r} does not hold one label for each of its {count} names")
    label_of = {fine: label for label, fine in enumerate(wanted)}
    chosen = [index for index, fine in enumerate(labels) if fine in label_of]
    picked = np.array([label_of[labels[index]] for index in chosen], dtype=np.int64)
    for label, name in enumerate(classes):
        if not (picked == label).any():
            raise ArchiveError(f"the {what} split has no picture of {name!r}")
    names = [_filename(filenames[index], what) for index in chosen]
    return Frame(unique(names), picked, np.ascontiguousarray(rows[chosen]))


def _filename(name: str, what: str) -> str:
    if not _FILENAME.fullmatch(name):
        raise ArchiveError(f"{what!r} has a picture with an unusable name: {name[:80]!r}")
    return name
