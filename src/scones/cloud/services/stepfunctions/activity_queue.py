"""The tasks that wait for a worker, by activity, and the workers that wait for a task.

Only memory: each running execution offers its waiting tasks anew when it is taken up, and taking one is
made durable by whoever takes it.
"""

import asyncio

from scones.cloud.asl.journal import Invoke

__all__ = ["ActivityQueue"]

_Key = tuple[int, int]
"""(execution, task)."""


class ActivityQueue:
    def __init__(self) -> None:
        self._tasks: dict[str, dict[_Key, Invoke]] = {}
        self._places: dict[_Key, str] = {}
        self._news: dict[str, asyncio.Event] = {}

    def offer(self, execution: int, invoke: Invoke) -> None:
        """Offering a task again does not double it, nor cost it its place."""
        key = (execution, invoke.task)
        self._tasks.setdefault(invoke.resource, {})[key] = invoke
        self._places[key] = invoke.resource
        if news := self._news.pop(invoke.resource, None):
            news.set()

    def withdraw(self, execution: int, task: int) -> None:
        key = (execution, task)
        if arn := self._places.pop(key, None):
            del self._tasks[arn][key]
            if not self._tasks[arn]:
                del self._tasks[arn]

    def take(self, arn: str) -> tuple[int, Invoke] | None:
        """The task that waits longest, with its execution; None where none waits."""
        for (execution, task), invoke in self._tasks.get(arn, {}).items():
            self.withdraw(execution, task)
            return execution, invoke
        return None

    def news(self, arn: str) -> asyncio.Event:
        """Set when the next task of the activity is offered."""
        return self._news.setdefault(arn, asyncio.Event())
