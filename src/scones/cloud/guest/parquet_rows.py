"""Print the rows of a Parquet file that may be hostile, each as a line of JSON.

`python parquet_rows.py FILE LONGEST_ROW_BYTES MEMORY_BYTES`. After the last row comes the line `.`, and
instead of what cannot be read a line `!REASON`; then this program stays until it is stopped, so that
nothing it said is lost. Needs pyarrow; whatever that does to its process is done to this one alone.

Numbers, strings, booleans and null are JSON's own, lists are arrays, structs and maps objects. A
timestamp is the number of milliseconds since 1970, a date or time its text in ISO 8601, a decimal a
number, bytes are base64, and what no JSON number can be is "NaN", "Infinity" or "-Infinity".
"""

import base64
import contextlib
import datetime
import decimal
import json
import math
import os
import resource
import signal
import struct
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_LARGEST_FOOTER_BYTES = 5 * 1024**2
_LARGEST_ROW_GROUP_BYTES = 256 * 1024**2
"""Both as Step Functions has them."""
_BATCH_ROWS = 100
"""Long values may be stored once for many rows: so many of them become long at a time."""
_DEEPEST = 100
_SHORTEST_BYTES = 12
"""Two magic words and a length."""

_Convert = Callable[[Any], Any]


class RefusedError(Exception):
    """The file is not read; the message says why."""


def main(path: str, longest_row: str, memory: str) -> None:
    limits = {"RLIMIT_AS": int(memory), "RLIMIT_CORE": 0, "RLIMIT_FSIZE": 0}
    for name, limit in limits.items():
        with contextlib.suppress(ValueError, OSError):  # not every system enforces each
            resource.setrlimit(getattr(resource, name), (limit, limit))
    out = sys.stdout.buffer
    try:
        for row in rows(path):
            line = json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=_plain).encode()
            if len(line) > int(longest_row):
                raise RefusedError(f"a row is longer than {longest_row} bytes as JSON")
            out.write(line + b"\n")
        out.write(b".\n")
    except RefusedError as problem:
        out.write(f"!{problem}\n".encode())
    except MemoryError:
        out.write(f"!reading it takes more than {memory} bytes of memory\n".encode())
    except Exception as problem:  # pyarrow has many names for what is wrong with a file
        said = " ".join(str(problem).split())
        out.write(f"!{said or type(problem).__name__}\n".encode(errors="replace"))
    out.flush()
    while True:
        signal.pause()


def rows(path: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as problem:
        raise RefusedError(f"{problem}; install pyarrow with: pip install 'scones[parquet]'") from None
    _check_footer(path)
    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    file = parquet.ParquetFile(
        path, pre_buffer=False, buffer_size=64 * 1024, coerce_int96_timestamp_unit="ms",
        page_checksum_verification=True,
    )  # fmt: skip
    schema = file.schema_arrow
    if len(set(schema.names)) < len(schema.names):
        raise RefusedError("two columns have the same name")
    columns = [_Column(pyarrow, field.type) for field in schema]
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).total_byte_size
        if size > _LARGEST_ROW_GROUP_BYTES:
            raise RefusedError(f"row group {number} has {size} bytes, more than {_LARGEST_ROW_GROUP_BYTES}")
        for batch in file.iter_batches(_BATCH_ROWS, row_groups=[number], use_threads=False):
            cells = [column.values(array) for column, array in zip(columns, batch.columns, strict=True)]
            for row in zip(*cells, strict=True) if cells else [()] * batch.num_rows:
                yield dict(zip(schema.names, row, strict=True))


def _check_footer(path: str) -> None:
    """Before pyarrow takes the footer's word for its length."""
    with Path(path).open("rb") as file:
        file.seek(0, os.SEEK_END)
        if file.tell() < _SHORTEST_BYTES:
            raise RefusedError("it is too short to be a Parquet file")
        file.seek(-8, os.SEEK_END)
        size, magic = struct.unpack("<I4s", file.read())
    if magic not in (b"PAR1", b"PARE"):
        raise RefusedError("it does not end as a Parquet file does")
    if size > _LARGEST_FOOTER_BYTES:
        raise RefusedError(f"its footer has {size} bytes, more than {_LARGEST_FOOTER_BYTES}")


