"""The events that SageMaker sends to EventBridge when a training job or an endpoint changes its state.

Source: SageMaker Developer Guide, "Events that Amazon SageMaker AI sends to Amazon EventBridge".
"""

import re
from datetime import datetime
from typing import Any

from scones.cloud.ports import Announce, Wire
from scones.cloud.services.sagemaker.endpoints import endpoint_description
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.records import Endpoint, TrainingJob, millis
from scones.cloud.services.sagemaker.store import Store
from scones.cloud.services.sagemaker.training import job_description
from scones.cloud.state.db import Database

__all__ = ["SOURCE", "AnnouncingStore", "with_milliseconds"]

SOURCE = "aws.sagemaker"
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


class AnnouncingStore(Store):
    """The store, which tells of every new state in the transaction that writes it."""

    def __init__(self, db: Database, *, announce: Announce, images: Images) -> None:
        super().__init__(db)
        self._announce = announce
        self._images = images

    def add_job(self, job: TrainingJob) -> None:
        super().add_job(job)
        self._tell_job(job)

    def save_job(self, job: TrainingJob) -> None:
        before = self.job(job.name)
        super().save_job(job)
        if before is None or before.transitions != job.transitions:
            self._tell_job(job)

    def put_endpoint(self, endpoint: Endpoint) -> None:
        before = self.endpoint(endpoint.name)
        super().put_endpoint(endpoint)
        if before is None or before.status is not endpoint.status:
            self._announce(
                SOURCE,
                "SageMaker Endpoint State Change",
                lambda: (endpoint.arn, self._told(endpoint.arn, _endpoint_detail(endpoint))),
            )

    def _tell_job(self, job: TrainingJob) -> None:
        self._announce(
            SOURCE,
            "SageMaker Training Job State Change",
            lambda: (job.arn, self._told(job.arn, job_description(job, self._images))),
        )

    def _told(self, arn: str, description: Wire) -> Wire:
        detail: Wire = with_milliseconds(description)
        return detail | {"Tags": dict(self.tags(arn))}


def _endpoint_detail(endpoint: Endpoint) -> Wire:
    """EventBridge is told IN_SERVICE where the API says InService."""
    status = _WORD.sub("_", endpoint.status.value).upper()
    return endpoint_description(endpoint) | {"EndpointStatus": status}


def with_milliseconds(value: Any) -> Any:
    """A description with its instants as milliseconds since 1970."""
    if isinstance(value, dict):
        return {name: with_milliseconds(member) for name, member in value.items()}
    if isinstance(value, list):
        return [with_milliseconds(item) for item in value]
    return millis(value) if isinstance(value, datetime) else value
