"""All SQL of state machines, executions and their journals."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import lru_cache

import orjson

from scones.cloud.asl.journal import Event, Finish, Invoke, Stimulus, Turn, decode_stimuli, encode_stimuli
from scones.cloud.state.db import Database

from .records import (
    EXECUTION_MOVES,
    MACHINE_MOVES,
    WITHOUT_TEXTS,
    ActivityRow,
    AliasRow,
    ExecutionRow,
    MachineRow,
    RevisionRow,
    StopRow,
    VersionRow,
    check_move,
)

__all__ = ["Store", "StoredTurn"]

_PAGE_CHARACTERS = 4_000_000
"""Of journal, after which a page of events takes no further turn."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """One turn as the journal keeps it."""

    number: int
    time_ms: int
    steps: int
    stimuli: list[Stimulus]
    events: list[Event]


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db
        self._revision = lru_cache(maxsize=256)(self._read_revision)

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    # State machines -------------------------------------------------------------------------------

    def machine(self, arn: str) -> MachineRow | None:
        row = self._db.one("SELECT * FROM sfn_machines WHERE arn = ?", (arn,))
        return MachineRow.from_row(row) if row else None

    def machine_by_id(self, id_: int) -> MachineRow:
        row = self._db.one("SELECT * FROM sfn_machines WHERE id = ?", (id_,))
        assert row is not None
        return MachineRow.from_row(row)

    def machines(self, after: int, limit: int) -> list[MachineRow]:
        """In the order of their creation, from the one after id `after`."""
        rows = self._db.all("SELECT * FROM sfn_machines WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [MachineRow.from_row(row) for row in rows]

    def add_machine(
        self, *, arn: str, name: str, type_: str, definition: str, role_arn: str, created_ms: int
    ) -> int:
        id_ = self._db.execute(
            "INSERT INTO sfn_machines (arn, name, type, status, revision, created_ms, tracing)"
            " VALUES (?, ?, ?, 'ACTIVE', 0, ?, 0)",
            (arn, name, type_, created_ms),
        ).lastrowid
        assert id_ is not None
        self.add_revision(id_, None, definition, role_arn, created_ms)
        return id_

    def add_revision(
        self, machine: int, revision_id: str | None, definition: str, role_arn: str, created_ms: int
    ) -> None:
        """Add a revision and make it the machine's current one."""
        revision = self._db.execute(
            "INSERT INTO sfn_revisions (machine, revision_id, definition, role_arn, created_ms)"
            " VALUES (?, ?, ?, ?, ?)",
            (machine, revision_id, definition, role_arn, created_ms),
        ).lastrowid
        self._db.execute("UPDATE sfn_machines SET revision = ? WHERE id = ?", (revision, machine))

    def set_options(
        self, machine: int, tracing: bool, logging: Mapping[str, object], encryption: Mapping[str, object]
    ) -> None:
        self._db.execute(
            "UPDATE sfn_machines SET tracing = ?, logging = ?, encryption = ? WHERE id = ?",
            (tracing, orjson.dumps(logging).decode(), orjson.dumps(encryption).decode(), machine),
        )

    def revision(self, id_: int) -> RevisionRow:
        """A revision never changes, so the last ones read are kept in memory."""
        return self._revision(id_)

    def _read_revision(self, id_: int) -> RevisionRow:
        row = self._db.one("SELECT * FROM sfn_revisions WHERE id = ?", (id_,))
        assert row is not None
        return RevisionRow.from_row(row)

    def begin_deletion(self, machine: MachineRow) -> None:
        check_move(MACHINE_MOVES, machine.status, "DELETING")
        self._db.execute("UPDATE sfn_machines SET status = 'DELETING' WHERE id = ?", (machine.id,))

    def delete_idle_machines(self) -> None:
        """Remove what is DELETING and has no running execution, histories included."""
        idle = (
            "SELECT id FROM sfn_machines WHERE status = 'DELETING' AND NOT EXISTS"
            " (SELECT 1 FROM sfn_executions e WHERE e.machine = sfn_machines.id AND e.status = 'RUNNING')"
        )
        for row in self._db.all(idle):
            self._db.execute("DELETE FROM sfn_executions WHERE machine = ?", (row["id"],))
            self._db.execute("DELETE FROM sfn_machines WHERE id = ?", (row["id"],))

    def tags(self, machine: int) -> dict[str, str]:
        rows = self._db.all("SELECT key, value FROM sfn_tags WHERE machine = ? ORDER BY key", (machine,))
        return {row["key"]: row["value"] for row in rows}

    def put_tags(self, machine: int, tags: Mapping[str, str]) -> None:
        self._db.executemany(
            "INSERT INTO sfn_tags VALUES (?, ?, ?)"
            " ON CONFLICT (machine, key) DO UPDATE SET value = excluded.value",
            [(machine, key, value) for key, value in tags.items()],
        )

    def delete_tags(self, machine: int, keys: list[str]) -> None:
        self._db.executemany(
            "DELETE FROM sfn_tags WHERE machine = ? AND key = ?", [(machine, key) for key in keys]
        )

    # Versions and aliases -------------------------------------------------------------------------

    def version(self, machine: int, number: int) -> VersionRow | None:
        row = self._db.one("SELECT * FROM sfn_versions WHERE machine = ? AND number = ?", (machine, number))
        return VersionRow.from_row(row) if row else None

    def version_of(self, revision: int) -> VersionRow | None:
        """The version that publishes a revision."""
        row = self._db.one("SELECT * FROM sfn_versions WHERE revision = ?", (revision,))
        return VersionRow.from_row(row) if row else None

    def versions(self, machine: int, before: int, limit: int) -> list[VersionRow]:
        """Newest first, those with a number below `before`."""
        rows = self._db.all(
            "SELECT * FROM sfn_versions WHERE machine = ? AND number < ? ORDER BY number DESC LIMIT ?",
            (machine, before, limit),
        )
        return [VersionRow.from_row(row) for row in rows]

    def add_version(
        self, machine: int, revision: int, description: str | None, created_ms: int
    ) -> VersionRow:
        counted = self._db.one(
            "UPDATE sfn_machines SET last_version = last_version + 1 WHERE id = ? RETURNING last_version",
            (machine,),
        )
        assert counted is not None
        row = self._db.one(
            "INSERT INTO sfn_versions VALUES (?, ?, ?, ?, ?) RETURNING *",
            (machine, counted["last_version"], revision, description, created_ms),
        )
        assert row is not None
        return VersionRow.from_row(row)

    def delete_version(self, machine: int, number: int) -> None:
        self._db.execute("DELETE FROM sfn_versions WHERE machine = ? AND number = ?", (machine, number))

    def alias(self, machine: int, name: str) -> AliasRow | None:
        row = self._db.one("SELECT * FROM sfn_aliases WHERE machine = ? AND name = ?", (machine, name))
        return AliasRow.from_row(row) if row else None

    def aliases(self, machine: int, after: int, limit: int) -> list[AliasRow]:
        """In the order of their creation, from the one after id `after`; a limit of -1 is none."""
        rows = self._db.all(
            "SELECT * FROM sfn_aliases WHERE machine = ? AND id > ? ORDER BY id LIMIT ?",
            (machine, after, limit),
        )
        return [AliasRow.from_row(row) for row in rows]

    def add_alias(
        self,
        machine: int,
        name: str,
        description: str | None,
        routing: list[tuple[int, int]],
        created_ms: int,
    ) -> None:
        self._db.execute(
            "INSERT INTO sfn_aliases (machine, name, description, routing, created_ms, updated_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (machine, name, description, orjson.dumps(routing).decode(), created_ms, created_ms),
        )

    def update_alias(
        self, id_: int, description: str | None, routing: list[tuple[int, int]], updated_ms: int
    ) -> None:
        self._db.execute(
            "UPDATE sfn_aliases SET description = ?, routing = ?, updated_ms = ? WHERE id = ?",
            (description, orjson.dumps(routing).decode(), updated_ms, id_),
        )

    def delete_alias(self, id_: int) -> None:
        self._db.execute("DELETE FROM sfn_aliases WHERE id = ?", (id_,))

    # Activities -----------------------------------------------------------------------------------

    def activity(self, arn: str) -> ActivityRow | None:
        row = self._db.one("SELECT * FROM sfn_activities WHERE arn = ?", (arn,))
        return ActivityRow.from_row(row) if row else None

    def activities(self, after: int, limit: int) -> list[ActivityRow]:
        """In the order of their creation, from the one after id `after`."""
        rows = self._db.all("SELECT * FROM sfn_activities WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return [ActivityRow.from_row(row) for row in rows]

    def add_activity(
        self, arn: str, name: str, created_ms: int, encryption: Mapping[str, object]
    ) -> ActivityRow:
        row = self._db.one(
            "INSERT INTO sfn_activities (arn, name, created_ms, encryption) VALUES (?, ?, ?, ?) RETURNING *",
            (arn, name, created_ms, orjson.dumps(encryption).decode()),
        )
        assert row is not None
        return ActivityRow.from_row(row)

    def delete_activity(self, arn: str) -> None:
        self._db.execute("DELETE FROM sfn_activities WHERE arn = ?", (arn,))

    def activity_tags(self, activity: int) -> dict[str, str]:
        query = "SELECT key, value FROM sfn_activity_tags WHERE activity = ? ORDER BY key"
        return {row["key"]: row["value"] for row in self._db.all(query, (activity,))}

    def put_activity_tags(self, activity: int, tags: Mapping[str, str]) -> None:
        self._db.executemany(
            "INSERT INTO sfn_activity_tags VALUES (?, ?, ?)"
            " ON CONFLICT (activity, key) DO UPDATE SET value = excluded.value",
            [(activity, key, value) for key, value in tags.items()],
        )

    def delete_activity_tags(self, activity: int, keys: list[str]) -> None:
        self._db.executemany(
            "DELETE FROM sfn_activity_tags WHERE activity = ? AND key = ?", [(activity, key) for key in keys]
        )

    # Executions -----------------------------------------------------------------------------------

    def execution(self, arn: str) -> ExecutionRow | None:
        row = self._db.one("SELECT * FROM sfn_executions WHERE arn = ?", (arn,))
        return ExecutionRow.from_row(row) if row else None

    def execution_by_id(self, id_: int) -> ExecutionRow | None:
        row = self._db.one("SELECT * FROM sfn_executions WHERE id = ?", (id_,))
        return ExecutionRow.from_row(row) if row else None

    def executions(
        self,
        machine: int,
        before: int,
        limit: int,
        *,
        status: str | None,
        version: int | None,
        alias: str | None,
        redriven: bool | None,
    ) -> list[ExecutionRow]:
        """Newest first, from the one started before id `before`; None filters nothing.

        Their texts are left out: a page of them may be hundreds of megabytes.
        """
        running = " AND status = 'RUNNING'" if status == "RUNNING" else ""  # has an index of its own
        rows = self._db.all(
            f"SELECT {WITHOUT_TEXTS} FROM sfn_executions"
            f" WHERE machine = :machine AND map_run IS NULL AND id < :before{running}"
            " AND (:status IS NULL OR status = :status) AND (:version IS NULL OR version = :version)"
            " AND (:alias IS NULL OR alias = :alias)"
            " AND (:redriven IS NULL OR (redrive_count > 0) = :redriven) ORDER BY id DESC LIMIT :limit",
            {
                "machine": machine,
                "before": before,
                "status": status,
                "version": version,
                "alias": alias,
                "redriven": redriven,
                "limit": limit,
            },
        )
        return [ExecutionRow.from_row(row) for row in rows]

    def running(self) -> list[int]:
        rows = self._db.all(
            "SELECT id FROM sfn_executions INDEXED BY sfn_executions_running"
            " WHERE status = 'RUNNING' ORDER BY id"
        )
        return [row["id"] for row in rows]

    def add_execution(
        self,
        *,
        arn: str,
        name: str,
        machine: int,
        revision: int,
        input: str,
        started_ms: int,
        seed: str,
        trace_header: str | None,
        version: int | None = None,
        alias: str | None = None,
        map_run: int | None = None,
        child: int | None = None,
        items: int | None = None,
    ) -> ExecutionRow:
        row = self._db.one(
            "INSERT INTO sfn_executions (arn, name, machine, revision, status, input, started_ms, seed,"
            " trace_header, version, alias, map_run, child, items)"
            " VALUES (?, ?, ?, ?, 'RUNNING', ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING *",
            (
                arn,
                name,
                machine,
                revision,
                input,
                started_ms,
                seed,
                trace_header,
                version,
                alias,
                map_run,
                child,
                items,
            ),
        )
        assert row is not None
        return ExecutionRow.from_row(row)

    def delete_execution(self, id_: int) -> None:
        self._db.execute("DELETE FROM sfn_executions WHERE id = ?", (id_,))

    def delete_finished_express(self) -> None:
        """Nobody can describe an EXPRESS execution, so that none is kept when it is over."""
        self._db.execute(
            "DELETE FROM sfn_executions WHERE status != 'RUNNING'"
            " AND machine IN (SELECT id FROM sfn_machines WHERE type = 'EXPRESS')"
        )

    def finish_execution(self, id_: int, finish: Finish, stopped_ms: int) -> None:
        check_move(EXECUTION_MOVES, "RUNNING", finish.status)
        self._db.execute(
            "UPDATE sfn_executions SET status = ?, output = ?, error = ?, cause = ?, stopped_ms = ?"
            " WHERE id = ? AND status = 'RUNNING'",
            (finish.status, finish.output, finish.error, finish.cause, stopped_ms, id_),
        )

    def redrive_execution(self, row: ExecutionRow, token: str | None, redriven_ms: int) -> None:
        check_move(EXECUTION_MOVES, row.status, "RUNNING")
        self._db.execute(
            "UPDATE sfn_executions SET status = 'RUNNING', error = NULL, cause = NULL, stopped_ms = NULL,"
            " ended_as = NULL, redrive_count = redrive_count + 1, redriven_ms = ?"
            " WHERE id = ? AND status = ?",
            (redriven_ms, row.id, row.status),
        )
        self._db.execute(
            "INSERT INTO sfn_redrives VALUES (?, ?, ?, ?)",
            (row.id, row.redrive_count + 1, token, redriven_ms),
        )

    def redriven_by(self, execution: int, token: str, since_ms: int, last: int) -> int | None:
        """When the redrive with this token was, if it is among the `last` ones and not too long ago."""
        row = self._db.one(
            "SELECT redriven_ms FROM (SELECT * FROM sfn_redrives WHERE execution = ? ORDER BY number DESC"
            " LIMIT ?) WHERE client_token = ? AND redriven_ms >= ?",
            (execution, last, token, since_ms),
        )
        return row["redriven_ms"] if row else None

    # What is to be stopped ------------------------------------------------------------------------

    def add_stop(self, execution: int, invoke: Invoke, name: str) -> None:
        (scheduled,) = self.events(execution, invoke.task, 1, newest_first=False)
        self._db.execute(
            "INSERT INTO sfn_stops (execution, task, service, action, resource, parameters, submitted, name,"
            " asked_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                execution,
                invoke.task,
                invoke.service,
                invoke.action,
                invoke.resource,
                invoke.parameters,
                invoke.submitted,
                name,
                scheduled["timestamp"],
            ),
        )

    def stops(self, execution: int | None = None, task: int | None = None) -> list[StopRow]:
        """All, or those of one task."""
        rows = self._db.all(
            "SELECT * FROM sfn_stops WHERE (:execution IS NULL OR execution = :execution)"
            " AND (:task IS NULL OR task = :task) ORDER BY id",
            {"execution": execution, "task": task},
        )
        return [StopRow.from_row(row) for row in rows]

    def delete_stop(self, id_: int) -> None:
        self._db.execute("DELETE FROM sfn_stops WHERE id = ?", (id_,))

    # Journal --------------------------------------------------------------------------------------

    def add_turn(self, execution: int, number: int, turn: Turn, time_ms: int, last_event: int) -> None:
        self._db.execute(
            "INSERT INTO sfn_turns VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                execution,
                number,
                last_event,
                time_ms,
                turn.steps,
                orjson.dumps(encode_stimuli(turn)).decode(),
                orjson.dumps(turn.events).decode(),
            ),
        )

    def delete_turns(self, execution: int) -> None:
        self._db.execute("DELETE FROM sfn_turns WHERE execution = ?", (execution,))

    def turns(self, execution: int) -> Iterator[StoredTurn]:
        query = (
            "SELECT turn, time_ms, steps, stimuli, events FROM sfn_turns WHERE execution = ? ORDER BY turn"
        )
        for row in self._db.execute(query, (execution,)):
            events = orjson.loads(row["events"])
            stimuli = decode_stimuli(orjson.loads(row["stimuli"]), events)
            yield StoredTurn(row["turn"], row["time_ms"], row["steps"], stimuli, events)

    def last_turn(self, execution: int) -> tuple[int, int]:
        """(number, id of the last event) of the last turn; (-1, 0) before the first."""
        row = self._db.one(
            "SELECT turn, last_event FROM sfn_turns WHERE execution = ? ORDER BY turn DESC LIMIT 1",
            (execution,),
        )
        return (row["turn"], row["last_event"]) if row else (-1, 0)

    def events(self, execution: int, start: int, limit: int, *, newest_first: bool) -> list[Event]:
        """Up to `limit` events from id `start` on, in either direction; fewer where they are long."""
        if newest_first:
            first, last, order = max(1, start - limit + 1), start, "DESC"
        else:
            first, last, order = start, start + limit - 1, "ASC"
        rows = self._db.execute(
            "SELECT events FROM sfn_turns WHERE execution = ? AND last_event >= ?"
            " AND turn <= coalesce((SELECT min(turn) FROM sfn_turns WHERE execution = ?"
            f" AND last_event >= ?), 9223372036854775807) ORDER BY turn {order}",
            (execution, first, execution, last),
        )
        found: list[Event] = []
        size = 0
        for row in rows:
            made = [event for event in orjson.loads(row["events"]) if first <= event["id"] <= last]
            found += reversed(made) if newest_first else made
            size += len(row["events"])
            if found and size > _PAGE_CHARACTERS:
                break
        return found
