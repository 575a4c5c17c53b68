"""Training jobs: the operations. What runs them is `trainer`."""

import re
from collections.abc import Callable

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.channels import (
    DataType,
    check_channel,
    checkpoint_folder,
    data_type,
    source_uri,
)
from scones.cloud.services.sagemaker.images import Images
from scones.cloud.services.sagemaker.listing import list_rows
from scones.cloud.services.sagemaker.records import Phase, TrainingJob, Transition, millis, moment
from scones.cloud.services.sagemaker.tags import checked_tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import any_object
from scones.cloud.services.sagemaker.wording import S3Uri, check_environment, invalid, refuse

__all__ = ["Training", "job_description", "max_runtime_s", "model_artifact"]

_UNSUPPORTED = (
    "EnableNetworkIsolation",
    "DebugRuleConfigurations",
    "TensorBoardOutputConfig",
    "ExperimentConfig",
    "ProfilerRuleConfigurations",
    "RemoteDebugConfig.EnableRemoteDebug",
    "SessionChainingConfig.EnableSessionTagChaining",
    "ServerlessJobConfig",
    "MlflowConfig",
    "ModelPackageConfig",
)
_DEFAULT_RUNTIME_S = 86_400
_HYPERPARAMETERS = 100
_ECHOED = (
    "HyperParameters",
    "RoleArn",
    "InputDataConfig",
    "CheckpointConfig",
    "ResourceConfig",
    "VpcConfig",
    "DebugHookConfig",
    "Environment",
    "RetryStrategy",
    "InfraCheckConfig",
    "ProfilerConfig",
)


class Training:
    def __init__(self, tools: Tools, *, wake: Callable[[], None], stop: Callable[[str], None]) -> None:
        self._db = tools.db
        self._store = tools.store
        self._clock = tools.clock
        self._call = tools.call
        self._names = tools.names
        self._images = tools.images
        self._wake = wake
        self._stop = stop

    async def create_training_job(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.pop("Tags", []))
        self._check(request)
        await self._check_inputs(request)
        name = request["TrainingJobName"]
        now = millis(self._clock.now())
        job = TrainingJob(
            name=name,
            arn=self._names.arn("training-job", name),
            request=request,
            phase=Phase.STARTING,
            transitions=(Transition(Phase.STARTING, now),),
            log_stream=f"{name}/algo-1-{now // 1000}",
            created=now,
            modified=now,
        ).advance(Phase.WAITING, now)
        with self._db.transaction():
            if self._store.job(name):
                raise ServiceError(
                    "ResourceInUse",
                    "Training job names must be unique within an AWS account and region, and a training job"
                    f" with this name already exists ({job.arn})",
                )
            self._store.add_job(job)
            self._store.put_tags(job.arn, tags)
            self._db.after_commit(self._wake)
        return {"TrainingJobArn": job.arn}

    def describe_training_job(self, request: Wire, context: Context) -> Wire:
        return job_description(self._existing(request), self._images)

    def stop_training_job(self, request: Wire, context: Context) -> Wire:
        job = self._existing(request)
        now = millis(self._clock.now())
        if job.phase.final:
            raise invalid(
                f"The request was rejected because the training job is in status {job.phase.status}."
            )
        if job.phase is Phase.WAITING:  # nothing runs yet
            job = job.advance(Phase.STOPPING, now).advance(Phase.STOPPED, now)
        elif job.phase is Phase.UPLOADING:
            job = job.advance(Phase.UPLOADING_STOPPED, now, outcome=Phase.STOPPED)
        elif job.phase.status == "InProgress":
            job = job.advance(Phase.STOPPING, now, outcome=Phase.STOPPED)
        self._store.save_job(job)
        self._db.after_commit(lambda: self._stop(job.name))
        return {}

    def list_training_jobs(self, request: Wire, context: Context) -> Wire:
        refuse(request, ("WarmPoolStatusEquals", "TrainingPlanArnEquals"))
        rows, more = list_rows(self._store, "sagemaker_training_jobs", request, newest_first=False)
        return {"TrainingJobSummaries": [_summary(TrainingJob.from_row(row)) for row in rows]} | more

    def _existing(self, request: Wire) -> TrainingJob:
        job = self._store.job(request["TrainingJobName"])
        if not job:
            raise invalid("Requested resource not found.")
        return job

    def _check(self, request: Wire) -> None:
        """Everything that needs no look at S3. Raises ValidationException."""
        flat = request | {
            f"{group}.{member}": value
            for group in ("RemoteDebugConfig", "SessionChainingConfig")
            for member, value in request.get(group, {}).items()
        }
        refuse(flat, _UNSUPPORTED)
        self._check_algorithm(request.get("AlgorithmSpecification", {}))
        _check_resources(request.get("ResourceConfig", {}))
        output = request["OutputDataConfig"]
        S3Uri.parse(output["S3OutputPath"], "OutputDataConfig.S3OutputPath")
        if output.get("CompressionType", "GZIP") != "GZIP":
            raise invalid("OutputDataConfig.CompressionType NONE is not supported by this cloud; use GZIP.")
        if len(request.get("HyperParameters", {})) > _HYPERPARAMETERS:
            raise invalid(f"A training job takes at most {_HYPERPARAMETERS} hyperparameters.")
        check_environment(request.get("Environment", {}))
        if checkpoint_folder(request):
            S3Uri.parse(request["CheckpointConfig"]["S3Uri"], "CheckpointConfig.S3Uri")
        channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
        for channel in channels:
            if channel in (".", "..") or channels.count(channel) > 1:
                raise invalid(f'Channel names must be unique and name a folder, found "{channel}".')
        for channel in request.get("InputDataConfig", []):
            check_channel(request, channel)

    def _check_algorithm(self, algorithm: Wire) -> None:
        image = algorithm.get("TrainingImage")
        if not image:
            raise invalid("AlgorithmSpecification.TrainingImage is required by this cloud.")
        self._images.entry(image)
        for member in ("ContainerEntrypoint", "ContainerArguments"):
            if algorithm.get(member):
                raise invalid(f"AlgorithmSpecification.{member} is not supported by this cloud.")
        for definition in algorithm.get("MetricDefinitions", []):
            try:
                re.compile(definition["Regex"])
            except re.error as error:
                raise invalid(f'The regular expression of metric "{definition["Name"]}": {error}.') from None

    async def _check_inputs(self, request: Wire) -> None:
        for channel in request.get("InputDataConfig", []):
            uri = source_uri(channel)
            exact = data_type(channel) is not DataType.PREFIX
            if not await any_object(self._call, uri, exact=exact):
                url = channel["DataSource"]["S3DataSource"]["S3Uri"]
                raise invalid(
                    f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure'
                    f" that the bucket exists in the selected region ({self._names.region}), that objects"
                    f' exist under that S3 prefix, and that the role "{request["RoleArn"]}" has'
                    f' "s3:ListBucket" permissions on bucket "{uri.bucket}".'
                )


