"""What every container of SageMaker finds around it: folders, environment, and our own guest programs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from scones.cloud.services.sagemaker.log_stream import LogStream
from scones.cloud.settings import CloudSettings
from scones.cloud.workers.process import Process, Processes

__all__ = ["Containers", "GuestError"]

_GUEST = Path(__file__).parents[2] / "guest"
_GUEST_OUTPUT_LINES = 1000


class GuestError(Exception):
    """A guest program failed; the message is its last line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Containers:
    """Starts the processes that stand for containers on this machine."""

    processes: Processes
    settings: CloudSettings
    endpoint_url: Callable[[], str]

    async def start(
        self,
        argv: list[str],
        *,
        base: Path,
        purpose: str,
        environment: Mapping[str, str],
        contract: Mapping[str, str],
        log: LogStream,
        opt: Path | None = None,
    ) -> Process:
        """Run `argv` with `base` for its /opt/ml. Raises OSError and ValueError.

        environment: the request's own variables, over our defaults; contract: what the container
        contract promises, over everything; opt: the folder of `base` where it is to lie at that very path.
        """
        (base / "tmp").mkdir(exist_ok=True)
        return await self.processes.spawn(
            argv,
            purpose=purpose,
            env=self._defaults(base) | dict(environment) | {"SAGEMAKER_BASE_DIR": str(base)} | dict(contract),
            cwd=base,
            on_line=log.line,
            room=log.room,
            opt=opt,
        )

    async def can_mount(self, opt: Path) -> bool:
        """Does this system let a process have an /opt of its own? opt: an example."""
        process = await self.processes.spawn(
            [self.settings.worker_python, "-IS", "-c", "import os; os.stat('/opt/ml')"],
            purpose="look for mount namespaces",
            env={"LANG": "C.UTF-8"},
            cwd=opt,
            on_line=lambda line: None,
            opt=opt,
        )
        return await process.wait() == 0

    def algorithm(self, entry: Path, *arguments: str) -> list[str]:
        """The command of an image that is a folder here."""
        return [self.settings.worker_python, str(entry), *arguments]

    async def guest(self, program: str, *arguments: str, purpose: str) -> tuple[Process, list[bytes]]:
        """Start one of our own programs from the guest folder; its output grows in the list."""
        output: list[bytes] = []

        def collect(line: bytes) -> None:
            output.append(line)
            del output[:-_GUEST_OUTPUT_LINES]

        process = await self.processes.spawn(
            [self.settings.worker_python, "-IS", str(_GUEST / program), *arguments],
            purpose=purpose,
            env={"LANG": "C.UTF-8"},
            cwd=_GUEST,
            on_line=collect,
        )
        return process, output

    async def run_guest(self, program: str, *arguments: str, purpose: str) -> list[bytes]:
        """Run a guest program to its end; raises GuestError where it fails."""
        process, output = await self.guest(program, *arguments, purpose=purpose)
        try:
            code = await process.wait()
        finally:
            process.kill()
            await process.wait()
        if code:
            raise GuestError(output[-1].decode("utf-8", "replace") if output else f"exit code {code}")
        return output

    def _defaults(self, base: Path) -> dict[str, str]:
        settings = self.settings
        access_key, secret = next(iter(settings.credentials.items()), ("local", "local"))
        return {
            "PATH": f"{Path(settings.worker_python).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(base),
            "TMPDIR": str(base / "tmp"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ENDPOINT_URL": self.endpoint_url(),
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
