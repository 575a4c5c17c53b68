"""How much the variables of an execution may hold.

Source: Step Functions Developer Guide, Passing data between states with variables, Limits. That the error
is States.DataLimitExceeded is documented, the words of its cause are not.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .failures import StateError
from .jsontext import LIMIT_BYTES
from .scope import Scope

if TYPE_CHECKING:
    from .machine import Machine

__all__ = ["TOTAL_BYTES", "check_assign", "stored_bytes"]

TOTAL_BYTES = 10 * 1024 * 1024
"""Of all variables that an execution holds at a time."""


def check_assign(machine: "Machine", scope: Scope, texts: Mapping[str, str], state: str) -> dict[str, int]:
    """The sizes of the variables about to be assigned, from their JSON texts.

    Raises States.DataLimitExceeded, naming the state.
    """
    sizes = {name: len(text.encode()) for name, text in texts.items()}
    new = sum(sizes.values())
    if new > LIMIT_BYTES:
        raise _exceeded(f"The state/task '{state}' assigned variables")
    machine.assigned_bytes += new
    if machine.assigned_bytes > TOTAL_BYTES:
        replaced = sum(scope.sizes.get(name, 0) for name in sizes)
        machine.assigned_bytes = stored_bytes(machine.root) + new - replaced
    if machine.assigned_bytes > TOTAL_BYTES:
        raise _exceeded(f"With those of the state/task '{state}', the execution has variables")
    return sizes


def _exceeded(subject: str) -> StateError:
    return StateError(
        "States.DataLimitExceeded",
        f"{subject} with a size exceeding the maximum number of bytes service limit.",
    )


def stored_bytes(scope: Scope) -> int:
    """What a scope and the live scopes inside it hold."""
    fan = scope.visit.fan if scope.visit else None
    return sum(scope.sizes.values()) + sum(map(stored_bytes, fan.live if fan else ()))
