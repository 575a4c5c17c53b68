"""The S3 service: its parts, and the sweep of bytes that a crash left without a row."""

import logging

from scones.cloud.ports import Clock, Faults, Ids
from scones.cloud.services.s3.bodies import Bodies
from scones.cloud.services.s3.buckets import Buckets
from scones.cloud.services.s3.encryption import Encryption
from scones.cloud.services.s3.listing import Listing
from scones.cloud.services.s3.multipart import Multipart
from scones.cloud.services.s3.objects import Objects
from scones.cloud.services.s3.placing import Shelf
from scones.cloud.services.s3.store import Store
from scones.cloud.settings import CloudSettings
from scones.cloud.state.blobs import Blobs
from scones.cloud.state.db import Database

__all__ = ["S3"]

_log = logging.getLogger(__name__)


class S3:
    """Owns the blob store: nobody else writes blobs, and what no row here names is swept."""

    name = "s3"

    def __init__(
        self, *, db: Database, blobs: Blobs, clock: Clock, ids: Ids, faults: Faults, settings: CloudSettings
    ) -> None:
        self._store = Store(db)
        self._bodies = Bodies(blobs)
        shelf = Shelf(db, self._store, self._bodies, faults)
        objects = Objects(shelf, clock)
        url = f"http://{settings.host}:{settings.port}"
        self.parts: tuple[object, ...] = (
            Buckets(shelf, clock, settings.region),
            Encryption(shelf),
            objects,
            Listing(shelf),
            Multipart(shelf, objects, clock, ids, url),
        )

    async def start(self) -> None:
        if orphans := self._bodies.sweep(self._store.blobs()):
            _log.info("removed %d files that no object refers to", orphans, extra={"action": "s3_sweep"})

    async def close(self) -> None:
        self._bodies.close()
