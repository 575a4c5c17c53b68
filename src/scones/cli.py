"""The command line: the only file that knows both the workflow and the cloud.

What a verb finds out goes to stdout, everything else to stderr. Modules are imported by the verb that needs
them, so that --help is quick.
"""

import contextlib
import functools
import inspect
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scones import __version__, cli_look, cli_transform
from scones.cli_cloud import cloud_commands, ensure_cloud
from scones.workflow.errors import WorkflowError
from scones.workflow.settings import Settings, parse_classes

if TYPE_CHECKING:
    from scones.workflow.aws import Aws
    from scones.workflow.execute import Execute
    from scones.workflow.terminal import Terminal

__all__ = ["cli", "main"]

_INTERRUPTED = 130


class _Workplace:
    """What every verb of the workflow starts with."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.json = bool(options.pop("as_json"))
        self._verbosity = -1 if options.pop("quiet") else int(options.pop("verbose"))
        self.settings = Settings.build(options, os.environ)

    @functools.cached_property
    def terminal(self) -> "Terminal":
        from scones.workflow.terminal import Terminal

        return Terminal(self._verbosity)

    @functools.cached_property
    def aws(self) -> "Aws":
        from scones.workflow.aws import Aws

        return Aws(self.settings)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        from scones.workflow.aws import explained

        with explained(self.settings):
            yield

    def show(self, result: Any, lines: Mapping[str, Any], next_verb: str = "") -> None:
        """The result on stdout, for a machine or for a person; what to do next on stderr."""
        if self.json:
            from scones.workflow.report import as_json

            click.echo(as_json(result))
            return
        width = max((len(name) for name in lines), default=0)
        for name, value in lines.items():
            click.echo(f"{name:<{width}}  {value}")
        if next_verb and self._verbosity >= 0:
            click.echo(f"next: {next_verb}", err=True)


_COMMON = [
    click.option("--aws", is_flag=True, help="Use AWS itself, which costs money."),
    click.option("--endpoint-url", metavar="URL", help="Where the AWS APIs answer (AWS_ENDPOINT_URL)."),
    click.option("--region", help="AWS region (AWS_REGION)."),
    click.option("--profile", help="Profile of the AWS configuration files (AWS_PROFILE)."),
    click.option("--bucket", help="S3 bucket (SCONES_BUCKET).  [scones-unlimited-ACCOUNT-REGION]"),
    click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
    click.option("-v", "--verbose", is_flag=True, help="Say more, and show tracebacks."),
    click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors."),
]
_DATA = [
    click.option("--data", metavar="PATH|URL", help="CIFAR-100 archive, or a folder (SCONES_DATA)."),
    click.option("--classes", callback=lambda _c, _p, text: parse_classes(text) if text else None,
                 metavar="A,B", help="Classes in label order (SCONES_CLASSES).  [bicycle,motorcycle]"),
]  # fmt: skip
_PROCESSING = [
    click.option("--processing-instance", metavar="TYPE",
                 help="Instance type of the processing job.  [ml.m5.xlarge]"),
]  # fmt: skip
_TRAINING = [
    click.option("--hyperparameter", "hyperparameters", multiple=True, metavar="NAME=VALUE",
                 help="Passed to the algorithm. Repeatable."),
    click.option("--epochs", type=click.IntRange(min=1), help="Short for --hyperparameter epochs=N."),
    click.option("--training-instance", metavar="TYPE", help="Instance type of the training job."),
]  # fmt: skip
_ENDPOINT = [click.option("--endpoint-name", help="Name of the endpoint.  [scones-image-classification]")]
_CAPTURE = [
    click.option("--hosting-instance", metavar="TYPE", help="Instance type of the endpoint.  [ml.m5.xlarge]"),
    click.option(
        "--capture-percent", type=click.IntRange(0, 100), help="Requests captured, in percent.  [40]"
    ),
]


class _Threshold(click.ParamType[float | str]):
    """A number from 0 to 1, or `auto`."""

    name = "0..1|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | str:
        return "auto" if value == "auto" else click.FloatRange(0, 1).convert(value, param, ctx)


_PRECISION = [
    click.option("--precision", type=click.FloatRange(0, 1, min_open=True, max_open=True),
                 help="Rate at which accepted predictions must be right.  [0.99]"),
]  # fmt: skip
_THRESHOLD = [
    click.option("--threshold", type=_Threshold(), help="Confidence to reach, or auto: what `scones"
                 " threshold` proposes (SCONES_THRESHOLD).  [0.93]"),
    *_PRECISION,
]  # fmt: skip
_NOVELTY = [
    click.option("--novelty-limit", type=float, metavar="NUMBER",
                 help="Novelty above which a picture is out of distribution, inf for none"
                 " (SCONES_NOVELTY_LIMIT).  [1]"),
]  # fmt: skip
_REPORT = [
    click.option("--report", "report_dir", type=click.Path(path_type=Path, file_okay=False),
                 help="Folder of the report (SCONES_REPORT_DIR).  [report]"),
]  # fmt: skip
_SEED = [click.option("--seed", type=int, help="Chooses the sample.  [0]")]


def _options(*groups: list[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a verb its options and, as first argument, its workplace.

    What the verb has parameters for is its own; the rest is the workplace's settings.
    """

    def decorate(verb: Callable[..., None]) -> Callable[..., None]:
        _, *own_names = inspect.signature(verb).parameters

        @functools.wraps(verb)
        def wrapped(**options: Any) -> None:
            own = {name: options.pop(name) for name in own_names}
            pairs = _pairs(options.pop("hyperparameters", ()))
            if epochs := options.pop("epochs", None):
                pairs["epochs"] = str(epochs)
            workplace = _Workplace(options | {"hyperparameters": pairs or None})
            with workplace.explained():
                verb(workplace, **own)

        for option in reversed([option for group in (*groups, _COMMON) for option in group]):
            wrapped = option(wrapped)
        return wrapped

    return decorate


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    if wrong := [value for value in values if "=" not in value]:
        raise click.UsageError(f"--hyperparameter takes NAME=VALUE, not {wrong[0]!r}")
    return dict(value.split("=", 1) for value in values)


