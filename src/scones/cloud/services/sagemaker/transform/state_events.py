"""The event that SageMaker sends to EventBridge when a transform job changes its status.

Source: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

from scones.cloud.ports import Announce, Wire
from scones.cloud.services.sagemaker.state_events import SOURCE, with_milliseconds
from scones.cloud.services.sagemaker.store import Store
from scones.cloud.services.sagemaker.transform.jobs import transform_description
from scones.cloud.services.sagemaker.transform.records import TransformJob
from scones.cloud.services.sagemaker.transform.store import TransformStore
from scones.cloud.state.db import Database

__all__ = ["AnnouncingTransformStore"]


class AnnouncingTransformStore(TransformStore):
    """The store, which tells of every new status in the transaction that writes it."""

    def __init__(self, db: Database, *, store: Store, announce: Announce) -> None:
        super().__init__(db)
        self._store = store
        self._announce = announce

    def add(self, job: TransformJob) -> None:
        super().add(job)
        self._tell(job)

    def save(self, job: TransformJob) -> None:
        before = self.job(job.name)
        super().save(job)
        if before is None or before.status is not job.status:
            self._tell(job)

    def _tell(self, job: TransformJob) -> None:
        def told() -> tuple[str, Wire]:
            detail: Wire = with_milliseconds(transform_description(job))
            return job.arn, detail | {"Tags": dict(self._store.tags(job.arn))}

        self._announce(SOURCE, "SageMaker Transform Job State Change", told)
