"""An event on its way: which rules it matches, and one journaled delivery for each of their targets."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from scones.cloud.deliveries import Deliver
from scones.cloud.ports import Clock, Ids, Wire, milliseconds
from scones.cloud.services.events.inputs import InputError, target_input
from scones.cloud.services.events.names import DEFAULT_BUS, Names
from scones.cloud.services.events.patterns import compile_pattern
from scones.cloud.services.events.records import Delivery, Rule
from scones.cloud.services.events.store import Store

__all__ = ["Dispatch", "event_time"]

_log = logging.getLogger(__name__)

_RETRIES = 185
_LONGEST_AGE_S = 86_400
"""EventBridge's own, where a target says nothing."""


def event_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


class Dispatch:
    def __init__(
        self, *, store: Store, names: Names, clock: Clock, ids: Ids, deliver: Deliver[Delivery]
    ) -> None:
        self._store = store
        self._names = names
        self._clock = clock
        self._ids = ids
        self._deliver = deliver

    def announce(self, source: str, detail_type: str, tell: Callable[[], tuple[str, Wire] | None]) -> None:
        """The port by which AWS's own services send their events."""
        if self._store.has_rules(DEFAULT_BUS) and (told := tell()):
            arn, detail = told
            event = self.event(source=source, detail_type=detail_type, resources=[arn], detail=detail)
            self.put(DEFAULT_BUS, event)

    def event(
        self,
        *,
        source: str,
        detail_type: str,
        resources: list[str],
        detail: Wire,
        moment: datetime | None = None,
    ) -> Wire:
        """The envelope that every event has."""
        return {
            "version": "0",
            "id": self._ids.uuid(),
            "detail-type": detail_type,
            "source": source,
            "account": self._names.account_id,
            "time": event_time(moment or self._clock.now()),
            "region": self._names.region,
            "resources": resources,
            "detail": detail,
        }

    def put(self, bus: str, event: Wire) -> None:
        """Journal the deliveries of an event, in the caller's transaction."""
        for rule in self._store.listening_rules(bus):
            if rule.pattern is not None and compile_pattern(rule.pattern).matches(event):
                self.fire(rule, event)

    def fire(self, rule: Rule, event: Wire) -> None:
        """Journal one delivery for each target of a rule, in the caller's transaction."""
        arn, now = self._names.rule_arn(rule.bus, rule.name), self._clock.now()
        for target in self._store.targets(rule):
            try:
                body = target_input(
                    target.fields, event, rule_arn=arn, rule_name=rule.name, now=event_time(now)
                )
            except InputError as problem:
                _log.warning(
                    "no delivery of %s to target %s of %s: %s", event["id"], target.target_id, arn, problem
                )
                continue
            policy = target.fields.get("RetryPolicy", {})
            age_s = policy.get("MaximumEventAgeInSeconds", _LONGEST_AGE_S)
            delivery = Delivery(
                event_id=event["id"],
                rule_arn=arn,
                target_arn=target.arn,
                name=f"{event['id']}_{self._ids.uuid()}",
                body=body,
                retries=policy.get("MaximumRetryAttempts", _RETRIES),
                due=milliseconds(now),
                expires=milliseconds(now) + age_s * 1000,
            )
            self._deliver(delivery)
