"""Model, endpoint configuration with data capture, endpoint: created, or brought up to date in place."""

import hashlib
import json
import time
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow import store
from scones.workflow.aws import Aws, missing, once_propagated
from scones.workflow.errors import WorkflowError
from scones.workflow.progress import Progress
from scones.workflow.roles import ensure_role

__all__ = ["CAPTURE_PREFIX", "VARIANT", "Deploy", "config_request", "deploy", "ensure_model"]

VARIANT = "AllTraffic"
CAPTURE_PREFIX = "data_capture"
_IN_PROGRESS = {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}
_LONGEST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Deploy:
    """An endpoint that is InService."""

    endpoint: str
    config: str
    model: str
    changed: bool
    capture: str
    """Where captures go."""
    capture_percent: int


def deploy(aws: Aws, progress: Progress) -> Deploy:
    """Serve the model of the last `train`. Raises WorkflowError with the endpoint's FailureReason."""
    trained = store.need(aws, store.TRAINED)
    role = ensure_role(aws, "scones-sagemaker", progress)
    model = ensure_model(aws, trained, role)
    config = _config(aws, model)
    changed = _endpoint(aws, config, progress)
    name = aws.settings.endpoint_name
    result = Deploy(
        endpoint=name,
        config=config,
        model=model,
        changed=changed,
        capture=f"s3://{aws.bucket}/{CAPTURE_PREFIX}/{name}/{VARIANT}",
        capture_percent=aws.settings.capture_percent,
    )
    document = {"endpoint": name, "config": config, "model": model, "job": trained["job"]}
    store.put(aws, store.DEPLOYED, document | {"classes": trained["classes"]})
    return result


def ensure_model(aws: Aws, trained: dict[str, Any], role: str) -> str:
    """The model's name, which is its job's: a job's artefact never changes."""
    sagemaker, name = aws.client("sagemaker"), trained["job"]
    try:
        sagemaker.describe_model(ModelName=name)
        return str(name)
    except ClientError as error:
        if not missing(error):
            raise
    container = {"Image": trained["image"], "ModelDataUrl": trained["model_data"]}
    once_propagated(
        lambda: sagemaker.create_model(ModelName=name, PrimaryContainer=container, ExecutionRoleArn=role),
        poll_s=aws.settings.poll_s,
    )
    return str(name)


def config_request(aws: Aws, model: str) -> dict[str, Any]:
    """CreateEndpointConfig's request; the name holds a digest of the content."""
    settings = aws.settings
    content = {
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": model,
                "InitialInstanceCount": 1,
                "InstanceType": settings.hosting_instance,
                "InitialVariantWeight": 1.0,
            }
        ],
        "DataCaptureConfig": {
            "EnableCapture": settings.capture_percent > 0,
            "InitialSamplingPercentage": settings.capture_percent,
            "DestinationS3Uri": f"s3://{aws.bucket}/{CAPTURE_PREFIX}",
            "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
            "CaptureContentTypeHeader": {"JsonContentTypes": ["application/json"]},
        },
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return {"EndpointConfigName": f"{settings.endpoint_name[:50]}-{digest}", **content}


def _config(aws: Aws, model: str) -> str:
    """The configuration's name."""
    sagemaker, request = aws.client("sagemaker"), config_request(aws, model)
    name: str = request["EndpointConfigName"]
    try:
        sagemaker.describe_endpoint_config(EndpointConfigName=name)
    except ClientError as error:
        if not missing(error):
            raise
        sagemaker.create_endpoint_config(**request)
    return name


def _endpoint(aws: Aws, config: str, progress: Progress) -> bool:
    """Make the endpoint serve `config`. Returns whether anything had to change."""
    sagemaker, name = aws.client("sagemaker"), aws.settings.endpoint_name
    found = _settled(aws, progress)
    if found and found["EndpointStatus"] == "InService" and found["EndpointConfigName"] == config:
        progress.say(f"endpoint {name} already serves this model")
        return False
    if found and found["EndpointStatus"] != "InService":
        progress.say(f"endpoint {name} is {found['EndpointStatus']}: making it anew")
        sagemaker.delete_endpoint(EndpointName=name)
        _settled(aws, progress)
        found = None
    change = sagemaker.update_endpoint if found else sagemaker.create_endpoint
    change(EndpointName=name, EndpointConfigName=config)
    progress.say(f"endpoint {name} is being {'updated' if found else 'created'}")
    found = _settled(aws, progress)
    if found is None:
        raise WorkflowError(f"endpoint {name} was deleted by somebody else", "scones deploy")
    if found["EndpointStatus"] != "InService" or found["EndpointConfigName"] != config:
        reason = found.get("FailureReason", "no reason was given")
        raise WorkflowError(
            f"endpoint {name} is {found['EndpointStatus']}: {reason}",
            f"its log group is /aws/sagemaker/Endpoints/{name}",
        )
    return True


def _settled(aws: Aws, progress: Progress) -> dict[str, Any] | None:
    """The endpoint once nothing about it is in progress; None when there is none."""
    name, deadline = aws.settings.endpoint_name, time.monotonic() + _LONGEST_S
    with progress.bar(f"endpoint {name}", None) as advance:
        while time.monotonic() < deadline:
            try:
                found: dict[str, Any] = aws.client("sagemaker").describe_endpoint(EndpointName=name)
            except ClientError as error:
                if missing(error):
                    return None
                raise
            advance(0, note=found["EndpointStatus"])
            if found["EndpointStatus"] not in _IN_PROGRESS:
                return found
            time.sleep(aws.settings.poll_s)
    raise WorkflowError(f"endpoint {name} is still not settled after an hour", "scones deploy waits on")
