"""Roles and managed policies as kept, and their forms on the wire."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote

from scones.cloud.ports import Wire
from scones.cloud.state.db import Row

__all__ = ["Policy", "Role", "from_milliseconds", "milliseconds", "on_the_wire"]


def milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def from_milliseconds(value: int) -> datetime:
    return datetime.fromtimestamp(value / 1000, UTC)


def on_the_wire(document: str) -> str:
    """IAM gives documents back percent-encoded (RFC 3986); clients decode them."""
    return quote(document, safe="")


def tag_list(tags: dict[str, str]) -> list[Wire]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    role_name: str
    role_id: str
    arn: str
    path: str
    trust_document: str
    description: str | None
    max_session_s: int
    boundary_arn: str | None
    created: int
    tags: dict[str, str]
    assumed_by_default: bool = False

    @classmethod
    def from_row(cls, row: Row) -> Self:
        fields = dict(row)
        fields["tags"] = json.loads(fields["tags"])
        fields["assumed_by_default"] = bool(fields["assumed_by_default"])
        return cls(**fields)

    def wire(self, *, details: bool) -> Wire:
        """details: with what GetRole and CreateRole say and ListRoles leaves out."""
        reply: Wire = {
            "Path": self.path,
            "RoleName": self.role_name,
            "RoleId": self.role_id,
            "Arn": self.arn,
            "CreateDate": from_milliseconds(self.created),
            "AssumeRolePolicyDocument": on_the_wire(self.trust_document),
            "MaxSessionDuration": self.max_session_s,
        }
        if self.description is not None:
            reply["Description"] = self.description
        if details and self.boundary_arn is not None:
            reply["PermissionsBoundary"] = {
                "PermissionsBoundaryType": "Policy",
                "PermissionsBoundaryArn": self.boundary_arn,
            }
        if details and self.tags:
            reply["Tags"] = tag_list(self.tags)
        return reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    arn: str
    policy_name: str
    policy_id: str
    path: str
    document: str
    description: str | None
    created: int
    tags: dict[str, str]

    @classmethod
    def from_row(cls, row: Row) -> Self:
        fields = dict(row)
        fields["tags"] = json.loads(fields["tags"])
        return cls(**fields)

    def wire(self, attachments: int, *, details: bool) -> Wire:
        created = from_milliseconds(self.created)
        reply: Wire = {
            "PolicyName": self.policy_name,
            "PolicyId": self.policy_id,
            "Arn": self.arn,
            "Path": self.path,
            "DefaultVersionId": "v1",
            "AttachmentCount": attachments,
            "PermissionsBoundaryUsageCount": 0,
            "IsAttachable": True,
            "CreateDate": created,
            "UpdateDate": created,
        }
        if details and self.description is not None:
            reply["Description"] = self.description
        if details and self.tags:
            reply["Tags"] = tag_list(self.tags)
        return reply
