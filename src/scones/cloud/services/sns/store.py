"""SQL of SNS."""

import json

from scones.cloud.services.sns.records import Message, Place, Subscription, Topic
from scones.cloud.state.db import Database

__all__ = ["MESSAGES_KEPT", "Store"]

MESSAGES_KEPT = 10_000
"""Published messages remembered, of all topics together; deliveries carry their own text."""

_INSERT_TOPIC = "INSERT INTO sns_topics (topic_name, attributes, tags) VALUES (?, ?, ?)"
_TOPIC = "SELECT * FROM sns_topics WHERE topic_name = ?"
_TOPICS = "SELECT * FROM sns_topics WHERE topic_name > ? ORDER BY topic_name LIMIT ?"
_UPDATE_TOPIC = "UPDATE sns_topics SET attributes = ?, tags = ? WHERE topic_name = ?"
_COUNT_UNSUBSCRIBED = "UPDATE sns_topics SET unsubscribed = unsubscribed + 1 WHERE topic_name = ?"
_COUNT_MESSAGE = "UPDATE sns_topics SET sequence = sequence + 1 WHERE topic_name = ? RETURNING sequence"
_DELETE_TOPIC = "DELETE FROM sns_topics WHERE topic_name = ?"

_INSERT_SUBSCRIPTION = "INSERT INTO sns_subscriptions VALUES (?, ?, ?, ?, ?, ?)"
_SUBSCRIPTION = "SELECT * FROM sns_subscriptions WHERE subscription_id = ?"
_SAME_SUBSCRIPTION = """
    SELECT * FROM sns_subscriptions WHERE topic_name = ? AND protocol = ? AND endpoint = ?"""
_PENDING_SUBSCRIPTION = "SELECT * FROM sns_subscriptions WHERE topic_name = ? AND token = ?"
_CONFIRM = "UPDATE sns_subscriptions SET token = NULL WHERE subscription_id = ?"
_SET_RAW = "UPDATE sns_subscriptions SET raw = ? WHERE subscription_id = ?"
_DELETE_SUBSCRIPTION = "DELETE FROM sns_subscriptions WHERE subscription_id = ?"
_SUBSCRIPTIONS = """
    SELECT * FROM sns_subscriptions WHERE subscription_id > ? ORDER BY subscription_id LIMIT ?"""
_TOPIC_SUBSCRIPTIONS = """
    SELECT * FROM sns_subscriptions WHERE topic_name = ? AND subscription_id > ?
    ORDER BY subscription_id LIMIT ?"""
_LISTENERS = "SELECT * FROM sns_subscriptions WHERE topic_name = ? AND token IS NULL"
_COUNTS = """
    SELECT count(*) FILTER (WHERE token IS NULL), count(*) FILTER (WHERE token IS NOT NULL)
    FROM sns_subscriptions WHERE topic_name = ?"""

_INSERT_MESSAGE = """
    INSERT INTO sns_messages (message_id, topic_name, subject, message, attributes, published)
    VALUES (?, ?, ?, ?, ?, ?)"""
_FORGET_MESSAGES = "DELETE FROM sns_messages WHERE sequence <= ?"

_FORGET_SAID = "DELETE FROM sns_deduplication WHERE published <= ?"
_SAID = """
    SELECT message_id, sequence FROM sns_deduplication
    WHERE topic_name = ? AND scope = ? AND deduplication_id = ?"""
