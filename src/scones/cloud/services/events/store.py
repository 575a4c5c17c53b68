"""SQL of EventBridge."""

import json

from scones.cloud.services.events.records import Bus, Rule, Target
from scones.cloud.state.db import Database

__all__ = ["Store"]

_INSERT_BUS = "INSERT INTO events_buses VALUES (?, ?, ?, ?, ?)"
_BUS = "SELECT * FROM events_buses WHERE name = ?"
_BUSES = """
    SELECT * FROM events_buses WHERE name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"""
_TAG_BUS = "UPDATE events_buses SET tags = ? WHERE name = ?"
_DELETE_BUS = "DELETE FROM events_buses WHERE name = ?"

_PUT_RULE = """
    INSERT INTO events_rules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (bus, name) DO UPDATE SET pattern = excluded.pattern, schedule = excluded.schedule,
        due = excluded.due, state = excluded.state, description = excluded.description,
        role_arn = excluded.role_arn, tags = excluded.tags"""
_RULE = "SELECT * FROM events_rules WHERE bus = ? AND name = ?"
_RULES = """
    SELECT * FROM events_rules WHERE bus = ? AND name > ? AND substr(name, 1, ?) = ? ORDER BY name LIMIT ?"""
_LISTENING = """
    SELECT * FROM events_rules WHERE bus = ? AND state <> 'DISABLED' AND pattern IS NOT NULL ORDER BY name"""
_DUE_RULES = "SELECT * FROM events_rules WHERE due <= ? ORDER BY due"
_FIRST_DUE = "SELECT min(due) FROM events_rules WHERE due IS NOT NULL"
_SET_DUE = "UPDATE events_rules SET due = ? WHERE bus = ? AND name = ?"
_HAS_RULES = "SELECT 1 FROM events_rules WHERE bus = ? LIMIT 1"
_DELETE_RULE = "DELETE FROM events_rules WHERE bus = ? AND name = ?"

_PUT_TARGET = "INSERT OR REPLACE INTO events_targets VALUES (?, ?, ?, ?, ?)"
_TARGETS = """
    SELECT * FROM events_targets WHERE bus = ? AND rule = ? AND target_id > ? ORDER BY target_id LIMIT ?"""
_DELETE_TARGET = "DELETE FROM events_targets WHERE bus = ? AND rule = ? AND target_id = ?"
_RULES_OF_TARGET = """
    SELECT DISTINCT rule FROM events_targets WHERE bus = ? AND arn = ? AND rule > ? ORDER BY rule LIMIT ?"""


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    # Buses --------------------------------------------------------------------------------------

    def insert_bus(self, bus: Bus) -> None:
        fields = (bus.name, bus.description, json.dumps(bus.tags), bus.created, bus.modified)
        self._db.execute(_INSERT_BUS, fields)

    def bus(self, name: str) -> Bus | None:
        row = self._db.one(_BUS, (name,))
        return None if row is None else Bus.from_row(row)

    def buses(self, *, prefix: str, after: str, limit: int) -> list[Bus]:
        return [Bus.from_row(row) for row in self._db.all(_BUSES, (after, len(prefix), prefix, limit))]

    def tag_bus(self, name: str, tags: dict[str, str]) -> None:
        self._db.execute(_TAG_BUS, (json.dumps(tags), name))

    def has_rules(self, bus: str) -> bool:
        return self._db.one(_HAS_RULES, (bus,)) is not None

    def delete_bus(self, name: str) -> None:
        self._db.execute(_DELETE_BUS, (name,))

    # Rules --------------------------------------------------------------------------------------

    def put_rule(self, rule: Rule) -> None:
        kept = (rule.description, rule.role_arn, json.dumps(rule.tags))
        fires = (rule.pattern, rule.schedule, rule.due)
        self._db.execute(_PUT_RULE, (rule.bus, rule.name, *fires, rule.state, *kept))

    def rule(self, bus: str, name: str) -> Rule | None:
        row = self._db.one(_RULE, (bus, name))
        return None if row is None else Rule.from_row(row)

    def rules(self, bus: str, *, prefix: str, after: str, limit: int) -> list[Rule]:
        rows = self._db.all(_RULES, (bus, after, len(prefix), prefix, limit))
        return [Rule.from_row(row) for row in rows]

    def listening_rules(self, bus: str) -> list[Rule]:
        """Those that are enabled and have a pattern."""
        return [Rule.from_row(row) for row in self._db.all(_LISTENING, (bus,))]

    def due_rules(self, now: int) -> list[Rule]:
        return [Rule.from_row(row) for row in self._db.all(_DUE_RULES, (now,))]

    def first_due(self) -> int | None:
        row = self._db.one(_FIRST_DUE)
        return None if row is None else row[0]

    def set_due(self, rule: Rule, due: int | None) -> None:
        self._db.execute(_SET_DUE, (due, rule.bus, rule.name))

    def delete_rule(self, bus: str, name: str) -> None:
        self._db.execute(_DELETE_RULE, (bus, name))

    # Targets ------------------------------------------------------------------------------------

    def put_target(self, rule: Rule, target: Target) -> None:
        fields = (rule.bus, rule.name, target.target_id, target.arn, json.dumps(target.fields))
        self._db.execute(_PUT_TARGET, fields)

    def targets(self, rule: Rule, *, after: str = "", limit: int = -1) -> list[Target]:
        rows = self._db.all(_TARGETS, (rule.bus, rule.name, after, limit))
        return [Target.from_row(row) for row in rows]

    def delete_target(self, rule: Rule, target_id: str) -> bool:
        """Whether there was one."""
        return self._db.execute(_DELETE_TARGET, (rule.bus, rule.name, target_id)).rowcount > 0

    def rule_names(self, bus: str, target_arn: str, *, after: str, limit: int) -> list[str]:
        return [row[0] for row in self._db.all(_RULES_OF_TARGET, (bus, target_arn, after, limit))]
