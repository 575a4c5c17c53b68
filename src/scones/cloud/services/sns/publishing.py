"""Publish: check, record, and put one delivery per listener in the journal, all in one transaction."""

import json
import re
from typing import Any

from scones.cloud.deliveries import Deliver
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire, milliseconds
from scones.cloud.services.sns.arns import Arns, invalid
from scones.cloud.services.sns.fifo import DEDUPLICATION_MS, place, sequence_number
from scones.cloud.services.sns.records import Delivery, Message, Topic, attribute_values
from scones.cloud.services.sns.store import Store

__all__ = ["Publishing"]

_SIZE_LIMIT_BYTES = 256 * 1024
_BATCH_LIMIT = 10
_BATCH_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_SUBJECT = re.compile(r"[!-~][ -~]{0,99}")
_ATTRIBUTE_NAME = re.compile(r"(?!AWS\.|Amazon\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.IGNORECASE)
_DATA_TYPE = re.compile(r"(String\.Array|String|Number|Binary)(\.[A-Za-z0-9_.-]+)?")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


class Publishing:
    def __init__(
        self, *, store: Store, arns: Arns, clock: Clock, ids: Ids, base_url: str, deliver: Deliver[Delivery]
    ) -> None:
        self._store = store
        self._arns = arns
        self._clock = clock
        self._ids = ids
        self._base_url = base_url
        self._deliver = deliver

    def publish(self, request: Wire, context: Context) -> Wire:
        if "PhoneNumber" in request:
            raise invalid("PhoneNumber Reason: this cloud sends no text messages")
        member = "TargetArn" if "TargetArn" in request else "TopicArn"
        if member not in request or {"TopicArn", "TargetArn"} <= request.keys():
            raise invalid("TopicArn or TargetArn Reason: exactly one of them is required")
        return self._publish(self._arns.topic(request[member], member), request)

    def publish_batch(self, request: Wire, context: Context) -> Wire:
        topic = self._arns.topic(request["TopicArn"])
        entries = request["PublishBatchRequestEntries"]
        _check_batch(entries)
        if topic.fifo:  # one message without its place fails the whole batch
            for entry in entries:
                place(topic, entry)
        successful: list[Wire] = []
        failed: list[Wire] = []
        for entry in entries:
            try:
                successful.append({"Id": entry["Id"]} | self._publish(topic, entry))
            except ServiceError as error:
                failed.append(
                    {"Id": entry["Id"], "Code": error.code, "Message": error.message, "SenderFault": True}
                )
        return {"Successful": successful, "Failed": failed}

    def _publish(self, topic: Topic, request: Wire) -> Wire:
        """Raises before it writes anything, so that a batch's bad entry leaves no trace."""
        _check_message(request)
        if topic.fifo:
            return self._publish_in_order(topic, request)
        if "MessageDeduplicationId" in request:
            raise invalid(
                "The request includes MessageDeduplicationId parameter that is not valid for this topic type"
            )
        return {"MessageId": self._record(topic.topic_name, request).message_id}

    def _publish_in_order(self, topic: Topic, request: Wire) -> Wire:
        """A message that was said already is acknowledged as the one it was."""
        where = place(topic, request)
        since = milliseconds(self._clock.now()) - DEDUPLICATION_MS
        said = self._store.said(topic.topic_name, where, since)
        if said is None:
            message = self._record(topic.topic_name, request)
            said = message.message_id, self._store.next_sequence(topic.topic_name)
            self._store.remember_said(message, topic.topic_name, where, said[1])
        return {"MessageId": said[0], "SequenceNumber": sequence_number(said[1])}

    def _record(self, topic_name: str, request: Wire) -> Message:
        message = Message(
            message_id=self._ids.uuid(),
            topic_arn=self._arns.of_topic(topic_name),
            texts=_texts(request),
            subject=request.get("Subject"),
            attributes=attribute_values(request.get("MessageAttributes", {})),
            published=milliseconds(self._clock.now()),
        )
        self._store.insert_message(topic_name, message)
        for subscription in self._store.listeners(topic_name):
            arn = self._arns.of_subscription(subscription)
            delivery = Delivery(
                subscription_id=subscription.subscription_id,
                message_id=message.message_id,
                kind="Notification",
                body=message.body(subscription, arn, self._base_url),
                due=message.published,
            )
            self._deliver(delivery)
        return message


def _check_message(request: Wire) -> None:
    if not request["Message"]:
        raise invalid("Empty message")
    if _size_bytes(request) > _SIZE_LIMIT_BYTES:
        raise invalid("Message too long")
    if (subject := request.get("Subject")) is not None and not _SUBJECT.fullmatch(subject):
        raise invalid("Subject")
    for name, value in request.get("MessageAttributes", {}).items():
        _check_attribute(name, value)


def _size_bytes(request: Wire) -> int:
    attributes = request.get("MessageAttributes", {})
    return len(request["Message"].encode()) + sum(
        len(name.encode())
        + len(value["DataType"].encode())
        + len(value.get("StringValue", "").encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def _texts(request: Wire) -> dict[str, str]:
    """What each protocol is to receive."""
    structure = request.get("MessageStructure")
    if structure is None:
        return {"default": request["Message"]}
    if structure != "json":
        raise invalid("MessageStructure")
    try:
        texts = json.loads(request["Message"])
        json.dumps(texts, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise invalid("Message Structure - JSON message body failed to parse") from error
    if not isinstance(texts, dict) or not isinstance(texts.get("default"), str):
        raise invalid("Message Structure - No default entry in JSON message body")
    return {protocol: text for protocol, text in texts.items() if isinstance(text, str)}


def _check_attribute(name: str, value: Wire) -> None:
    """Source: SNS Developer Guide, "Amazon SNS message attributes"."""
    if not _ATTRIBUTE_NAME.fullmatch(name) or len(name) > 256:
        raise _bad_attribute(f"Invalid message attribute name {name!r}")
    data_type = _DATA_TYPE.fullmatch(value["DataType"])
    if data_type is None:
        raise _bad_attribute(
            f"The message attribute {name!r} has an invalid message attribute type, the set of supported"
            " type prefixes is Binary, Number, and String."
        )
    member = "BinaryValue" if data_type[1] == "Binary" else "StringValue"
    if not value.get(member) or len(value.keys() & {"BinaryValue", "StringValue"}) != 1:
        raise _bad_attribute(
            f"The message attribute {name!r} must contain non-empty message attribute value for message"
            f" attribute type {value['DataType']!r}."
        )
    if data_type[1] == "Number" and not _NUMBER.fullmatch(value["StringValue"]):
        raise _bad_attribute(f"Could not cast message attribute {name!r} value to number.")
    if data_type[1] == "String.Array" and not _array(value["StringValue"]):
        raise _bad_attribute(f"The message attribute {name!r} is not a JSON array of plain values.")


def _array(text: str) -> bool:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and not any(isinstance(entry, (list, dict)) for entry in found)


def _bad_attribute(message: str) -> ServiceError:
    return ServiceError("ParameterValueInvalid", message)


def _check_batch(entries: list[Wire]) -> None:
    if not entries:
        raise ServiceError("EmptyBatchRequest", "The batch request doesn't contain any entries.")
    if len(entries) > _BATCH_LIMIT:
        raise ServiceError(
            "TooManyEntriesInBatchRequest",
            f"The batch request contains more entries than permissible (more than {_BATCH_LIMIT}).",
        )
    ids = [entry["Id"] for entry in entries]
    if not all(_BATCH_ID.fullmatch(entry_id) for entry_id in ids):
        raise ServiceError(
            "InvalidBatchEntryId",
            "The Id of a batch entry in a batch request doesn't abide by the specification.",
        )
    if len(set(ids)) != len(ids):
        raise ServiceError(
            "BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id."
        )
    if sum(_size_bytes(entry) for entry in entries) > _SIZE_LIMIT_BYTES:
        raise ServiceError(
            "BatchRequestTooLong", "The length of all the batch messages put together is more than the limit."
        )
