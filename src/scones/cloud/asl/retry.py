"""Retry and Catch: which errors a rule covers, and how long a retry waits."""

from collections.abc import Sequence
from dataclasses import dataclass

from .failures import HEARTBEAT_TIMEOUT, RUNTIME, TIMEOUT, StateError
from .paths import Path
from .template import Template

__all__ = ["Catcher", "Retrier", "matches"]

_FULL = 2**53


def matches(names: Sequence[str], failure: StateError) -> bool:
    """Whether ErrorEquals covers the failure. States.Runtime is covered by nothing, as recorded."""
    if failure.error == RUNTIME:
        return False
    known_as = {failure.error, failure.also}
    if HEARTBEAT_TIMEOUT in known_as:
        known_as.add(TIMEOUT)
    if "States.ALL" in names or not known_as.isdisjoint(names):
        return True
    return "States.TaskFailed" in names and TIMEOUT not in known_as


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    errors: tuple[str, ...]
    interval_s: int = 1
    attempts: int = 3
    backoff: float = 2.0
    max_delay_s: int | None = None
    full_jitter: bool = False

    def delay_ms(self, retries: int, bits: int) -> int:
        """Milliseconds before the retry that follows `retries` earlier ones; `bits` are random."""
        ceiling = float(self.max_delay_s if self.max_delay_s is not None else _LONGEST_S)
        try:
            delay = min(self.interval_s * self.backoff**retries, ceiling)
        except OverflowError:
            delay = ceiling
        if self.full_jitter:
            delay *= (bits % _FULL) / _FULL
        return round(delay * 1000)


_LONGEST_S = 31_622_400
"""A year: AWS keeps no timer longer than an execution may live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catcher:
    errors: tuple[str, ...]
    next: str
    result_path: Path | None
    """None discards the error output."""
    assign: Template | None
    output: Template | None = None
