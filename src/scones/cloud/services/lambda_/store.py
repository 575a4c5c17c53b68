"""The SQL of the Lambda tables."""

from dataclasses import asdict
from typing import Any

import orjson

from scones.cloud.services.lambda_.names import LATEST
from scones.cloud.services.lambda_.records import Event, Version
from scones.cloud.state.db import Database, Row

__all__ = ["Store"]

_COLUMNS = (
    "function, version, number, state, update_status, revision_id, generation, modified,"
    " code, code_size, configuration"
)
_SAVE_VERSION = f"""
    INSERT INTO lambda_versions ({_COLUMNS})
    VALUES (:function, :version, :number, :state, :update_status, :revision_id, :generation, :modified,
            :code, :code_size, :configuration)
    ON CONFLICT (function, version) DO UPDATE SET
        state = excluded.state, update_status = excluded.update_status,
        revision_id = excluded.revision_id, generation = excluded.generation,
        modified = excluded.modified, code = excluded.code, code_size = excluded.code_size,
        configuration = excluded.configuration"""
_ADD_EVENT = """
    INSERT INTO lambda_events (id, function, version, payload, client_context, accepted, due, failures)
    VALUES (:id, :function, :version, :payload, :client_context, :accepted, :due, :failures)"""


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # functions

    def function(self, name: str) -> Row | None:
        return self._db.one("SELECT * FROM lambda_functions WHERE name = ?", (name,))

    def add_function(self, name: str, *, tags: dict[str, str]) -> None:
        self._db.execute(
            "INSERT INTO lambda_functions (name, tags, policy) VALUES (?, ?, '{}')",
            (name, orjson.dumps(tags).decode()),
        )

    def delete_function(self, name: str) -> None:
        self._db.execute("DELETE FROM lambda_functions WHERE name = ?", (name,))

    def tags(self, function: Row) -> dict[str, str]:
        tags: dict[str, str] = orjson.loads(function["tags"])
        return tags

    def set_tags(self, name: str, tags: dict[str, str]) -> None:
        self._set(name, "tags", orjson.dumps(tags).decode())

    def set_policy(self, name: str, statements: dict[str, Any]) -> None:
        self._set(name, "policy", orjson.dumps(statements).decode())

    def set_reserved_concurrency(self, name: str, reserved: int | None) -> None:
        self._set(name, "reserved_concurrency", reserved)

    def _set(self, name: str, column: str, value: str | int | None) -> None:
        self._db.execute(f"UPDATE lambda_functions SET {column} = ? WHERE name = ?", (value, name))

    def reserved_elsewhere(self, name: str) -> int:
        """Reserved concurrency of all functions but this one."""
        row = self._db.one(
            "SELECT coalesce(sum(reserved_concurrency), 0) FROM lambda_functions WHERE name != ?", (name,)
        )
        return int(row[0]) if row else 0

    def next_version(self, name: str) -> int:
        self._db.execute(
            "UPDATE lambda_functions SET last_version = last_version + 1 WHERE name = ?", (name,)
        )
        row = self.function(name)
        assert row is not None
        return int(row["last_version"])

    # versions

    def version(self, function: str, version: str) -> Version | None:
        row = self._db.one(
            "SELECT * FROM lambda_versions WHERE function = ? AND version = ?", (function, version)
        )
        return Version.from_row(row) if row else None

    def save_version(self, version: Version) -> None:
        values = asdict(version) | {
            "number": 0 if version.version == LATEST else int(version.version),
            "configuration": orjson.dumps(version.configuration).decode(),
        }
        self._db.execute(_SAVE_VERSION, values)

    def delete_version(self, function: str, version: str) -> None:
        self._db.execute(
            "DELETE FROM lambda_versions WHERE function = ? AND version = ?", (function, version)
        )

    def latest_versions(self, *, after: str, limit: int) -> list[Version]:
        rows = self._db.all(
            "SELECT * FROM lambda_versions WHERE number = 0 AND function > ? ORDER BY function LIMIT ?",
            (after, limit),
        )
        return [Version.from_row(row) for row in rows]

    def every_version(self, *, after: tuple[str, int], limit: int) -> list[Version]:
        rows = self._db.all(
            "SELECT * FROM lambda_versions WHERE (function, number) > (?, ?)"
            " ORDER BY function, number LIMIT ?",
            (*after, limit),
        )
        return [Version.from_row(row) for row in rows]

    def versions(self, function: str, *, after: int, limit: int) -> list[Version]:
        rows = self._db.all(
            "SELECT * FROM lambda_versions WHERE function = ? AND number > ? ORDER BY number LIMIT ?",
            (function, after, limit),
        )
        return [Version.from_row(row) for row in rows]

    def last_published(self, function: str) -> Version | None:
        row = self._db.one(
            "SELECT * FROM lambda_versions WHERE function = ? AND number > 0 ORDER BY number DESC LIMIT 1",
            (function,),
        )
        return Version.from_row(row) if row else None

    def unsettled(self) -> list[Version]:
        """Versions whose creation or update was committed and not finished."""
        rows = self._db.all(
            "SELECT * FROM lambda_versions WHERE state = 'Pending' OR update_status = 'InProgress'"
        )
        return [Version.from_row(row) for row in rows]

    def codes(self, function: str) -> set[str]:
        """The code that some version of the function still is."""
        rows = self._db.all("SELECT DISTINCT code FROM lambda_versions WHERE function = ?", (function,))
        return {row["code"] for row in rows}

    # events

    def add_event(self, event: Event) -> None:
        self._db.execute(_ADD_EVENT, asdict(event))

    def events_due(self, now: float, *, limit: int) -> list[Event]:
        rows = self._db.all("SELECT * FROM lambda_events WHERE due <= ? ORDER BY due LIMIT ?", (now, limit))
        return [Event.from_row(row) for row in rows]

    def next_due(self, now: float) -> float | None:
        """When the first event after `now` is due."""
        row = self._db.one("SELECT min(due) FROM lambda_events WHERE due > ?", (now,))
        return row[0] if row else None

    def postpone_event(self, event_id: str, *, due: float, failures: int) -> None:
        self._db.execute(
            "UPDATE lambda_events SET due = ?, failures = ? WHERE id = ?", (due, failures, event_id)
        )

    def delete_event(self, event_id: str) -> None:
        self._db.execute("DELETE FROM lambda_events WHERE id = ?", (event_id,))
