"""The service: its parts put together, its start after a crash, its end."""

from collections.abc import Callable, Sequence

from scones.cloud.ports import Call, Clock, Faults, Ids, Spawn
from scones.cloud.services.lambda_.access import Access
from scones.cloud.services.lambda_.codes import Codes
from scones.cloud.services.lambda_.events import RETRY_DELAYS_S, Events
from scones.cloud.services.lambda_.functions import Functions
from scones.cloud.services.lambda_.invoke import Invocations
from scones.cloud.services.lambda_.names import Place
from scones.cloud.services.lambda_.runner import Runner
from scones.cloud.services.lambda_.store import Store
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

__all__ = ["Lambda"]


class Lambda:
    """concurrency: invocations at once over all functions without a reservation of their own;
    further ones wait for a while. retry_delays_s: before each further attempt of a failed event.
    """

    name = "lambda"

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        call: Call,
        spawn: Spawn,
        processes: Processes,
        faults: Faults,
        settings: CloudSettings,
        endpoint_url: Callable[[], str],
        concurrency: int = 10,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
    ) -> None:
        place = Place(region=settings.region, account=settings.account_id)
        folder = settings.state_dir / "lambda"
        self._store = store = Store(db)
        self._codes = codes = Codes(
            folder / "code", ids=ids, call=call, processes=processes, python=settings.worker_python
        )
        self._runner = runner = Runner(
            codes=codes,
            temporary=folder / "tmp",
            processes=processes,
            call=call,
            clock=clock,
            ids=ids,
            spawn=spawn,
            faults=faults,
            settings=settings,
            endpoint_url=endpoint_url,
            on_idle_code=lambda function: codes.collect(function, store.codes(function)),
            concurrency=concurrency,
        )
        self._events = events = Events(store=store, clock=clock, spawn=spawn, retry_delays_s=retry_delays_s)
        self._functions = Functions(
            db=db, store=store, codes=codes, runner=runner, place=place, clock=clock, ids=ids, spawn=spawn
        )
        self._invocations = Invocations(
            db=db, store=store, runner=runner, events=events, place=place, clock=clock, ids=ids
        )
        self.parts: tuple[object, ...] = (
            self._functions,
            self._invocations,
            Access(store=store, place=place),
        )

    async def start(self) -> None:
        """Delete code that no row names, finish interrupted updates, deliver the events left over."""
        self._codes.sweep(self._store.codes)
        self._functions.settle()
        await self._runner.start()
        self._events.start(self._invocations.run_event)

    async def close(self) -> None:
        self._events.close()
        await self._runner.close()
