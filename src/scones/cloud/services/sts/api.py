"""STS's operations. Credentials are kept until they expire; what a role may do is never enforced."""

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Ids, Wire
from scones.cloud.services.sts.store import Store
from scones.cloud.state.db import Database

__all__ = ["Sts"]

_ROLE_ARN = re.compile(r"arn:aws:iam::\d{12}:role/.+")
_DEFAULT_SESSION_NAME = "SageMaker"  # the session name of a SageMaker notebook's own role
_ROLE_SESSION_S = 3600
_TOKEN_SESSION_S = 43_200
_CHAINED_SESSION_LIMIT_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A caller as AWS would name it. `temporary`: it called with credentials that STS gave out."""

    arn: str
    user_id: str
    temporary: bool = False


class Sts:
    """The service. `credentials` lets the gateway verify requests signed with what STS gave out."""

    name = "sts"

    def __init__(self, *, db: Database, clock: Clock, ids: Ids) -> None:
        self._store = Store(db)
        self._clock = clock
        self._ids = ids
        self.parts: tuple[object, ...] = (self,)

    async def start(self) -> None:
        self._store.forget_expired(_milliseconds(self._clock.now()))

    async def close(self) -> None:
        pass

    def credentials(self, access_key: str) -> tuple[str, str] | None:
        """Secret and session token of a temporary access key; None where it is unknown or has expired."""
        session = self._store.session(access_key, _milliseconds(self._clock.now()))
        return None if session is None else (session["secret_key"], session["session_token"])

    def get_caller_identity(self, request: Wire, context: Context) -> Wire:
        identity = self._caller(context)
        return {"Account": context.account_id, "UserId": identity.user_id, "Arn": identity.arn}

    def assume_role(self, request: Wire, context: Context) -> Wire:
        arn, session_name = request["RoleArn"], request["RoleSessionName"]
        if not _ROLE_ARN.fullmatch(arn):
            raise ServiceError("ValidationError", f"{arn} is invalid")
        _check_session_policy(request.get("Policy"))
        caller = self._caller(context)
        role = self._store.role(arn)
        if role is None:
            raise ServiceError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: {arn}",
                status=403,
            )
        seconds = request.get("DurationSeconds", _ROLE_SESSION_S)
        if seconds > role["max_session_s"]:
            raise ServiceError(
                "ValidationError",
                "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
            )
        if caller.temporary and seconds > _CHAINED_SESSION_LIMIT_S:
            raise ServiceError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by"
                " role chaining",
            )
        identity = _assumed(context, role["role_name"], role["role_id"], session_name)
        reply = {
            "Credentials": self._issue(identity, seconds),
            "AssumedRoleUser": {"AssumedRoleId": identity.user_id, "Arn": identity.arn},
        }
        if source := request.get("SourceIdentity"):
            reply["SourceIdentity"] = source
        return reply

    def get_session_token(self, request: Wire, context: Context) -> Wire:
        caller = self._caller(context)
        if caller.temporary:
            raise ServiceError(
                "AccessDenied", "Cannot call GetSessionToken with session credentials", status=403
            )
        return {"Credentials": self._issue(caller, request.get("DurationSeconds", _TOKEN_SESSION_S))}

    def _caller(self, context: Context) -> Identity:
        session = self._store.session(context.access_key, _milliseconds(self._clock.now()))
        if session is not None:
            return Identity(arn=session["arn"], user_id=session["user_id"], temporary=True)
        role = self._store.default_role()
        if role is not None:
            return _assumed(context, role["role_name"], role["role_id"], _DEFAULT_SESSION_NAME)
        return Identity(arn=f"arn:aws:iam::{context.account_id}:root", user_id=context.account_id)

    def _issue(self, identity: Identity, seconds: int) -> Wire:
        now = self._clock.now()
        self._store.forget_expired(_milliseconds(now))
        expiration = (now + timedelta(seconds=seconds)).replace(microsecond=0)
        access_key = f"ASIA{self._ids.token(16).upper()}"
        secret_key = self._ids.token(40)
        session_token = self._ids.token(128)
        self._store.insert_session(
            access_key=access_key,
            secret_key=secret_key,
            session_token=session_token,
            arn=identity.arn,
            user_id=identity.user_id,
            expires=_milliseconds(expiration),
        )
        return {
            "AccessKeyId": access_key,
            "SecretAccessKey": secret_key,
            "SessionToken": session_token,
            "Expiration": expiration,
        }


def _assumed(context: Context, role_name: str, role_id: str, session_name: str) -> Identity:
    return Identity(
        arn=f"arn:aws:sts::{context.account_id}:assumed-role/{role_name}/{session_name}",
        user_id=f"{role_id}:{session_name}",
    )


def _check_session_policy(document: str | None) -> None:
    if document is None:
        return
    try:
        sound = isinstance(json.loads(document), dict)
    except (ValueError, RecursionError):
        sound = False
    if not sound:
        raise ServiceError("MalformedPolicyDocument", "This policy contains invalid Json")


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
