"""The tags of state machines and activities."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire

from .machines import TAG_LIMIT, read_tags
from .records import parse_machine_arn
from .store import Store

__all__ = ["Tags"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tagged:
    """A resource whose id is known, and where its tags are kept."""

    id: int
    read: Callable[[int], dict[str, str]]
    put: Callable[[int, Mapping[str, str]], None]
    delete: Callable[[int, list[str]], None]


class Tags:
    def __init__(self, *, store: Store) -> None:
        self._store = store

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        arn = request["resourceArn"]
        tagged = self._tagged(arn)
        tags = tagged.read(tagged.id) | read_tags(request["tags"])
        if len(tags) > TAG_LIMIT:
            raise ServiceError("TooManyTags", f"'{arn}' has too many tags")
        tagged.put(tagged.id, tags)
        return {}

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        tagged = self._tagged(request["resourceArn"])
        tagged.delete(tagged.id, request["tagKeys"])
        return {}

    def list_tags_for_resource(self, request: Wire, context: Context) -> Wire:
        tagged = self._tagged(request["resourceArn"])
        return {"tags": [{"key": key, "value": value} for key, value in tagged.read(tagged.id).items()]}

    def _tagged(self, arn: str) -> _Tagged:
        store = self._store
        if ":activity:" in arn:
            if activity := store.activity(arn):
                return _Tagged(
                    id=activity.id,
                    read=store.activity_tags,
                    put=store.put_activity_tags,
                    delete=store.delete_activity_tags,
                )
        else:
            parse_machine_arn(arn)
            if machine := store.machine(arn):
                return _Tagged(id=machine.id, read=store.tags, put=store.put_tags, delete=store.delete_tags)
        raise ServiceError("ResourceNotFound", f"Resource not found: '{arn}'")
