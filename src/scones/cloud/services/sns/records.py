"""SNS's things as kept, and the texts a subscriber receives. Pure.

Source of the texts: SNS Developer Guide, "Parsing message formats"; Lambda Developer Guide, "Using
Lambda with Amazon SNS". This cloud holds no key of AWS, so the signature fields are empty.
"""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from scones.cloud.deliveries import Pending
from scones.cloud.ports import Wire
from scones.cloud.state.db import Row

__all__ = [
    "Delivery",
    "Kind",
    "Message",
    "Place",
    "Subscription",
    "Topic",
    "attribute_values",
    "confirmation",
]

Kind = Literal["Notification", "SubscriptionConfirmation"]


def timestamp(value: int) -> str:
    return f"{datetime.fromtimestamp(value / 1000, UTC):%Y-%m-%dT%H:%M:%S}.{value % 1000:03}Z"


def attribute_values(attributes: Wire) -> dict[str, dict[str, str]]:
    """A request's message attributes in the form subscribers see: binary values in base64."""
    return {
        name: {
            "Type": value["DataType"],
            "Value": value["StringValue"]
            if "StringValue" in value
            else base64.b64encode(value["BinaryValue"]).decode(),
        }
        for name, value in attributes.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    topic_name: str
    attributes: dict[str, str]
    tags: dict[str, str]
    unsubscribed: int = 0
    sequence: int = 0
    """FIFO: the number of its last message."""

    @property
    def fifo(self) -> bool:
        return "FifoTopic" in self.attributes

    @classmethod
    def from_row(cls, row: Row) -> Self:
        fields = dict(row)
        return cls(
            **fields | {"attributes": json.loads(fields["attributes"]), "tags": json.loads(fields["tags"])}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    subscription_id: str
    topic_name: str
    protocol: str
    endpoint: str
    raw: bool
    """http: the message alone is posted, without SNS's envelope."""
    token: str | None
    """What the endpoint must send back; None once confirmed."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        fields = dict(row)
        return cls(**fields | {"raw": bool(fields["raw"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery(Pending):
    subscription_id: str
    message_id: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A message's place among those of its FIFO topic: in one scope the same id is the same message."""

    scope: str
    deduplication_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One published message. texts: by protocol, with "default" (MessageStructure=json), or that alone."""

    message_id: str
    topic_arn: str
    texts: dict[str, str]
    subject: str | None
    attributes: dict[str, dict[str, str]]
    published: int

    def body(self, subscription: Subscription, subscription_arn: str, base_url: str) -> str:
        text = self.texts.get(subscription.protocol, self.texts["default"])
        unsubscribe_url = f"{base_url}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"
        if subscription.protocol == "lambda":
            return self._lambda_event(text, subscription_arn, unsubscribe_url)
        return text if subscription.raw else self._notification(text, unsubscribe_url)

    def _notification(self, text: str, unsubscribe_url: str) -> str:
        notification: Wire = {
            "Type": "Notification",
            "MessageId": self.message_id,
            "TopicArn": self.topic_arn,
            **({} if self.subject is None else {"Subject": self.subject}),
            "Message": text,
            "Timestamp": timestamp(self.published),
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertURL": "",
            "UnsubscribeURL": unsubscribe_url,
        }
        if self.attributes:
            notification["MessageAttributes"] = self.attributes
        return json.dumps(notification, ensure_ascii=False)

    def _lambda_event(self, text: str, subscription_arn: str, unsubscribe_url: str) -> str:
        notification = {
            "Type": "Notification",
            "MessageId": self.message_id,
            "TopicArn": self.topic_arn,
            "Subject": self.subject,
            "Message": text,
            "Timestamp": timestamp(self.published),
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertUrl": "",
            "UnsubscribeUrl": unsubscribe_url,
            "MessageAttributes": self.attributes,
        }
        record = {
            "EventSource": "aws:sns",
            "EventVersion": "1.0",
            "EventSubscriptionArn": subscription_arn,
            "Sns": notification,
        }
        return json.dumps({"Records": [record]}, ensure_ascii=False)


def confirmation(
    subscription: Subscription, *, message_id: str, topic_arn: str, base_url: str, published: int
) -> str:
    """What a new http endpoint is posted: it must call ConfirmSubscription with the token."""
    url = f"{base_url}/?Action=ConfirmSubscription&TopicArn={topic_arn}&Token={subscription.token}"
    return json.dumps(
        {
            "Type": "SubscriptionConfirmation",
            "MessageId": message_id,
            "Token": subscription.token,
            "TopicArn": topic_arn,
            "Message": f"You have chosen to subscribe to the topic {topic_arn}.\n"
            "To confirm the subscription, visit the SubscribeURL included in this message.",
            "SubscribeURL": url,
            "Timestamp": timestamp(published),
            "SignatureVersion": "1",
            "Signature": "",
            "SigningCertURL": "",
        }
    )
