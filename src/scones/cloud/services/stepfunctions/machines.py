"""Operations on state machines."""

from dataclasses import dataclass, field
from typing import Any, Self

from scones.cloud.asl.doubts import doubts
from scones.cloud.asl.failures import DefinitionError, Diagnostic
from scones.cloud.asl.variables import variable_references
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire

from .express import definition_problems
from .paging import decode_token, page
from .records import (
    MachineRow,
    RevisionRow,
    VersionRow,
    check_name,
    parse_machine_arn,
    split_qualifier,
    version_number,
)
from .store import Store
from .times import milliseconds, moment

__all__ = [
    "TAG_LIMIT",
    "StateMachines",
    "check_active",
    "find_machine",
    "machine_fields",
    "no_machine",
    "publish",
    "read_tags",
]

TAG_LIMIT = 50


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
        type_ = request.get("type", "STANDARD")
        _check_options(request)
        _check_definition(definition, type_)
        options = _Options().changed(request)
        arn = f"arn:aws:states:{context.region}:{context.account_id}:stateMachine:{name}"
        tags = read_tags(request.get("tags", []))
        now = milliseconds(self._clock.now())
        machine = self._store.machine(arn)
        if machine:
            self._check_same(machine, type_, definition, options)
        else:
            id_ = self._store.add_machine(
                arn=arn, name=name, type_=type_, definition=definition, role_arn=request["roleArn"],
                created_ms=now,
            )  # fmt: skip
            self._store.set_options(id_, options.tracing, options.logging, options.encryption)
            self._store.put_tags(id_, tags)
            machine = self._store.machine_by_id(id_)
        reply: Wire = {"stateMachineArn": arn, "creationDate": moment(machine.created_ms)}
        return reply | self._published(request, machine, now)

    def _check_same(self, existing: MachineRow, type_: str, definition: str, options: "_Options") -> None:
        check_active(existing)
        there = (existing.type, self._store.revision(existing.revision).definition, _Options.of(existing))
        if there != (type_, definition, options):
            raise ServiceError("StateMachineAlreadyExists", f"State Machine Already Exists: '{existing.arn}'")

    def _published(self, request: Wire, machine: MachineRow, now: int) -> Wire:
        if not request.get("publish"):
            return {}
        version = publish(self._store, machine, request.get("versionDescription"), now)
        return {"stateMachineVersionArn": f"{machine.arn}:{version.number}"}

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
        check_active(machine)
        _check_options(request)
        current = self._store.revision(machine.revision)
        definition = request.get("definition", current.definition)
        role_arn = request.get("roleArn", current.role_arn)
        _check_role(role_arn)
        _check_definition(definition, machine.type)
        now = milliseconds(self._clock.now())
        options = _Options.of(machine).changed(request)
        self._store.set_options(machine.id, options.tracing, options.logging, options.encryption)
        revision_id = current.revision_id
        if (definition, role_arn) != (current.definition, current.role_arn):
            revision_id = self._ids.uuid()
            self._store.add_revision(machine.id, revision_id, definition, role_arn, now)
        reply: Wire = {"updateDate": moment(now)}
        if revision_id:
            reply["revisionId"] = revision_id
        return reply | self._published(request, self._store.machine_by_id(machine.id), now)

    def describe_state_machine(self, request: Wire, context: Context) -> Wire:
        """Under the ARN of a version, that version."""
        parse_machine_arn(request["stateMachineArn"])
        arn, qualifier = split_qualifier(request["stateMachineArn"])
        machine = self._store.machine(arn)
        version = self._store.version(machine.id, version_number(qualifier) or 0) if machine else None
        if machine is None or (qualifier and version is None):
            raise no_machine(request["stateMachineArn"])
        revision = self._store.revision(version.revision if version else machine.revision)
        reply = machine_fields(machine, revision, request.get("includedData"))
        reply |= {"status": machine.status, "type": machine.type}
        reply["creationDate"] = moment(version.created_ms if version else machine.created_ms)
        if version:
            reply["stateMachineArn"] = request["stateMachineArn"]
            if version.description is not None:
                reply["description"] = version.description
        return reply

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
        arn = request["stateMachineArn"]
        parse_machine_arn(arn)
        if split_qualifier(arn)[1]:
            raise ServiceError("ValidationException", f"A qualified ARN names no state machine: '{arn}'")
        machine = self._store.machine(arn)
        if machine and machine.status == "ACTIVE":
            self._store.begin_deletion(machine)
            self._store.delete_idle_machines()
        return {}

    def validate_state_machine_definition(self, request: Wire, context: Context) -> Wire:
        """Warnings come after the errors, and only to those who ask for them."""
        definition, limit = request["definition"], request.get("maxResults") or 100
        errors = definition_problems(definition, request.get("type", "STANDARD"))
        told = [_diagnosed("ERROR", problem) for problem in errors]
        if request.get("severity") == "WARNING":
            told += [_diagnosed("WARNING", doubt) for doubt in doubts(definition)]
        return {
            "result": "FAIL" if errors else "OK",
            "diagnostics": told[:limit],
            "truncated": len(told) > limit,
        }


