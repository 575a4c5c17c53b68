"""Lambda zips are the same to the byte."""

import io
import os
import zipfile
from pathlib import Path

import pytest

from scones.workflow import packages
from scones.workflow.errors import WorkflowError


def test_the_same_files_make_the_same_bytes_whatever_their_order_and_age(tmp_path: Path) -> None:
    first, second = tmp_path / "one" / "handler.py", tmp_path / "two" / "handler.py"
    for path, age in ((first, 1_000_000_000), (second, 1_500_000_000)):
        path.parent.mkdir()
        path.write_text("def lambda_handler(event, context): ...\n")
        path.chmod(0o600 if path == first else 0o755)
        os.utime(path, (age, age))
    assert packages.build(first) == packages.build(second)
    assert packages.pack([("a", b"1"), ("b", b"2")]) == packages.pack([("b", b"2"), ("a", b"1")])


def test_entries_can_be_read_by_the_user_that_runs_the_function() -> None:
    with zipfile.ZipFile(io.BytesIO(packages.pack([("a.py", b"")]))) as archive:
        (entry,) = archive.infolist()
        assert entry.external_attr >> 16 == 0o100644
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)


def _wheel(folder: Path) -> None:
    about = "tinydependency-1.0.dist-info"
    with zipfile.ZipFile(folder / "tinydependency-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("tinydependency.py", "ANSWER = 42\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tinydependency\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")


def test_dependencies_are_included_reproducibly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _wheel(tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    handler = tmp_path / "handler.py"
    handler.write_text("import tinydependency\n")
    handler.with_suffix(".requirements.txt").write_text("tinydependency==1.0\n")
    content = packages.build(handler)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert archive.read("tinydependency.py") == b"ANSWER = 42\n"
    assert "handler.py" in names
    assert not [name for name in names if name.endswith("RECORD") or "__pycache__" in name]
    assert packages.build(handler) == content


def test_a_dependency_that_cannot_be_had_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    handler = tmp_path / "handler.py"
    handler.write_text("")
    handler.with_suffix(".requirements.txt").write_text("no-such-distribution\n")
    with pytest.raises(WorkflowError, match="no-such-distribution"):
        packages.build(handler)