def _percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100 * share:.1f} %"


class _InOrder(click.Group):
    """Lists its verbs in the order of the story."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="scones")
def cli() -> None:
    """Classify images with Amazon SageMaker's APIs, on this machine or on AWS.

    `scones run` does everything; the other verbs do one step each.
    """


@cli.command()
@_options(_DATA)
def etl(work: _Workplace) -> None:
    """Archive -> pictures -> .lst -> S3."""
    from scones.workflow.etl import etl

    result = etl(work.aws, work.terminal)
    counts = f"{result.uploaded:,} uploaded, {result.unchanged:,} unchanged, {result.removed:,} removed"
    lines = {
        "bucket": f"s3://{result.bucket}",
        "train": f"{result.train:,} pictures",
        "test": f"{result.test:,} pictures",
        "labels": ", ".join(f"{label} {name}" for label, name in enumerate(result.classes)),
        "objects": counts,
    }
    work.show(result, lines, "scones train")


@cli.command()
@_options(_TRAINING)
@click.option("--again", is_flag=True, help="Train even if a job has trained on exactly this.")
def train(work: _Workplace, again: bool) -> None:
    """Train the built-in image-classification algorithm; Ctrl-C stops the job."""
    from scones.workflow.train import train

    result = train(work.aws, work.terminal, again=again)
    lines = {
        "job": result.job + (" (found, not trained again)" if result.reused else ""),
        "model": result.model_data,
        "validation accuracy": _percent(result.accuracy),
        "epochs": result.epochs,
        "seconds": f"{result.seconds:.1f}" if result.seconds is not None else "unknown",
    }
    work.show(result, lines, "scones deploy")


@cli.command()
@_options(_ENDPOINT, _CAPTURE)
def deploy(work: _Workplace) -> None:
    """Serve the trained model from an endpoint with data capture."""
    from scones.workflow.deploy import deploy

    result = deploy(work.aws, work.terminal)
    lines = {
        "endpoint": f"{result.endpoint} (InService)",
        "model": result.model,
        "captures": f"{result.capture_percent} % to {result.capture}",
    }
    work.show(result, lines, "scones orchestrate")


@cli.command()
@_options(_ENDPOINT, _PRECISION)
@click.option("--on", multiple=True, metavar="held-out|test|FOLDER", help="Labelled pictures to judge by:"
              " those held out from training, the test split, or a folder with a sub-folder per class."
              " Repeatable.  [held-out]")  # fmt: skip
def threshold(work: _Workplace, on: tuple[str, ...]) -> None:
    """Propose the confidence from which on predictions are right at a wanted rate, and prove it.

    The exit code is 1 if the labelled pictures cannot prove it.
    """
    from scones.workflow.threshold import hint, threshold, why_not

    result = threshold(work.aws, work.terminal, on=on)
    lines: dict[str, Any] = {"model": result.model, "judged by": ", ".join(result.sources)}
    if result.threshold is None:
        work.show(result, lines | {"threshold": f"none: {why_not(result)}", "what helps": hint(result)})
        raise SystemExit(1)
    claim = f"at least {_percent(result.precision)} right, at {100 * result.confidence:g} % confidence"
    passing = (
        f"{_percent(result.share)} ({result.accepted} of {result.labelled}, {result.wrong} of these wrong)"
    )
    lines |= {"threshold": f"{result.threshold:g}: {claim}", "passing": passing}
    work.show(result, lines, "scones orchestrate --threshold auto")


@cli.command()
@_options(_ENDPOINT, _THRESHOLD, _NOVELTY)
def orchestrate(work: _Workplace) -> None:
    """Publish the three functions and the state machine."""
    from scones.workflow.orchestrate import orchestrate
    from scones.workflow.threshold import settle

    result = orchestrate(settle(work.aws, work.terminal), work.terminal)
    lines = {
        "state machine": result.state_machine,
        "functions": ", ".join(result.functions),
        "failures go to": result.topic,
        "threshold": result.threshold,
        "novelty limit": result.novelty_limit or "none",
        "changed": ", ".join(result.changed) or "nothing",
    }
    work.show(result, lines, "scones execute --sample 10")


@cli.command()
@_options(_DATA, _PROCESSING, _TRAINING, _ENDPOINT, _CAPTURE)
@click.option("--gate", type=click.FloatRange(0, 1), default=0.8, show_default=True,
              help="Validation accuracy that a model must reach to be served.")  # fmt: skip
@click.option("--archive", is_flag=True, help="Begin with the archive: a processing job makes the pictures.")
def pipeline(work: _Workplace, gate: float, archive: bool) -> None:
    """Train, gate and deploy by one state machine; the exit code is 1 if it failed."""
    from scones.workflow.pipeline import pipeline

    result = pipeline(work.aws, work.terminal, gate=gate, archive=archive)
    lines = {
        "execution": f"{result.execution} ({result.status})",
        "states": " > ".join(result.states),
        "training job": result.job,
    }
    if result.error:
        lines |= {"error": result.error, "cause": result.cause}
    else:
        lines |= {"validation accuracy": _percent(result.accuracy), "endpoint": result.endpoint}
    work.show(result, lines)
    if result.status != "SUCCEEDED":
        raise SystemExit(1)


@cli.command()
@_options(_SEED)
@click.option("--key", multiple=True, help="Key of an image in the bucket. Repeatable.")
@click.option(
    "--sample", "count", type=click.IntRange(min=1), help="So many images of the test split, at random."
)
@click.option("--all", "everything", is_flag=True, help="The whole test split.")
@click.option("--fan-out", is_flag=True, help="One execution for all of them, by the machine's Map.")
@click.option("--run-id", help="Continue the executions of an earlier command.")
def execute(
    work: _Workplace,
    key: tuple[str, ...],
    count: int | None,
    everything: bool,
    fan_out: bool,
    run_id: str | None,
) -> None:
    """Send images through the state machine.

    The exit code is 1 if any execution broke; refusing an image (low confidence, out of distribution) is no
    breakage.
    """
    from scones.workflow.execute import choose, execute
    from scones.workflow.run import new_run_id
    from scones.workflow.terminal import live_executions

    if bool(key) + bool(count) + everything != 1:
        raise click.UsageError("say which images: --key KEY, --sample N or --all")
    keys = choose(work.aws, keys=key, sample=count, seed=work.settings.seed)
    run_id = run_id or new_run_id(datetime.now(UTC))
    work.terminal.say(f"run {run_id}; `--run-id {run_id}` continues it")
    if work.terminal.console.is_terminal and not work.json:
        from scones.workflow.progress import Silent

        with live_executions(work.terminal.console) as show:
            result = execute(work.aws, keys, run_id, Silent(), fan_out=fan_out, show=show)
    else:
        result = execute(work.aws, keys, run_id, work.terminal, fan_out=fan_out)
    _show_executions(work, result)
    if result.broken:
        raise SystemExit(1)


def _show_executions(work: _Workplace, result: "Execute") -> None:
    from scones.workflow.terminal import ROWS, outcome

    seen = work.terminal.console.is_terminal and sys.stdout.isatty() and len(result.executions) <= ROWS
    if not work.json and not seen:
        for execution in result.executions:
            what = execution.keys[0] if len(execution.keys) == 1 else f"{len(execution.keys)} images"
            click.echo(f"{what}\t{execution.verdict}\t{' > '.join(execution.states)}\t{outcome(execution)}")
    counts = (
        f"{result.passed} passed, {result.low_confidence} of low confidence,"
        f" {result.out_of_distribution} out of distribution, {result.broken} broken"
    )
    work.show(result, {"executions": counts}, "scones evaluate")


@cli.command("fan-out")
@_options()
@click.option("--prefix", default="test/", show_default=True, help="Of the images' keys in the bucket.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 10_000),
    default=8,
    show_default=True,
    help="Images under way at a time.",
)
@click.option("--run-id", help="Follow the execution of an earlier command.")  # fmt: skip
def fan_out(work: _Workplace, prefix: str, concurrency: int, run_id: str | None) -> None:
    """Send every image under a prefix through the workflow, by one distributed Map.

    The exit code is 1 if the map run or any image broke; refusing an image (low confidence, out of
    distribution) is no breakage.
    """
    from scones.workflow.fan_out import fan_out
    from scones.workflow.run import new_run_id

    name = run_id or new_run_id(datetime.now(UTC))
    result = fan_out(work.aws, work.terminal, prefix=prefix, concurrency=concurrency, name=name)
    broken = sum(result.broken.values())
    lines = {
        "execution": f"{result.execution} ({result.status})",
        "map run": result.map_run,
        "images": f"{result.passed:,} passed, {result.low_confidence:,} of low confidence,"
        f" {result.out_of_distribution:,} out of distribution, {broken:,} broken",
        "results": result.manifest,
    }
    lines |= {f"  {error}": f"{count:,} images" for error, count in result.broken.items()}
    if result.error:
        lines |= {"error": result.error, "cause": result.cause}
    work.show(result, lines)
    if result.status != "SUCCEEDED" or broken:
        raise SystemExit(1)


@cli.command()
@_options(_ENDPOINT, _THRESHOLD, _NOVELTY)
def evaluate(work: _Workplace) -> None:
    """Score the endpoint on the whole test split."""
    from scones.workflow.evaluate import evaluate
    from scones.workflow.threshold import settle

    result = evaluate(settle(work.aws, work.terminal), work.terminal)
    found = result.reliability
    lines = {
        "images": result.count,
        "accuracy": _percent(result.accuracy),
        "mean confidence": _percent(result.mean_confidence),
        "calibration error": f"{found.error:.3f}, 95 % {found.interval[0]:.3f} to {found.interval[1]:.3f};"
        f" faultless probabilities would show {found.faultless[0]:.3f}",
        f"reach {result.threshold:g}": _percent(result.coverage),
        "accuracy among these": _percent(result.accuracy_at_threshold),
    }
    if result.novel is not None:
        lines["out of distribution"] = (
            f"{result.novel}, {result.novel_and_sure} of them at or above the threshold"
        )
    for true, row in zip(result.classes, result.confusion, strict=True):
        counts = zip(result.classes, row, strict=True)
        lines[f"true {true}"] = ", ".join(f"{count} called {name}" for name, count in counts)
    for mistake in result.mistakes[:5]:
        lines[mistake["key"]] = (
            f"{mistake['true']} called {mistake['predicted']} ({_percent(mistake['confidence'])})"
        )
    work.show(result, lines, "scones monitor")


cli_transform.register(cli, _options, _THRESHOLD)


@cli.command()
@_options(_ENDPOINT, _THRESHOLD, _NOVELTY, _REPORT)
@click.option("--since", metavar="TIME", help="2026-01-31T12:00 (UTC), or how long ago: 15m, 2h, 1d.  [ever]")
@click.option("--wait", type=click.FloatRange(min=0), default=0, metavar="SECONDS",
              help="Wait at most so long for what was captured until now.")  # fmt: skip
def monitor(work: _Workplace, since: str | None, wait: float) -> None:
    """Read the endpoint's captures back: a table and two figures."""
    from scones.workflow.monitor import await_delivery, moment, monitor
    from scones.workflow.report import write_figures
    from scones.workflow.threshold import settle

    now = datetime.now(UTC)
    start = moment(since, now) if since else None
    if wait and not await_delivery(work.aws, now, work.terminal, longest_s=wait):
        work.terminal.say("nothing more was delivered")
    result = monitor(settle(work.aws, work.terminal), work.terminal, since=start)
    paths = write_figures(result, work.settings.report_dir)
    if not work.json:
        for record in result.records:
            scores = "  ".join(f"{score:.4f}" for score in record.scores)
            click.echo(
                f"{record.time:%Y-%m-%dT%H:%M:%SZ}\t{result.classes[record.label]}\t{scores}\t{record.event_id}"
            )
    lines = {
        "captured": f"{result.captured} inferences in {result.files} files",
        f"reach {result.threshold:g}": f"{result.at_or_above} of {result.captured}",
        "mean confidence": _percent(result.mean_confidence),
        "figures": ", ".join(str(path) for path in paths),
    }
    if result.novel is not None:
        lines["out of distribution"] = str(result.novel)
    if result.unusable:
        lines["unusable lines"] = str(result.unusable)
    work.show(result, lines)


