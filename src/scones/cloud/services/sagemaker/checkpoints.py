"""CheckpointConfig: S3 to the job's folder before it starts, the folder to S3 while it runs.

What is gone from the folder stays in S3, so that nothing is lost by a restart.
"""

from pathlib import Path

from scones.cloud.ports import Call
from scones.cloud.services.sagemaker.outgoing import Outgoing
from scones.cloud.services.sagemaker.transfer import download_prefix
from scones.cloud.services.sagemaker.wording import S3Uri

__all__ = ["Checkpoints"]


class Checkpoints(Outgoing):
    """The checkpoints of one attempt. staging: a folder of its own on the same disk."""

    def __init__(self, call: Call, uri: S3Uri, folder: Path, staging: Path) -> None:
        super().__init__(call, uri, folder, staging, "Checkpoints")

    async def restore(self) -> None:
        """Bring what earlier attempts and jobs left. Raises TransferError."""
        prefix = f"{self._uri.key.rstrip('/')}/" if self._uri.key else ""
        await download_prefix(self._call, S3Uri(self._uri.bucket, prefix), self._folder)
        self.as_stored()
