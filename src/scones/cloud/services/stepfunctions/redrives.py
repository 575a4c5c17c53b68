"""The operation that has an execution go on where it ended without success."""

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Clock, Context, Wire

from .executions import find_execution
from .redrive_rules import not_redrivable
from .runner import Runner
from .store import Store
from .times import milliseconds, moment

__all__ = ["Redrives"]

_TOKENS, _TOKEN_MS = 10, 15 * 60 * 1000
"""So many client tokens are known again, for so long."""


class Redrives:
    def __init__(self, *, store: Store, runner: Runner, clock: Clock) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock

    def redrive_execution(self, request: Wire, context: Context) -> Wire:
        """The redrive and its first turn commit together. Raises ExecutionNotRedrivable."""
        row = find_execution(self._store, request["executionArn"])
        now, token = milliseconds(self._clock.now()), request.get("clientToken")
        before = token and self._store.redriven_by(row.id, token, now - _TOKEN_MS, _TOKENS)
        if before:
            return {"redriveDate": moment(before)}
        reason = not_redrivable(self._store, row, now)
        if reason is None and row.map_run is not None:
            reason = "Execution was started by a Map Run and cannot be redriven by itself"
        if reason is None and not self._runner.redrive(row, now, token):
            reason = "Execution history cannot be read again by this release"
        if reason is not None:
            raise ServiceError("ExecutionNotRedrivable", reason)
        return {"redriveDate": moment(now)}