def _diagnosed(severity: str, found: Diagnostic) -> Wire:
    place = {"location": found.location} if found.location else {}
    return {"severity": severity, "code": found.code, "message": found.message, **place}


def find_machine(store: Store, arn: str) -> MachineRow:
    """Raises StateMachineDoesNotExist, InvalidArn."""
    parse_machine_arn(arn)
    machine = store.machine(arn)
    if machine is None:
        raise no_machine(arn)
    return machine


def no_machine(arn: str) -> ServiceError:
    return ServiceError("StateMachineDoesNotExist", f"State Machine Does Not Exist: '{arn}'")


def check_active(machine: MachineRow) -> None:
    if machine.status == "DELETING":
        raise ServiceError("StateMachineDeleting", f"State Machine is being deleted: '{machine.arn}'")


def publish(store: Store, machine: MachineRow, description: str | None, now: int) -> VersionRow:
    """The version of the machine's current revision; a revision is published once."""
    if version := store.version_of(machine.revision):
        return version
    return store.add_version(machine.id, machine.revision, description, now)


def machine_fields(machine: MachineRow, revision: RevisionRow, included: str | None) -> Wire:
    """What both descriptions of a state machine tell."""
    fields: Wire = {
        "stateMachineArn": machine.arn,
        "name": machine.name,
        "definition": revision.definition,
        "roleArn": revision.role_arn,
        "loggingConfiguration": {"level": "OFF", "includeExecutionData": False} | machine.logging,
        "tracingConfiguration": {"enabled": machine.tracing},
        "encryptionConfiguration": {"type": "AWS_OWNED_KEY"} | machine.encryption,
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


def _check_definition(definition: str, type_: str) -> None:
    if problems := definition_problems(definition, type_):
        raise ServiceError(
            "InvalidDefinition", f"Invalid State Machine Definition: '{DefinitionError(problems)}'"
        )


def _check_options(request: Wire) -> None:
    if request.get("versionDescription") and not request.get("publish"):
        raise ServiceError("ValidationException", "Version description can only be set when publish is true")
    logging = request.get("loggingConfiguration", {})
    destinations = logging.get("destinations", [])
    if (logging.get("level", "OFF") != "OFF" or destinations) and len(destinations) != 1:
        raise _bad_logging("Must specify exactly one Log Destination.")
    if not all(_group_arn(destination).endswith(":*") for destination in destinations):
        raise _bad_logging("Log Group ARN must be provided with '*' qualifier.")
    encryption = request.get("encryptionConfiguration", {})
    if encryption.get("type") == "CUSTOMER_MANAGED_KMS_KEY" and not encryption.get("kmsKeyId"):
        message = "Invalid Encryption Configuration: a customer managed key needs a kmsKeyId"
        raise ServiceError("InvalidEncryptionConfiguration", message)


def _group_arn(destination: Wire) -> str:
    return str(destination.get("cloudWatchLogsLogGroup", {}).get("logGroupArn", ""))


def _bad_logging(reason: str) -> ServiceError:
    return ServiceError("InvalidLoggingConfiguration", f"Invalid Logging Configuration: {reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """Configurations that are told again as they were given: no log, trace or key comes of them here."""

    tracing: bool = False
    logging: dict[str, Any] = field(default_factory=dict)
    encryption: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, machine: MachineRow) -> Self:
        return cls(tracing=machine.tracing, logging=machine.logging, encryption=machine.encryption)

    def changed(self, request: Wire) -> "_Options":
        """With what a request gives; the rest stays."""
        tracing = request.get("tracingConfiguration")
        return _Options(
            tracing=self.tracing if tracing is None else bool(tracing.get("enabled", False)),
            logging=request.get("loggingConfiguration", self.logging),
            encryption=request.get("encryptionConfiguration", self.encryption),
        )


def read_tags(tags: list[dict[str, str]]) -> dict[str, str]:
    if len(tags) > TAG_LIMIT:
        raise ServiceError("TooManyTags", "Too many tags")
    return {tag.get("key", ""): tag.get("value", "") for tag in tags}
