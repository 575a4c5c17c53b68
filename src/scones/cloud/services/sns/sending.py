"""How a message reaches a subscriber: functions through Lambda, http endpoints by POST. Not for ever."""

import logging

import aiohttp

from scones.cloud.deliveries import Outcome, refusal
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call
from scones.cloud.services.sns.records import Delivery, Subscription
from scones.cloud.services.sns.store import Store

__all__ = ["RETRY_PAUSES_S", "Sending"]

_log = logging.getLogger(__name__)

RETRY_PAUSES_S = (1, 1, 2, 4, 8, 16) + (20,) * 14
"""Pause before each further attempt: about five minutes in all, then the message is given up."""
_HTTP_TIMEOUT_S = 15  # SNS's own
_USER_AGENT = "Amazon Simple Notification Service Agent"


class Sending:
    def __init__(self, *, store: Store, call: Call, arn_prefix: str) -> None:
        self._store = store
        self._call = call
        self._arn_prefix = arn_prefix
        self._http: aiohttp.ClientSession | None = None

    def start(self) -> None:
        self._http = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_HTTP_TIMEOUT_S), headers={"User-Agent": _USER_AGENT}
        )

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    def title(self, delivery: Delivery) -> str:
        return f"SNS message {delivery.message_id} to subscription {delivery.subscription_id}"

    def retry_due(self, delivery: Delivery, now: int) -> int | None:
        if delivery.attempts < len(RETRY_PAUSES_S):
            return now + RETRY_PAUSES_S[delivery.attempts] * 1000
        return None

    async def attempt(self, delivery: Delivery) -> Outcome:
        subscription = self._store.subscription(delivery.subscription_id)
        if subscription is None:
            return "delivered"  # unsubscribed just now, which took the delivery along
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
            return refusal(error)
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
