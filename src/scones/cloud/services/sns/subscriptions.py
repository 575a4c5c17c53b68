"""Operations on subscriptions: Lambda functions, and http listeners on this machine."""

import ipaddress
import re
from urllib.parse import urlsplit

from scones.cloud.deliveries import Deliver
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire, milliseconds
from scones.cloud.services.sns.arns import Arns, invalid
from scones.cloud.services.sns.records import Delivery, Subscription, confirmation
from scones.cloud.services.sns.store import Store
from scones.cloud.services.sns.topics import PAGE

__all__ = ["Subscriptions"]

_FUNCTION_ARN = re.compile(r"arn:aws:lambda:[a-z0-9-]+:\d{12}:function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?")
_KNOWN_PROTOCOLS = ("http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose")
_RAW = "RawMessageDelivery"


class Subscriptions:
    def __init__(
        self, *, store: Store, arns: Arns, clock: Clock, ids: Ids, base_url: str, deliver: Deliver[Delivery]
    ) -> None:
        self._store = store
        self._arns = arns
        self._clock = clock
        self._ids = ids
        self._base_url = base_url
        self._deliver = deliver

    def subscribe(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        protocol, endpoint = request["Protocol"], request.get("Endpoint", "")
        if topic.fifo and protocol in _KNOWN_PROTOCOLS and protocol != "sqs":
            raise invalid(f"Invalid protocol type: {protocol}")  # AWS's words: only queues may listen
        _check_endpoint(protocol, endpoint)
        raw = _raw(protocol, request.get("Attributes", {}))
        subscription = self._store.same_subscription(topic.topic_name, protocol, endpoint)
        if subscription is None:
            subscription = Subscription(
                subscription_id=self._ids.uuid(),
                topic_name=topic.topic_name,
                protocol=protocol,
                endpoint=endpoint,
                raw=raw,
                token=None if protocol == "lambda" else self._ids.token(64),
            )
            self._store.insert_subscription(subscription)
        elif subscription.raw != raw:
            raise invalid("Attributes Reason: Subscription already exists with different attributes")
        if subscription.token is not None:
            self._ask_for_confirmation(subscription)
            if not request.get("ReturnSubscriptionArn", False):
                return {"SubscriptionArn": "pending confirmation"}
        return {"SubscriptionArn": self._arns.of_subscription(subscription)}

    def confirm_subscription(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        subscription = self._store.pending_subscription(topic.topic_name, request["Token"])
        if subscription is None:
            raise invalid("Token")
        self._store.confirm(subscription.subscription_id)
        return {"SubscriptionArn": self._arns.of_subscription(subscription)}

    def unsubscribe(self, request: Wire, context: Context) -> Wire:
        subscription = self._arns.subscription(request["SubscriptionArn"])
        if subscription is not None:
            self._store.delete_subscription(subscription)
        return {}

    def list_subscriptions(self, request: Wire, context: Context) -> Wire:
        after = request.get("NextToken", "")
        return self._page(self._store.subscriptions(after=after, limit=PAGE + 1))

    def list_subscriptions_by_topic(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        after = request.get("NextToken", "")
        return self._page(self._store.topic_subscriptions(topic.topic_name, after=after, limit=PAGE + 1))

    def get_subscription_attributes(self, request: Wire, context: Context) -> Wire:
        subscription = self._existing(request)
        attributes = {
            "SubscriptionArn": self._arns.of_subscription(subscription),
            "TopicArn": self._arns.of_topic(subscription.topic_name),
            "Owner": self._arns.account_id,
            "Protocol": subscription.protocol,
            "Endpoint": subscription.endpoint,
            "PendingConfirmation": _boolean(subscription.token is not None),
            "ConfirmationWasAuthenticated": _boolean(subscription.protocol == "lambda"),
            _RAW: _boolean(subscription.raw),
        }
        return {"Attributes": attributes}

    def set_subscription_attributes(self, request: Wire, context: Context) -> Wire:
        subscription = self._existing(request)
        attribute = {request["AttributeName"]: request.get("AttributeValue", "")}
        self._store.set_raw(subscription.subscription_id, _raw(subscription.protocol, attribute))
        return {}

    def _ask_for_confirmation(self, subscription: Subscription) -> None:
        message_id, now = self._ids.uuid(), milliseconds(self._clock.now())
        body = confirmation(
            subscription,
            message_id=message_id,
            topic_arn=self._arns.of_topic(subscription.topic_name),
            base_url=self._base_url,
            published=now,
        )
        delivery = Delivery(
            subscription_id=subscription.subscription_id,
            message_id=message_id,
            kind="SubscriptionConfirmation",
            body=body,
            due=now,
        )
        self._deliver(delivery)

    def _existing(self, request: Wire) -> Subscription:
        subscription = self._arns.subscription(request["SubscriptionArn"])
        if subscription is None:
            raise ServiceError("NotFound", "Subscription does not exist", status=404)
        return subscription

    def _page(self, subscriptions: list[Subscription]) -> Wire:
        shown = subscriptions[:PAGE]
        reply: Wire = {"Subscriptions": [self._summary(subscription) for subscription in shown]}
        if len(subscriptions) > PAGE:
            reply["NextToken"] = shown[-1].subscription_id
        return reply

    def _summary(self, subscription: Subscription) -> Wire:
        confirmed = subscription.token is None
        return {
            "SubscriptionArn": self._arns.of_subscription(subscription)
            if confirmed
            else "PendingConfirmation",
            "Owner": self._arns.account_id,
            "Protocol": subscription.protocol,
            "Endpoint": subscription.endpoint,
            "TopicArn": self._arns.of_topic(subscription.topic_name),
        }


def _check_endpoint(protocol: str, endpoint: str) -> None:
    if protocol == "lambda":
        if not _FUNCTION_ARN.fullmatch(endpoint):
            raise invalid("Lambda endpoint ARN")
    elif protocol in ("http", "https"):
        if not endpoint.startswith(f"{protocol}://"):
            raise invalid("Endpoint must match the specified protocol")
        if not _on_this_machine(endpoint):
            raise invalid(f"Endpoint Reason: this cloud posts to loopback addresses only, not to {endpoint}")
    elif protocol in _KNOWN_PROTOCOLS:
        raise invalid(f"Protocol Reason: this cloud cannot deliver to {protocol}, only to lambda and http(s)")
    else:
        raise invalid(f"Does not support this protocol string: {protocol}")


def _on_this_machine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        return parts.port != 0 and (host == "localhost" or ipaddress.ip_address(host).is_loopback)
    except ValueError:
        return False


def _raw(protocol: str, attributes: dict[str, str]) -> bool:
    """RawMessageDelivery; an attribute that would change what is delivered is refused by name."""
    for name in attributes:
        if name != _RAW:
            raise invalid(f"AttributeName Reason: this cloud has no subscription attribute {name}")
    value = attributes.get(_RAW, "false").lower()
    if value not in ("true", "false"):
        raise invalid(
            f"Attributes Reason: {_RAW}: Invalid value [{attributes[_RAW]}]. Must be true or false."
        )
    if value == "true" and protocol == "lambda":
        raise invalid(
            f"Attributes Reason: {_RAW}: delivery protocol [lambda] does not support raw message delivery."
        )
    return value == "true"


def _boolean(value: bool) -> str:
    return "true" if value else "false"
