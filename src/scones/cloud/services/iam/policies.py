"""Operations on managed policies and their attachments to roles.

AWS's own policies (arn:aws:iam::aws:policy/...) can be attached by any well-formed name; their
documents are not held here.
"""

import re

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.iam.documents import check_document
from scones.cloud.services.iam.pages import page
from scones.cloud.services.iam.records import Policy, from_milliseconds, milliseconds, on_the_wire
from scones.cloud.services.iam.store import Store

__all__ = ["Policies"]

_ARN = re.compile(r"arn:aws:iam::(aws|\d{12}):policy/([\w+=,.@-]+/)*[\w+=,.@-]+", re.ASCII)
_AWS_POLICIES = "arn:aws:iam::aws:policy/"
_ATTACHMENT_LIMIT = 10


class Policies:
    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def create_policy(self, request: Wire, context: Context) -> Wire:
        name, path = request["PolicyName"], request.get("Path", "/")
        check_document(request["PolicyDocument"], "identity")
        if self._store.policy_named(name) is not None:
            raise ServiceError(
                "EntityAlreadyExists",
                f"A policy called {name} already exists. Duplicate names are not allowed.",
                status=409,
            )
        policy = Policy(
            arn=f"arn:aws:iam::{context.account_id}:policy{path}{name}",
            policy_name=name,
            policy_id=f"ANPA{self._ids.token(17).upper()}",
            path=path,
            document=request["PolicyDocument"],
            description=request.get("Description"),
            created=milliseconds(self._clock.now()),
            tags={tag["Key"]: tag["Value"] for tag in request.get("Tags", [])},
        )
        self._store.insert_policy(policy)
        return {"Policy": policy.wire(0, details=False)}

    def get_policy(self, request: Wire, context: Context) -> Wire:
        policy = self._policy(request["PolicyArn"])
        return {"Policy": policy.wire(self._store.attachment_count(policy.arn), details=True)}

    def get_policy_version(self, request: Wire, context: Context) -> Wire:
        policy = self._policy(request["PolicyArn"])
        if request["VersionId"] != "v1":
            raise _missing(f"Policy {policy.arn} version {request['VersionId']}")
        version = {
            "Document": on_the_wire(policy.document),
            "VersionId": "v1",
            "IsDefaultVersion": True,
            "CreateDate": from_milliseconds(policy.created),
        }
        return {"PolicyVersion": version}

    def list_policies(self, request: Wire, context: Context) -> Wire:
        """The account's own policies. Those of AWS are not held here, so Scope=AWS is refused."""
        if request.get("Scope") == "AWS":
            raise ServiceError("InvalidInput", "Scope: this cloud holds no list of AWS's own policies")
        if request.get("PolicyUsageFilter") == "PermissionsBoundary":
            raise ServiceError("InvalidInput", "PolicyUsageFilter: this cloud does not track boundaries")
        prefix, attached = request.get("PathPrefix", "/"), request.get("OnlyAttached", False)
        return page(
            request,
            "Policies",
            lambda after, limit: self._store.policies(
                prefix=prefix, after=after, limit=limit, attached=attached
            ),
            key=lambda policy: policy.policy_name,
            wire=lambda policy: policy.wire(self._store.attachment_count(policy.arn), details=False),
        )

    def delete_policy(self, request: Wire, context: Context) -> Wire:
        policy = self._policy(request["PolicyArn"])
        if self._store.attachment_count(policy.arn):
            raise ServiceError("DeleteConflict", "Cannot delete a policy attached to entities.", status=409)
        self._store.delete_policy(policy.arn)
        return {}

    def attach_role_policy(self, request: Wire, context: Context) -> Wire:
        role, arn = self._role_name(request), request["PolicyArn"]
        if not _ARN.fullmatch(arn):
            raise ServiceError("InvalidInput", f"ARN {arn} is not valid.")
        if not arn.startswith(_AWS_POLICIES) and self._store.policy(arn) is None:
            raise ServiceError(
                "NoSuchEntity", f"Policy {arn} does not exist or is not attachable.", status=404
            )
        self._store.attach(role, arn)
        if len(self._store.attachments(role, limit=_ATTACHMENT_LIMIT + 1)) > _ATTACHMENT_LIMIT:
            raise ServiceError(
                "LimitExceeded", f"Cannot exceed quota for PoliciesPerRole: {_ATTACHMENT_LIMIT}", status=409
            )
        return {}

    def detach_role_policy(self, request: Wire, context: Context) -> Wire:
        role, arn = self._role_name(request), request["PolicyArn"]
        if not self._store.detach(role, arn):
            raise _missing(f"Policy {arn}")
        return {}

    def list_attached_role_policies(self, request: Wire, context: Context) -> Wire:
        role = self._role_name(request)
        prefix = request.get("PathPrefix", "/")

        def fetch(after: str, limit: int) -> list[str]:
            arns = self._store.attachments(role, after=after, limit=_ATTACHMENT_LIMIT)
            return [arn for arn in arns if _path(arn).startswith(prefix)][:limit]

        return page(
            request,
            "AttachedPolicies",
            fetch,
            key=str,
            wire=lambda arn: {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn},
        )

    def _policy(self, arn: str) -> Policy:
        policy = self._store.policy(arn)
        if policy is None:
            why = " (AWS's own policies are not held here)" if arn.startswith(_AWS_POLICIES) else ""
            raise ServiceError("NoSuchEntity", f"Policy {arn} was not found.{why}", status=404)
        return policy

    def _role_name(self, request: Wire) -> str:
        role = self._store.role(request["RoleName"])
        if role is None:
            raise ServiceError(
                "NoSuchEntity", f"The role with name {request['RoleName']} cannot be found.", status=404
            )
        return role.role_name


def _path(arn: str) -> str:
    """The path of a policy's ARN: "/" or "/a/b/"."""
    return "/" + arn.partition("/")[2].rpartition("/")[0] + ("/" if arn.count("/") > 1 else "")


def _missing(what: str) -> ServiceError:
    return ServiceError("NoSuchEntity", f"{what} was not found.", status=404)
