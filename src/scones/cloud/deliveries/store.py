"""SQL of deliveries; each service has a table of its own, with the fields of its record as columns."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Generic, TypeVar

from scones.cloud.state.db import Database

__all__ = ["Deliveries", "Pending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """What every delivery has; a service's own record adds what its sender needs."""

    delivery_id: int = 0
    """Given by the journal."""
    body: str
    attempts: int = 0
    due: int
    """When the next attempt begins, in milliseconds since 1970."""


D = TypeVar("D", bound=Pending)


class Deliveries(Generic[D]):
    """queue: the column by whose values the rows form queues."""

    def __init__(self, db: Database, record: type[D], *, table: str, queue: str) -> None:
        self._db = db
        self._record = record
        columns = [field.name for field in fields(record) if field.name != "delivery_id"]
        self._insert = f"INSERT INTO {table} ({', '.join(columns)}) VALUES (:{', :'.join(columns)})"
        self._waiting = f"SELECT {queue}, min(due) AS due FROM {table} GROUP BY {queue}"
        self._next = f"SELECT * FROM {table} WHERE {queue} = ? AND due <= ? ORDER BY due, delivery_id LIMIT ?"
        self._next_due = f"SELECT min(due) FROM {table} WHERE due > ?"
        self._postpone = f"UPDATE {table} SET attempts = ?, due = ? WHERE delivery_id = ?"
        self._finish = f"DELETE FROM {table} WHERE delivery_id = ?"

    def insert(self, delivery: D) -> None:
        self._db.execute(self._insert, asdict(delivery))

    def due(self, now: int, *, per_queue: int) -> Iterator[D]:
        """The first few of each queue, as far as they are due at `now`."""
        for queue in [row[0] for row in self._db.all(self._waiting) if row["due"] <= now]:
            for row in self._db.all(self._next, (queue, now, per_queue)):
                yield self._record(**dict(row))

    def next_due(self, now: int) -> int | None:
        """When the first delivery that is not yet due will be."""
        row = self._db.one(self._next_due, (now,))
        return None if row is None else row[0]

    def postpone(self, delivery: D, *, due: int) -> None:
        self._db.execute(self._postpone, (delivery.attempts + 1, due, delivery.delivery_id))

    def finish(self, delivery: D) -> None:
        self._db.execute(self._finish, (delivery.delivery_id,))
