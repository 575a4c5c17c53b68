"""The SNS service: its parts, and the runner that delivers."""

from scones.cloud.deliveries import Runner
from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn
from scones.cloud.services.sns.arns import Arns
from scones.cloud.services.sns.publishing import Publishing
from scones.cloud.services.sns.records import Delivery
from scones.cloud.services.sns.sending import Sending
from scones.cloud.services.sns.store import Store
from scones.cloud.services.sns.subscriptions import Subscriptions
from scones.cloud.services.sns.topics import Topics
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database

__all__ = ["Sns"]


class Sns:
    name = "sns"

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
        arns = Arns(settings.region, settings.account_id, store)
        self._sending = Sending(store=store, call=call, arn_prefix=arns.prefix)
        self._runner = Runner(
            Delivery,
            service=self.name,
            queue="subscription_id",
            sender=self._sending,
            db=db,
            clock=clock,
            spawn=spawn,
            faults=faults,
        )
        deliver = self._runner.deliver
        base_url = f"http://{_reachable(settings.host)}:{settings.port}"
        subscriptions = Subscriptions(
            store=store, arns=arns, clock=clock, ids=ids, base_url=base_url, deliver=deliver
        )
        publishing = Publishing(
            store=store, arns=arns, clock=clock, ids=ids, base_url=base_url, deliver=deliver
        )
        self.parts: tuple[object, ...] = (Topics(store, arns), subscriptions, publishing)

    async def start(self) -> None:
        self._sending.start()
        self._runner.start()

    async def close(self) -> None:
        await self._sending.close()


def _reachable(host: str) -> str:
    """The listening address as a client on this machine reaches it."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
