"""Endpoints: the operations. What makes them serve is `hosting`."""

from collections.abc import Callable
from dataclasses import replace

from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.hosting import Hosting
from scones.cloud.services.sagemaker.listing import list_rows
from scones.cloud.services.sagemaker.models import check_instances, container_of, source_of
from scones.cloud.services.sagemaker.records import (
    Deployment,
    Endpoint,
    EndpointStatus,
    VariantSpec,
    millis,
    moment,
)
from scones.cloud.services.sagemaker.tags import checked_tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.wording import invalid, refuse

__all__ = ["Endpoints", "endpoint_description"]

_STARTUP_S = 240  # until /ping answers, where a variant does not say


class Endpoints:
    def __init__(self, tools: Tools, hosting: Hosting) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._ids = tools.ids
        self._names = tools.names
        self._hosting = hosting

    def create_endpoint(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.get("Tags", []))
        refuse(request, ("DeploymentConfig",))
        name = request["EndpointName"]
        arn = self._names.arn("endpoint", name)
        if self._store.endpoint(name):
            raise invalid(f'Cannot create already existing endpoint "{arn}".')
        now = self._now()
        endpoint = Endpoint(
            name=name,
            arn=arn,
            status=EndpointStatus.CREATING,
            pending=self._deployment(request["EndpointConfigName"]),
            created=now,
            modified=now,
        )
        self._store.put_endpoint(endpoint)
        self._store.put_tags(arn, tags)
        self._db.after_commit(lambda: self._hosting.create(name))
        return {"EndpointArn": arn}

    def update_endpoint(self, request: Wire, context: Context) -> Wire:
        refuse(request, ("DeploymentConfig", "RetainDeploymentConfig"))
        endpoint = self._existing(request)
        deployment = self._deployment(request["EndpointConfigName"])
        if request.get("RetainAllVariantProperties") and endpoint.deployment:
            kinds = request.get("ExcludeRetainedVariantProperties", [])
            excluded = {kind["VariantPropertyType"] for kind in kinds}
            deployment = _retaining(deployment, endpoint.deployment, excluded)
        return self._update(endpoint, deployment)

    def update_endpoint_weights_and_capacities(self, request: Wire, context: Context) -> Wire:
        endpoint = self._existing(request)
        current = endpoint.deployment
        if not current:
            raise self._not_in_service(endpoint)
        variants = {spec.name: spec for spec in current.variants}
        for desired in request["DesiredWeightsAndCapacities"]:
            refuse(desired, ("ServerlessUpdateConfig",))
            name = desired["VariantName"]
            if name not in variants:
                raise invalid(f'Could not find variant "{name}" in endpoint "{endpoint.arn}".')
            instances = desired.get("DesiredInstanceCount", variants[name].instances)
            if instances < 1:
                raise invalid(f"DesiredInstanceCount of variant {name} must be at least 1.")
            check_instances(name, instances)
            weight = desired.get("DesiredWeight", variants[name].weight)
            variants[name] = replace(variants[name], instances=instances, weight=weight)
        if not any(spec.weight > 0 for spec in variants.values()):
            raise invalid("At least one variant must have a DesiredWeight greater than 0.")
        deployment = replace(
            current, generation=self._ids.token(12), since=self._now(), variants=tuple(variants.values())
        )
        return self._update(endpoint, deployment)

    def describe_endpoint(self, request: Wire, context: Context) -> Wire:
        return endpoint_description(self._existing(request))

    def delete_endpoint(self, request: Wire, context: Context) -> Wire:
        endpoint = self._existing(request)
        if endpoint.status in (EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.DELETING):
            raise self._in_progress(endpoint)
        self._begin(endpoint.advance(EndpointStatus.DELETING, self._now()), self._hosting.delete)
        return {}

    def list_endpoints(self, request: Wire, context: Context) -> Wire:
        rows, more = list_rows(self._store, "sagemaker_endpoints", request, newest_first=True)
        endpoints = [
            {
                "EndpointName": row["name"],
                "EndpointArn": row["arn"],
                "CreationTime": moment(row["created"]),
                "LastModifiedTime": moment(row["modified"]),
                "EndpointStatus": row["status"],
            }
            for row in rows
        ]
        return {"Endpoints": endpoints} | more

    def _update(self, endpoint: Endpoint, deployment: Deployment) -> Wire:
        if endpoint.status in (EndpointStatus.CREATING, EndpointStatus.UPDATING, EndpointStatus.DELETING):
            raise self._in_progress(endpoint)
        if endpoint.status is not EndpointStatus.IN_SERVICE:
            raise self._not_in_service(endpoint)
        updating = endpoint.advance(
            EndpointStatus.UPDATING, self._now(), pending=deployment, failure_reason=None
        )
        self._begin(updating, self._hosting.update)
        return {"EndpointArn": endpoint.arn}

    def _begin(self, endpoint: Endpoint, work: Callable[[str], None]) -> None:
        self._store.put_endpoint(endpoint)
        self._db.after_commit(lambda: work(endpoint.name))

    def _existing(self, request: Wire) -> Endpoint:
        endpoint = self._store.endpoint(request["EndpointName"])
        if not endpoint:
            arn = self._names.arn("endpoint", request["EndpointName"])
            raise invalid(f'Could not find endpoint "{arn}".')
        return endpoint

    def _in_progress(self, endpoint: Endpoint) -> Exception:
        return invalid(f'Cannot update in-progress endpoint "{endpoint.arn}".')

    def _not_in_service(self, endpoint: Endpoint) -> Exception:
        return invalid(
            f'Cannot update endpoint "{endpoint.arn}" in status {endpoint.status.value};'
            " delete it and create it again."
        )

    def _deployment(self, config_name: str) -> Deployment:
        """All that a configuration says now, models included: later deletions change nothing."""
        config = self._store.resource("sagemaker_endpoint_configs", config_name)
        if not config:
            arn = self._names.arn("endpoint-config", config_name)
            raise invalid(f'Could not find endpoint configuration "{arn}".')
        return Deployment(
            generation=self._ids.token(12),
            config=config.name,
            variants=tuple(self._variant(variant) for variant in config.request["ProductionVariants"]),
            capture=config.request.get("DataCaptureConfig"),
            since=self._now(),
        )

    def _variant(self, variant: Wire) -> VariantSpec:
        model = self._store.resource("sagemaker_models", variant["ModelName"])
        if not model:
            arn = self._names.arn("model", variant["ModelName"])
            raise invalid(f'Could not find model "{arn}".')
        container = container_of(model.request)
        return VariantSpec(
            name=variant["VariantName"],
            model=model.name,
            image=container["Image"],
            environment=container.get("Environment", {}),
            source=source_of(container),
            instances=variant.get("InitialInstanceCount", 1),
            weight=variant.get("InitialVariantWeight", 1.0),
            startup_timeout_s=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _STARTUP_S),
        )

    def _now(self) -> int:
        return millis(self._clock.now())


