"""Models and endpoint configurations: named requests that endpoints are made of."""

from typing import Final

from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.listing import list_rows
from scones.cloud.services.sagemaker.records import ModelSource, Resource, millis, moment
from scones.cloud.services.sagemaker.tags import checked_tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import any_object
from scones.cloud.services.sagemaker.wording import (
    S3Uri,
    check_environment,
    invalid,
    refuse,
    resource_limit,
)

__all__ = ["EndpointConfigs", "Models", "check_instances", "container_of", "source_of"]

_MODELS: Final = "sagemaker_models"
_CONFIGS: Final = "sagemaker_endpoint_configs"
_INSTANCES = 4  # processes of one variant: this is one machine
_MODEL_UNSUPPORTED = ("EnableNetworkIsolation",)
_CONTAINER_UNSUPPORTED = ("AdditionalModelDataSources", "ModelPackageName", "MultiModelConfig")
_CONFIG_UNSUPPORTED = (
    "AsyncInferenceConfig",
    "ExplainerConfig",
    "ShadowProductionVariants",
    "EnableNetworkIsolation",
    "CrossRegionTrafficConfig",
)
_VARIANT_UNSUPPORTED = (
    "InstancePools",
    "AcceleratorType",
    "CoreDumpConfig",
    "ServerlessConfig",
    "EnableSSMAccess",
    "ManagedInstanceScaling",
    "CapacityReservationConfig",
    "AcceleratorPartitionLayouts",
)


class Models:
    def __init__(self, tools: Tools) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._call = tools.call
        self._names = tools.names
        self._images = tools.images

    async def create_model(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.pop("Tags", []))
        refuse(request, _MODEL_UNSUPPORTED)
        container = container_of(request)
        _check_container(container)
        self._images.entry(container["Image"])
        await self._check_data(source_of(container))
        name = request["ModelName"]
        arn = self._names.arn("model", name)
        model = Resource(name=name, arn=arn, request=request, created=millis(self._clock.now()))
        with self._db.transaction():
            if self._store.resource(_MODELS, name):
                raise invalid(f'Cannot create already existing model "{arn}".')
            self._store.add_resource(_MODELS, model)
            self._store.put_tags(arn, tags)
        return {"ModelArn": arn}

    def describe_model(self, request: Wire, context: Context) -> Wire:
        model = self._existing(request)
        return model.request | {
            "ModelArn": model.arn,
            "CreationTime": moment(model.created),
            "EnableNetworkIsolation": False,
        }

    def delete_model(self, request: Wire, context: Context) -> Wire:
        self._store.delete_resource(_MODELS, self._existing(request))
        return {}

    def list_models(self, request: Wire, context: Context) -> Wire:
        rows, more = list_rows(self._store, _MODELS, request, newest_first=True)
        models = [
            {"ModelName": r["name"], "ModelArn": r["arn"], "CreationTime": moment(r["created"])} for r in rows
        ]
        return {"Models": models} | more

    def _existing(self, request: Wire) -> Resource:
        model = self._store.resource(_MODELS, request["ModelName"])
        if not model:
            raise invalid(f'Could not find model "{self._names.arn("model", request["ModelName"])}".')
        return model

    async def _check_data(self, source: ModelSource | None) -> None:
        if not source:
            return
        uri = S3Uri.parse(source.url, "ModelDataUrl")
        if not await any_object(self._call, uri, exact=source.archive):
            raise invalid(f"Could not find model data at {source.url}.")


