"""Delivers what is journaled: at least once, with growing pauses, as long as the target's policy says.

A delivery's row goes when it has succeeded or been given up; a crash in between repeats it. A
state machine is started once all the same: its execution has a name that was fixed in the journal.
"""

import asyncio
import logging
from typing import Literal

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Faults, Spawn, Wire
from scones.cloud.services.events.records import Delivery, milliseconds
from scones.cloud.services.events.store import Store

__all__ = ["Runner"]

_log = logging.getLogger(__name__)

_UNDER_WAY_PER_TARGET = 4
"""So that a slow target delays only its own."""
_LONGEST_PAUSE_S = 300

Outcome = Literal["delivered", "refused", "failed"]
"""refused: the target will never take it, so asking again is pointless."""


class Runner:
    def __init__(self, *, store: Store, clock: Clock, call: Call, spawn: Spawn, faults: Faults) -> None:
        self._store = store
        self._clock = clock
        self._call = call
        self._spawn = spawn
        self._faults = faults
        self._wake = asyncio.Event()
        self._under_way: set[int] = set()

    def start(self) -> None:
        self._spawn(self._run(), name="event deliveries")

    def wake(self) -> None:
        """There may be something to deliver."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            self._start_due()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _pause_s(self) -> float | None:
        now = milliseconds(self._clock.now())
        due = self._store.next_due(now)
        return None if due is None else (due - now) / 1000

    def _start_due(self) -> None:
        now = milliseconds(self._clock.now())
        for arn in self._store.waiting(now):
            # Those under way are still the first in order, so a fixed window leaves them out by itself.
            for delivery in self._store.next_deliveries(arn, now=now, limit=_UNDER_WAY_PER_TARGET):
                if delivery.delivery_id not in self._under_way:
                    self._under_way.add(delivery.delivery_id)
                    self._spawn(self._deliver(delivery), name=f"event delivery {delivery.delivery_id}")

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await self._attempt(delivery)
            self._faults.reach("events.delivered")
            self._settle(delivery, outcome)
        except Exception:
            self._settle(delivery, "failed")  # our own fault must not be retried without a pause
            raise
        finally:
            self._under_way.discard(delivery.delivery_id)
            self.wake()

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        now = milliseconds(self._clock.now())
        due = now + min(2**delivery.attempts, _LONGEST_PAUSE_S) * 1000
        if outcome == "failed" and delivery.attempts < delivery.retries and due <= delivery.expires:
            self._store.postpone(delivery, due=due)
            return
        if outcome != "delivered":
            told = (delivery.event_id, delivery.rule_arn, delivery.target_arn)
            _log.warning("gave up event %s of %s to %s", *told)
        self._store.finish(delivery)

    async def _attempt(self, delivery: Delivery) -> Outcome:
        try:
            await self._call(*_asked(delivery))
        except ServiceError as error:
            if error.code == "ExecutionAlreadyExists":  # begun before a crash, or before a lost answer
                return "delivered"
            _log.info("%s refused event %s: %s", delivery.target_arn, delivery.event_id, error)
            temporary = error.status >= 500 or error.code in ("TooManyRequestsException", "Throttled")
            return "failed" if temporary else "refused"
        return "delivered"


def _asked(delivery: Delivery) -> tuple[str, str, Wire]:
    """The call that a delivery is."""
    arn, body = delivery.target_arn, delivery.body
    service = arn.split(":")[2]
    if service == "states":
        return (
            "stepfunctions",
            "StartExecution",
            {"stateMachineArn": arn, "input": body, "name": delivery.name},
        )
    if service == "sns":
        return "sns", "Publish", {"TopicArn": arn, "Message": body}
    return "lambda", "Invoke", {"FunctionName": arn, "InvocationType": "Event", "Payload": body.encode()}
