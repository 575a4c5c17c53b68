"""ETL, training, gate and deployment as one state machine: published, started, followed to its end."""

import json
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scones.workflow import store
from scones.workflow.aws import Aws
from scones.workflow.deploy import config_request
from scones.workflow.errors import WorkflowError
from scones.workflow.etl import remove_stale
from scones.workflow.execute import entered, history_of
from scones.workflow.objects import counts
from scones.workflow.orchestrate import TOPIC, put_machine
from scones.workflow.prepare import prepare
from scones.workflow.progress import Progress
from scones.workflow.roles import ensure_role
from scones.workflow.train import JOB_PREFIX, job_request

__all__ = ["GATE", "PIPELINE", "Pipeline", "pipeline"]

PIPELINE = "scones-pipeline"
GATE = 0.8
_SHIPPED = Path(__file__).parents[1] / "shipped" / "pipeline.asl.json"


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What became of one execution of the pipeline."""

    execution: str
    status: str
    states: tuple[str, ...]
    """Entered, in order."""
    job: str
    gate: float
    accuracy: float | None
    """Validation accuracy of a model that passed the gate."""
    endpoint: str
    error: str
    cause: str


def pipeline(aws: Aws, progress: Progress, *, gate: float = GATE, archive: bool = False) -> Pipeline:
    """Train anew on what `etl` put there, and serve the model if it reaches the gate.

    archive: begin with the archive instead, of which a processing job makes pictures and lists.
    """
    if not 0 <= gate <= 1:
        raise WorkflowError(f"the gate must lie between 0 and 1, not {gate}")
    before = store.get(aws, store.MANIFEST) if archive else store.need(aws, store.MANIFEST)
    role = ensure_role(aws, "scones-sagemaker", progress)
    machine = _publish(aws, progress)
    job = f"{JOB_PREFIX}-{uuid.uuid4().hex[:12]}"
    data = {} if archive else counts(before or {})
    order = {
        **({"preparation": prepare(aws, progress, job, role)} if archive else {}),
        "gate": gate,
        "training": {"TrainingJobName": job, **job_request(aws, role, data)},
        "config": config_request(aws, job),
        "endpoint": aws.settings.endpoint_name,
        "poll_s": max(1, round(aws.settings.poll_s)),
    }
    execution: str = aws.client("stepfunctions").start_execution(
        stateMachineArn=machine, name=job, input=json.dumps(order)
    )["executionArn"]
    progress.say(f"execution {execution}")
    reply, states = _follow(aws, execution, progress)
    if archive and (now := store.get(aws, store.MANIFEST)) != before:
        remove_stale(aws, before, set((now or {})["objects"]))
    output = json.loads(reply.get("output", "{}"))
    return Pipeline(
        execution=execution,
        status=reply["status"],
        states=states,
        job=job,
        gate=gate,
        accuracy=output.get("accuracy"),
        endpoint=aws.settings.endpoint_name,
        error=reply.get("error", ""),
        cause=reply.get("cause", ""),
    )


def _publish(aws: Aws, progress: Progress) -> str:
    role = ensure_role(aws, "scones-states", progress)
    topic: str = aws.client("sns").create_topic(Name=TOPIC)["TopicArn"]
    changed: list[str] = []
    text = _SHIPPED.read_text().replace("${TopicArn}", topic)
    machine = put_machine(aws, PIPELINE, text, role, changed)
    if changed:
        progress.say(f"published {PIPELINE}")
    return machine


def _follow(aws: Aws, execution: str, progress: Progress) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Name each state once it is entered, until the execution is over."""
    told: list[str] = []
    with progress.bar("pipeline", None) as advance:
        while True:
            reply = aws.client("stepfunctions").describe_execution(executionArn=execution)
            states = entered(history_of(aws, execution))
            for state in states[len(told) :]:
                progress.say(f"  {state}")
                advance(0, note=state)
            told = states
            if reply["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                return reply, tuple(told)
            time.sleep(aws.settings.poll_s)
