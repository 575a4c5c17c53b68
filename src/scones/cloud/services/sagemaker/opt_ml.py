"""How a process finds the folder of its job at /opt/ml, the path that programs for SageMaker have built in.

On Linux each process gets an /opt of its own, where the system lets it. Elsewhere the machine's /opt/ml
holds links to one job's folders at a time, provided that we may write there.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.wording import invalid

__all__ = ["OptMl"]

_MACHINE = Path("/opt/ml")


class OptMl:
    """root: holds the folders of all jobs. machine: where links are laid; tests put it elsewhere."""

    def __init__(
        self, containers: Containers, root: Path, machine: Path = _MACHINE, *, mounts: bool | None = None
    ) -> None:
        self._containers = containers
        self._root = root
        self._machine = machine
        self._mounts = mounts
        self._turn = asyncio.Lock()

    async def check(self, instances: int) -> None:
        """Raises ValidationException where so many processes of one job cannot have an /opt/ml here."""
        if await self._mountable():
            return
        if not self._linkable():
            raise invalid(
                f"Programs of processing jobs read and write {self._machine}, and this system gives no"
                f" process one of its own. Make it a folder of yours, for one job at a time:"
                f" sudo mkdir -p {self._machine} && sudo chown {os.getuid()} {self._machine}"
            )
        if instances > 1:
            raise invalid(
                f"InstanceCount is {instances}; this system gives no process an {self._machine} of its own,"
                " and so a processing job has 1 instance."
            )

    @asynccontextmanager
    async def holding(self, base: Path) -> AsyncIterator[Path | None]:
        """While the block lasts, `base` can be /opt/ml for processes started with the `opt` that this gives.

        Raises OSError.
        """
        if await self._mountable():
            yield base.parent
            return
        async with self._turn:
            with self._linked(base):
                yield None

    async def _mountable(self) -> bool:
        if self._mounts is None:
            with TemporaryDirectory() as folder:
                opt = Path(folder) / "opt"
                (opt / "ml").mkdir(parents=True)
                self._mounts = await self._containers.can_mount(opt)
        return self._mounts

    def _linkable(self) -> bool:
        place = self._machine if self._machine.exists() else self._machine.parent
        return os.access(place, os.W_OK | os.X_OK)

    @contextlib.contextmanager
    def _linked(self, base: Path) -> Iterator[None]:
        made = not self._machine.exists()
        self._machine.mkdir(exist_ok=True)
        links = [self._machine / entry.name for entry in base.iterdir()]
        try:
            for link in links:
                self._unlink(link)  # left by a cloud that was killed
                link.symlink_to(base / link.name)
            yield
        finally:
            for link in links:
                self._unlink(link)
            if made:
                with contextlib.suppress(OSError):
                    self._machine.rmdir()

    def _unlink(self, link: Path) -> None:
        """Remove a link that is ours."""
        if link.is_symlink() and link.readlink().is_relative_to(self._root):
            link.unlink()
