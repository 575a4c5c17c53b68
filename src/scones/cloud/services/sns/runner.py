"""Delivers what is journaled: at least once, with growing pauses, and not for ever.

Each subscription has a few deliveries under way at most, so that a slow endpoint delays only its own.
A delivery's row goes when it has succeeded or been given up; a crash in between repeats it.
"""

import asyncio
import logging
from typing import Literal

import aiohttp

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Clock, Faults, Spawn
from scones.cloud.services.sns.records import Delivery, Subscription, milliseconds
from scones.cloud.services.sns.store import Store

__all__ = ["RETRY_PAUSES_S", "Runner"]

_log = logging.getLogger(__name__)

RETRY_PAUSES_S = (1, 1, 2, 4, 8, 16) + (20,) * 14
"""Pause before each further attempt: about five minutes in all, then the message is given up."""
_UNDER_WAY_PER_SUBSCRIPTION = 4
_HTTP_TIMEOUT_S = 15  # SNS's own
_USER_AGENT = "Amazon Simple Notification Service Agent"

Outcome = Literal["delivered", "refused", "failed"]
"""refused: the endpoint will never take it, so asking again is pointless."""


class Runner:
    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        call: Call,
        spawn: Spawn,
        faults: Faults,
        arn_prefix: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._call = call
        self._spawn = spawn
        self._faults = faults
        self._arn_prefix = arn_prefix
        self._wake = asyncio.Event()
        self._under_way: dict[int, str] = {}  # delivery -> its subscription
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_HTTP_TIMEOUT_S), headers={"User-Agent": _USER_AGENT}
        )
        self._spawn(self._run(), name="sns deliveries")

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

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
        for subscription in self._store.waiting(now):
            for delivery in self._startable(subscription.subscription_id, now):
                self._under_way[delivery.delivery_id] = subscription.subscription_id
                self._spawn(self._deliver(delivery, subscription), name=f"sns delivery {delivery.message_id}")

    def _startable(self, subscription_id: str, now: int) -> list[Delivery]:
        """Those under way are still the first in order, so a fixed window leaves them out by itself."""
        window = self._store.next_deliveries(subscription_id, now=now, limit=_UNDER_WAY_PER_SUBSCRIPTION)
        return [delivery for delivery in window if delivery.delivery_id not in self._under_way]

    async def _deliver(self, delivery: Delivery, subscription: Subscription) -> None:
        try:
            outcome = await self._attempt(delivery, subscription)
            self._faults.reach("sns.delivered")
            self._settle(delivery, outcome)
        except Exception:
            self._settle(delivery, "failed")  # our own fault must not be retried without a pause
            raise
        finally:
            del self._under_way[delivery.delivery_id]
            self.wake()

    def _settle(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome == "failed" and delivery.attempts < len(RETRY_PAUSES_S):
            pause_s = RETRY_PAUSES_S[delivery.attempts]
            self._store.postpone(delivery, due=milliseconds(self._clock.now()) + pause_s * 1000)
            return
        if outcome != "delivered":
            _log.warning(
                "gave up SNS message %s to subscription %s", delivery.message_id, delivery.subscription_id
            )
        self._store.finish(delivery)

    async def _attempt(self, delivery: Delivery, subscription: Subscription) -> Outcome:
        if subscription.protocol == "lambda":
            return await self._invoke(delivery, subscription)
        return await self._post(delivery, subscription)

    async def _invoke(self, delivery: Delivery, subscription: Subscription) -> Outcome:
        request = {
            "FunctionName": subscription.endpoint,
            "InvocationType": "Event",
            "Payload": delivery.body.encode(),
        }
        try:
            await self._call("lambda", "Invoke", request)
        except ServiceError as error:
            _log.info("Lambda refused SNS message %s: %s", delivery.message_id, error)
            temporary = error.status >= 500 or error.code == "TooManyRequestsException"
            return "failed" if temporary else "refused"
        return "delivered"

    async def _post(self, delivery: Delivery, subscription: Subscription) -> Outcome:
        if self._http is None:
            return "failed"
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "x-amz-sns-message-type": delivery.kind,
            "x-amz-sns-message-id": delivery.message_id,
            "x-amz-sns-topic-arn": self._arn_prefix + subscription.topic_name,
        }
        if delivery.kind == "Notification":
            headers["x-amz-sns-subscription-arn"] = (
                f"{self._arn_prefix}{subscription.topic_name}:{subscription.subscription_id}"
            )
            if subscription.raw:
                headers["x-amz-sns-rawdelivery"] = "true"
        try:
            # A redirect could lead beyond this machine.
            async with self._http.post(
                subscription.endpoint, data=delivery.body.encode(), headers=headers, allow_redirects=False
            ) as response:
                return _http_outcome(response.status)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            _log.info("could not post SNS message %s: %s", delivery.message_id, error)
            return "failed"


def _http_outcome(status: int) -> Outcome:
    if 200 <= status < 300:
        return "delivered"
    return "failed" if status == 429 or status >= 500 else "refused"