@cli.command()
@_options(_DATA, _TRAINING, _ENDPOINT, _CAPTURE, _THRESHOLD, _NOVELTY, _SEED, _REPORT)
@click.option("--sample", type=click.IntRange(min=1), help="Images sent through the state machine.  [40]")
@click.option("--capture-wait", "capture_wait_s", type=click.FloatRange(min=0), metavar="SECONDS",
              help="Longest wait for captures (SCONES_CAPTURE_WAIT).  [75, on AWS 180]")  # fmt: skip
def run(work: _Workplace) -> None:
    """Everything in order, ending with a report. Starts the local cloud if none answers; repeat to resume."""
    from scones.workflow.run import run

    url = work.settings.endpoint_url
    with ensure_cloud(url, work.terminal.say) if url else contextlib.nullcontext(), work.explained():
        result = run(work.aws, work.terminal)
    seconds = ", ".join(f"{step} {value:.1f}" for step, value in result.seconds.items())
    executions = ", ".join(f"{count} {verdict}" for verdict, count in result.executions.items())
    lines = {
        "images": f"{result.images['train']:,} train, {result.images['test']:,} test"
        + (" (DRAWN by the project: no photographs)" if result.drawn else ""),
        "seconds": f"{sum(result.seconds.values()):.1f} ({seconds})",
        "validation accuracy": _percent(result.validation_accuracy),
        "test accuracy": _percent(result.test_accuracy),
        f"reach {result.threshold:g}": f"{_percent(result.coverage)},"
        f" {_percent(result.accuracy_at_threshold)} of them right",
        "endpoint": result.endpoint,
        "executions": executions,
        "captured": f"{result.captured} inferences",
        "report": result.report,
    }
    work.show(result, lines)