class EndpointConfigs:
    def __init__(self, tools: Tools) -> None:
        self._store = tools.store
        self._clock = tools.clock
        self._names = tools.names

    def create_endpoint_config(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.pop("Tags", []))
        refuse(request, _CONFIG_UNSUPPORTED)
        self._check_variants(request["ProductionVariants"])
        if "DataCaptureConfig" in request:
            S3Uri.parse(
                request["DataCaptureConfig"]["DestinationS3Uri"], "DataCaptureConfig.DestinationS3Uri"
            )
        name = request["EndpointConfigName"]
        arn = self._names.arn("endpoint-config", name)
        if self._store.resource(_CONFIGS, name):
            raise invalid(f'Cannot create already existing endpoint configuration "{arn}".')
        config = Resource(name=name, arn=arn, request=request, created=millis(self._clock.now()))
        self._store.add_resource(_CONFIGS, config)
        self._store.put_tags(arn, tags)
        return {"EndpointConfigArn": arn}

    def describe_endpoint_config(self, request: Wire, context: Context) -> Wire:
        config = self._existing(request)
        return config.request | {
            "EndpointConfigArn": config.arn,
            "CreationTime": moment(config.created),
            "EnableNetworkIsolation": False,
        }

    def delete_endpoint_config(self, request: Wire, context: Context) -> Wire:
        self._store.delete_resource(_CONFIGS, self._existing(request))
        return {}

    def list_endpoint_configs(self, request: Wire, context: Context) -> Wire:
        rows, more = list_rows(self._store, _CONFIGS, request, newest_first=True)
        configs = [
            {
                "EndpointConfigName": row["name"],
                "EndpointConfigArn": row["arn"],
                "CreationTime": moment(row["created"]),
            }
            for row in rows
        ]
        return {"EndpointConfigs": configs} | more

    def _existing(self, request: Wire) -> Resource:
        name = request["EndpointConfigName"]
        config = self._store.resource(_CONFIGS, name)
        if not config:
            arn = self._names.arn("endpoint-config", name)
            raise invalid(f'Could not find endpoint configuration "{arn}".')
        return config

    def _check_variants(self, variants: list[Wire]) -> None:
        names = [variant["VariantName"] for variant in variants]
        for variant in variants:
            name = variant["VariantName"]
            refuse(variant, _VARIANT_UNSUPPORTED)
            if names.count(name) > 1:
                raise invalid(f'Variant names must be unique, found "{name}" more than once.')
            if not variant.get("ModelName"):
                raise invalid(f'ModelName of variant "{name}" is required by this cloud.')
            if not self._store.resource(_MODELS, variant["ModelName"]):
                arn = self._names.arn("model", variant["ModelName"])
                raise invalid(f'Could not find model "{arn}".')
            if not variant.get("InstanceType"):
                raise invalid(f'InstanceType of variant "{name}" is required.')
            check_instances(name, variant.get("InitialInstanceCount", 1))
        if not any(variant.get("InitialVariantWeight", 1.0) > 0 for variant in variants):
            raise invalid("At least one variant must have an InitialVariantWeight greater than 0.")


def check_instances(variant: str, count: int) -> None:
    """Raises ResourceLimitExceeded where one machine is not enough."""
    if count > _INSTANCES:
        raise resource_limit(
            f"Variant {variant} asks for {count} instances; this cloud is one machine and runs at most"
            f" {_INSTANCES} per variant."
        )


def container_of(request: Wire) -> Wire:
    """The one container of a CreateModel request; raises ValidationException where there is not one."""
    containers = request.get("Containers", [])
    if len(containers) > 1:
        raise invalid("Inference pipelines (more than one of Containers) are not supported by this cloud.")
    container: Wire | None = request.get("PrimaryContainer") or (containers[0] if containers else None)
    if not container:
        raise invalid("A model needs a PrimaryContainer.")
    return container


def source_of(container: Wire) -> ModelSource | None:
    """Where a container's model lies; None for a container that brings its own."""
    if url := container.get("ModelDataUrl"):
        return ModelSource(url=url, archive=True)
    source = container.get("ModelDataSource", {}).get("S3DataSource")
    if not source:
        return None
    return ModelSource(url=source["S3Uri"], archive=source["CompressionType"] == "Gzip")


def _check_container(container: Wire) -> None:
    refuse(container, _CONTAINER_UNSUPPORTED)
    if not container.get("Image"):
        raise invalid("The container's Image is required by this cloud.")
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise invalid("Container Mode MultiModel is not supported by this cloud.")
    check_environment(container.get("Environment", {}))
    if source := source_of(container):
        S3Uri.parse(source.url, "ModelDataUrl")
        if source.archive and not source.url.endswith(".tar.gz"):
            raise invalid(f'The model data "{source.url}" must be a .tar.gz archive.')
