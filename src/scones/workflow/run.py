"""Every step in order, as often as it takes: a run that was cut short is continued, not repeated.

What fixes a run is written to S3 before the first execution starts, and closed when the report is written;
with the same run id the executions have the same names, so none is started twice and none is forgotten.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from scones.workflow import store
from scones.workflow.aws import Aws
from scones.workflow.deploy import deploy
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import Etl, etl
from scones.workflow.evaluate import Evaluate, evaluate
from scones.workflow.execute import choose, execute
from scones.workflow.monitor import Monitor, await_delivery, monitor
from scones.workflow.orchestrate import orchestrate
from scones.workflow.progress import Progress
from scones.workflow.report import Results, write
from scones.workflow.threshold import Threshold, current, settle
from scones.workflow.train import train

__all__ = ["Run", "new_run_id", "run"]

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Run:
    """The summary."""

    run_id: str
    images: dict[str, int]
    seconds: dict[str, float]
    validation_accuracy: float | None
    test_accuracy: float
    coverage: float
    accuracy_at_threshold: float | None
    threshold: float
    endpoint: str
    job: str
    executions: dict[str, int]
    captured: int
    report: str
    drawn: bool


def new_run_id(now: datetime) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


class _Steps:
    """Runs the steps and remembers how long each took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.seconds: dict[str, float] = {}

    def do(self, name: str, step: Callable[[], Result]) -> Result:
        self._progress.say(f"[{name}]")
        started = time.monotonic()
        result = step()
        self.seconds[name] = round(time.monotonic() - started, 2)
        return result


def run(aws: Aws, progress: Progress) -> Run:
    """All of it. Raises WorkflowError; calling it again goes on where it stopped."""
    settings, steps = aws.settings, _Steps(progress)
    data = steps.do("etl", lambda: etl(aws, progress))
    current = _current(aws, data, progress)
    run_id, started = current["run_id"], datetime.fromisoformat(current["started"])
    trained = steps.do("train", lambda: train(aws, progress))
    deployed = steps.do("deploy", lambda: deploy(aws, progress))
    if settings.threshold_proposed:
        aws = steps.do("threshold", lambda: settle(aws, progress))
    steps.do("orchestrate", lambda: orchestrate(aws, progress))
    executed = steps.do("execute", lambda: execute(aws, current["keys"], run_id, progress))
    evaluated = steps.do("evaluate", lambda: evaluate(aws, progress))
    monitored = steps.do("monitor", lambda: _monitor(aws, started, evaluated, progress))
    results = Results(
        run_id=run_id,
        etl=data,
        train=trained,
        deploy=deployed,
        execute=executed,
        evaluate=evaluated,
        monitor=monitored,
        seconds=steps.seconds,
        pictures=_pictures(aws, evaluated),
        proposal=_proposal(aws, progress),
    )
    page = write(results, settings.report_dir)
    summary = Run(
        run_id=run_id,
        images={"train": data.train, "test": data.test},
        seconds=steps.seconds,
        validation_accuracy=trained.accuracy,
        test_accuracy=evaluated.accuracy,
        coverage=evaluated.coverage,
        accuracy_at_threshold=evaluated.accuracy_at_threshold,
        threshold=evaluated.threshold,
        endpoint=deployed.endpoint,
        job=trained.job,
        executions={
            "passed": executed.passed,
            "low confidence": executed.low_confidence,
            "out of distribution": executed.out_of_distribution,
            "broken": executed.broken,
        },
        captured=monitored.captured,
        report=str(page),
        drawn=data.drawn,
    )
    finished = {"status": "finished", "finished": datetime.now(UTC).isoformat()}
    store.put(aws, store.CURRENT_RUN, current | finished)
    return summary


def _current(aws: Aws, data: Etl, progress: Progress) -> dict[str, Any]:
    """The open run, if what fixes it has not changed; else a new one, written down."""
    settings = aws.settings
    fixed = {
        "digest": data.digest,
        "sample": settings.sample,
        "seed": settings.seed,
        "threshold": ["auto", settings.precision] if settings.threshold_proposed else settings.threshold,
        "novelty_limit": str(settings.novelty_limit),
        "endpoint": settings.endpoint_name,
        "hyperparameters": dict(settings.hyperparameters),
    }
    found = store.get(aws, store.CURRENT_RUN)
    if found and found.get("status") == "open" and found.get("fixed") == fixed:
        progress.say(f"continuing run {found['run_id']}, which was cut short")
        return found
    now = datetime.now(UTC)
    document = {
        "run_id": new_run_id(now),
        "status": "open",
        "started": now.isoformat(),
        "fixed": fixed,
        "keys": list(choose(aws, sample=settings.sample, seed=settings.seed)),
    }
    store.put(aws, store.CURRENT_RUN, document)
    progress.say(f"run {document['run_id']}")
    return document


def _monitor(aws: Aws, started: datetime, evaluated: Evaluate, progress: Progress) -> Monitor:
    settings = aws.settings
    longest_s = settings.longest_capture_wait_s
    if settings.capture_percent and longest_s > 0:
        delivered = await_delivery(aws, evaluated.finished, progress, longest_s=longest_s)
        if not delivered:
            progress.warn(
                f"some captures may still be on their way after {longest_s:g} s; "
                "`scones monitor` shows them later"
            )
    return monitor(aws, progress, since=started)


def _proposal(aws: Aws, progress: Progress) -> Threshold | None:
    """What a threshold could promise; None for a model that says nothing of held-out pictures."""
    try:
        return current(aws, progress)
    except WorkflowError as error:
        progress.detail(error.message)
        return None


def _pictures(aws: Aws, evaluated: Evaluate) -> dict[str, bytes]:
    keys = [mistake["key"] for mistake in evaluated.mistakes]
    s3 = aws.client("s3")
    return {key: s3.get_object(Bucket=aws.bucket, Key=key)["Body"].read() for key in keys}
