"""The IAM service: its parts, and the role that callers have from the first start.

This cloud enforces no permission: roles and policies are kept so that programs which make, name,
pass and remove them behave as on AWS.
"""

import json
from dataclasses import replace

from scones.cloud.ports import Clock, Ids
from scones.cloud.services.iam.policies import Policies
from scones.cloud.services.iam.records import milliseconds
from scones.cloud.services.iam.roles import Roles, new_role
from scones.cloud.services.iam.store import Store
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

__all__ = ["Iam"]

_DEFAULT_ROLE = "AmazonSageMaker-ExecutionRole"
_DEFAULT_POLICIES = ("AmazonSageMakerFullAccess", "AmazonS3FullAccess", "AWSLambda_FullAccess")
_TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {
                "Service": ["sagemaker.amazonaws.com", "lambda.amazonaws.com", "states.amazonaws.com"]
            },
            "Action": "sts:AssumeRole",
        }
    ],
}


class Iam:
    name = "iam"

    def __init__(self, *, db: Database, clock: Clock, ids: Ids, settings: CloudSettings) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._account_id = settings.account_id
        self._store = Store(db)
        self.parts: tuple[object, ...] = (
            Roles(self._store, clock, ids),
            Policies(self._store, clock, ids),
        )

    async def start(self) -> None:
        """Give the account the role that get_execution_role() of the SageMaker SDK answers."""
        if self._store.role(_DEFAULT_ROLE) is not None:
            return
        role = new_role(
            self._account_id,
            role_name=_DEFAULT_ROLE,
            role_id=f"AROA{self._ids.token(17).upper()}",
            path="/service-role/",
            trust_document=json.dumps(_TRUST),
            created=milliseconds(self._clock.now()),
        )
        with self._db.transaction():
            self._store.insert_role(replace(role, assumed_by_default=True))
            for policy in _DEFAULT_POLICIES:
                self._store.attach(_DEFAULT_ROLE, f"arn:aws:iam::aws:policy/{policy}")

    async def close(self) -> None:
        pass
