"""One SQLite file in WAL mode, one owner process, one connection, used from the event loop's thread.

A transaction never spans an `await`: it is a plain `with` block around plain code, so nothing can
interleave with it. Blocks nest; the outermost one commits.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, Literal

__all__ = ["Database", "Row", "SchemaError"]

Row = sqlite3.Row
Sync = Literal["normal", "full"]


class SchemaError(Exception):
    """The file was written by a newer release than this one."""


class Database:
    """The state file. `sync="full"` also survives a power cut, at the price of an fsync per commit."""

    def __init__(self, path: Path | str, *, sync: Sync = "normal") -> None:
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
        self._connection.row_factory = sqlite3.Row
        self._depth = 0
        self._after_commit: list[Callable[[], None]] = []
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={'FULL' if sync == 'full' else 'NORMAL'}",
            "foreign_keys=ON",
            "busy_timeout=30000",
        ):
            self._connection.execute(f"PRAGMA {pragma}")
        self._migrate()

    def _migrate(self) -> None:
        """Apply every numbered script not yet recorded; the record commits with its script."""
        execute = self._connection.execute
        execute("CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY) WITHOUT ROWID")
        applied = {row[0] for row in execute("SELECT name FROM migrations")}
        folder = resources.files(__package__) / "migrations"
        scripts = {f.name: f for f in folder.iterdir() if f.name.endswith(".sql")}
        if unknown := applied - scripts.keys():
            raise SchemaError(
                f"the state was written by a newer release (it has {', '.join(sorted(unknown))});"
                " use that release, or another state folder"
            )
        for name in sorted(scripts.keys() - applied):
            script = scripts[name].read_text("utf-8")
            self._connection.executescript(
                f"BEGIN IMMEDIATE;\n{script}\nINSERT INTO migrations VALUES ('{name}');\nCOMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; on a raise everything since the outermost block began is undone."""
        if self._depth:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            return
        self._connection.execute("BEGIN IMMEDIATE")
        self._depth = 1
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._after_commit.clear()
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise
        finally:
            self._depth = 0
        effects, self._after_commit = self._after_commit, []
        for effect in effects:
            effect()

    def after_commit(self, effect: Callable[[], None]) -> None:
        """Run `effect` once the current transaction is durable; at once where none is open."""
        if self._depth:
            self._after_commit.append(effect)
        else:
            effect()

    def execute(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> sqlite3.Cursor:
        return self._connection.executemany(sql, rows)

    def one(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> Row | None:
        row: Row | None = self._connection.execute(sql, parameters).fetchone()
        return row

    def all(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[Row]:
        return self._connection.execute(sql, parameters).fetchall()

    def close(self) -> None:
        self._connection.close()
