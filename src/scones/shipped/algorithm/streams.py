"""Pictures in records: a .rec file, the same through a pipe, or an augmented manifest's pairs."""

import contextlib
import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from .channels import Form
from .contract import ClientError, Layout
from .labels import LabelError, Labels
from .logs import log
from .recordio import RecordError, records, unpack
from .samples import Label, Sample, empty

AHEAD = 16  # records read from a pipe before anybody asks for them
_ASK_S = 0.2  # seconds between two questions whether to stop

_Pair = tuple[tuple[float, ...], bytes]  # labels as written, and the picture's bytes


class RecordSource:
    """The pictures of one split, in the order of its records.

    Through a pipe they come once, from the pipe of epoch 0: they are kept, so later epochs need no
    pipe of their own.
    """

    labels: list[Label] | None = None
    seal = b""

    def __init__(
        self, split: str, form: Form, layout: Layout, labels: Labels, stopped: Callable[[], bool]
    ) -> None:
        """Raises ClientError when the file or the pipe is not there."""
        self._split, self._form, self._labels, self._stopped = split, form, labels, stopped
        if form is Form.RECORDS:
            self._path = find_records(layout.channel(split), split)
        else:
            self._path = layout.pipe(split, 0)
            if not self._path.is_fifo():
                raise ClientError(f"The pipe {self._path} of the {split} channel is missing.")
        self.name = self._path.name

    def samples(self) -> Iterable[Sample]:
        """Each picture once. Raises ClientError naming the first record that is wrong."""
        found = self._records()
        pairs = _by_turns(found, self._stopped) if self._form is Form.PAIR_PIPE else map(unpack, found)
        number = 0
        try:
            for values, content in pairs:
                yield Sample(f"{number} ({self.name})", self._labels.read(values), partial(bytes, content))
                number += 1
        except (RecordError, LabelError) as error:
            raise ClientError(
                f"Invalid records in the {self._split} channel. Picture {number} ({self.name}): {error}."
            ) from error
        except OSError as error:
            raise ClientError(f"{self.name} of the {self._split} channel: {error.strerror}.") from error
        if not number and not self._stopped():
            raise empty(".rec file" if self._form is Form.RECORDS else f"pipe {self.name}", self._split)

    def _records(self) -> Iterator[bytes]:
        if self._form is not Form.RECORDS:
            log.info("Reading records from the pipe %s.", self._path)
            yield from from_pipe(self._path, self._stopped)
            return
        log.info("Reading records from %s.", self._path)
        with self._path.open("rb") as stream:
            yield from records(stream)


def find_records(folder: Path, split: str) -> Path:
    """The one .rec file of a channel; raises ClientError when there is none, or no telling which."""
    found = sorted(path for path in folder.rglob("*.rec") if path.is_file())
    if len(found) == 1:
        return found[0]
    if not found:
        raise ClientError(f"No .rec file in the {split} channel.")
    names = ", ".join(path.name for path in found)
    raise ClientError(f"Several .rec files in the {split} channel: {names}. Leave one.")


def from_pipe(path: Path, stopped: Callable[[], bool]) -> Iterator[bytes]:
    """The records that come through a named pipe, to its end or until `stopped`.

    A thread reads, because nothing else gets a process out of waiting for a writer that never
    comes. Raises RecordError and OSError.
    """
    box: queue.Queue[bytes | Exception | None] = queue.Queue(AHEAD)
    given_up = threading.Event()

    def put(item: bytes | Exception | None) -> None:
        while not given_up.is_set():
            with contextlib.suppress(queue.Full):
                box.put(item, timeout=_ASK_S)
                return

    def read() -> None:
        try:
            with path.open("rb") as stream:
                for record in records(stream):
                    put(record)
                    if given_up.is_set():
                        return
            put(None)
        except (RecordError, OSError) as error:
            put(error)

    threading.Thread(target=read, name=f"pipe {path.name}", daemon=True).start()
    try:
        while not stopped():
            try:
                item = box.get(timeout=_ASK_S)
            except queue.Empty:
                continue
            if item is None:
                return
            if isinstance(item, Exception):
                raise item
            yield item
    finally:
        given_up.set()


def read_label(text: bytes) -> tuple[float, ...]:
    """The numbers in a label as a manifest has it: `1`, `"1"`, or a list of such.

    Raises LabelError.
    """
    try:
        value = json.loads(text)
        if isinstance(value, str):
            value = json.loads(value)
        return tuple(map(_number, value if isinstance(value, list) else [value]))
    except (ValueError, OverflowError, RecursionError):  # deep nesting is no label either
        raise LabelError(f"{text[:40]!r} is no label; AttributeNames must name picture, then label") from None


def _by_turns(found: Iterator[bytes], stopped: Callable[[], bool]) -> Iterator[_Pair]:
    for content in found:
        label = next(found, None)
        if label is None:
            if stopped():
                return
            raise RecordError("its label is missing; AttributeNames must name picture, then label")
        yield read_label(label), content


def _number(value: Any) -> float:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(value)
