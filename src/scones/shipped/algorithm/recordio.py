"""RecordIO, the framing of MXNet's .rec files and of pipes, and the header that im2rec adds.

A record is a magic word, a word with a flag (3 bits) and a length (29 bits), the bytes, and zeros
up to a multiple of four; all words are little endian. A record that holds the magic word itself is
written in parts, with that word between them left out. Nothing read here is believed unchecked.
Source: dmlc-core, include/dmlc/recordio.h; MXNet, python/mxnet/recordio.py (IRHeader).
"""

import math
import struct
from collections.abc import Iterator
from typing import BinaryIO

MAGIC = struct.pack("<I", 0xCED7230A)
RECORD_LIMIT = 64 * 2**20  # bytes of one record; a header can claim half a gibibyte for nothing

_WORDS = struct.Struct("<II")
_HEADER = struct.Struct("<IfQQ")  # number of labels or 0, the one label, two identifiers
_WHOLE, _FIRST, _MIDDLE, _LAST = range(4)  # flags


class RecordError(Exception):
    """The bytes are no such record; the message says why."""


def records(stream: BinaryIO) -> Iterator[bytes]:
    """The records of a stream from here to its end, one at a time.

    stream: buffered, so that `read(n)` gives less than n bytes at the end only.
    Raises RecordError.
    """
    while (first := _part(stream)) is not None:
        flag, content = first
        if flag not in (_WHOLE, _FIRST):
            raise RecordError("it begins in the middle of a record")
        parts, size = [content], len(content)
        while flag != _WHOLE:
            following = _part(stream)
            if following is None or following[0] not in (_MIDDLE, _LAST):
                raise RecordError("it ends in the middle of a record")
            size += len(following[1]) + len(MAGIC)
            if size > RECORD_LIMIT:
                raise RecordError(f"it is longer than {RECORD_LIMIT} bytes")
            parts.append(following[1])
            flag = _WHOLE if following[0] == _LAST else _MIDDLE
        yield MAGIC.join(parts)


def unpack(record: bytes) -> tuple[tuple[float, ...], bytes]:
    """The labels, at least one, and the picture's bytes, as im2rec puts them into one record.

    Raises RecordError when the record is too short for what its header claims.
    """
    if len(record) < _HEADER.size:
        raise RecordError(f"it has {len(record)} bytes, too few for the header that im2rec writes")
    count, label, _, _ = _HEADER.unpack_from(record)
    labels: tuple[float, ...] = (label,)
    start = _HEADER.size
    if count:
        if count > (len(record) - start) // 4:
            raise RecordError(f"its header claims {count} labels, more than it has bytes for")
        labels = struct.unpack_from(f"<{count}f", record, start)
        start += 4 * count
    if not all(map(math.isfinite, labels)):
        raise RecordError("a label is not a finite number")
    return labels, record[start:]


def _part(stream: BinaryIO) -> tuple[int, bytes] | None:
    """Flag and bytes of the next part; None at the end."""
    words = stream.read(_WORDS.size)
    if not words:
        return None
    if len(words) < _WORDS.size or not words.startswith(MAGIC):
        raise RecordError("the magic word 0xced7230a of RecordIO is missing")
    _, word = _WORDS.unpack(words)
    flag, length = word >> 29, word & (2**29 - 1)
    if flag > _LAST:
        raise RecordError(f"its flag is {flag}")
    if length > RECORD_LIMIT:
        raise RecordError(f"it claims {length} bytes, more than the {RECORD_LIMIT} allowed")
    padding = -length % 4
    content = stream.read(length + padding)
    if len(content) < length + padding:
        raise RecordError(f"it claims {length} bytes and the stream ends after {len(content)}")
    return flag, content[:length]
