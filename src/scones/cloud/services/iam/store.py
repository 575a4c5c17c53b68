"""SQL of IAM. Lists are in name order, and continue after a name."""

import json
from collections.abc import Sequence

from scones.cloud.services.iam.records import Policy, Role
from scones.cloud.state.db import Database

__all__ = ["Store"]

_INSERT_ROLE = """
    INSERT INTO iam_roles VALUES (:role_name, :role_id, :arn, :path, :trust_document, :description,
        :max_session_s, :boundary_arn, :created, :tags, :assumed_by_default)"""
_ROLE = "SELECT * FROM iam_roles WHERE role_name = ?"
_ROLES = """
    SELECT * FROM iam_roles WHERE substr(path, 1, length(:prefix)) = :prefix AND role_name > :after
    ORDER BY role_name LIMIT :limit"""
_UPDATE_ROLE = """
    UPDATE iam_roles SET trust_document = :trust_document, description = :description,
        max_session_s = :max_session_s, tags = :tags WHERE role_name = :role_name"""
_DELETE_ROLE = "DELETE FROM iam_roles WHERE role_name = ?"

_PUT_ROLE_POLICY = "INSERT OR REPLACE INTO iam_role_policies VALUES (?, ?, ?)"
_ROLE_POLICY = "SELECT policy_name, document FROM iam_role_policies WHERE role_name = ? AND policy_name = ?"
_ROLE_POLICIES = """
    SELECT policy_name FROM iam_role_policies WHERE role_name = ? AND policy_name > ?
    ORDER BY policy_name LIMIT ?"""
_DELETE_ROLE_POLICY = "DELETE FROM iam_role_policies WHERE role_name = ? AND policy_name = ?"

_ATTACH = "INSERT OR IGNORE INTO iam_attachments VALUES (?, ?)"
_DETACH = "DELETE FROM iam_attachments WHERE role_name = ? AND policy_arn = ?"
_ATTACHMENTS = """
    SELECT policy_arn FROM iam_attachments WHERE role_name = ? AND policy_arn > ?
    ORDER BY policy_arn LIMIT ?"""
_ATTACHMENT_COUNT = "SELECT count(*) FROM iam_attachments WHERE policy_arn = ?"

_INSERT_POLICY = """
    INSERT INTO iam_policies VALUES (:arn, :policy_name, :policy_id, :path, :document, :description,
        :created, :tags)"""
_POLICY = "SELECT * FROM iam_policies WHERE arn = ?"
_POLICY_NAMED = "SELECT * FROM iam_policies WHERE policy_name = ?"
_POLICIES = """
    SELECT * FROM iam_policies WHERE substr(path, 1, length(:prefix)) = :prefix AND policy_name > :after
        AND (NOT :attached OR arn IN (SELECT policy_arn FROM iam_attachments))
    ORDER BY policy_name LIMIT :limit"""
_DELETE_POLICY = "DELETE FROM iam_policies WHERE arn = ?"


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    def insert_role(self, role: Role) -> None:
        self._db.execute(_INSERT_ROLE, _role_fields(role))

    def role(self, role_name: str) -> Role | None:
        row = self._db.one(_ROLE, (role_name,))
        return None if row is None else Role.from_row(row)

    def roles(self, *, prefix: str, after: str, limit: int) -> list[Role]:
        rows = self._db.all(_ROLES, {"prefix": prefix, "after": after, "limit": limit})
        return [Role.from_row(row) for row in rows]

    def update_role(self, role: Role) -> None:
        self._db.execute(_UPDATE_ROLE, _role_fields(role))

    def delete_role(self, role_name: str) -> None:
        self._db.execute(_DELETE_ROLE, (role_name,))

    def put_role_policy(self, role_name: str, policy_name: str, document: str) -> None:
        self._db.execute(_PUT_ROLE_POLICY, (role_name, policy_name, document))

    def role_policy(self, role_name: str, policy_name: str) -> tuple[str, str] | None:
        """Name as it was given, and document."""
        row = self._db.one(_ROLE_POLICY, (role_name, policy_name))
        return None if row is None else (row["policy_name"], row["document"])

    def role_policies(self, role_name: str, *, after: str = "", limit: int = 1) -> list[str]:
        return self._names(_ROLE_POLICIES, (role_name, after, limit))

    def delete_role_policy(self, role_name: str, policy_name: str) -> bool:
        return self._db.execute(_DELETE_ROLE_POLICY, (role_name, policy_name)).rowcount > 0

    def attach(self, role_name: str, policy_arn: str) -> None:
        self._db.execute(_ATTACH, (role_name, policy_arn))

    def detach(self, role_name: str, policy_arn: str) -> bool:
        return self._db.execute(_DETACH, (role_name, policy_arn)).rowcount > 0

    def attachments(self, role_name: str, *, after: str = "", limit: int = 1) -> list[str]:
        return self._names(_ATTACHMENTS, (role_name, after, limit))

    def attachment_count(self, policy_arn: str) -> int:
        row = self._db.one(_ATTACHMENT_COUNT, (policy_arn,))
        return 0 if row is None else int(row[0])

    def insert_policy(self, policy: Policy) -> None:
        self._db.execute(
            _INSERT_POLICY,
            {
                "arn": policy.arn,
                "policy_name": policy.policy_name,
                "policy_id": policy.policy_id,
                "path": policy.path,
                "document": policy.document,
                "description": policy.description,
                "created": policy.created,
                "tags": json.dumps(policy.tags),
            },
        )

    def policy(self, arn: str) -> Policy | None:
        row = self._db.one(_POLICY, (arn,))
        return None if row is None else Policy.from_row(row)

    def policy_named(self, policy_name: str) -> Policy | None:
        row = self._db.one(_POLICY_NAMED, (policy_name,))
        return None if row is None else Policy.from_row(row)

    def policies(self, *, prefix: str, after: str, limit: int, attached: bool) -> list[Policy]:
        filters = {"prefix": prefix, "after": after, "limit": limit, "attached": attached}
        return [Policy.from_row(row) for row in self._db.all(_POLICIES, filters)]

    def delete_policy(self, arn: str) -> None:
        self._db.execute(_DELETE_POLICY, (arn,))

    def _names(self, sql: str, parameters: Sequence[str | int]) -> list[str]:
        return [row[0] for row in self._db.all(sql, parameters)]


def _role_fields(role: Role) -> dict[str, str | int | None]:
    return {
        "role_name": role.role_name,
        "role_id": role.role_id,
        "arn": role.arn,
        "path": role.path,
        "trust_document": role.trust_document,
        "description": role.description,
        "max_session_s": role.max_session_s,
        "boundary_arn": role.boundary_arn,
        "created": role.created,
        "tags": json.dumps(role.tags),
        "assumed_by_default": int(role.assumed_by_default),
    }
