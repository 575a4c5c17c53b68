"""Transform jobs: the operations. What runs them is `runner`."""

from scones.cloud.ports import Context, Wire
from scones.cloud.services.sagemaker.job import JobStatus, job_summary
from scones.cloud.services.sagemaker.job_runner import JobRunner
from scones.cloud.services.sagemaker.job_store import JobStore
from scones.cloud.services.sagemaker.listing import list_rows
from scones.cloud.services.sagemaker.models import container_of
from scones.cloud.services.sagemaker.records import millis, moment
from scones.cloud.services.sagemaker.tags import checked_tags
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import any_object
from scones.cloud.services.sagemaker.transform.checks import check_request, source_uri
from scones.cloud.services.sagemaker.transform.records import TransformJob
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["TransformJobs", "transform_description"]

_ECHOED = (
    "ModelName",
    "MaxConcurrentTransforms",
    "ModelClientConfig",
    "MaxPayloadInMB",
    "BatchStrategy",
    "Environment",
    "TransformInput",
    "TransformOutput",
    "TransformResources",
    "DataProcessing",
)


class TransformJobs:
    def __init__(self, tools: Tools, jobs: JobStore[TransformJob], runner: JobRunner[TransformJob]) -> None:
        self._store = tools.store
        self._jobs = jobs
        self._clock = tools.clock
        self._call = tools.call
        self._names = tools.names
        self._images = tools.images
        self._runner = runner

    async def create_transform_job(self, request: Wire, context: Context) -> Wire:
        tags = checked_tags(request.pop("Tags", []))
        check_request(request)
        container = self._container(request["ModelName"])
        self._images.entry(container["Image"])
        await self._check_input(request)
        name = request["TransformJobName"]
        now = millis(self._clock.now())
        job = TransformJob(
            name=name,
            arn=self._names.arn("transform-job", name),
            request=request,
            container=container,
            status=JobStatus.IN_PROGRESS,
            created=now,
            modified=now,
        )
        self._runner.admit(job, tags)
        return {"TransformJobArn": job.arn}

    def describe_transform_job(self, request: Wire, context: Context) -> Wire:
        return transform_description(self._existing(request))

    def stop_transform_job(self, request: Wire, context: Context) -> Wire:
        self._runner.ask_to_stop(self._existing(request))
        return {}

    def list_transform_jobs(self, request: Wire, context: Context) -> Wire:
        rows, more = list_rows(self._store, "sagemaker_transform_jobs", request, newest_first=True)
        return {
            "TransformJobSummaries": [job_summary(TransformJob.from_row(row), "Transform") for row in rows]
        } | more

    def _existing(self, request: Wire) -> TransformJob:
        return self._jobs.existing(request["TransformJobName"])

    def _container(self, model: str) -> Wire:
        found = self._store.resource("sagemaker_models", model)
        if not found:
            raise invalid(f'Could not find model "{self._names.arn("model", model)}".')
        return container_of(found.request)

    async def _check_input(self, request: Wire) -> None:
        source = request["TransformInput"]["DataSource"]["S3DataSource"]
        uri = source_uri(request)
        if not await any_object(self._call, uri, exact=source["S3DataType"] == "ManifestFile"):
            raise invalid(
                f'No S3 objects found under S3 URL "{source["S3Uri"]}" given in input data source. Please'
                f" ensure that the bucket exists in the selected region ({self._names.region}), that objects"
                f' exist under that S3 prefix, and that the role has "s3:ListBucket" permissions on bucket'
                f' "{uri.bucket}".'
            )


def transform_description(job: TransformJob) -> Wire:
    """DescribeTransformJob's answer."""
    described = job_summary(job, "Transform") | {
        name: job.request[name] for name in _ECHOED if name in job.request
    }
    del described["LastModifiedTime"]
    if job.started is not None:
        described["TransformStartTime"] = moment(job.started)
    return described
