"""Verbs that look: executions, one execution, a machine's graph, one state by itself."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scones.workflow.errors import WorkflowError

if TYPE_CHECKING:
    from rich.table import Table

    from scones.workflow.history import StateSummary
    from scones.workflow.look import Listed, Shown

__all__ = ["OWN_OPTIONS", "register"]

OWN_OPTIONS = ("machine", "status", "follow", "execution", "state", "subject", "out", "definition", "given",
               "level")  # fmt: skip
_STATUSES = ("RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED", "PENDING_REDRIVE")
_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "TIMED_OUT": "red", "CAUGHT": "yellow", "RUNNING": "cyan"}
_SHORT = 60
_EVERY_S = 1.0
_MACHINE = click.option("--machine", metavar="NAME|ARN", help="State machine.  [the workflow's]")

Options = Callable[..., Callable[[Callable[..., None]], Callable[..., None]]]


def register(cli: click.Group, options: Options) -> None:
    """options: gives a verb the options that all verbs share, and its workplace."""
    listing = click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only these.")
    follow = click.option("--follow", is_flag=True, help="Go on showing them until Ctrl-C.")
    state = click.option("--state", metavar="NAME", help="One state's whole data.")
    file = click.option("-o", "out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                        help="Write the SVG here.  [stdout]")  # fmt: skip
    definition = click.option("--definition", required=True, type=click.Path(path_type=Path), metavar="FILE",
                              help="A state, or a whole machine with --state.")  # fmt: skip
    given = click.option("--input", "given", default="{}", metavar="JSON|@FILE", help="Input.  [{}]")
    level = click.option("--inspection-level", "level", type=click.Choice(("INFO", "DEBUG", "TRACE")),
                         default="INFO", help="How much of the data flow to tell.  [INFO]")  # fmt: skip
    cli.command("executions")(options([_MACHINE, listing, follow])(_executions))
    cli.command("show")(options([click.argument("execution"), _MACHINE, state])(_show))
    cli.command("graph")(options([click.argument("subject", required=False), _MACHINE, file])(_graph))
    cli.command("test-state")(options([definition, state, given, level])(_test_state))


def _executions(work: Any, machine: str | None, status: str | None, follow: bool) -> None:
    """List executions, the newest first."""
    from rich.console import Console
    from rich.live import Live

    from scones.workflow.look import list_executions

    status = status and status.upper()
    found = list_executions(work.aws, machine=machine, status=status)
    if work.json:
        work.show([asdict(execution) for execution in found], {})
        return
    if not follow:
        Console(highlight=False).print(_listing(found))
        return
    with Live(_listing(found), console=Console(highlight=False), auto_refresh=False) as live:
        while True:
            time.sleep(_EVERY_S)
            found = list_executions(work.aws, machine=machine, status=status)
            live.update(_listing(found), refresh=True)


def _listing(executions: "Sequence[Listed]") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for column in ("name", "status", "started", "seconds"):
        table.add_column(column, overflow="fold")
    for e in executions:
        seconds = f"{(e.stopped - e.started).total_seconds():.1f}" if e.stopped else ""
        table.add_row(escape(e.name), _coloured(e.status), f"{e.started:%Y-%m-%d %H:%M:%S}", seconds)
    return table


def _coloured(status: str) -> str:
    colour = _COLOURS.get(status, "dim")
    return f"[{colour}]{status}[/]"


def _show(work: Any, execution: str, machine: str | None, state: str | None) -> None:
    """What became of each state of EXECUTION, a name or ARN."""
    from rich.console import Console

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
    console.print(f"{shown.arn}  {_coloured(shown.status)}", soft_wrap=True)
    console.print(_states(shown))


def _states(shown: "Shown") -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None)
    for column in ("state", "status", "seconds", "retries", "items", "input", "output or error"):
        table.add_column(column, overflow="fold")
    for state in shown.states:
        seconds = "" if state.duration_s is None else f"{state.duration_s:.2f}"
        branch = "  " * state.depth + ("└ " if state.depth else "")
        table.add_row(
            escape(f"{branch}{state.name}"), _coloured(state.status), seconds, str(state.retries or ""),
            _counts(state), escape(_short(state.input)), escape(_result(state)),
        )  # fmt: skip
    return table


def _counts(state: "StateSummary") -> str:
    if state.iterations:
        return ", ".join(f"{n} {what}" for what, n in state.iterations.items() if what != "started")
    return f"{state.exited} of {state.entered}" if state.entered > 1 else ""


def _result(state: "StateSummary") -> str:
    if state.error:
        return _short(f"{state.error}: {state.cause or ''}".removesuffix(": "))
    return _short(state.output)


def _short(text: str | None) -> str:
    text = text or ""
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 1]}…"


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
