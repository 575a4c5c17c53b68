"""What SageMaker's resources are made with: the world's ports, and what all of them share."""

from dataclasses import dataclass
from pathlib import Path

from scones.cloud.ports import Announce, Call, Clock, Faults, Ids, Spawn
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.limits import Limits
from scones.cloud.services.sagemaker.store import Store
from scones.cloud.services.sagemaker.wording import Names
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

__all__ = ["Tools"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    db: Database
    store: Store
    clock: Clock
    ids: Ids
    settings: CloudSettings
    call: Call
    spawn: Spawn
    faults: Faults
    announce: Announce
    names: Names
    images: Images
    containers: Containers
    limits: Limits

    @property
    def root(self) -> Path:
        """The folder of all that runs."""
        return self.settings.state_dir / "sagemaker"