_REMEMBER_SAID = "INSERT INTO sns_deduplication VALUES (?, ?, ?, ?, ?, ?)"


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    def insert_topic(self, topic: Topic) -> None:
        fields = (topic.topic_name, json.dumps(topic.attributes), json.dumps(topic.tags))
        self._db.execute(_INSERT_TOPIC, fields)

    def topic(self, topic_name: str) -> Topic | None:
        row = self._db.one(_TOPIC, (topic_name,))
        return None if row is None else Topic.from_row(row)

    def topics(self, *, after: str, limit: int) -> list[Topic]:
        return [Topic.from_row(row) for row in self._db.all(_TOPICS, (after, limit))]

    def update_topic(self, topic: Topic) -> None:
        fields = (json.dumps(topic.attributes), json.dumps(topic.tags), topic.topic_name)
        self._db.execute(_UPDATE_TOPIC, fields)

    def delete_topic(self, topic_name: str) -> None:
        """With its subscriptions and whatever they were still to receive."""
        self._db.execute(_DELETE_TOPIC, (topic_name,))

    def insert_subscription(self, subscription: Subscription) -> None:
        self._db.execute(
            _INSERT_SUBSCRIPTION,
            (
                subscription.subscription_id,
                subscription.topic_name,
                subscription.protocol,
                subscription.endpoint,
                subscription.raw,
                subscription.token,
            ),
        )

    def subscription(self, subscription_id: str) -> Subscription | None:
        return self._subscription(_SUBSCRIPTION, subscription_id)

    def same_subscription(self, topic_name: str, protocol: str, endpoint: str) -> Subscription | None:
        return self._subscription(_SAME_SUBSCRIPTION, topic_name, protocol, endpoint)

    def pending_subscription(self, topic_name: str, token: str) -> Subscription | None:
        return self._subscription(_PENDING_SUBSCRIPTION, topic_name, token)

    def confirm(self, subscription_id: str) -> None:
        self._db.execute(_CONFIRM, (subscription_id,))

    def set_raw(self, subscription_id: str, raw: bool) -> None:
        self._db.execute(_SET_RAW, (raw, subscription_id))

    def delete_subscription(self, subscription: Subscription) -> None:
        self._db.execute(_DELETE_SUBSCRIPTION, (subscription.subscription_id,))
        self._db.execute(_COUNT_UNSUBSCRIBED, (subscription.topic_name,))

    def subscriptions(self, *, after: str, limit: int) -> list[Subscription]:
        return [Subscription.from_row(row) for row in self._db.all(_SUBSCRIPTIONS, (after, limit))]

    def topic_subscriptions(self, topic_name: str, *, after: str, limit: int) -> list[Subscription]:
        rows = self._db.all(_TOPIC_SUBSCRIPTIONS, (topic_name, after, limit))
        return [Subscription.from_row(row) for row in rows]

    def listeners(self, topic_name: str) -> list[Subscription]:
        return [Subscription.from_row(row) for row in self._db.all(_LISTENERS, (topic_name,))]

    def subscription_counts(self, topic_name: str) -> tuple[int, int]:
        """Confirmed, and waiting for confirmation."""
        row = self._db.one(_COUNTS, (topic_name,))
        return (0, 0) if row is None else (row[0], row[1])

    def insert_message(self, topic_name: str, message: Message) -> None:
        cursor = self._db.execute(
            _INSERT_MESSAGE,
            (
                message.message_id,
                topic_name,
                message.subject,
                json.dumps(message.texts),
                json.dumps(message.attributes),
                message.published,
            ),
        )
        self._db.execute(_FORGET_MESSAGES, ((cursor.lastrowid or 0) - MESSAGES_KEPT,))

    def next_sequence(self, topic_name: str) -> int:
        row = self._db.one(_COUNT_MESSAGE, (topic_name,))
        assert row is not None  # the caller has just read the topic
        return int(row[0])

    def said(self, topic_name: str, place: Place, since: int) -> tuple[str, int] | None:
        """The id and the sequence of a message published after `since` in the same place."""
        self._db.execute(_FORGET_SAID, (since,))
        row = self._db.one(_SAID, (topic_name, place.scope, place.deduplication_id))
        return None if row is None else (row[0], row[1])

    def remember_said(self, message: Message, topic_name: str, place: Place, sequence: int) -> None:
        key = (topic_name, place.scope, place.deduplication_id)
        self._db.execute(_REMEMBER_SAID, (*key, message.message_id, sequence, message.published))

    def _subscription(self, sql: str, *parameters: str) -> Subscription | None:
        row = self._db.one(sql, parameters)
        return None if row is None else Subscription.from_row(row)
