"""Names of topics and subscriptions in this account and region, and the refusal of all others."""

from scones.cloud.errors import ServiceError
from scones.cloud.services.sns.records import Subscription, Topic
from scones.cloud.services.sns.store import Store

__all__ = ["Arns", "invalid"]

_PARTS = 6


def invalid(what: str) -> ServiceError:
    return ServiceError("InvalidParameter", f"Invalid parameter: {what}")


class Arns:
    def __init__(self, region: str, account_id: str, store: Store) -> None:
        self.account_id = account_id
        self.prefix = f"arn:aws:sns:{region}:{account_id}:"
        self._store = store

    def of_topic(self, topic_name: str) -> str:
        return self.prefix + topic_name

    def of_subscription(self, subscription: Subscription) -> str:
        return f"{self.prefix}{subscription.topic_name}:{subscription.subscription_id}"

    def topic_name(self, arn: str, member: str = "TopicArn") -> str:
        """The name, whether or not there is such a topic; another account's or region's is not found."""
        parts = arn.split(":")
        if len(parts) < _PARTS:
            raise invalid(f"{member} Reason: An ARN must have at least {_PARTS} elements, not {len(parts)}")
        if len(parts) > _PARTS or parts[:3] != ["arn", "aws", "sns"] or not parts[-1]:
            raise invalid(member)
        if not arn.startswith(self.prefix):
            raise _no_topic()
        return parts[-1]

    def topic(self, arn: str, member: str = "TopicArn") -> Topic:
        topic = self._store.topic(self.topic_name(arn, member))
        if topic is None:
            raise _no_topic()
        return topic

    def subscription(self, arn: str) -> Subscription | None:
        parts = arn.split(":")
        if len(parts) != _PARTS + 1 or parts[:3] != ["arn", "aws", "sns"]:
            raise invalid(
                f"SubscriptionArn Reason: An ARN must have at least {_PARTS + 1} elements, not {len(parts)}"
                if len(parts) <= _PARTS
                else "SubscriptionArn"
            )
        found = self._store.subscription(parts[-1])
        return found if found is not None and self.of_subscription(found) == arn else None


def _no_topic() -> ServiceError:
    return ServiceError("NotFound", "Topic does not exist", status=404)
