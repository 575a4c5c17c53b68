"""DataProcessing: what of a record a container gets to see, and what becomes of it and its result.

Records and results are CSV rows or JSON values; whole payloads pass untouched where nothing is asked.
Source: SageMaker Developer Guide, "Associate Prediction Results with Input Records".
"""

import asyncio
import csv
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.transform.selection import PathError, Selection
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["Joining", "JoiningError"]

_CSV, _JSON = ("text/csv",), ("application/json", "application/jsonlines")
_TURN = 256  # records, after which others get a turn
_FORMATS = (*_CSV, *_JSON)


class JoiningError(ValueError):
    """A record or a result is not what its content type says, or a filter finds nothing in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    keep: Selection
    """Of a record, for the container."""
    join: bool
    show: Selection
    """Of the result, or of record and result together."""
    csv: bool
    lines: bool
    """Each line of a payload is a record; else the payload is one."""

    @classmethod
    def of(cls, request: Wire) -> Self | None:
        """None where payloads pass as they are. Raises ValidationException."""
        asked = request.get("DataProcessing", {})
        keep = _filter(asked.get("InputFilter", "$"), "InputFilter")
        show = _filter(asked.get("OutputFilter", "$"), "OutputFilter")
        join = asked.get("JoinSource", "None") == "Input"
        if keep.everything and show.everything and not join:
            return None
        source = request["TransformInput"]
        kind = _format(source.get("ContentType"), "TransformInput.ContentType")
        accept = request["TransformOutput"].get("Accept")
        if accept is not None and (_format(accept, "TransformOutput.Accept") in _CSV) != (kind in _CSV):
            raise invalid(
                f"DataProcessing needs input and output in one format, found ContentType {kind} and Accept"
                f" {accept}."
            )
        split = source.get("SplitType", "None")
        if split == "RecordIO":
            raise invalid("DataProcessing needs SplitType None or Line, found RecordIO.")
        lines = split == "Line" or kind != "application/json"
        return cls(keep=keep, join=join, show=show, csv=kind in _CSV, lines=lines)

    async def filtered(self, payload: bytes) -> bytes:
        """What the container gets to see of a payload. Raises JoiningError."""
        if self.keep.everything:
            return payload
        kept = []
        for number, record in enumerate(self._records(payload)):
            kept.append(self._written(_found(self.keep, self._read(record))))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return b"\n".join(kept)

    async def joined(self, payload: bytes, result: bytes) -> bytes:
        """What the output gets of a payload and the container's answer. Raises JoiningError."""
        if not self.join and self.show.everything:
            return result
        results = self._records(result)
        records = self._records(payload) if self.join else results
        if len(records) != len(results):
            raise JoiningError(f"{len(records)} records got {len(results)} results")
        told = []
        for number, (record, answer) in enumerate(zip(records, results, strict=True)):
            value = self._read(answer)
            if self.join:
                value = self._together(self._read(record), value)
            told.append(self._written(_found(self.show, value)))
            if number % _TURN == 0:
                await asyncio.sleep(0)
        return b"\n".join(told)

    def _together(self, record: Any, result: Any) -> Any:
        if self.csv:
            return record + result
        if isinstance(record, dict):
            return record | {"SageMakerOutput": result}
        return {"SageMakerInput": record, "SageMakerOutput": result}

    def _records(self, payload: bytes) -> list[bytes]:
        return [line for line in payload.split(b"\n") if line.strip()] if self.lines else [payload]

    def _read(self, record: bytes) -> Any:
        read: Callable[[str], Any] = _row if self.csv else json.loads
        try:
            return read(record.decode())
        except (ValueError, RecursionError, csv.Error) as error:
            kind = "CSV" if self.csv else "JSON"
            shown = record[:100].decode("utf-8", "replace")
            raise JoiningError(f"Failed to parse line: '{shown}' as {kind}: {error}") from None

    def _written(self, value: Any) -> bytes:
        if not self.csv:
            try:
                return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
            except (ValueError, RecursionError) as error:  # half of a surrogate pair, or very deep
                raise JoiningError(f"The record cannot be written as JSON: {error}") from None
        file = io.StringIO()
        csv.writer(file, lineterminator="").writerow(value if isinstance(value, list) else [value])
        return file.getvalue().encode()


def _row(text: str) -> list[str]:
    rows = list(csv.reader([text.rstrip("\r")], strict=True))
    return rows[0] if rows else []


def _found(selection: Selection, value: Any) -> Any:
    try:
        return selection.select(value)
    except PathError as error:
        raise JoiningError(f"The filter {selection.text} finds nothing: {error}") from None


def _filter(text: str, member: str) -> Selection:
    try:
        return Selection.parse(text or "$")
    except PathError as error:
        raise invalid(f"DataProcessing.{member} is no JSONPath that transform jobs know: {error}.") from None


def _format(content_type: str | None, member: str) -> str:
    kind = (content_type or "").partition(";")[0].strip().lower()
    if kind not in _FORMATS:
        raise invalid(
            f'DataProcessing needs {member} to be one of {", ".join(_FORMATS)}, found "{content_type or ""}".'
        )
    return kind
