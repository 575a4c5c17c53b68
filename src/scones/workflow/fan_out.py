"""Every image under a prefix through the workflow: one distributed Map, one execution an image."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing
from scones.workflow.errors import WorkflowError
from scones.workflow.execute import LOW_CONFIDENCE, OUT_OF_DISTRIBUTION
from scones.workflow.orchestrate import FAN_OUT
from scones.workflow.progress import Progress

__all__ = ["FanOut", "fan_out", "results"]

_RESULTS = "runs/fan-out"


@dataclass(frozen=True, slots=True)
class FanOut:
    """What came of all images."""

    execution: str
    status: str
    map_run: str
    images: int
    passed: int
    low_confidence: int
    broken: dict[str, int]
    """Error name -> images, of everything else that failed."""
    manifest: str
    """The S3 URI of the results' manifest; empty where none was written."""
    error: str
    cause: str
    out_of_distribution: int = 0


def fan_out(aws: Aws, progress: Progress, *, prefix: str, concurrency: int, name: str) -> FanOut:
    """Classify what lies under the prefix and follow the map run to its end.

    name: of the execution; one that was started under it before is followed, not started again.
    """
    machine = aws.arn("states", f"stateMachine:{FAN_OUT}")
    order = {
        "s3_bucket": aws.bucket,
        "s3_prefix": prefix,
        "results_prefix": _RESULTS,
        "max_concurrency": concurrency,
    }
    execution = _start(aws, machine, name, order)
    progress.say(f"execution {execution}; `--run-id {name}` follows it")
    reply, run = _follow(aws, execution, progress)
    output = json.loads(reply.get("output", "{}")).get("ResultWriterDetails", {})
    errors: Counter[str] = Counter()
    if output:
        errors.update(str(entry.get("Error", "")) for entry in results(aws, output["Key"], "FAILED"))
    counts = run.get("itemCounts", {})
    return FanOut(
        execution=execution,
        status=reply["status"],
        map_run=run.get("mapRunArn", ""),
        images=counts.get("total", 0),
        passed=counts.get("succeeded", 0),
        low_confidence=errors.pop(LOW_CONFIDENCE, 0),
        out_of_distribution=errors.pop(OUT_OF_DISTRIBUTION, 0),
        broken=dict(sorted(errors.items())),
        manifest=f"s3://{output['Bucket']}/{output['Key']}" if output else "",
        error=reply.get("error", ""),
        cause=reply.get("cause", ""),
    )


def _start(aws: Aws, machine: str, name: str, order: dict[str, Any]) -> str:
    client = aws.client("stepfunctions")
    try:
        reply = client.start_execution(stateMachineArn=machine, name=name, input=json.dumps(order))
    except client.exceptions.ExecutionAlreadyExists:
        return f"{machine.replace(':stateMachine:', ':execution:', 1)}:{name}"
    except ClientError as error:
        if missing(error):
            raise WorkflowError(
                f"there is no state machine {machine}", "run `scones orchestrate` first"
            ) from error
        raise
    return str(reply["executionArn"])


def _follow(aws: Aws, execution: str, progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the execution, its map run), both described once the execution is over."""
    client = aws.client("stepfunctions")
    told = 0
    with progress.bar("images", None) as advance:
        while True:
            reply = client.describe_execution(executionArn=execution)
            run = _map_run(aws, execution)
            counts = run.get("itemCounts", {})
            ended = sum(counts.get(kind, 0) for kind in ("succeeded", "failed", "timedOut", "aborted"))
            advance(ended - told, note=f"{ended:,} of {counts.get('total', 0):,}")
            told = ended
            if reply["status"] not in ("RUNNING", "PENDING_REDRIVE"):
                return reply, run
            time.sleep(min(aws.settings.poll_s, 1.0))


def _map_run(aws: Aws, execution: str) -> dict[str, Any]:
    client = aws.client("stepfunctions")
    runs = client.list_map_runs(executionArn=execution, maxResults=1)["mapRuns"]
    if not runs:
        return {}
    described: dict[str, Any] = client.describe_map_run(mapRunArn=runs[0]["mapRunArn"])
    return described


def results(aws: Aws, manifest: str, kind: str) -> Iterator[dict[str, Any]]:
    """The entries of a map run's results, SUCCEEDED or FAILED, a file at a time."""

    def load(key: str) -> Any:
        return json.loads(aws.client("s3").get_object(Bucket=aws.bucket, Key=key)["Body"].read())

    for file in load(manifest)["ResultFiles"].get(kind, []):
        yield from load(file["Key"])
