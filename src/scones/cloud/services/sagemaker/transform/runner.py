"""Runs transform jobs: model, serving processes, a passage over the input, outcome.

Rows are the queue. After a crash an unfinished job is run again from the beginning as a new
attempt; its outputs go to the same keys, so that those which are there already are written again.
"""

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.job_runner import JobFailedError, JobRunner, Run
from scones.cloud.services.sagemaker.job_store import JobStore
from scones.cloud.services.sagemaker.model_data import ModelDataError, bring_model
from scones.cloud.services.sagemaker.models import source_of
from scones.cloud.services.sagemaker.tools import Tools
from scones.cloud.services.sagemaker.transform.data_log import DataLog
from scones.cloud.services.sagemaker.transform.inputs import Inputs, InputsError
from scones.cloud.services.sagemaker.transform.instances import Instances
from scones.cloud.services.sagemaker.transform.jobs import TransformJobs, transform_description
from scones.cloud.services.sagemaker.transform.lanes import Lanes, UnansweredError
from scones.cloud.services.sagemaker.transform.outputs import Outputs, OutputsError
from scones.cloud.services.sagemaker.transform.passage import Passage
from scones.cloud.services.sagemaker.transform.records import Plan, TransformJob
from scones.cloud.services.sagemaker.wording import S3Uri
from scones.cloud.services.sagemaker.worker import StartError, Worker

__all__ = ["TransformRunner"]


class TransformRunner:
    """`operations`: what the API offers of transform jobs."""

    def __init__(self, tools: Tools) -> None:
        self._db = tools.db
        self._clock = tools.clock
        self._call = tools.call
        self._faults = tools.faults
        self._containers = tools.containers
        self._limits = tools.limits
        self._instances = Instances(tools)
        jobs = JobStore(
            tools,
            TransformJob,
            "sagemaker_transform_jobs",
            event="SageMaker Transform Job State Change",
            describe=transform_description,
        )
        self._runner = JobRunner(tools, jobs, tools.root / "transform", self._attempt)
        self.operations = TransformJobs(tools, jobs, self._runner)

    async def start(self) -> None:
        """Put every unfinished job back to work."""
        self._instances.open()
        await self._runner.start()

    async def close(self) -> None:
        """End all processes at once; the next start runs their jobs again."""
        await self._runner.close()
        await self._instances.close()

    async def _attempt(self, run: Run[TransformJob]) -> Wire:
        """From an empty folder to the last output. Raises JobFailedError."""
        base = run.folder / "opt" / "ml"
        try:
            await bring_model(
                source_of(run.job.container),
                base,
                call=self._call,
                containers=self._containers,
                limit_bytes=self._limits.model_bytes,
            )
            async with self._instances.serving(run.job, base) as workers:
                self._faults.reach("sagemaker.transform.started")
                log = DataLog(self._instances.stream(f"{workers[0].log.stream}/data-log"), self._clock)
                try:
                    await self._pass(run, workers, log)
                finally:
                    await log.close()
            return {}
        except ModelDataError as error:
            raise JobFailedError(f"ClientError: {error}") from error
        except StartError as error:
            raise JobFailedError(
                f"AlgorithmError: Model container failed to respond to ping: {error}"
            ) from error
        except ServiceError as error:  # started with other images than when the job was created
            raise JobFailedError(f"ClientError: {error.message}") from error

    async def _pass(self, run: Run[TransformJob], workers: list[Worker], log: DataLog) -> None:
        request = run.job.request
        try:
            plan = Plan.of(request, await self._instances.offered(workers[0]))
        except ValueError as error:
            raise JobFailedError(
                f"AlgorithmError: /execution-parameters of the container: {error}"
            ) from error
        log.note(str(plan))
        spool = run.folder / "spool"
        spool.mkdir()
        lanes = Lanes(workers, plan, ready_s=self._limits.ready_s)
        passage = Passage(
            request=request,
            plan=plan,
            call=self._call,
            inputs=Inputs(self._db, self._call, request),
            lanes=lanes,
            outputs=self._outputs(request),
            spool=spool,
            tell=log.tell,
        )
        try:
            failure = await passage.run()
        except UnansweredError as error:
            log.note(f"Unable to get response from algorithm: {error}")
            raise JobFailedError(f"AlgorithmError: Unable to get response from algorithm: {error}") from error
        except (InputsError, OutputsError) as error:
            raise JobFailedError(f"ClientError: {error}") from error
        self._faults.reach("sagemaker.transform.written")
        if failure:
            raise JobFailedError(f"{failure}: See job logs for more information")

    def _outputs(self, request: Wire) -> Outputs:
        output = request["TransformOutput"]
        return Outputs(
            db=self._db,
            call=self._call,
            target=S3Uri.parse(output["S3OutputPath"], "S3OutputPath"),
            content_type=output.get("Accept", ""),
        )
