"""SQL of STS: the credentials it gave out, and the roles (IAM's rows) they stand for.

Roles are read here and not through IAM's operations, so that checking one and giving out
credentials for it is a single transaction.
"""

from scones.cloud.state.db import Database, Row

__all__ = ["Store"]

_INSERT_SESSION = """
    INSERT INTO sts_sessions VALUES (:access_key, :secret_key, :session_token, :arn, :user_id, :expires)"""
_SESSION = "SELECT * FROM sts_sessions WHERE access_key = ? AND expires > ?"
_FORGET_EXPIRED = "DELETE FROM sts_sessions WHERE expires <= ?"
_ROLE = "SELECT role_name, role_id, max_session_s FROM iam_roles WHERE arn = ?"
_DEFAULT_ROLE = "SELECT role_name, role_id FROM iam_roles WHERE assumed_by_default LIMIT 1"


class Store:
    def __init__(self, db: Database) -> None:
        self._db = db

    def insert_session(
        self, *, access_key: str, secret_key: str, session_token: str, arn: str, user_id: str, expires: int
    ) -> None:
        self._db.execute(
            _INSERT_SESSION,
            {
                "access_key": access_key,
                "secret_key": secret_key,
                "session_token": session_token,
                "arn": arn,
                "user_id": user_id,
                "expires": expires,
            },
        )

    def session(self, access_key: str, now: int) -> Row | None:
        """Credentials that have not expired at `now`."""
        return self._db.one(_SESSION, (access_key, now))

    def forget_expired(self, now: int) -> None:
        self._db.execute(_FORGET_EXPIRED, (now,))

    def role(self, arn: str) -> Row | None:
        return self._db.one(_ROLE, (arn,))

    def default_role(self) -> Row | None:
        return self._db.one(_DEFAULT_ROLE)
