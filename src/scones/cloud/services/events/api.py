"""The EventBridge service: its parts, the runner that delivers and the scheduler."""

from scones.cloud.deliveries import Runner
from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn
from scones.cloud.services.events.buses import Buses
from scones.cloud.services.events.dispatch import Dispatch
from scones.cloud.services.events.names import Names
from scones.cloud.services.events.putting import Putting
from scones.cloud.services.events.records import Delivery
from scones.cloud.services.events.rules import Rules
from scones.cloud.services.events.scheduler import Scheduler
from scones.cloud.services.events.sending import Sending
from scones.cloud.services.events.store import Store
from scones.cloud.services.events.targets import Targets
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

__all__ = ["Events"]


class Events:
    name = "events"

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        settings: CloudSettings,
        call: Call,
        spawn: Spawn,
        faults: Faults,
    ) -> None:
        store = Store(db)
        names = Names(settings.region, settings.account_id, store)
        self._runner = Runner(
            Delivery,
            service=self.name,
            queue="target_arn",
            sender=Sending(call),
            db=db,
            clock=clock,
            spawn=spawn,
            faults=faults,
        )

        def rescheduled() -> None:
            db.after_commit(self._scheduler.wake)

        dispatch = Dispatch(store=store, names=names, clock=clock, ids=ids, deliver=self._runner.deliver)
        self._scheduler = Scheduler(
            db=db, store=store, names=names, clock=clock, spawn=spawn, dispatch=dispatch
        )
        self.announce = dispatch.announce
        self.parts: tuple[object, ...] = (
            Buses(store=store, names=names, clock=clock),
            Rules(store=store, names=names, clock=clock, rescheduled=rescheduled),
            Targets(store=store, names=names),
            Putting(store=store, names=names, dispatch=dispatch),
        )

    async def start(self) -> None:
        self._runner.start()
        self._scheduler.start()

    async def close(self) -> None:
        pass