def _check_resources(resources: Wire) -> None:
    for member in ("InstanceGroups", "TrainingPlanArn", "InstancePreferences", "InstancePlacementConfig"):
        if resources.get(member):
            raise invalid(f"ResourceConfig.{member} is not supported by this cloud.")
    count = resources.get("InstanceCount", 1)
    if count != 1:
        raise invalid(
            f"ResourceConfig.InstanceCount is {count}; this cloud is one machine and trains on 1 instance."
        )


def model_artifact(job: TrainingJob) -> S3Uri:
    output = S3Uri.parse(job.request["OutputDataConfig"]["S3OutputPath"], "S3OutputPath")
    return output.join(job.name, "output", "model.tar.gz")


def max_runtime_s(job: TrainingJob) -> int:
    return int(job.request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME_S))


def _summary(job: TrainingJob) -> Wire:
    summary: Wire = {
        "TrainingJobName": job.name,
        "TrainingJobArn": job.arn,
        "CreationTime": moment(job.created),
        "LastModifiedTime": moment(job.modified),
        "TrainingJobStatus": job.phase.status,
        "SecondaryStatus": job.phase.secondary,
    }
    if job.ended is not None:
        summary["TrainingEndTime"] = moment(job.ended)
    return summary


def job_description(job: TrainingJob, images: Images) -> Wire:
    request = job.request
    description = _summary(job) | {name: request[name] for name in _ECHOED if name in request}
    description |= {
        "ModelArtifacts": {"S3ModelArtifacts": str(model_artifact(job)) if job.has_model else ""},
        "AlgorithmSpecification": _algorithm(request["AlgorithmSpecification"], images),
        # The SDK's attach() reads KmsKeyId without asking whether it is there.
        "OutputDataConfig": {"KmsKeyId": ""} | request["OutputDataConfig"],
        "StoppingCondition": request.get("StoppingCondition", {})
        | {"MaxRuntimeInSeconds": max_runtime_s(job)},
        "SecondaryStatusTransitions": [_transition(t) for t in job.transitions],
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
        "ProfilingStatus": "Disabled",  # there is no profiler here, whatever ProfilerConfig asks
    }
    if job.metrics:
        description["FinalMetricDataList"] = [
            {"MetricName": name, "Value": value, "Timestamp": moment(at)} for name, value, at in job.metrics
        ]
    if job.failure_reason:
        description["FailureReason"] = job.failure_reason
    if job.started is not None:
        description["TrainingStartTime"] = moment(job.started)
        if job.ended is not None:
            seconds = max(0, round((job.ended - job.started) / 1000))
            description |= {"TrainingTimeInSeconds": seconds, "BillableTimeInSeconds": seconds}
    return description


def _algorithm(asked: Wire, images: Images) -> Wire:
    try:
        known = images.metrics(asked["TrainingImage"])
    except ServiceError:  # an image that is no longer configured
        known = []
    own = asked.get("MetricDefinitions", [])
    return {"EnableSageMakerMetricsTimeSeries": False} | asked | {"MetricDefinitions": own or known}


def _transition(transition: Transition) -> Wire:
    entry: Wire = {
        "Status": transition.phase.secondary,
        "StartTime": moment(transition.started),
        "StatusMessage": transition.phase.message,
    }
    if transition.ended is not None:
        entry["EndTime"] = moment(transition.ended)
    return entry
