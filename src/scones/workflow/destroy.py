"""Remove what the workflow made, found by the names it gives, and say what went."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, code, missing
from scones.workflow.deploy import CAPTURE_PREFIX
from scones.workflow.orchestrate import FAN_OUT, FUNCTIONS, STATE_MACHINE, TOPIC
from scones.workflow.pipeline import PIPELINE
from scones.workflow.prepare import PREPARATION_PREFIX
from scones.workflow.progress import Progress
from scones.workflow.roles import ROLES
from scones.workflow.train import JOB_PREFIX
from scones.workflow.transform import OUTPUT_PREFIX, TRANSFORM_JOBS

__all__ = ["Destroy", "destroy"]

_GONE_S = 60.0


@dataclass(frozen=True, slots=True)
class Destroy:
    """What was there and no longer is; and what stays."""

    removed: list[str]
    kept: list[str]


def destroy(aws: Aws, progress: Progress, *, keep_data: bool = False) -> Destroy:
    """Endpoint first, because it costs; the bucket last, because it knows the names."""
    removed: list[str] = []

    def remove(what: str, action: Callable[[], object]) -> None:
        if _gone(action):
            return
        removed.append(what)
        progress.say(f"removed {what}")

    _machine(aws, remove, PIPELINE)  # first, for it makes endpoints
    _sagemaker(aws, remove)
    _functions(aws, remove)
    for name in ROLES:
        remove(f"role {name}", lambda name=name: _role(aws, name))  # type: ignore[misc]
    kept = ["the records of jobs and the logs, which AWS keeps"]
    if keep_data:
        kept.append(f"s3://{aws.bucket}")
    else:
        kept += _data(aws, removed, progress)
    return Destroy(removed, kept)


def _gone(action: Callable[[], object]) -> bool:
    try:
        action()
    except ClientError as error:
        if missing(error):
            return True
        raise
    return False


Remove = Callable[[str, Callable[[], object]], None]


def _sagemaker(aws: Aws, remove: Remove) -> None:
    client, endpoint = aws.client("sagemaker"), aws.settings.endpoint_name
    for job in _names(
        client, "list_training_jobs", "TrainingJobSummaries", "TrainingJobName", JOB_PREFIX, "InProgress"
    ):
        remove(f"running training job {job}", lambda job=job: client.stop_training_job(TrainingJobName=job))  # type: ignore[misc]
    for job in _names(
        client,
        "list_transform_jobs",
        "TransformJobSummaries",
        "TransformJobName",
        TRANSFORM_JOBS,
        "InProgress",
    ):
        remove(f"running transform job {job}", lambda job=job: _stop_transform(client, job, aws))  # type: ignore[misc]
    remove(f"endpoint {endpoint}", lambda: client.delete_endpoint(EndpointName=endpoint))
    _until_missing(lambda: client.describe_endpoint(EndpointName=endpoint), aws)
    for name in _names(
        client, "list_endpoint_configs", "EndpointConfigs", "EndpointConfigName", endpoint[:50]
    ):
        remove(
            f"endpoint configuration {name}",
            lambda name=name: client.delete_endpoint_config(EndpointConfigName=name),  # type: ignore[misc]
        )
    for name in _names(client, "list_models", "Models", "ModelName", JOB_PREFIX):
        remove(f"model {name}", lambda name=name: client.delete_model(ModelName=name))  # type: ignore[misc]


def _stop_transform(client: Any, job: str, aws: Aws) -> None:
    """Wait, too, so that its last results are there to be deleted."""
    client.stop_transform_job(TransformJobName=job)
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline:
        status = client.describe_transform_job(TransformJobName=job)["TransformJobStatus"]
        if status not in ("InProgress", "Stopping"):
            return
        time.sleep(aws.settings.poll_s)


def _names(client: Any, operation: str, group: str, member: str, prefix: str, status: str = "") -> list[str]:
    wanted = {"NameContains": prefix} | ({"StatusEquals": status} if status else {})
    pages = client.get_paginator(operation).paginate(**wanted)
    names = [entry[member] for page in pages for entry in page[group]]
    return [name for name in names if name.startswith(prefix)]


def _machine(aws: Aws, remove: Remove, name: str) -> None:
    states, machine = aws.client("stepfunctions"), aws.arn("states", f"stateMachine:{name}")

    def machine_gone() -> None:
        states.describe_state_machine(stateMachineArn=machine)  # deleting succeeds without one
        if name in (PIPELINE, FAN_OUT):
            pages = states.get_paginator("list_executions")
            for page in pages.paginate(stateMachineArn=machine, statusFilter="RUNNING"):
                for execution in page["executions"]:
                    states.stop_execution(executionArn=execution["executionArn"])
        states.delete_state_machine(stateMachineArn=machine)

    remove(f"state machine {name}", machine_gone)
    _until_missing(lambda: states.describe_state_machine(stateMachineArn=machine), aws)


def _functions(aws: Aws, remove: Remove) -> None:
    functions, sns = aws.client("lambda"), aws.client("sns")
    _machine(aws, remove, FAN_OUT)
    _machine(aws, remove, STATE_MACHINE)
    for name in FUNCTIONS:
        remove(f"function {name}", lambda name=name: functions.delete_function(FunctionName=name))  # type: ignore[misc]
    topic = aws.arn("sns", TOPIC)
    if any(entry["TopicArn"] == topic for page in _topics(sns) for entry in page["Topics"]):
        remove(f"topic {TOPIC}", lambda: sns.delete_topic(TopicArn=topic))


def _topics(sns: Any) -> Iterable[dict[str, Any]]:
    pages: Iterable[dict[str, Any]] = sns.get_paginator("list_topics").paginate()
    return pages


def _role(aws: Aws, name: str) -> None:
    iam = aws.client("iam")
    for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
        iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _until_missing(describe: Callable[[], object], aws: Aws) -> None:
    deadline = time.monotonic() + _GONE_S
    while time.monotonic() < deadline and not _gone(describe):
        time.sleep(aws.settings.poll_s)


def _data(aws: Aws, removed: list[str], progress: Progress) -> list[str]:
    """Delete the workflow's objects, then the bucket if nothing else lies in it. Returns what stays."""
    s3, bucket = aws.client("s3"), aws.bucket
    manifest = store.get(aws, store.MANIFEST) or {}
    keys = set(manifest.get("objects", {}))
    try:
        for prefix in (
            "models/image_model/",
            f"{CAPTURE_PREFIX}/{aws.settings.endpoint_name}/",
            "runs/",
            OUTPUT_PREFIX,
            PREPARATION_PREFIX,
        ):
            pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
            keys.update(entry["Key"] for page in pages for entry in page.get("Contents", []))
    except ClientError as error:
        if missing(error):
            return []
        raise
    ordered = [*sorted(keys), *([store.MANIFEST] if manifest else [])]  # it goes last: it knows the others
    with progress.bar("deleting objects", len(ordered)) as advance:
        for start in range(0, len(ordered), 1000):
            batch = [{"Key": key} for key in ordered[start : start + 1000]]
            s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            advance(len(batch))
    if ordered:
        removed.append(f"{len(ordered):,} objects in s3://{bucket}")
        progress.say(f"removed {len(ordered):,} objects in s3://{bucket}")
    if aws.settings.bucket:
        return [f"bucket {bucket}, which was named by hand"]
    try:
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if code(error) == "BucketNotEmpty":
            return [f"s3://{bucket}, which holds other objects"]
        raise
    removed.append(f"bucket {bucket}")
    progress.say(f"removed bucket {bucket}")
    return []
