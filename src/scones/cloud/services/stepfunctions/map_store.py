"""All SQL of map runs and of the executions they began."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from scones.cloud.asl.distributed import MapRunPlan
from scones.cloud.state.db import Database, Row

from .records import EXECUTION_MOVES, MAP_RUN_MOVES, WITHOUT_TEXTS, ExecutionRow, check_move

__all__ = ["ChildCounts", "MapRunRow", "MapRunStore"]

_ORPHANS = (
    "SELECT e.id FROM sfn_executions e JOIN sfn_map_runs m ON m.id = e.map_run"
    " WHERE e.status = 'RUNNING' AND m.status != 'RUNNING'"
)
_PAGE = 50
"""Each may have texts of half a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapRunRow:
    id: int
    arn: str
    execution: int
    task: int
    state: str
    label: str
    express: bool
    status: str
    max_concurrency: int
    """0: no limit."""
    tolerated_count: int | None
    tolerated_percentage: float | None
    items: int | None
    etag: str | None
    last_key: str | None
    started_ms: int
    stopped_ms: int | None
    redrive_count: int
    redriven_ms: int | None
    written_executions: int
    """Those whose results its last results hold."""
    written_items: int

    @classmethod
    def from_row(cls, row: Row) -> Self:
        return cls(**{**dict(row), "express": bool(row["express"])})


@dataclass(slots=True)
class ChildCounts:
    """How many executions, or items, have which status."""

    executions: dict[str, int]
    items: dict[str, int]

    @property
    def begun(self) -> int:
        return sum(self.executions.values())

    @property
    def items_begun(self) -> int:
        return sum(self.items.values())

    @property
    def running(self) -> int:
        return self.executions.get("RUNNING", 0)

    @property
    def items_failed(self) -> int:
        """Those that count against the tolerance."""
        return sum(self.items.get(status, 0) for status in ("FAILED", "TIMED_OUT", "ABORTED"))


class MapRunStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, arn: str, execution: int, task: int, plan: MapRunPlan, started_ms: int) -> None:
        self._db.execute(
            "INSERT INTO sfn_map_runs (arn, execution, task, state, label, express, status,"
            " max_concurrency, tolerated_count, tolerated_percentage, started_ms)"
            " VALUES (?, ?, ?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?)",
            (
                arn,
                execution,
                task,
                plan.state,
                plan.label,
                plan.express,
                plan.max_concurrency,
                plan.tolerated_count,
                plan.tolerated_percentage,
                started_ms,
            ),
        )

    def by_arn(self, arn: str) -> MapRunRow | None:
        row = self._db.one("SELECT * FROM sfn_map_runs WHERE arn = ?", (arn,))
        return MapRunRow.from_row(row) if row else None

    def by_id(self, id_: int) -> MapRunRow:
        row = self._db.one("SELECT * FROM sfn_map_runs WHERE id = ?", (id_,))
        assert row is not None
        return MapRunRow.from_row(row)

    def by_task(self, execution: int, task: int) -> MapRunRow | None:
        row = self._db.one("SELECT * FROM sfn_map_runs WHERE execution = ? AND task = ?", (execution, task))
        return MapRunRow.from_row(row) if row else None

    def of_execution(self, execution: int, before: int, limit: int) -> list[MapRunRow]:
        """Newest first, from the one begun before id `before`."""
        rows = self._db.all(
            "SELECT * FROM sfn_map_runs WHERE execution = ? AND id < ? ORDER BY id DESC LIMIT ?",
            (execution, before, limit),
        )
        return [MapRunRow.from_row(row) for row in rows]

    def end(self, execution: int, task: int, status: str, stopped_ms: int) -> None:
        """Its end is committed with the turn that takes it, so that the two never disagree.

        What still waits to be redriven has not been: it is again what it was.
        """
        check_move(MAP_RUN_MOVES, "RUNNING", status)
        self._db.execute(
            "UPDATE sfn_map_runs SET status = ?, stopped_ms = ?"
            " WHERE execution = ? AND task = ? AND status = 'RUNNING'",
            (status, stopped_ms, execution, task),
        )
        self._db.execute(
            "UPDATE sfn_executions SET status = coalesce(ended_as, 'ABORTED'), ended_as = NULL"
            " WHERE status = 'PENDING_REDRIVE'"
            " AND map_run = (SELECT id FROM sfn_map_runs WHERE execution = ? AND task = ?)",
            (execution, task),
        )

    def abandon(self, execution: int, stopped_ms: int) -> None:
        """End the runs of an execution that is given up."""
        for row in self._db.all(
            "SELECT task FROM sfn_map_runs WHERE execution = ? AND status = 'RUNNING'", (execution,)
        ):
            self.end(execution, row["task"], "ABORTED", stopped_ms)

    def redrive(self, run: MapRunRow, redriven_ms: int) -> None:
        """The run goes on; what has ended badly waits to be redriven. A source no item came from is new."""
        check_move(MAP_RUN_MOVES, run.status, "RUNNING")
        self._db.execute(
            "UPDATE sfn_executions SET ended_as = status, status = 'PENDING_REDRIVE'"
            " WHERE map_run = ? AND status IN ('FAILED', 'TIMED_OUT', 'ABORTED')",
            (run.id,),
        )
        self._db.execute(
            "UPDATE sfn_map_runs SET status = 'RUNNING', stopped_ms = NULL, redriven_ms = ?,"
            " redrive_count = redrive_count + 1, etag = CASE WHEN EXISTS"
            " (SELECT 1 FROM sfn_executions WHERE map_run = sfn_map_runs.id) THEN etag END WHERE id = ?",
            (redriven_ms, run.id),
        )

    def refuse_redrive(self, execution: ExecutionRow) -> None:
        """Of an execution that cannot be redriven: it has failed, as before."""
        check_move(EXECUTION_MOVES, execution.status, "FAILED")
        self._db.execute(
            "UPDATE sfn_executions SET status = 'FAILED', ended_as = NULL WHERE id = ?", (execution.id,)
        )

    def set_items(self, id_: int, items: int) -> None:
        self._db.execute("UPDATE sfn_map_runs SET items = ? WHERE id = ?", (items, id_))

    def set_place(self, id_: int, etag: str | None, last_key: str | None) -> None:
        """How far the items have been read, in the transaction that begins executions for them."""
        self._db.execute("UPDATE sfn_map_runs SET etag = ?, last_key = ? WHERE id = ?", (etag, last_key, id_))

    def set_written(self, id_: int, statuses: Sequence[str]) -> None:
        """The results of the executions with these statuses are where the run's results go."""
        found = self.counts(id_)
        executions, items = (
            sum(counts.get(status, 0) for status in statuses) for counts in (found.executions, found.items)
        )
        self._db.execute(
            "UPDATE sfn_map_runs SET written_executions = ?, written_items = ? WHERE id = ?",
            (executions, items, id_),
        )

    def set_limits(self, id_: int, max_concurrency: int, count: int | None, percentage: float | None) -> None:
        self._db.execute(
            "UPDATE sfn_map_runs SET max_concurrency = ?, tolerated_count = ?, tolerated_percentage = ?"
            " WHERE id = ?",
            (max_concurrency, count, percentage, id_),
        )

    # The executions -------------------------------------------------------------------------------

    def counts(self, id_: int) -> ChildCounts:
        rows = self._db.all(
            "SELECT status, count(*) AS executions, sum(items) AS items FROM sfn_executions"
            " WHERE map_run = ? GROUP BY status",
            (id_,),
        )
        return ChildCounts(
            {row["status"]: row["executions"] for row in rows}, {row["status"]: row["items"] for row in rows}
        )

    def children(self, id_: int, status: str) -> Iterator[ExecutionRow]:
        """In the order of the items, a page in memory at a time."""
        after = -1
        while page := self._page(id_, status, after):
            after = page[-1].child or 0
            yield from page
            page.clear()  # before the next one is read

    def _page(self, id_: int, status: str, after: int) -> list[ExecutionRow]:
        rows = self._db.all(
            "SELECT * FROM sfn_executions WHERE map_run = ? AND status = ? AND child > ?"
            " ORDER BY child LIMIT ?",
            (id_, status, after, _PAGE),
        )
        return [ExecutionRow.from_row(row) for row in rows]

    def running(self, id_: int) -> list[int]:
        rows = self._db.all(
            "SELECT id FROM sfn_executions WHERE map_run = ? AND status = 'RUNNING' ORDER BY child", (id_,)
        )
        return [row["id"] for row in rows]

    def output_bytes(self, id_: int) -> int:
        """Of all results together."""
        row = self._db.one(
            "SELECT coalesce(sum(length(CAST(output AS BLOB))), 0) AS bytes FROM sfn_executions"
            " WHERE map_run = ? AND status = 'SUCCEEDED'",
            (id_,),
        )
        assert row is not None
        found: int = row["bytes"]
        return found

    def listed(
        self, id_: int, before: int, limit: int, *, status: str | None, redriven: bool | None
    ) -> list[ExecutionRow]:
        """Newest first, from the one begun before id `before`; without their texts."""
        rows = self._db.all(
            f"SELECT {WITHOUT_TEXTS} FROM sfn_executions"
            " WHERE map_run = ? AND id < ? AND (? IS NULL OR status = ?)"
            " AND (? IS NULL OR (redrive_count > 0) = ?) ORDER BY id DESC LIMIT ?",
            (id_, before, status, status, redriven, redriven, limit),
        )
        return [ExecutionRow.from_row(row) for row in rows]

    def orphans(self) -> list[int]:
        """Executions that run although their map run is over."""
        return [row["id"] for row in self._db.all(_ORPHANS)]

    def is_orphan(self, execution: int) -> bool:
        return self._db.one(f"{_ORPHANS} AND e.id = ?", (execution,)) is not None
