"""Text files, line by line and row by row.

Source: Step Functions Developer Guide, "How Step Functions parses input CSV files".
"""

import csv
import io
import re
from collections.abc import AsyncIterator
from itertools import pairwise

from .read_limits import LARGEST_ITEM_BYTES, read_failed

__all__ = ["lines", "records", "rows"]

_MOST_HEADER_BYTES = 10 * 1024


async def lines(pieces: AsyncIterator[bytes]) -> AsyncIterator[str]:
    """Each with its end, as csv wants them."""
    rest, first = b"", True
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > LARGEST_ITEM_BYTES:
            raise read_failed(f"A line of the object is longer than {LARGEST_ITEM_BYTES} bytes.")
        for line in whole:
            yield (line + b"\n").decode("utf-8-sig" if first else "utf-8")
            first = False
    if rest:
        yield rest.decode("utf-8-sig" if first else "utf-8")


async def rows(
    text: AsyncIterator[str], headers: list[str] | None, delimiter: str
) -> AsyncIterator[dict[str, str]]:
    """An object a row: cells without a header are left out, headers without a cell are empty.

    headers: None where the first row has them.
    """
    if headers is not None:
        _check_headers(headers)
    async for row in records(text, delimiter):
        if headers is None:
            headers = row
            _check_headers(headers)
            continue
        cells = row[: len(headers)]
        yield dict(zip(headers, cells + [""] * (len(headers) - len(cells)), strict=True))


def _check_headers(headers: list[str]) -> None:
    if len(set(headers)) < len(headers):
        raise read_failed("CSV headers cannot contain duplicates.")
    if sum(len(name.encode()) for name in headers) > _MOST_HEADER_BYTES:
        raise read_failed(f"The CSV headers are longer than {_MOST_HEADER_BYTES} bytes.")


async def records(text: AsyncIterator[str], delimiter: str) -> AsyncIterator[list[str]]:
    """A record goes over as many lines as it takes to close its quotes. Blank lines are none."""
    held: list[str] = []
    size = quotes = 0
    async for line in text:
        held.append(line)
        size += len(line)
        quotes += line.count('"')
        if size > LARGEST_ITEM_BYTES:
            raise read_failed(f"A record of the object is longer than {LARGEST_ITEM_BYTES} characters.")
        if quotes % 2:
            continue
        for row in _parsed("".join(held), delimiter):
            yield row
        held, size, quotes = [], 0, 0
    for row in _parsed("".join(held), delimiter):
        yield row


def _parsed(record: str, delimiter: str) -> list[list[str]]:
    if "\\" in record or '""' in record:
        return [_escaped_cells(record.rstrip("\r\n"), delimiter)]
    try:
        return [row for row in csv.reader(io.StringIO(record, newline=""), delimiter=delimiter) if row]
    except csv.Error as problem:
        raise read_failed(f"The object is not valid CSV: {problem}") from None


def _escaped_cells(record: str, delimiter: str) -> list[str]:
    """As AWS reads what csv does not know: a backslash protects a backslash, a quote or the delimiter
    after it and is dropped before anything else; two quotes are one outside of quotes too."""
    tokens = re.findall(rf'\\["\\{delimiter}]|[\\"{delimiter}]|[^\\"{delimiter}]+', record)
    cells: list[str] = []
    cell: list[str] | None = None  # nothing of it has been seen
    quoted = doubled = False
    for token, after in pairwise([*tokens, ""]):
        if doubled:
            doubled = False
        elif token == delimiter and not quoted:
            cells.append("".join(cell or ()))
            cell = None
        elif token == '"' and cell is None:
            cell, quoted = [], True
        elif token == '"' and quoted and after != '"':
            quoted = False
        else:
            doubled = token == after == '"'
            cell = cell or []
            cell.append(token[1:] if token[0] == "\\" else token)
    return [*cells, "".join(cell or ())]
