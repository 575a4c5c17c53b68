"""How an event reaches a target: the call that it is, repeated as long as the target's policy says.

A state machine is started once even where a crash repeats the delivery: its execution has a name that
was fixed in the journal.
"""

import logging

from scones.cloud.deliveries import Outcome, refusal
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Call, Wire
from scones.cloud.services.events.records import Delivery

__all__ = ["Sending"]

_log = logging.getLogger(__name__)

_LONGEST_PAUSE_S = 300


class Sending:
    def __init__(self, call: Call) -> None:
        self._call = call

    def title(self, delivery: Delivery) -> str:
        return f"event {delivery.event_id} of {delivery.rule_arn} to {delivery.target_arn}"

    def retry_due(self, delivery: Delivery, now: int) -> int | None:
        due = now + min(2**delivery.attempts, _LONGEST_PAUSE_S) * 1000
        return due if delivery.attempts < delivery.retries and due <= delivery.expires else None

    async def attempt(self, delivery: Delivery) -> Outcome:
        try:
            await self._call(*_asked(delivery))
        except ServiceError as error:
            if error.code == "ExecutionAlreadyExists":  # begun before a crash, or before a lost answer
                return "delivered"
            _log.info("%s refused event %s: %s", delivery.target_arn, delivery.event_id, error)
            return refusal(error)
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
