"""Where processes cannot have mounts of their own, the machine's /opt/ml holds links, for one job at a time."""

import asyncio
import sys
from pathlib import Path

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.sagemaker.container import Containers
from scones.cloud.services.sagemaker.opt_ml import OptMl
from scones.cloud.settings import CloudSettings
from scones.cloud.state.db import Database
from scones.cloud.workers.process import Processes


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(
        processes=Processes(Database(tmp_path / "state.sqlite"), sys.executable),
        settings=CloudSettings(state_dir=tmp_path),
        endpoint_url=lambda: "",
    )


def a_job(root: Path, name: str) -> Path:
    base = root / name / "opt" / "ml"
    (base / "processing").mkdir(parents=True)
    (base / "processing" / "file").write_text(name)
    return base


def test_one_job_at_a_time_is_linked_and_nothing_stays_behind(tmp_path: Path, containers: Containers) -> None:
    machine = tmp_path / "machine" / "opt" / "ml"
    machine.parent.mkdir(parents=True)
    opt_ml = OptMl(containers, tmp_path, machine, mounts=False)
    seen: list[str] = []

    async def work(name: str) -> None:
        async with opt_ml.holding(a_job(tmp_path, name)) as opt:
            assert opt is None
            await asyncio.sleep(0)
            seen.append((machine / "processing" / "file").read_text())

    async def both() -> None:
        await asyncio.gather(work("first"), work("second"))

    asyncio.run(both())
    assert seen == ["first", "second"]
    assert not machine.exists()


def test_links_of_a_cloud_that_was_killed_make_way(tmp_path: Path, containers: Containers) -> None:
    machine = tmp_path / "ml"
    machine.mkdir()
    (machine / "processing").symlink_to(tmp_path / "gone" / "opt" / "ml" / "processing")
    opt_ml = OptMl(containers, tmp_path, machine, mounts=False)

    async def work() -> None:
        async with opt_ml.holding(a_job(tmp_path, "job")):
            assert (machine / "processing" / "file").read_text() == "job"

    asyncio.run(work())
    assert list(machine.iterdir()) == []


def test_what_is_somebody_else_s_stays(tmp_path: Path, containers: Containers) -> None:
    machine = tmp_path / "ml"
    (machine / "processing").mkdir(parents=True)
    opt_ml = OptMl(containers, tmp_path, machine, mounts=False)

    async def work() -> None:
        async with opt_ml.holding(a_job(tmp_path, "job")):
            pass

    with pytest.raises(FileExistsError):
        asyncio.run(work())
    assert (machine / "processing").is_dir()


def test_a_machine_without_a_place_says_what_to_do(tmp_path: Path, containers: Containers) -> None:
    opt_ml = OptMl(containers, tmp_path, tmp_path / "no" / "such" / "ml", mounts=False)
    with pytest.raises(ServiceError, match="sudo mkdir -p"):
        asyncio.run(opt_ml.check(1))
    opt_ml = OptMl(containers, tmp_path, tmp_path / "ml", mounts=False)
    asyncio.run(opt_ml.check(1))
    with pytest.raises(ServiceError, match="InstanceCount is 2"):
        asyncio.run(opt_ml.check(2))


def test_a_process_with_mounts_sees_its_own_opt_ml_beside_the_machine_s_opt(
    tmp_path: Path, containers: Containers
) -> None:
    """Where the system has none, the probe says so."""
    opt = tmp_path / "job" / "opt"
    (opt / "ml").mkdir(parents=True)
    mine = sorted(path.name for path in Path("/opt").iterdir() if path.name != "ml")
    code = "import os; print(*sorted(set(os.listdir('/opt')) - {'ml'})); open('/opt/ml/file', 'w').write('x')"
    lines: list[bytes] = []

    async def work() -> tuple[bool, int]:
        process = await containers.processes.spawn(
            [sys.executable, "-c", code], purpose="", env={}, cwd=tmp_path, on_line=lines.append, opt=opt
        )
        ended = await process.wait()
        other = tmp_path / "other" / "opt"
        (other / "ml").mkdir(parents=True)
        return await containers.can_mount(other), ended

    able, ended = asyncio.run(work())
    if able:
        assert (ended, b"".join(lines).decode().split()) == (0, mine)
        assert (opt / "ml" / "file").read_text() == "x"
    else:
        assert ended == 125
        assert b"cannot have an /opt of its own" in lines[-1]
