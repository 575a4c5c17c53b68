"""Operations on buses, and the tags of buses and rules."""

from dataclasses import replace

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire, milliseconds
from scones.cloud.services.events.names import DEFAULT_BUS, Names, invalid
from scones.cloud.services.events.records import Bus, instant, tag_list
from scones.cloud.services.events.store import Store

__all__ = ["Buses", "page_limit", "tags_of"]

_PAGE = 100
_TAG_LIMIT = 50
_NOT_HERE = ("EventSourceName", "KmsKeyIdentifier", "DeadLetterConfig", "LogConfig")


def page_limit(request: Wire) -> int:
    return int(request.get("Limit") or _PAGE)


def tags_of(kept: dict[str, str], added: list[Wire]) -> dict[str, str]:
    tags = kept | {tag["Key"]: tag["Value"] for tag in added}
    if len(tags) > _TAG_LIMIT:
        raise ServiceError("LimitExceededException", f"A resource has at most {_TAG_LIMIT} tags.")
    return tags


class Buses:
    def __init__(self, *, store: Store, names: Names, clock: Clock) -> None:
        self._store = store
        self._names = names
        self._clock = clock

    def create_event_bus(self, request: Wire, context: Context) -> Wire:
        name = request["Name"]
        for member in _NOT_HERE:
            if member in request:
                raise invalid(f"Parameter {member} is not valid. Reason: this cloud does not have it.")
        if "/" in name:
            raise invalid("Event bus name must not contain '/'.")
        if self._store.bus(name) is not None:
            raise ServiceError("ResourceAlreadyExistsException", f"Event bus {name} already exists.")
        now = milliseconds(self._clock.now())
        bus = Bus(
            name=name,
            description=request.get("Description"),
            tags=tags_of({}, request.get("Tags", [])),
            created=now,
            modified=now,
        )
        self._store.insert_bus(bus)
        described = {} if bus.description is None else {"Description": bus.description}
        return {"EventBusArn": self._names.bus_arn(name)} | described

    def delete_event_bus(self, request: Wire, context: Context) -> Wire:
        bus = self._names.bus(request["Name"])
        if bus.name == DEFAULT_BUS:
            raise invalid("Cannot delete event bus default.")
        if self._store.has_rules(bus.name):
            raise invalid("Event bus can't be deleted since it has rules.")
        self._store.delete_bus(bus.name)
        return {}

    def describe_event_bus(self, request: Wire, context: Context) -> Wire:
        return self._described(self._names.bus(request.get("Name")))

    def list_event_buses(self, request: Wire, context: Context) -> Wire:
        limit = page_limit(request)
        prefix, after = request.get("NamePrefix", ""), request.get("NextToken", "")
        found = self._store.buses(prefix=prefix, after=after, limit=limit + 1)
        reply: Wire = {"EventBuses": [self._described(bus) for bus in found[:limit]]}
        if len(found) > limit:
            reply["NextToken"] = found[limit - 1].name
        return reply

    def _described(self, bus: Bus) -> Wire:
        described = {} if bus.description is None else {"Description": bus.description}
        return {
            "Name": bus.name,
            "Arn": self._names.bus_arn(bus.name),
            "CreationTime": instant(bus.created),
            "LastModifiedTime": instant(bus.modified),
        } | described

    # Tags ---------------------------------------------------------------------------------------

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        resource = self._names.resource(request["ResourceARN"])
        return self._keep_tags(request["ResourceARN"], tags_of(resource.tags, request["Tags"]))

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        resource = self._names.resource(request["ResourceARN"])
        gone = set(request["TagKeys"])
        kept = {key: value for key, value in resource.tags.items() if key not in gone}
        return self._keep_tags(request["ResourceARN"], kept)

    def list_tags_for_resource(self, request: Wire, context: Context) -> Wire:
        return {"Tags": tag_list(self._names.resource(request["ResourceARN"]).tags)}

    def _keep_tags(self, arn: str, tags: dict[str, str]) -> Wire:
        resource = self._names.resource(arn)
        if isinstance(resource, Bus):
            self._store.tag_bus(resource.name, tags)
        else:
            self._store.put_rule(replace(resource, tags=tags))
        return {}
