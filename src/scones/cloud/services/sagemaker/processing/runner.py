"""Runs processing jobs: folders, inputs, a process for each instance, outputs, outcome.

After a crash an unfinished job is run again in a folder of its own, unless its processes had all ended
well: then only its outputs are stored, under the same keys.
"""

import asyncio
import codecs
from contextlib import AsyncExitStack
from dataclasses import replace

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.job_runner import JobFailedError, JobRunner, JobStoppedError, Run
from scones.cloud.services.sagemaker.job_store import JobStore
from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.services.sagemaker.opt_ml import OptMl
from scones.cloud.services.sagemaker.processing.host import MESSAGE_BYTES, Host
from scones.cloud.services.sagemaker.processing.instance import Instance, end_of
from scones.cloud.services.sagemaker.processing.jobs import ProcessingJobs, processing_description
from scones.cloud.services.sagemaker.processing.records import ProcessingJob
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transfer import TransferError

__all__ = ["ProcessingRunner"]

_GROUP = "/aws/sagemaker/ProcessingJobs"


class ProcessingRunner:
    """`operations`: what the API offers of processing jobs."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._opt_ml = OptMl(tools.containers, tools.root)
        self._jobs = JobStore(
            tools,
            ProcessingJob,
            "sagemaker_processing_jobs",
            event="SageMaker Processing Job State Change",
            describe=processing_description,
        )
        self._runner = JobRunner(tools, self._jobs, tools.root / "processing", self._attempt)
        self.operations = ProcessingJobs(tools, self._jobs, self._runner, self._opt_ml)

    async def start(self) -> None:
        """Put every unfinished job back to work."""
        await self._runner.start(
            keep=[self._runner.folder(job) for job in self._jobs.unfinished() if job.processed]
        )

    async def close(self) -> None:
        """End all processes at once; the next start runs their jobs again."""
        await self._runner.close()

    async def _attempt(self, run: Run[ProcessingJob]) -> Wire:
        """From an empty folder, or from the outputs of an attempt that had ended well, to S3.

        Raises JobFailedError and JobStoppedError.
        """
        job = run.job
        folder = run.folder.parent / str(job.processed)
        processed = job.processed is not None and folder.is_dir()
        if not processed:
            folder = run.folder
        hosts = [Host(self._tools.call, job, name, folder) for name in job.hosts]
        if not processed:
            await self._bring(hosts)
            self._tools.faults.reach("sagemaker.processing.brought")
            await self._work(run, hosts)
            self._note_processed(job)
            self._tools.faults.reach("sagemaker.processing.processed")
        message = _message(hosts)
        try:
            for host in hosts:
                await host.store()
        except (TransferError, OSError) as error:
            raise JobFailedError(f"ClientError: Data upload failed: {error}", exit_message=message) from error
        self._tools.faults.reach("sagemaker.processing.stored")
        return {"exit_message": message}

    async def _bring(self, hosts: list[Host]) -> None:
        try:
            for host in hosts:
                host.create()
                await host.bring()
        except (TransferError, OSError) as error:
            raise JobFailedError(f"ClientError: Data download failed: {error}") from error

    async def _work(self, run: Run[ProcessingJob], hosts: list[Host]) -> None:
        """Run the processes to their end. Raises JobFailedError and JobStoppedError."""
        async with AsyncExitStack() as stack:
            try:
                instances = [await self._begin(stack, run.job, host) for host in hosts]
            except (OSError, ValueError) as error:
                raise JobFailedError(f"ClientError: the process could not be started: {error}") from error
            self._tools.faults.reach("sagemaker.processing.started")
            try:
                async with asyncio.timeout(run.job.max_runtime_s):
                    failed = await end_of(instances)
            except TimeoutError:
                self._runner.stopping(run.job)
                await self._stop(instances)
                raise JobStoppedError(exit_message=_message_or_none(hosts)) from None
            except asyncio.CancelledError:
                if not run.stopped:
                    raise
                await self._stop(instances)
                raise JobStoppedError(exit_message=_message_or_none(hosts)) from None
            if failed:
                code, line = failed
                await self._stop(instances)
                message = _message(hosts)
                raise JobFailedError(f"AlgorithmError: {line}, exit code: {code}", exit_message=message)

    async def _begin(self, stack: AsyncExitStack, job: ProcessingJob, host: Host) -> Instance:
        """Start an instance, which ends with the stack."""
        tools = self._tools
        opt = await stack.enter_async_context(self._opt_ml.holding(host.base))
        log = LogStream(
            call=tools.call,
            clock=tools.clock,
            spawn=tools.spawn,
            group=_GROUP,
            stream=job.log_stream(host.name),
        )
        stack.push_async_callback(log.close)
        process = await tools.containers.start(
            self._command(job, log),
            base=host.base,
            purpose=f"processing job {job.name}",
            environment=_environment(job, host),
            contract={},
            log=log,
            opt=opt,
        )
        instance = Instance(host, process, log, keep_s=tools.limits.checkpoint_s)
        stack.push_async_callback(instance.close)
        return instance

    def _command(self, job: ProcessingJob, log: LogStream) -> list[str]:
        specification = job.request["AppSpecification"]
        image = specification["ImageUri"]
        arguments = specification.get("ContainerArguments", [])
        entry = self._tools.images.processing_entry(image)
        if not entry:
            python = self._tools.settings.worker_python
            log.line(f"{python} and the packages installed there stand in for the image {image}.".encode())
        if entrypoint := specification.get("ContainerEntrypoint"):
            return [*entrypoint, *arguments]
        assert entry is not None, "checked when the job was created"
        return self._tools.containers.algorithm(entry, *arguments)

    async def _stop(self, instances: list[Instance]) -> None:
        grace_s = self._tools.limits.training_stop_grace_s
        await asyncio.gather(*(instance.stop(grace_s=grace_s) for instance in instances))

    def _note_processed(self, job: ProcessingJob) -> None:
        with self._tools.db.transaction():
            now = self._jobs.job(job.name)
            assert now is not None, f"processing job {job.name} vanished"
            self._jobs.save(replace(now, processed=job.attempt))


def _environment(job: ProcessingJob, host: Host) -> dict[str, str]:
    """The job's variables; what pip installs goes to a folder of the job, where Python finds it."""
    given: dict[str, str] = job.request.get("Environment", {})
    paths = [path for path in (given.get("PYTHONPATH"), str(host.packages)) if path]
    return {"PIP_TARGET": str(host.packages)} | given | {"PYTHONPATH": ":".join(paths)}


def _message(hosts: list[Host]) -> str | None:
    """ExitMessage: what the processes left, one after the other, cut off. Raises JobFailedError."""
    content = b"".join(host.message() for host in hosts)[:MESSAGE_BYTES]
    try:
        # Whatever is cut off may be half a character.
        return codecs.getincrementaldecoder("utf-8")().decode(content) or None
    except UnicodeDecodeError:
        raise JobFailedError("ClientError: /opt/ml/output/message is not UTF-8 encoded") from None


def _message_or_none(hosts: list[Host]) -> str | None:
    try:
        return _message(hosts)
    except JobFailedError:
        return None
