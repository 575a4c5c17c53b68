"""The programs that run beside a container's process, started as the cloud starts them."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

GUEST = Path(__file__).parents[3] / "src/scones/cloud/guest"


def run(program: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-IS", str(GUEST / program), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_an_archive_depends_only_on_the_files_in_it(tmp_path: Path) -> None:
    archives = []
    for number, order in enumerate((("b", "a/x", "c"), ("c", "a/x", "b"))):
        folder = tmp_path / str(number)
        for name in order:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
            os.utime(folder / name, (number, number))
        archive = tmp_path / f"{number}.tar.gz"
        assert run("pack.py", folder, archive).returncode == 0
        archives.append(archive.read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(tmp_path / "0.tar.gz") as tar:
        assert tar.getnames() == ["a/x", "b", "c"]


def test_what_was_packed_unpacks_to_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "in/deep").mkdir(parents=True)
    (tmp_path / "in/deep/é.bin").write_bytes(bytes(range(256)))
    assert run("pack.py", tmp_path / "in", tmp_path / "a.tar.gz").returncode == 0
    assert run("unpack.py", tmp_path / "a.tar.gz", tmp_path / "out", 10_000).returncode == 0
    assert (tmp_path / "out/deep/é.bin").read_bytes() == bytes(range(256))


@pytest.mark.parametrize("program", ["pack.py", "unpack.py"])
def test_a_missing_file_is_told_in_one_line(tmp_path: Path, program: str) -> None:
    done = run(program, tmp_path / "none", tmp_path / "nowhere/x", *([1] if program == "unpack.py" else []))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_last_finite_value_of_each_metric_counts(tmp_path: Path) -> None:
    log, definitions = tmp_path / "log", tmp_path / "definitions"
    log.write_bytes(b"1\tloss=0.5\n2\tloss=0.25 \r loss=9\n3\tloss=nan\n4\tloss=x\n5\tother\n")
    definitions.write_text(
        json.dumps([{"Name": "loss", "Regex": "loss=(\\S+)"}, {"Name": "n", "Regex": "o"}])
    )
    done = run("metrics.py", log, definitions)
    assert json.loads(done.stdout) == [["loss", 0.25, 2]]