class _Column:
    """How one column's values become JSON's."""

    def __init__(self, pyarrow: Any, type_: Any) -> None:
        self._arrow = pyarrow
        milliseconds = self._mapped(type_, pyarrow.timestamp("ms"), 0)
        whole = self._mapped(milliseconds, pyarrow.int64(), 0)
        self._casts = [milliseconds, whole] if whole != type_ else []
        self._convert = self._converter(whole)

    def values(self, array: Any) -> list[Any]:
        for type_ in self._casts:
            array = array.cast(type_, safe=False)
        values: list[Any] = array.to_pylist()
        return values if self._convert is None else [_given(self._convert, value) for value in values]

    def _mapped(self, type_: Any, timestamp: Any, depth: int) -> Any:
        """The type with another in place of timestamps, and values in place of dictionaries of them."""
        if depth > _DEEPEST:
            raise RefusedError("a column is nested too deeply")
        arrow, is_ = self._arrow, self._arrow.types
        if is_.is_timestamp(type_):
            return timestamp
        if is_.is_dictionary(type_):
            return self._mapped(type_.value_type, timestamp, depth + 1)
        if is_.is_struct(type_):
            fields = [type_.field(number) for number in range(type_.num_fields)]
            return arrow.struct(
                [field.with_type(self._mapped(field.type, timestamp, depth + 1)) for field in fields]
            )
        if is_.is_map(type_):
            return arrow.map_(
                self._mapped(type_.key_type, timestamp, depth + 1),
                self._mapped(type_.item_type, timestamp, depth + 1),
            )
        if is_.is_fixed_size_list(type_):
            return arrow.list_(self._mapped(type_.value_type, timestamp, depth + 1), type_.list_size)
        for is_list, list_ in ((is_.is_list, arrow.list_), (is_.is_large_list, arrow.large_list)):
            if is_list(type_):
                return list_(self._mapped(type_.value_type, timestamp, depth + 1))
        return type_

    def _converter(self, type_: Any) -> _Convert | None:
        """What is to be done with each value; None where it is as it should be."""
        is_ = self._arrow.types
        if is_.is_floating(type_):
            return _double if is_.is_float64(type_) else _single
        if is_.is_struct(type_):
            fields = [type_.field(number) for number in range(type_.num_fields)]
            inner = {field.name: self._converter(field.type) for field in fields}
            return _of_struct(inner) if any(inner.values()) else None
        if is_.is_map(type_):
            return _of_map(self._converter(type_.item_type))
        if is_.is_list(type_) or is_.is_large_list(type_) or is_.is_fixed_size_list(type_):
            convert = self._converter(type_.value_type)
            return convert and _of_list(convert)
        return None


def _given(convert: _Convert | None, value: Any) -> Any:
    return value if value is None or convert is None else convert(value)


def _of_struct(inner: dict[str, _Convert | None]) -> _Convert:
    return lambda value: {name: _given(inner[name], each) for name, each in value.items()}


def _of_map(inner: _Convert | None) -> _Convert:
    return lambda value: {
        key if isinstance(key, str) else str(_plain(key)): _given(inner, each) for key, each in value
    }


def _of_list(inner: _Convert) -> _Convert:
    return lambda value: [_given(inner, each) for each in value]


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _single(value: float) -> float | str:
    """The shortest number that is the same in single precision: 0.1, not 0.10000000149011612."""
    if math.isfinite(value):
        for digits in range(6, 10):
            short = float(f"{value:.{digits}g}")
            with contextlib.suppress(OverflowError):
                if struct.unpack("f", struct.pack("f", short))[0] == value:
                    return short
    return _double(value)


def _plain(value: Any) -> Any:
    """What JSON has in place of a value that it has not."""
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int | uuid.UUID):
        return str(value)
    raise RefusedError(f"a value of the type {type(value).__name__} has no form in JSON")


if __name__ == "__main__":
    main(*sys.argv[1:])
