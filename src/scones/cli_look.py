"""Verbs that look: executions, one execution, a machine's graph, one state by itself."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from scones.workflow.errors import WorkflowError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from scones.workflow.flow import Line
    from scones.workflow.look import Listed

__all__ = ["register"]

_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "TIMED_OUT": "red", "CAUGHT": "yellow", "RUNNING": "cyan"}
_EVERY_S = 1.0
_MACHINE = click.option("--machine", metavar="NAME|ARN", help="State machine.  [the workflow's]")

Options = Callable[..., Callable[[Callable[..., None]], Callable[..., None]]]


def register(cli: click.Group, options: Options) -> None:
    """options: gives a verb the options that all verbs share, and its workplace."""
    listing = click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only these.")
    follow = click.option("--follow", is_flag=True, help="Go on showing them until Ctrl-C.")
    limit = click.option("--limit", type=click.IntRange(min=1), default=100, metavar="N",
                         help="At most so many, the newest.  [100]")  # fmt: skip
    state = click.option("--state", metavar="NAME", help="One state's whole data.")
    file = click.option("-o", "out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                        help="Write the SVG here.  [stdout]")  # fmt: skip
    definition = click.option("--definition", required=True, type=click.Path(path_type=Path), metavar="FILE",
                              help="A state, or a whole machine with --state.")  # fmt: skip
    given = click.option("--input", "given", default="{}", metavar="JSON|@FILE", help="Input.  [{}]")
    level = click.option("--inspection-level", "level", type=click.Choice(("INFO", "DEBUG", "TRACE")),
                         default="INFO", help="How much of the data flow to tell.  [INFO]")  # fmt: skip
    cli.command("executions")(options([_MACHINE, listing, follow, limit])(_executions))
    cli.command("show")(options([click.argument("execution"), _MACHINE, state])(_show))
    cli.command("graph")(options([click.argument("subject", required=False), _MACHINE, file])(_graph))
    cli.command("test-state")(options([definition, state, given, level])(_test_state))


def _executions(work: Any, machine: str | None, status: str | None, follow: bool, limit: int) -> None:
    """List executions, the newest first."""
    from rich.console import Console
    from rich.live import Live

    from scones.workflow.look import list_executions

    status = status and status.upper()

    def ask() -> "list[Listed]":
        return list_executions(work.aws, machine=machine, status=status, limit=limit)[0]

    console = Console(highlight=False)
    if follow and (work.json or not console.is_terminal):
        _follow_lines(ask, as_json=work.json)
    if follow:
        with Live(_listing(ask()), console=console, auto_refresh=False) as live:
            while True:
                time.sleep(_EVERY_S)
                live.update(_listing(ask()), refresh=True)
    found, more = list_executions(work.aws, machine=machine, status=status, limit=limit)
    if work.json:
        work.show([asdict(execution) for execution in found], {})
    else:
        console.print(_listing(found))
    if more:
        work.terminal.say(f"there are more than these {limit}; --limit N shows more")


def _follow_lines(ask: "Callable[[], list[Listed]]", *, as_json: bool) -> NoReturn:
    """One line for each change, the oldest execution first."""
    known: dict[str, str] = {}
    while True:
        for execution in reversed(ask()):
            if known.get(execution.arn) == execution.status:
                continue
            known[execution.arn] = execution.status
            plain = f"{execution.name}\t{execution.status}\t{execution.started:%Y-%m-%d %H:%M:%S}"
            click.echo(json.dumps(asdict(execution), default=str) if as_json else plain)
        time.sleep(_EVERY_S)


def _listing(executions: "Sequence[Listed]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    redriven = any(e.redrives for e in executions)
    for column in ("name", "status", "started", "seconds", *(["redrives"] if redriven else [])):
        table.add_column(column, overflow="fold")
    for e in executions:
        seconds = f"{(e.stopped - e.started).total_seconds():.1f}" if e.stopped else ""
        started, redrives = f"{e.started:%Y-%m-%d %H:%M:%S}", [str(e.redrives or "")] if redriven else []
        table.add_row(escape(e.name), _coloured(e.status), started, seconds, *redrives)
    return table


def _coloured(status: str) -> str:
    colour = _COLOURS.get(status, "dim")
    return f"[{colour}]{status}[/]"


def _show(work: Any, execution: str, machine: str | None, state: str | None) -> None:
    """What became of each state of EXECUTION, a name or ARN."""
    from rich.console import Console

    from scones.workflow.flow import draw
    from scones.workflow.look import show_execution

    shown = show_execution(work.aws, execution, machine)
    if state is not None:
        one = next((summary for summary in shown.states if summary.name == state), None)
        if one is None:
            names = ", ".join(summary.name for summary in shown.states)
            raise WorkflowError(f"there is no state {state!r}", f"its states are {names}")
        work.show(asdict(one), {k: v for k, v in asdict(one).items() if v not in (None, {})})
        return
    if work.json:
        work.show(asdict(shown), {})
        return
    console = Console(highlight=False)
    times = f"  redriven {shown.redrives} {'times' if shown.redrives > 1 else 'time'}" * bool(shown.redrives)
    console.print(f"{shown.arn}  {_coloured(shown.status)}{times}", soft_wrap=True)
    for line in draw(shown.definition, {summary.name: summary for summary in shown.states}):
        console.print(_drawn(line), no_wrap=True, overflow="ellipsis", crop=True)


def _drawn(line: "Line") -> "Text":
    from rich.text import Text

    styles = {"state": _COLOURS.get(line.status, "dim" if line.status else "bold"), "error": "red"}
    return Text.assemble((line.rail, "dim"), (line.text, styles.get(line.kind, "dim")))


def _graph(work: Any, subject: str | None, machine: str | None, out: Path | None) -> None:
    """Draw a machine, an execution or a definition's file as SVG."""
    from scones.workflow.graph import layout, svg
    from scones.workflow.look import definition_of

    definition, states = definition_of(work.aws, subject, machine)
    statuses = {state.name: state.status for state in states}
    text = svg(layout(definition), statuses, str(definition.get("Comment") or subject or "State machine"))
    if out is not None:
        out.write_text(text, "utf-8")
        work.show({"svg": str(out), "states": statuses}, {"graph": out})
    elif work.json:
        work.show({"svg": text, "states": statuses}, {})
    else:
        click.echo(text, nl=False)


def _test_state(work: Any, definition: Path, state: str | None, given: str, level: str) -> None:
    """Run one state by itself, through TestState; exit code 1 if it fails."""
    from scones.workflow.look import test_state

    reply = test_state(work.aws, definition, state, given, level)
    lines = {k: v for k, v in reply.items() if k != "inspectionData"}
    work.show(reply, lines | dict(reply.get("inspectionData", {})))
    if reply["status"] == "FAILED":
        raise SystemExit(1)
