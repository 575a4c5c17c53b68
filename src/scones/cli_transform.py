"""The verb that classifies a whole prefix of pictures: `scones transform`."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["register"]

_MOST_INSTANCES = 100  # SageMaker's own limit; the local cloud says what its is

Options = Callable[..., Callable[[Callable[..., None]], Callable[..., None]]]


def register(cli: click.Group, options: Options, threshold: list[Any]) -> None:
    """options: gives a verb the options that all verbs share, and its workplace."""
    own = [
        click.argument("prefix", default="test/"),
        click.option("--instances", type=click.IntRange(1, _MOST_INSTANCES), metavar="N",
                     help="Instances of the job.  [on this machine a core each, at most 4; on AWS 1]"),
        click.option("--instance-type", default="ml.m5.xlarge", show_default=True, metavar="TYPE",
                     help="Instance type of the job."),
        click.option("-o", "--out", "table", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
                     help="Write a JSON line for each picture here."),
    ]  # fmt: skip
    cli.command("transform")(options(own, threshold)(_transform))


def _transform(work: Any, prefix: str, instances: int | None, instance_type: str, table: Path | None) -> None:
    """Classify the pictures in folder PREFIX of the bucket by a batch transform job; Ctrl-C stops it.

    Without PREFIX it is the test split.
    """
    from scones.workflow.transform import transform

    if instances is None:
        instances = min(os.cpu_count() or 1, 4) if work.settings.on_this_machine else 1
    result = transform(
        work.aws,
        work.terminal,
        prefix=prefix,
        instances=instances,
        instance_type=instance_type,
        table=table,
    )
    lines = {
        "job": result.job,
        "pictures": f"{result.count:,} of {result.source}",
        "results": result.output + (f", {table}" if table else ""),
        **{f"called {name}": f"{count:,}" for name, count in result.predicted.items()},
        "mean confidence": _percent(result.mean_confidence),
        f"reach {result.threshold:g}": _percent(result.coverage),
    }
    if result.accuracy is not None:
        lines["accuracy"] = f"{_percent(result.accuracy)} of {result.labelled:,} with a known label"
    lines["seconds"] = f"{result.seconds:.1f} (job {result.job_seconds:.1f})"
    work.show(result, lines)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
