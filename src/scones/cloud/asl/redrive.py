"""An execution that ended without success goes on where it stood, with what it had.

A finished machine keeps its scopes: those that failed, those that were aborted, and the results of the
rest. States that were left are not entered again, and a state that was not left begins its work anew
under its first StateEntered event, as recorded; a Fail state alone is entered again. Of a Parallel or
Map only the inner scopes without a result go on, and of a distributed Map the same map run.
"""

from typing import TYPE_CHECKING

from . import distributed, fans, states
from .program import FailState, MapState
from .scope import Fan, Scope, Visit

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["take_up"]


def take_up(machine: "Machine", scope: Scope) -> None:
    """Go on with a scope that was stopped; its retries count from nought."""
    scope.alive = True
    visit = scope.visit
    if visit is None:
        assert scope.heading is not None
        machine.head_for(scope, *scope.heading)
        return
    _forget(visit)
    fan = visit.fan or visit.broken
    if fan is not None:
        _take_up_fan(machine, visit, fan)
    elif visit.map_run is not None:
        machine.queue(scope, states.perform, machine, visit, distributed.take_up)
    elif isinstance(visit.state, FailState):
        scope.last = visit.previous_id
        machine.head_for(scope, visit.state.name, visit.input)
    else:
        scope.last = visit.entered_id
        machine.queue(scope, states.perform, machine, visit, states.begin)


def _forget(visit: Visit) -> None:
    """The task and the timers of before went with the execution's end."""
    visit.task = visit.timer = visit.heartbeat = visit.token = None
    visit.retries, visit.attempts = 0, {}


def _take_up_fan(machine: "Machine", visit: Visit, fan: Fan) -> None:
    visit.fan, visit.broken = fan, None
    fan.live = sorted([*fan.halted, *fan.live], key=lambda inner: inner.index)
    fan.halted = []
    for inner in fan.live:
        take_up(machine, inner)
    machine.queue(visit.scope, states.perform, machine, visit, _complete_fan, fan)


def _complete_fan(machine: "Machine", visit: Visit, fan: Fan) -> None:
    """Start the items that had not begun; where every inner scope has its result, go on from there."""
    if visit.fan is fan and isinstance(visit.state, MapState):
        fans.fill(machine, fan)
    if visit.fan is fan and not fan.live:
        fans.leave(machine, fan, fan.last)
