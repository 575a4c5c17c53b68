"""Fires the rules that have a schedule: each time due is a row, so a crash makes one late, never lost.

What fell due while the cloud was down fires once as it starts; the next time is then counted from there.
"""

import asyncio
from datetime import datetime

from scones.cloud.ports import Clock, Spawn, milliseconds
from scones.cloud.services.events.dispatch import Dispatch
from scones.cloud.services.events.names import Names
from scones.cloud.services.events.records import instant
from scones.cloud.services.events.schedules import compile_schedule
from scones.cloud.services.events.store import Store
from scones.cloud.state.db import Database

__all__ = ["Scheduler", "due_after"]

_LONGEST_SLEEP_S = 600.0
"""It looks at the clock this often, so that a changed or sleeping clock is noticed."""


def due_after(schedule: str | None, moment: datetime) -> int | None:
    """When a rule fires next, in milliseconds since 1970; None where it has no time to fire."""
    found = compile_schedule(schedule).after(moment) if schedule else None
    return None if found is None else milliseconds(found)


class Scheduler:
    def __init__(
        self, *, db: Database, store: Store, names: Names, clock: Clock, spawn: Spawn, dispatch: Dispatch
    ) -> None:
        self._db = db
        self._store = store
        self._names = names
        self._clock = clock
        self._spawn = spawn
        self._dispatch = dispatch
        self._wake = asyncio.Event()

    def start(self) -> None:
        self._spawn(self._run(), name="scheduled rules")

    def wake(self) -> None:
        """A rule may fire earlier than was known."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            with self._db.transaction():
                self._fire_due()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause_s(self) -> float:
        due = self._store.first_due()
        left = _LONGEST_SLEEP_S if due is None else (due - milliseconds(self._clock.now())) / 1000
        return max(0.0, min(left, _LONGEST_SLEEP_S))

    def _fire_due(self) -> None:
        now = self._clock.now()
        for rule in self._store.due_rules(milliseconds(now)):
            assert rule.due is not None  # the query asked for those
            event = self._dispatch.event(
                source="aws.events",
                detail_type="Scheduled Event",
                resources=[self._names.rule_arn(rule.bus, rule.name)],
                detail={},
                moment=instant(rule.due),
            )
            self._dispatch.fire(rule, event)
            self._store.set_due(rule, due_after(rule.schedule, now))
