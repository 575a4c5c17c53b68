"""The SQL of the log tables. An event's position is (timestamp, sequence): stable and never reused."""

from collections.abc import Iterator, Sequence
from typing import Any

from scones.cloud.state.db import Database, Row

__all__ = ["Position", "Store"]

Position = tuple[int, int]

_FORWARD = """
    SELECT timestamp, sequence, ingested, message FROM log_events
    WHERE stream_id = :stream AND (timestamp, sequence) > (:timestamp, :sequence)
      AND timestamp >= :start AND timestamp < :end
    ORDER BY timestamp, sequence LIMIT :limit"""
_BACKWARD = """
    SELECT timestamp, sequence, ingested, message FROM log_events
    WHERE stream_id = :stream AND (timestamp, sequence) < (:timestamp, :sequence)
      AND timestamp >= :start AND timestamp < :end
    ORDER BY timestamp DESC, sequence DESC LIMIT :limit"""
_ACROSS = """
    SELECT stream_id, timestamp, sequence, ingested, message FROM log_events
    WHERE stream_id IN ({streams}) AND timestamp BETWEEN ? AND ?
      AND (timestamp, stream_id, sequence) > (?, ?, ?)
    ORDER BY timestamp, stream_id, sequence LIMIT ?"""
_STREAMS_BY_NAME = """
    SELECT *, coalesce(last_event, 0) AS last FROM log_streams
    WHERE group_name = :group AND name >= :prefix AND substr(name, 1, length(:prefix)) = :prefix
      AND (:after IS NULL OR name {compare} :after)
    ORDER BY name {order} LIMIT :limit"""
_STREAMS_BY_TIME = """
    SELECT *, coalesce(last_event, 0) AS last FROM log_streams
    WHERE group_name = :group
      AND (:after IS NULL OR (coalesce(last_event, 0), name) {compare} (:last, :after))
    ORDER BY last {order}, name {order} LIMIT :limit"""
_GROUPS = """
    SELECT *, (SELECT coalesce(sum(size), 0) FROM log_streams
               WHERE group_name = log_groups.name) AS stored_bytes
    FROM log_groups
    WHERE substr(name, 1, length(:prefix)) = :prefix AND instr(name, :part) > 0 AND name > :after
      AND (:class IS NULL OR class = :class)
    ORDER BY name LIMIT :limit"""
_STREAM_GREW = """
    UPDATE log_streams SET events = events + :count, size = size + :size, last_ingestion = :now,
        first_event = min(coalesce(first_event, :first), :first),
        last_event = max(coalesce(last_event, :last), :last)
    WHERE id = :id"""


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    def group(self, name: str) -> Row | None:
        return self._db.one("SELECT * FROM log_groups WHERE name = ?", (name,))

    def add_group(self, name: str, *, created: int, group_class: str, tags: str) -> None:
        self._db.execute("INSERT INTO log_groups VALUES (?, ?, ?, ?)", (name, created, group_class, tags))

    def tag_group(self, name: str, tags: str) -> None:
        self._db.execute("UPDATE log_groups SET tags = ? WHERE name = ?", (tags, name))

    def delete_group(self, name: str) -> None:
        self._db.execute("DELETE FROM log_groups WHERE name = ?", (name,))

    def groups(self, *, prefix: str, part: str, group_class: str | None, after: str, limit: int) -> list[Row]:
        names = {"prefix": prefix, "part": part, "class": group_class, "after": after, "limit": limit}
        return self._db.all(_GROUPS, names)

    def stream(self, group: str, name: str) -> Row | None:
        return self._db.one("SELECT * FROM log_streams WHERE group_name = ? AND name = ?", (group, name))

    def add_stream(self, group: str, name: str, *, created: int) -> None:
        self._db.execute(
            "INSERT INTO log_streams (group_name, name, created) VALUES (?, ?, ?)", (group, name, created)
        )

    def delete_stream(self, stream_id: int) -> None:
        self._db.execute("DELETE FROM log_streams WHERE id = ?", (stream_id,))

    def streams_by_name(
        self, group: str, *, prefix: str, descending: bool, after: str | None, limit: int
    ) -> list[Row]:
        sql = _STREAMS_BY_NAME.format(**_direction(descending))
        return self._db.all(sql, {"group": group, "prefix": prefix, "after": after, "limit": limit})

    def streams_by_time(
        self, group: str, *, descending: bool, after: tuple[int, str] | None, limit: int
    ) -> list[Row]:
        last, name = after or (0, None)
        sql = _STREAMS_BY_TIME.format(**_direction(descending))
        return self._db.all(sql, {"group": group, "last": last, "after": name, "limit": limit})

    def append(self, stream: Row, events: Sequence[tuple[int, str]], *, size: int, now: int) -> None:
        """Add (timestamp, message) pairs, in order and at least one; size: bytes of their messages."""
        first = stream["events"] + 1
        self._db.executemany(
            "INSERT INTO log_events VALUES (?, ?, ?, ?, ?)",
            [(stream["id"], at, first + i, now, message) for i, (at, message) in enumerate(events)],
        )
        grew = {"id": stream["id"], "count": len(events), "size": size, "now": now}
        self._db.execute(_STREAM_GREW, grew | {"first": events[0][0], "last": events[-1][0]})

    def events(
        self, stream_id: int, boundary: Position, *, forward: bool, start: int, end: int, limit: int
    ) -> Iterator[Row]:
        """Events beyond a boundary, nearest first; `start` inclusive, `end` exclusive."""
        timestamp, sequence = boundary
        names = {"stream": stream_id, "timestamp": timestamp, "sequence": sequence}
        names |= {"start": start, "end": end, "limit": limit}
        return iter(self._db.execute(_FORWARD if forward else _BACKWARD, names))

    def events_across(
        self, stream_ids: Sequence[int], *, start: int, end: int, after: tuple[int, int, int], limit: int
    ) -> Iterator[Row]:
        """Events of many streams by time, both ends inclusive, beyond (timestamp, stream id, sequence)."""
        sql = _ACROSS.format(streams=",".join("?" * len(stream_ids)))
        parameters: list[Any] = [*stream_ids, start, end, *after, limit]
        return iter(self._db.execute(sql, parameters))


def _direction(descending: bool) -> dict[str, str]:
    return {"order": "DESC", "compare": "<"} if descending else {"order": "ASC", "compare": ">"}