def _retaining(new: Deployment, old: Deployment, excluded: set[str]) -> Deployment:
    """A deployment that keeps what the running one has in weights, capacities and capture."""
    running = {spec.name: spec for spec in old.variants}
    variants = []
    for spec in new.variants:
        same = running.get(spec.name)
        if same and "DesiredWeight" not in excluded:
            spec = replace(spec, weight=same.weight)
        if same and "DesiredInstanceCount" not in excluded:
            spec = replace(spec, instances=same.instances)
        variants.append(spec)
    capture = new.capture if "DataCaptureConfig" in excluded else old.capture
    return replace(new, variants=tuple(variants), capture=capture)


def endpoint_description(endpoint: Endpoint) -> Wire:
    shown = endpoint.deployment or endpoint.pending
    assert shown is not None
    serving = endpoint.deployment is not None
    description: Wire = {
        "EndpointName": endpoint.name,
        "EndpointArn": endpoint.arn,
        "EndpointConfigName": shown.config,
        "ProductionVariants": [_variant_summary(spec, shown, serving=serving) for spec in shown.variants],
        "EndpointStatus": endpoint.status.value,
        "CreationTime": moment(endpoint.created),
        "LastModifiedTime": moment(endpoint.modified),
    }
    if shown.capture:
        description["DataCaptureConfig"] = _capture_summary(shown.capture)
    if endpoint.failure_reason:
        description["FailureReason"] = endpoint.failure_reason
    if endpoint.status is EndpointStatus.UPDATING and endpoint.pending:
        description["PendingDeploymentSummary"] = {
            "EndpointConfigName": endpoint.pending.config,
            "ProductionVariants": [{"VariantName": spec.name} for spec in endpoint.pending.variants],
            "StartTime": moment(endpoint.pending.since),
        }
    return description


def _variant_summary(spec: VariantSpec, deployment: Deployment, *, serving: bool) -> Wire:
    image = {
        "SpecifiedImage": spec.image,
        "ResolvedImage": spec.image,
        "ResolutionTime": moment(deployment.since),
    }
    return {
        "VariantName": spec.name,
        "DeployedImages": [image],
        "CurrentWeight": spec.weight,
        "DesiredWeight": spec.weight,
        "CurrentInstanceCount": spec.instances if serving else 0,
        "DesiredInstanceCount": spec.instances,
    }


def _capture_summary(capture: Wire) -> Wire:
    enabled = capture.get("EnableCapture", True)
    return {
        "EnableCapture": enabled,
        "CaptureStatus": "Started" if enabled else "Stopped",
        "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
        "DestinationS3Uri": capture["DestinationS3Uri"],
        "KmsKeyId": capture.get("KmsKeyId", ""),
    }
