"""Operations on state machines and their tags."""

from typing import Any

from scones.cloud.asl.definition import compile_definition
from scones.cloud.asl.failures import DefinitionError
from scones.cloud.asl.variables import variable_references
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire

from .paging import decode_token, page
from .records import MachineRow, RevisionRow, check_name, parse_machine_arn
from .store import Store
from .times import milliseconds, moment

__all__ = ["StateMachines", "find_machine", "machine_fields"]

_TAG_LIMIT = 50


class StateMachines:
    def __init__(self, *, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def create_state_machine(self, request: Wire, context: Context) -> Wire:
        """Repeating a creation gives the machine that is there; role and tags do not count as different."""
        name, definition = request["name"], request["definition"]
        check_name(name)
        _check_role(request["roleArn"])
        if request.get("type", "STANDARD") != "STANDARD":
            raise ServiceError(
                "StateMachineTypeNotSupported", "State machines of type EXPRESS are not supported yet"
            )
        _check_options(request)
        _check_definition(definition)
        tracing = bool(request.get("tracingConfiguration", {}).get("enabled", False))
        arn = f"arn:aws:states:{context.region}:{context.account_id}:stateMachine:{name}"
        tags = _tags(request.get("tags", []))
        if existing := self._store.machine(arn):
            return self._same_machine(existing, definition, tracing)
        now = milliseconds(self._clock.now())
        id_ = self._store.add_machine(
            arn=arn, name=name, definition=definition, role_arn=request["roleArn"], created_ms=now,
            tracing=tracing,
        )  # fmt: skip
        self._store.put_tags(id_, tags)
        return {"stateMachineArn": arn, "creationDate": moment(now)}

    def _same_machine(self, existing: MachineRow, definition: str, tracing: bool) -> Wire:
        if existing.status == "DELETING":
            raise ServiceError("StateMachineDeleting", f"State Machine is being deleted: '{existing.arn}'")
        if self._store.revision(existing.revision).definition != definition or existing.tracing != tracing:
            raise ServiceError("StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'")
        return {"stateMachineArn": existing.arn, "creationDate": moment(existing.created_ms)}

    def update_state_machine(self, request: Wire, context: Context) -> Wire:
        machine = find_machine(self._store, request["stateMachineArn"])
        changes = ("definition", "roleArn", "loggingConfiguration", "tracingConfiguration",
                   "encryptionConfiguration")  # fmt: skip
        if not any(field in request for field in changes):
            raise ServiceError(
                "MissingRequiredParameter",
                "Either the definition, the role ARN, the LoggingConfiguration, the TracingConfiguration,"
                " or the EncryptionConfiguration must be specified",
            )
        if machine.status == "DELETING":
            raise ServiceError("StateMachineDeleting", f"State Machine is being deleted: '{machine.arn}'")
        _check_options(request)
        current = self._store.revision(machine.revision)
        definition = request.get("definition", current.definition)
        role_arn = request.get("roleArn", current.role_arn)
        _check_role(role_arn)
        _check_definition(definition)
        now = milliseconds(self._clock.now())
        if "tracingConfiguration" in request:
            self._store.set_tracing(machine.id, bool(request["tracingConfiguration"].get("enabled", False)))
        revision_id = current.revision_id
        if (definition, role_arn) != (current.definition, current.role_arn):
            revision_id = self._ids.uuid()
            self._store.add_revision(machine.id, revision_id, definition, role_arn, now)
        reply: Wire = {"updateDate": moment(now)}
        return reply | ({"revisionId": revision_id} if revision_id else {})

    def describe_state_machine(self, request: Wire, context: Context) -> Wire:
        machine = find_machine(self._store, request["stateMachineArn"])
        revision = self._store.revision(machine.revision)
        dates = {"creationDate": moment(machine.created_ms)}
        extra = {"status": machine.status, "type": machine.type}
        return machine_fields(machine, revision, request.get("includedData")) | dates | extra

    def list_state_machines(self, request: Wire, context: Context) -> Wire:
        limit = request.get("maxResults") or 100
        machines = self._store.machines(decode_token(request, 0), limit + 1)
        return page(
            "stateMachines",
            machines,
            limit,
            lambda m: {
                "stateMachineArn": m.arn,
                "name": m.name,
                "type": m.type,
                "creationDate": moment(m.created_ms),
            },
            lambda m: m.id,
        )

    def delete_state_machine(self, request: Wire, context: Context) -> Wire:
        """Deleting what is not there succeeds; running executions end first."""
        parse_machine_arn(request["stateMachineArn"])
        machine = self._store.machine(request["stateMachineArn"])
        if machine and machine.status == "ACTIVE":
            self._store.begin_deletion(machine)
            self._store.delete_idle_machines()
        return {}

    def validate_state_machine_definition(self, request: Wire, context: Context) -> Wire:
        limit = request.get("maxResults") or 100
        diagnostics: list[dict[str, Any]] = []
        try:
            compile_definition(request["definition"])
        except DefinitionError as problem:
            for d in problem.diagnostics:
                place = {"location": d.location} if d.location else {}
                diagnostics.append({"severity": "ERROR", "code": d.code, "message": d.message, **place})
        return {
            "result": "FAIL" if diagnostics else "OK",
            "diagnostics": diagnostics[:limit],
            "truncated": len(diagnostics) > limit,
        }

    def tag_resource(self, request: Wire, context: Context) -> Wire:
        machine = self._tagged(request["resourceArn"])
        tags = self._store.tags(machine.id) | _tags(request["tags"])
        if len(tags) > _TAG_LIMIT:
            raise ServiceError("TooManyTags", f"'{machine.arn}' has too many tags")
        self._store.put_tags(machine.id, tags)
        return {}

    def untag_resource(self, request: Wire, context: Context) -> Wire:
        self._store.delete_tags(self._tagged(request["resourceArn"]).id, request["tagKeys"])
        return {}

    def list_tags_for_resource(self, request: Wire, context: Context) -> Wire:
        tags = self._store.tags(self._tagged(request["resourceArn"]).id)
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    def _tagged(self, arn: str) -> MachineRow:
        parse_machine_arn(arn)
        machine = self._store.machine(arn)
        if machine is None:
            raise ServiceError("ResourceNotFound", f"Resource not found: '{arn}'")
        return machine


def find_machine(store: Store, arn: str) -> MachineRow:
    """Raises StateMachineDoesNotExist, InvalidArn."""
    parse_machine_arn(arn)
    machine = store.machine(arn)
    if machine is None:
        raise ServiceError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")
    return machine


def machine_fields(machine: MachineRow, revision: RevisionRow, included: str | None) -> Wire:
    """What both descriptions of a state machine tell."""
    fields: Wire = {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "definition": revision.definition,
        "roleArn": revision.role_arn,
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False},
        "tracingConfiguration": {"enabled": machine.tracing},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"},
    }
    if revision.revision_id:
        fields["revisionId"] = revision.revision_id
    if references := variable_references(revision.definition):
        fields["variableReferences"] = references
    if included == "METADATA_ONLY":
        fields["definition"] = ""
        fields.pop("variableReferences", None)
    return fields


