"""Processing jobs: the operations. What runs them is `runner`."""

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.job import JobStatus, job_summary
from scones.cloud.services.sagemaker.job_runner import JobRunner
from scones.cloud.services.sagemaker.job_store import JobStore
from scones.cloud.services.sagemaker.listing import list_rows
from scones.cloud.services.sagemaker.opt_ml import OptMl
from scones.cloud.services.sagemaker.processing.checks import check_request
from scones.cloud.services.sagemaker.processing.records import ProcessingJob
from scones.cloud.services.sagemaker.records import millis, moment
from scones.cloud.services.sagemaker.tags import checked_tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["ProcessingJobs", "processing_description"]

_ECHOED = (
    "ProcessingInputs",
    "ProcessingOutputConfig",
    "ProcessingResources",
    "AppSpecification",
    "Environment",
    "NetworkConfig",
    "RoleArn",
)


class ProcessingJobs:
    def __init__(
        self,
        tools: Tools,
        jobs: JobStore[ProcessingJob],
        runner: JobRunner[ProcessingJob],
        opt_ml: OptMl,
    ) -> None:
        self._store = tools.store
        self._clock = tools.clock
        self._names = tools.names
        self._images = tools.images
        self._jobs = jobs
        self._runner = runner
        self._opt_ml = opt_ml

    async def create_processing_job(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.pop("Tags", []))
        check_request(request)
        specification = request["AppSpecification"]
        entry = self._images.processing_entry(specification["ImageUri"])
        if not entry and not specification.get("ContainerEntrypoint"):
            raise invalid(
                "AppSpecification.ContainerEntrypoint is required by this cloud:"
                f' it does not know the entrypoint of "{specification["ImageUri"]}".'
            )
        name = request["ProcessingJobName"]
        now = millis(self._clock.now())
        job = ProcessingJob(
            name=name,
            arn=self._names.arn("processing-job", name),
            request=request,
            status=JobStatus.IN_PROGRESS,
            created=now,
            modified=now,
        )
        await self._opt_ml.check(len(job.hosts))
        self._runner.admit(job, tags)
        return {"ProcessingJobArn": job.arn}

    def describe_processing_job(self, request: Wire, context: Context) -> Wire:
        return processing_description(self._existing(request))

    def stop_processing_job(self, request: Wire, context: Context) -> Wire:
        self._runner.ask_to_stop(self._existing(request))
        return {}

    def delete_processing_job(self, request: Wire, context: Context) -> Wire:
        job = self._existing(request)
        if not job.status.final:
            raise ServiceError(
                "ResourceInUse",
                f"The processing job {job.arn} is in status {job.status}; stop it, or wait for its end.",
            )
        self._jobs.delete(job)
        return {}

    def list_processing_jobs(self, request: Wire, context: Context) -> Wire:
        rows, more = list_rows(self._store, "sagemaker_processing_jobs", request, newest_first=False)
        return {"ProcessingJobSummaries": [_summary(ProcessingJob.from_row(row)) for row in rows]} | more

    def _existing(self, request: Wire) -> ProcessingJob:
        return self._jobs.existing(request["ProcessingJobName"])


def processing_description(job: ProcessingJob) -> Wire:
    """DescribeProcessingJob's answer."""
    described = _summary(job) | {name: job.request[name] for name in _ECHOED if name in job.request}
    described["StoppingCondition"] = {"MaxRuntimeInSeconds": job.max_runtime_s}
    if job.started is not None:
        described["ProcessingStartTime"] = moment(job.started)
    return described


def _summary(job: ProcessingJob) -> Wire:
    told = {} if job.exit_message is None else {"ExitMessage": job.exit_message}
    return job_summary(job, "Processing") | told
