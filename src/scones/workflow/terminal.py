"""Progress on a terminal, or plain lines where there is none. Everything goes to stderr: stdout is data."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from scones.workflow.execute import Execution
from scones.workflow.progress import Advance

__all__ = ["ROWS", "Terminal", "execution_table", "live_executions", "outcome"]

_EVERY_S = 5.0  # between two plain lines about one bar
ROWS = 20
"""Executions that the live table shows."""


class Terminal:
    """verbosity: -1 only warnings, 0 normal, 1 details too."""

    def __init__(self, verbosity: int = 0) -> None:
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._verbosity = verbosity

    def say(self, text: str) -> None:
        if self._verbosity >= 0:
            self.console.print(escape(text))

    def detail(self, text: str) -> None:
        if self._verbosity > 0:
            self.console.print(escape(text), style="dim")

    def warn(self, text: str) -> None:
        self.console.rule(style="bold yellow", characters="=")
        self.console.print(f"[bold yellow]WARNING[/] {escape(text)}")
        self.console.rule(style="bold yellow", characters="=")

    @contextmanager
    def bar(self, what: str, total: int | None) -> Iterator[Advance]:
        if self._verbosity < 0:
            yield _nothing
        elif self.console.is_terminal:
            yield from self._live(what, total)
        else:
            yield from self._lines(what, total)

    def _live(self, what: str, total: int | None) -> Iterator[Advance]:
        columns = [SpinnerColumn(), TextColumn("{task.description}")]
        columns += [BarColumn(), TextColumn("{task.completed:,.0f}/{task.total:,.0f}")] if total else []
        columns += [TimeElapsedColumn(), TextColumn("[dim]{task.fields[note]}")]
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(escape(what), total=total, note="")

            def advance(steps: int = 1, /, *, note: str = "") -> None:
                progress.update(task, advance=steps)
                if note:
                    progress.update(task, note=escape(note))

            yield advance

    def _lines(self, what: str, total: int | None) -> Iterator[Advance]:
        started = shown = time.monotonic()
        done, last = 0, ""

        def advance(steps: int = 1, /, *, note: str = "") -> None:
            nonlocal shown, done, last
            done += steps
            now = time.monotonic()
            news = note if note != last else ""
            if total and now - shown >= _EVERY_S:
                shown = now
                self.console.print(escape(f"  {what}: {done:,} of {total:,} after {now - started:.0f} s"))
            elif not total and news and (steps or now - shown >= 1):
                shown, last = now, note
                self.console.print(escape(f"  {what}: {note}"))

        yield advance
        if total:
            self.console.print(escape(f"  {what}: {done:,} in {time.monotonic() - started:.1f} s"))


def _nothing(steps: int = 1, /, *, note: str = "") -> None:
    return


@contextmanager
def live_executions(console: Console) -> Iterator[Callable[[Sequence[Execution]], None]]:
    """A table of executions that follows them; nothing where there is no terminal."""
    if not console.is_terminal:
        yield lambda executions: None
        return
    with Live(console=console, auto_refresh=False) as live:
        yield lambda executions: live.update(execution_table(executions), refresh=True)


def execution_table(executions: Sequence[Execution], rows: int | None = ROWS) -> Table:
    """rows: at most so many, those that moved last; None: all."""
    ended = sum(execution.ended for execution in executions)
    table = Table(title=f"{ended} of {len(executions)} executions have ended", title_justify="left")
    for column in ("image", "states", "status", "output or error"):
        table.add_column(column, overflow="fold")
    begun = [execution for execution in executions if execution.status != "WAITING"]
    for execution in begun if rows is None else begun[-rows:]:
        colour = {
            "passed": "green",
            "": "cyan",
            "low confidence": "yellow",
            "out of distribution": "yellow",
        }.get(execution.verdict, "red")
        image = execution.keys[0] if len(execution.keys) == 1 else f"{len(execution.keys)} images"
        states = " > ".join(execution.states)
        table.add_row(
            escape(image), escape(states), f"[{colour}]{execution.status}[/]", escape(outcome(execution))
        )
    return table


def outcome(execution: Execution) -> str:
    """One line: the scores, the summary of many, or the error and its cause."""
    if execution.error:
        return f"{execution.error}: {_sentence(execution.cause)}"
    output = execution.output
    if isinstance(output, dict) and isinstance(output.get("inferences"), list):
        return ", ".join(f"{score:.4f}" for score in output["inferences"])
    if isinstance(output, dict) and {"passed", "failed"} <= output.keys():
        return f"{len(output['passed'])} passed, {len(output['failed'])} refused"
    return "" if output is None else str(output)


def _sentence(cause: str) -> str:
    """What a person wants of a cause: of a function's error, which is JSON, the message."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
