"""Operations on roles, their inline policies and their tags."""

from dataclasses import replace

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.iam.documents import check_document
from scones.cloud.services.iam.pages import page
from scones.cloud.services.iam.records import Role, milliseconds, on_the_wire, tag_list
from scones.cloud.services.iam.store import Store

__all__ = ["Roles", "new_role"]

_TAG_LIMIT = 50


def new_role(
    account_id: str,
    *,
    role_name: str,
    role_id: str,
    path: str,
    trust_document: str,
    created: int,
    description: str | None = None,
    max_session_s: int = 3600,
    boundary_arn: str | None = None,
    tags: dict[str, str] | None = None,
) -> Role:
    return Role(
        role_name=role_name,
        role_id=role_id,
        arn=f"arn:aws:iam::{account_id}:role{path}{role_name}",
        path=path,
        trust_document=trust_document,
        description=description,
        max_session_s=max_session_s,
        boundary_arn=boundary_arn,
        created=created,
        tags=tags or {},
    )


def merged_tags(kept: dict[str, str], added: list[Wire]) -> dict[str, str]:
    tags = kept | {tag["Key"]: tag["Value"] for tag in added}
    if len(tags) > _TAG_LIMIT:
        raise ServiceError("LimitExceeded", f"Cannot exceed quota for TagsPerRole: {_TAG_LIMIT}", status=409)
    return tags


class Roles:
    def __init__(self, store: Store, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    def create_role(self, request: Wire, context: Context) -> Wire:
        name = request["RoleName"]
        check_document(request["AssumeRolePolicyDocument"], "trust")
        if self._store.role(name) is not None:
            raise ServiceError("EntityAlreadyExists", f"Role with name {name} already exists.", status=409)
        role = new_role(
            context.account_id,
            role_name=name,
            role_id=f"AROA{self._ids.token(17).upper()}",
            path=request.get("Path", "/"),
            trust_document=request["AssumeRolePolicyDocument"],
            created=milliseconds(self._clock.now()),
            description=request.get("Description"),
            max_session_s=request.get("MaxSessionDuration", 3600),
            boundary_arn=request.get("PermissionsBoundary"),
            tags=merged_tags({}, request.get("Tags", [])),
        )
        self._store.insert_role(role)
        return {"Role": role.wire(details=True)}

    def get_role(self, request: Wire, context: Context) -> Wire:
        return {"Role": self._role(request).wire(details=True)}

    def list_roles(self, request: Wire, context: Context) -> Wire:
        prefix = request.get("PathPrefix", "/")
        return page(
            request,
            "Roles",
            lambda after, limit: self._store.roles(prefix=prefix, after=after, limit=limit),
            key=lambda role: role.role_name,
            wire=lambda role: role.wire(details=False),
        )

    def update_role(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        self._store.update_role(
            replace(
                role,
                description=request.get("Description", role.description),
                max_session_s=request.get("MaxSessionDuration", role.max_session_s),
            )
        )
        return {}

    def delete_role(self, request: Wire, context: Context) -> Wire:
        name = self._role(request).role_name
        if self._store.role_policies(name):
            raise _delete_conflict("must delete policies first.")
        if self._store.attachments(name):
            raise _delete_conflict("must detach all policies first.")
        self._store.delete_role(name)
        return {}

    def update_assume_role_policy(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        check_document(request["PolicyDocument"], "trust")
        self._store.update_role(replace(role, trust_document=request["PolicyDocument"]))
        return {}

    def put_role_policy(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        check_document(request["PolicyDocument"], "identity")
        self._store.put_role_policy(role.role_name, request["PolicyName"], request["PolicyDocument"])
        return {}

    def get_role_policy(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        found = self._store.role_policy(role.role_name, request["PolicyName"])
        if found is None:
            raise _no_role_policy(request["PolicyName"])
        policy_name, document = found
        return {
            "RoleName": role.role_name,
            "PolicyName": policy_name,
            "PolicyDocument": on_the_wire(document),
        }

    def list_role_policies(self, request: Wire, context: Context) -> Wire:
        name = self._role(request).role_name
        return page(
            request,
            "PolicyNames",
            lambda after, limit: self._store.role_policies(name, after=after, limit=limit),
            key=str,
            wire=str,
        )

    def delete_role_policy(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        if not self._store.delete_role_policy(role.role_name, request["PolicyName"]):
            raise _no_role_policy(request["PolicyName"])
        return {}

    def tag_role(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        self._store.update_role(replace(role, tags=merged_tags(role.tags, request["Tags"])))
        return {}

    def untag_role(self, request: Wire, context: Context) -> Wire:
        role = self._role(request)
        gone = set(request["TagKeys"])
        tags = {key: value for key, value in role.tags.items() if key not in gone}
        self._store.update_role(replace(role, tags=tags))
        return {}

    def list_role_tags(self, request: Wire, context: Context) -> Wire:
        tags = dict(sorted(self._role(request).tags.items()))
        return page(
            request,
            "Tags",
            lambda after, limit: tag_list({k: v for k, v in tags.items() if k > after})[:limit],
            key=lambda tag: str(tag["Key"]),
            wire=dict,
        )

    def _role(self, request: Wire) -> Role:
        role = self._store.role(request["RoleName"])
        if role is None:
            raise ServiceError(
                "NoSuchEntity", f"The role with name {request['RoleName']} cannot be found.", status=404
            )
        return role


def _delete_conflict(what: str) -> ServiceError:
    return ServiceError("DeleteConflict", f"Cannot delete entity, {what}", status=409)


def _no_role_policy(name: str) -> ServiceError:
    return ServiceError("NoSuchEntity", f"The role policy with name {name} cannot be found.", status=404)
