"""One instance of a processing job: its /opt/ml, as the container contract has it, from and to S3.

Source: SageMaker Developer Guide, "Build Your Own Processing Container".
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from scones.cloud.ports import Call, Wire
from scones.cloud.services.sagemaker.inputs import items
from scones.cloud.services.sagemaker.outgoing import Outgoing
from scones.cloud.services.sagemaker.processing.records import Output, ProcessingJob, Source
from scones.cloud.services.sagemaker.transfer import TransferError, download_objects
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["MESSAGE_BYTES", "Host"]

MESSAGE_BYTES = 1024  # ExitMessage

_CONFIGURED = ("AppSpecification", "Environment", "ProcessingInputs", "ProcessingOutputConfig",
               "ProcessingResources", "RoleArn", "StoppingCondition")  # fmt: skip


class Host:
    """name: `algo-1`, …; folder: the attempt's, where this instance has one of its own."""

    def __init__(self, call: Call, job: ProcessingJob, name: str, folder: Path) -> None:
        self._call = call
        self._job = job
        self.name = name
        self._root = folder / name
        self.base = self._root / "opt" / "ml"
        """What the process knows as /opt/ml."""
        self.packages = self._root / "packages"
        """Where pip installs what the process asks for, so that it stays with the job."""
        self._outputs = [(output, self._outgoing(output)) for output in job.outputs()]

    def create(self) -> None:
        """Folders and configuration files; inputs come later."""
        job = self._job
        config = self.base / "config"
        names = [source.folder for source in job.sources()] + [output.folder for output in job.outputs()]
        for folder in (config, self.base / "output", self.packages, *(self.base / name for name in names)):
            folder.mkdir(parents=True, exist_ok=True)
        _write(config / "processingjobconfig.json", _configuration(job))
        _write(config / "resourceconfig.json", {"current_host": self.name, "hosts": job.hosts})

    async def bring(self) -> None:
        """All inputs, or this instance's part of them. Raises TransferError."""
        hosts = self._job.hosts
        for source in self._job.sources():
            share, of = (hosts.index(self.name), len(hosts)) if source.sharded else (0, 1)
            found = await download_objects(
                self._call, _part(self._call, source, share, of), self.base / source.folder
            )
            if not found and of == 1:
                raise TransferError(f"no S3 objects found under {source.uri}")

    async def keep(self, every_s: float, say: Callable[[str], None]) -> None:
        """Store Continuous outputs as they come, until cancelled; `say` is told of trouble."""
        async with asyncio.TaskGroup() as group:
            for output, outgoing in self._outputs:
                if output.continuous:
                    group.create_task(outgoing.keep(every_s, say))

    async def store(self, *, continuous: bool = False) -> None:
        """The process is gone: store all outputs, or Continuous ones only.

        Raises TransferError and OSError.
        """
        for output, outgoing in self._outputs:
            if output.continuous or not continuous:
                await outgoing.store(final=True)

    def message(self) -> bytes:
        """The start of /opt/ml/output/message, b"" where the process wrote none."""
        path = self.base / "output" / "message"
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(MESSAGE_BYTES)

    def _outgoing(self, output: Output) -> Outgoing:
        staging = self._root / "staging" / output.folder
        return Outgoing(
            self._call, output.uri, self.base / output.folder, staging, f"Files of output {output.name}"
        )


async def _part(call: Call, source: Source, share: int, of: int) -> AsyncIterator[tuple[S3Uri, str]]:
    number = 0
    async for item in items(call, source.uri, manifest=source.manifest):
        if number % of == share:
            yield item.uri, item.name
        number += 1


def _configuration(job: ProcessingJob) -> Wire:
    given = {member: job.request[member] for member in _CONFIGURED if member in job.request}
    return {"ProcessingJobArn": job.arn, "ProcessingJobName": job.name} | given


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
