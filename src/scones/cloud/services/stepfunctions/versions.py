"""Versions, the numbered revisions of a state machine; aliases, which share executions out among them."""

from typing import Any

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire

from .machines import check_active, find_machine, publish
from .paging import decode_token, page
from .records import AliasRow, MachineRow, VersionRow, parse_machine_arn, split_qualifier, version_number
from .store import Store
from .times import milliseconds, moment

__all__ = ["Versions"]

_FAR = 2**62
_ALIAS_LIMIT = 100


class Versions:
    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def publish_state_machine_version(self, request: Wire, context: Context) -> Wire:
        machine = find_machine(self._store, request["stateMachineArn"])
        check_active(machine)
        revision = self._store.revision(machine.revision)
        current = revision.revision_id or "INITIAL"
        wanted = request.get("revisionId", current)
        if wanted != current:
            message = f"Failed to publish the State Machine version for revision {wanted}."
            raise ServiceError(
                "ConflictException", f"{message} The current State Machine revision is {current}."
            )
        version = publish(self._store, machine, request.get("description"), self._now())
        return {
            "stateMachineVersionArn": f"{machine.arn}:{version.number}",
            "creationDate": moment(version.created_ms),
        }

    def list_state_machine_versions(self, request: Wire, context: Context) -> Wire:
        parse_machine_arn(request["stateMachineArn"])
        machine = self._store.machine(request["stateMachineArn"])
        limit = request.get("maxResults") or 100
        before = decode_token(request, _FAR)
        rows = self._store.versions(machine.id, before, limit + 1) if machine else []
        arn = request["stateMachineArn"]

        def show(version: VersionRow) -> Wire:
            return {
                "stateMachineVersionArn": f"{arn}:{version.number}",
                "creationDate": moment(version.created_ms),
            }

        return page("stateMachineVersions", rows, limit, show, lambda version: version.number)

    def delete_state_machine_version(self, request: Wire, context: Context) -> Wire:
        """Deleting what is not there succeeds."""
        arn = request["stateMachineVersionArn"]
        parse_machine_arn(arn)
        machine_arn, qualifier = split_qualifier(arn)
        number = version_number(qualifier)
        if number is None:
            raise ServiceError("ValidationException", f"'{arn}' is not the ARN of a state machine version")
        machine = self._store.machine(machine_arn)
        if machine is None:
            return {}
        aliases = self._store.aliases(machine.id, 0, -1)
        names = [alias.name for alias in aliases if number in dict(alias.routing)]
        if names:
            raise ServiceError(
                "ConflictException",
                "Version to be deleted must not be referenced by an alias."
                f" Current list of aliases referencing this version: [{', '.join(names)}]",
            )
        self._store.delete_version(machine.id, number)
        return {}

    def create_state_machine_alias(self, request: Wire, context: Context) -> Wire:
        """Repeating a creation gives the alias that is there."""
        machine, routing = self._routing(request["routingConfiguration"])
        check_active(machine)
        name, description = request["name"], request.get("description")
        arn = f"{machine.arn}:{name}"
        existing = self._store.alias(machine.id, name)
        if existing is None:
            if len(self._store.aliases(machine.id, 0, _ALIAS_LIMIT)) == _ALIAS_LIMIT:
                message = f"A state machine has at most {_ALIAS_LIMIT} aliases"
                raise ServiceError("ServiceQuotaExceededException", message)
            now = self._now()
            self._store.add_alias(machine.id, name, description, routing, now)
            return {"stateMachineAliasArn": arn, "creationDate": moment(now)}
        if (existing.routing, existing.description) != (routing, description):
            raise ServiceError(
                "ConflictException",
                "Failed to create alias because an alias with the same name and a different routing"
                " configuration already exists.",
            )
        return {"stateMachineAliasArn": arn, "creationDate": moment(existing.created_ms)}

    def update_state_machine_alias(self, request: Wire, context: Context) -> Wire:
        machine, alias = self._find(request["stateMachineAliasArn"])
        check_active(machine)
        if "description" not in request and "routingConfiguration" not in request:
            message = "Either the description or the routing configuration must be specified"
            raise ServiceError("ValidationException", message)
        routing = alias.routing
        if "routingConfiguration" in request:
            owner, routing = self._routing(request["routingConfiguration"])
            if owner.id != machine.id:
                message = "Routing configuration must contain versions of the alias's state machine"
                raise ServiceError("ValidationException", message)
        now = self._now()
        self._store.update_alias(alias.id, request.get("description", alias.description), routing, now)
        return {"updateDate": moment(now)}

    def describe_state_machine_alias(self, request: Wire, context: Context) -> Wire:
        machine, alias = self._find(request["stateMachineAliasArn"])
        reply: Wire = {
            "stateMachineAliasArn": request["stateMachineAliasArn"],
            "name": alias.name,
            "routingConfiguration": [
                {"stateMachineVersionArn": f"{machine.arn}:{number}", "weight": weight}
                for number, weight in alias.routing
            ],
            "creationDate": moment(alias.created_ms),
            "updateDate": moment(alias.updated_ms),
        }
        return reply if alias.description is None else reply | {"description": alias.description}

    def list_state_machine_aliases(self, request: Wire, context: Context) -> Wire:
        parse_machine_arn(request["stateMachineArn"])
        machine_arn, qualifier = split_qualifier(request["stateMachineArn"])
        machine = find_machine(self._store, machine_arn)
        limit = request.get("maxResults") or 100
        rows = self._store.aliases(machine.id, decode_token(request, 0), -1)
        if qualifier:
            rows = [row for row in rows if qualifier in map(str, dict(row.routing))]

        def show(alias: AliasRow) -> Wire:
            arn = f"{machine_arn}:{alias.name}"
            return {"stateMachineAliasArn": arn, "creationDate": moment(alias.created_ms)}

        return page("stateMachineAliases", rows, limit, show, lambda alias: alias.id)

    def delete_state_machine_alias(self, request: Wire, context: Context) -> Wire:
        _, alias = self._find(request["stateMachineAliasArn"])
        self._store.delete_alias(alias.id)
        return {}

    def _find(self, arn: str) -> tuple[MachineRow, AliasRow]:
        parse_machine_arn(arn)
        machine_arn, name = split_qualifier(arn)
        machine = self._store.machine(machine_arn)
        alias = self._store.alias(machine.id, name) if machine else None
        if machine is None or alias is None:
            raise _missing()
        return machine, alias

    def _routing(self, items: list[dict[str, Any]]) -> tuple[MachineRow, list[tuple[int, int]]]:
        """The machine that a routing configuration is of, and its version numbers with their weights."""
        arns = [item["stateMachineVersionArn"] for item in items]
        for arn in arns:
            parse_machine_arn(arn)
        parts = [split_qualifier(arn) for arn in arns]
        numbers = [number for _, qualifier in parts if (number := version_number(qualifier)) is not None]
        if len(numbers) < len(parts):
            message = "Routing configuration must contain state machine version ARNs."
            raise ServiceError("ValidationException", f"{message} Received: [{', '.join(arns)}]")
        weights = [item["weight"] for item in items]
        if sum(weights) != 100:
            message = "Sum of routing configuration weights must equal 100."
            raise ServiceError("ValidationException", f"{message} Received: {weights}")
        if len(set(arns)) < len(arns) or len({machine for machine, _ in parts}) > 1:
            message = "Routing configuration must contain distinct versions of one state machine."
            raise ServiceError("ValidationException", f"{message} Received: [{', '.join(arns)}]")
        machine = self._store.machine(parts[0][0])
        if machine is None or not all(self._store.version(machine.id, number) for number in numbers):
            raise _missing()
        return machine, list(zip(numbers, weights, strict=True))

    def _now(self) -> int:
        return milliseconds(self._clock.now())


def _missing() -> ServiceError:
    return ServiceError("ResourceNotFound", "Request references a resource that does not exist.")
