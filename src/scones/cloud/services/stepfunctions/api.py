"""Step Functions as one service: its operations' parts, its store, its runner."""

from scones.cloud.ports import Announce, Call, Clock, Faults, Ids, Spawn, unheard
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes

from .activities import Activities
from .executions import Executions
from .item_reader import ItemReader
from .machines import StateMachines
from .map_run_api import MapRunOperations
from .map_store import MapRunStore
from .parquet_files import ParquetFiles
from .redrives import Redrives
from .runner import Runner
from .status_events import StatusEvents
from .store import Store
from .tags import Tags
from .test_state import TestState
from .tokens import TaskTokens
from .versions import Versions

__all__ = ["StepFunctions"]


class StepFunctions:
    name = "stepfunctions"

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        ids: Ids,
        call: Call,
        spawn: Spawn,
        faults: Faults,
        settings: CloudSettings,
        processes: Processes,
        announce: Announce = unheard,
    ) -> None:
        store = Store(db)
        parquet = ParquetFiles(processes, ids, settings.state_dir / "stepfunctions")
        self._reader = ItemReader(call, parquet)
        self._runner = Runner(
            db=db,
            store=store,
            clock=clock,
            ids=ids,
            call=call,
            reader=self._reader,
            spawn=spawn,
            faults=faults,
            region=settings.region,
            status_events=StatusEvents(store, announce),
        )
        machines = StateMachines(store=store, clock=clock, ids=ids)
        map_runs = MapRunStore(db)
        executions = Executions(store=store, map_runs=map_runs, runner=self._runner, clock=clock, ids=ids)
        redrives = Redrives(store=store, runner=self._runner, clock=clock)
        versions = Versions(store=store, clock=clock)
        tokens = TaskTokens(store=store, runner=self._runner)
        activities = Activities(store=store, runner=self._runner, clock=clock)
        tags = Tags(store=store)
        tested = TestState(clock=clock, ids=ids, call=call)
        self._store = store
        self.parts: tuple[object, ...] = (
            machines,
            tags,
            versions,
            executions,
            MapRunOperations(store=store, map_runs=map_runs, runner=self._runner),
            redrives,
            activities,
            tokens,
            tested,
        )

    async def start(self) -> None:
        with self._store.transaction():
            self._store.delete_finished_express()
        self._reader.start()
        await self._runner.start()

    async def close(self) -> None:
        await self._runner.close()
