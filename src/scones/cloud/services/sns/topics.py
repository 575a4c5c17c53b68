"""Operations on topics, their attributes and their tags."""

import json
import re
from dataclasses import replace

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.sns.arns import Arns, invalid
from scones.cloud.services.sns.fifo import FIFO_ATTRIBUTES, topic_attributes
from scones.cloud.services.sns.records import Topic
from scones.cloud.services.sns.store import Store

__all__ = ["PAGE", "Topics"]

PAGE = 100
"""Entries in one page of any of SNS's lists."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,256}")
_DISPLAY_NAME_LENGTH = 100
_KEPT = {
    "DisplayName": None,
    "Policy": None,
    "FifoTopic": ("true", "false"),
    "ContentBasedDeduplication": ("true", "false"),
    "FifoThroughputScope": ("Topic", "MessageGroup"),
}
"""The attributes this cloud honours, and the values of those that have few."""
_TAG_LIMIT = 50


class Topics:
    def __init__(self, store: Store, arns: Arns) -> None:
        self._store = store
        self._arns = arns

    def create_topic(self, request: Wire, context: Context) -> Wire:
        """Make the topic, or answer the one that is there and is the same."""
        name = request["Name"]
        attributes = {key: _checked(key, value) for key, value in request.get("Attributes", {}).items()}
        tags = _tags({}, request.get("Tags", []))
        if attributes.pop("FifoTopic", "false") == "true":
            attributes = topic_attributes(name, attributes) | {"FifoTopic": "true"}
        elif not _NAME.fullmatch(name):
            raise invalid("Topic Name")
        else:
            _check_kind(attributes, fifo=False)
        if "DataProtectionPolicy" in request:
            raise invalid("DataProtectionPolicy Reason: this cloud has no data protection")
        existing = self._store.topic(name)
        if existing is None:
            self._store.insert_topic(Topic(topic_name=name, attributes=attributes, tags=tags))
        elif any(existing.attributes.get(key) != value for key, value in attributes.items()):
            raise invalid("Attributes Reason: Topic already exists with different attributes")
        elif tags and tags != existing.tags:
            raise invalid("Tags Reason: Topic already exists with different tags")
        return {"TopicArn": self._arns.of_topic(name)}

    def delete_topic(self, request: Wire, context: Context) -> Wire:
        self._store.delete_topic(self._arns.topic_name(request["TopicArn"]))
        return {}

    def list_topics(self, request: Wire, context: Context) -> Wire:
        topics = self._store.topics(after=request.get("NextToken", ""), limit=PAGE + 1)
        reply: Wire = {
            "Topics": [{"TopicArn": self._arns.of_topic(topic.topic_name)} for topic in topics[:PAGE]]
        }
        if len(topics) > PAGE:
            reply["NextToken"] = topics[PAGE - 1].topic_name
        return reply

    def get_topic_attributes(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        confirmed, pending = self._store.subscription_counts(topic.topic_name)
        arn = self._arns.of_topic(topic.topic_name)
        attributes = {
            "TopicArn": arn,
            "Owner": self._arns.account_id,
            "DisplayName": "",
            "Policy": _default_policy(arn, self._arns.account_id),
            "SubscriptionsConfirmed": str(confirmed),
            "SubscriptionsPending": str(pending),
            "SubscriptionsDeleted": str(topic.unsubscribed),
        }
        return {"Attributes": attributes | topic.attributes}

    def set_topic_attributes(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        name = request["AttributeName"]
        value = _checked(name, request.get("AttributeValue", ""))
        if name == "FifoTopic":
            raise invalid("AttributeName Reason: a topic is FIFO from its creation, or never")
        _check_kind({name: value}, fifo=topic.fifo)
        self._store.update_topic(replace(topic, attributes=topic.attributes | {name: value}))
        return {}

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        topic = self._tagged(request)
        self._store.update_topic(replace(topic, tags=_tags(topic.tags, request["Tags"])))
        return {}

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        topic = self._tagged(request)
        gone = set(request["TagKeys"])
        tags = {key: value for key, value in topic.tags.items() if key not in gone}
        self._store.update_topic(replace(topic, tags=tags))
        return {}

    def list_tags_for_resource(self, request: Wire, context: Context) -> Wire:
        topic = self._tagged(request)
        return {"Tags": [{"Key": key, "Value": value} for key, value in topic.tags.items()]}

    def _tagged(self, request: Wire) -> Topic:
        topic = self._store.topic(self._arns.topic_name(request["ResourceArn"], "ResourceArn"))
        if topic is None:
            raise ServiceError("ResourceNotFound", "Resource does not exist", status=404)
        return topic


def _checked(name: str, value: str) -> str:
    """An attribute this cloud honours; the others, such as encryption keys, are refused by name."""
    if name not in _KEPT:
        raise invalid(f"AttributeName Reason: this cloud has no topic attribute {name}")
    if (values := _KEPT[name]) is not None and value not in values:
        raise invalid(f"Attributes Reason: {name}: Invalid value [{value}]. Must be {' or '.join(values)}.")
    if name == "DisplayName" and len(value) > _DISPLAY_NAME_LENGTH:
        raise invalid(f"DisplayName Reason: must be at most {_DISPLAY_NAME_LENGTH} characters")
    if name == "Policy":
        try:
            sound = isinstance(json.loads(value), dict)
        except (ValueError, RecursionError):
            sound = False
        if not sound:
            raise invalid("Policy Error: null")
    return value


def _check_kind(attributes: dict[str, str], *, fifo: bool) -> None:
    for name in () if fifo else FIFO_ATTRIBUTES:
        if name in attributes:
            raise invalid(f"Attributes Reason: {name} can only be set for FIFO topics")


def _tags(kept: dict[str, str], added: list[Wire]) -> dict[str, str]:
    tags = kept | {tag["Key"]: tag["Value"] for tag in added}
    if len(tags) > _TAG_LIMIT:
        raise ServiceError(
            "TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded"
        )
    return tags


def _default_policy(arn: str, account_id: str) -> str:
    actions = ("GetTopicAttributes", "SetTopicAttributes", "DeleteTopic", "Subscribe", "Publish")
    statement = {
        "Sid": "__default_statement_ID",
        "Effect": "Allow",
        "Principal": {"AWS": "*"},
        "Action": [f"SNS:{action}" for action in actions],
        "Resource": arn,
        "Condition": {"StringEquals": {"AWS:SourceOwner": account_id}},
    }
    return json.dumps({"Version": "2008-10-17", "Id": "__default_policy_ID", "Statement": [statement]})