def _check_role(arn: str) -> None:
    if not arn.startswith("arn:"):
        raise ServiceError("InvalidArn", f"Invalid Role Arn: 'Invalid ARN prefix: {arn}'")


def _check_definition(definition: str) -> None:
    try:
        compile_definition(definition)
    except DefinitionError as problem:
        raise ServiceError("InvalidDefinition", f"Invalid State Machine Definition: '{problem}'") from None


def _check_options(request: Wire) -> None:
    """Refuse what would have no effect here, by name."""
    if request.get("versionDescription") and not request.get("publish"):
        raise ServiceError("ValidationException", "Version description can only be set when publish is true")
    if request.get("publish"):
        raise ServiceError(
            "ValidationException", "Publishing versions of a state machine is not supported yet"
        )
    logging = request.get("loggingConfiguration", {})
    if logging.get("level", "OFF") != "OFF" or logging.get("destinations"):
        if len(logging.get("destinations", [])) != 1:
            message = "Invalid Logging Configuration: Must specify exactly one Log Destination."
            raise ServiceError("InvalidLoggingConfiguration", message)
        raise ServiceError(
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: delivering execution logs is not supported yet",
        )
    if request.get("encryptionConfiguration", {}).get("type", "AWS_OWNED_KEY") != "AWS_OWNED_KEY":
        raise ServiceError(
            "InvalidEncryptionConfiguration", "Encryption with a customer managed key is not supported yet"
        )


def _tags(tags: list[dict[str, str]]) -> dict[str, str]:
    if len(tags) > _TAG_LIMIT:
        raise ServiceError("TooManyTags", "Too many tags")
    return {tag.get("key", ""): tag.get("value", "") for tag in tags}