@cli.command()
@_options(_ENDPOINT)
@click.option("--keep-data", is_flag=True, help="Leave everything in S3.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def destroy(work: _Workplace, keep_data: bool, yes: bool) -> None:
    """Remove what the workflow made, and say what."""
    from scones.workflow.destroy import destroy

    settings = work.settings
    if not settings.on_this_machine and not yes:
        where = settings.endpoint_url or f"AWS account {work.aws.account}, {work.aws.region}"
        click.confirm(f"Remove what the workflow made in {where}?", abort=True, err=True)
    result = destroy(work.aws, work.terminal, keep_data=keep_data)
    lines = {"removed": "\n         ".join(result.removed) or "nothing was there"}
    work.show(result, lines | {"kept": "; ".join(result.kept)})


cli_look.register(cli, _options)
for _command in cloud_commands:
    cli.add_command(_command)


def main() -> None:
    """Exit codes: 0 done, 1 failed, 2 asked wrongly, 130 interrupted; a second Ctrl-C ends at once."""
    _arm()
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        code = _INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = 2
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx else "scones"
        _complain(error.format_message(), f"{path} --help")
        code = 2
    except click.ClickException as error:
        _complain(error.format_message(), "")
        code = error.exit_code
    except WorkflowError as error:
        _complain(error.message, error.hint)
        code = 1
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if {"-v", "--verbose"} & set(sys.argv):
            raise
        _complain(f"{type(error).__name__}: {error}", "" if isinstance(error, OSError) else "-v shows where")
        code = 1
    raise SystemExit(code)


def _complain(message: str, hint: str) -> None:
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)


def _arm() -> None:
    """The first Ctrl-C interrupts, the second ends the process."""

    def interrupt(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGINT, lambda *_: os._exit(_INTERRUPTED))
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
