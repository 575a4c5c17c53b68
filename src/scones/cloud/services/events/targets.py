"""Operations on the targets of rules: functions, state machines and topics."""

import json
import re

from scones.cloud.asl.paths import compile_path
from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.events.buses import page_limit
from scones.cloud.services.events.inputs import placeholders
from scones.cloud.services.events.names import Names, invalid
from scones.cloud.services.events.records import Rule, Target
from scones.cloud.services.events.store import Store

__all__ = ["Targets"]

_KINDS = {
    "lambda": re.compile(r"function:[A-Za-z0-9_-]+(:[A-Za-z0-9_$-]+)?"),
    "states": re.compile(r"stateMachine:[^:]+(:[^:]+)?"),
    "sns": re.compile(r"[A-Za-z0-9_-]+"),
}
"""By the service in their ARN: what the rest of a target's ARN may be."""

_TARGET_LIMIT = 5
_INPUTS = ("Input", "InputPath", "InputTransformer")
_HONOURED = {"Id", "Arn", "RoleArn", "RetryPolicy", *_INPUTS}


class Targets:
    def __init__(self, *, store: Store, names: Names) -> None:
        self._store = store
        self._names = names

    def put_targets(self, request: Wire, context: Context) -> Wire:
        rule = self._find(request)
        for target in request["Targets"]:
            self._check(target)
        for target in request["Targets"]:
            kept = Target(target_id=target["Id"], arn=target["Arn"], fields=target)
            self._store.put_target(rule, kept)
        if len(self._store.targets(rule)) > _TARGET_LIMIT:
            message = "The requested resource exceeds the maximum number allowed."
            raise ServiceError("LimitExceededException", message)
        return {"FailedEntryCount": 0, "FailedEntries": []}

    def remove_targets(self, request: Wire, context: Context) -> Wire:
        rule = self._find(request)
        failed = [
            {
                "TargetId": target_id,
                "ErrorCode": "ResourceNotFoundException",
                "ErrorMessage": f"Rule {rule.name} does not have a target with the Id {target_id}.",
            }
            for target_id in request["Ids"]
            if not self._store.delete_target(rule, target_id)
        ]
        return {"FailedEntryCount": len(failed), "FailedEntries": failed}

    def list_targets_by_rule(self, request: Wire, context: Context) -> Wire:
        rule, limit = self._find(request), page_limit(request)
        found = self._store.targets(rule, after=request.get("NextToken", ""), limit=limit + 1)
        reply: Wire = {"Targets": [target.fields for target in found[:limit]]}
        if len(found) > limit:
            reply["NextToken"] = found[limit - 1].target_id
        return reply

    def _find(self, request: Wire) -> Rule:
        return self._names.rule(self._names.bus(request.get("EventBusName")), request["Rule"])

    # What a target may be -----------------------------------------------------------------------

    def _check(self, target: Wire) -> None:
        target_id, arn = target["Id"], target["Arn"]
        self._check_arn(arn)
        if foreign := sorted(target.keys() - _HONOURED):
            raise invalid(f"{foreign[0]} of target {target_id}: this cloud has nothing that would take it.")
        if ":states:" in arn and "RoleArn" not in target:
            raise invalid(f"RoleArn is required for target {arn}.")
        if len(target.keys() & set(_INPUTS)) > 1:
            one = "Only one of Input, InputPath, or InputTransformer must be provided"
            raise invalid(f"{one} for target {target_id}.")
        if "Input" in target:
            _check_json(target["Input"], target_id)
        if "InputPath" in target:
            _check_path(target["InputPath"], f"InputPath for target {target_id}")
        if "InputTransformer" in target:
            _check_transformer(target["InputTransformer"], target_id)

    def _check_arn(self, arn: str) -> None:
        parts = arn.split(":", 5)
        if len(parts) < 6 or parts[0] != "arn":
            raise invalid(f"Parameter {arn} is not valid. Reason: Provided Arn is not in correct format.")
        _, partition, service, region, account, rest = parts
        here = (partition, region, account) == ("aws", self._names.region, self._names.account_id)
        if not here or service not in _KINDS or not _KINDS[service].fullmatch(rest):
            raise invalid(
                f"Parameter {arn} is not valid. Reason: this cloud delivers to the Lambda functions, Step"
                f" Functions state machines and standard SNS topics of account {self._names.account_id} in"
                f" {self._names.region}."
            )


def _check_json(text: str, target_id: str) -> None:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        raise invalid(f"JSON syntax error in input for target {target_id}.") from None


def _check_path(text: str, what: str) -> None:
    try:
        path = compile_path(text)
    except ValueError:
        raise invalid(f"{what} is not valid: {text} is no JSONPath.") from None
    if path.source != "input":
        raise invalid(f"{what} is not valid: {text} does not start at the event.")


def _check_transformer(transformer: Wire, target_id: str) -> None:
    paths = transformer.get("InputPathsMap", {})
    for name, text in paths.items():
        _check_path(text, f"path {name} in InputPathsMap for target {target_id}")
    for name in placeholders(transformer["InputTemplate"]):
        if name not in paths and not name.startswith("aws."):
            what = f"InputTemplate for target {target_id} contains invalid placeholder"
            raise invalid(f"{what} {name}.")
