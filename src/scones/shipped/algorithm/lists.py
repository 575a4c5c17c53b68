"""Pictures in files, named by a .lst file: finds it, checks every line, keeps paths inside."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from .contract import ClientError, Layout
from .labels import LabelError, Labels
from .logs import log
from .samples import Label, Sample, empty


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a .lst file. number: counted from 1. labels: as written, at least one."""

    number: int
    labels: tuple[int, ...]
    path: str


class ListSource:
    """The pictures of one split, in the order of its .lst file."""

    def __init__(self, split: str, layout: Layout, labels: Labels) -> None:
        """Raises ClientError naming the first line that is wrong."""
        folder = layout.channel(f"{split}_lst")
        log.info("Searching for .lst files in %s.", folder)
        path = find_list(folder, split)
        self.name = path.name
        self.seal = path.read_bytes()
        self._rows = parse_list(self.seal, split, self.name)
        self._root = layout.channel(split)
        self.labels: list[Label] | None = [_label(row, labels, split, self.name) for row in self._rows]

    def samples(self) -> Iterable[Sample]:
        """Each picture once; its file is read where it is loaded."""
        assert self.labels is not None
        real_root = self._root.resolve()
        for row, label in zip(self._rows, self.labels, strict=True):
            where = f"{row.path} ({self.name}, line {row.number})"
            yield Sample(where, label, partial(_load, where, row.path, self._root, real_root))


def find_list(folder: Path, split: str) -> Path:
    """The one .lst file of a channel; `<split>.lst` wins when there are several.

    Raises ClientError when there is none, or no telling which.
    """
    found = sorted(path for path in folder.rglob("*.lst") if path.is_file())
    named = [path for path in found if path.name == f"{split}.lst"]
    if len(found) == 1 or len(named) == 1:
        return named[0] if named else found[0]
    if not found:
        raise ClientError(f"No .lst file in the {split}_lst channel.")
    names = ", ".join(path.name for path in found)
    raise ClientError(f"Several .lst files in the {split}_lst channel: {names}. Leave one.")


def parse_list(content: bytes, split: str, name: str) -> list[Row]:
    """Read lines of an index, one or more labels and a path, TAB between; empty lines are skipped.

    Labels may be written as im2rec writes them (`1.000000`). Raises ClientError naming the line
    when it has another form or an index for the second time; and when there is no line at all.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(split, f"{name} is not UTF-8 text.") from error
    rows: list[Row] = []
    indices: set[int] = set()
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        index, row = _parse_line(number, line.rstrip("\r"), split, name)
        if index in indices:
            raise _invalid(split, f"{name}, line {number}: the index {index} is not unique.")
        indices.add(index)
        rows.append(row)
    if not rows:
        raise empty(f".lst file {name}", split)
    return rows


def _parse_line(number: int, line: str, split: str, name: str) -> tuple[int, Row]:
    index_text, *label_texts, path = line.split("\t") if line.count("\t") > 1 else ("", "", "")
    try:
        index, labels = _whole(index_text), tuple(map(_whole, label_texts))
        if not path.strip() or "\0" in path:
            raise ValueError(line)
    except (ValueError, OverflowError):
        raise _invalid(
            split, f"{name}, line {number} is not index TAB label TAB path: {line[:80]!r}."
        ) from None
    return index, Row(number, labels, path.strip())


def _label(row: Row, labels: Labels, split: str, name: str) -> Label:
    try:
        return labels.read(row.labels)
    except LabelError as error:
        raise _invalid(split, f"{name}, line {row.number}: {error}.") from error


def _whole(text: str) -> int:
    """An integer, also one written as im2rec does: `1.000000`."""
    try:
        return int(text)
    except ValueError:
        value = float(text)
        if not value.is_integer():
            raise
        return int(value)


def _invalid(split: str, detail: str) -> ClientError:
    return ClientError(f"Invalid lst file in the {split} channel. {detail}")


def _load(where: str, name: str, root: Path, real_root: Path) -> bytes:
    relative = PurePosixPath(name)
    path = root / relative
    if relative.is_absolute() or ".." in relative.parts or not path.resolve().is_relative_to(real_root):
        raise ClientError(f"The path {where} leaves the {root.name} channel.")
    try:
        return path.read_bytes()
    except OSError as error:
        reason = "is missing from" if isinstance(error, FileNotFoundError) else "is no file in"
        raise ClientError(f"The picture {where} {reason} the {root.name} channel.") from error
