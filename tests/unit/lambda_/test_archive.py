"""Deployment packages: good ones unpack whole and read-only, hostile ones leave nothing behind."""

import io
import os
import stat
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scones.cloud.services.lambda_ import archive
from scones.cloud.services.lambda_.archive import BadArchiveError, remove, unpack

DAMAGED = "Could not unzip uploaded file. Please check your file, then try to upload again."


def packed(*members: tuple[zipfile.ZipInfo | str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in members:
            opened.writestr(name, data)
    return buffer.getvalue()


def special(name: str, mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


def encrypted() -> bytes:
    """A zip whose only member claims to be encrypted: bit 0 of both its flag words."""
    data = bytearray(packed(("f.py", b"x")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def lying_size() -> bytes:
    """A member that is longer than its headers say."""
    data = bytearray(packed(("f.py", b"x" * 1000)))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.index(signature) + offset
        data[start : start + 4] = struct.pack("<I", 10)
    return bytes(data)


def damaged_data() -> bytes:
    data = bytearray(packed(("f.py", os.urandom(2000))))
    data[500:520] = bytes(20)
    return bytes(data)


HOSTILE = {
    "not a zip": b"print('hello')",
    "nothing": b"",
    "cut short": packed(("f.py", b"x" * 1000))[:-30],
    "climbs": packed(("../../evil.py", b"x")),
    "climbs in the middle": packed(("a/../../evil.py", b"x")),
    "absolute": packed(("/etc/evil", b"x")),
    "drive letter": packed(("C:evil", b"x")),
    "backslashes": packed(("..\\evil.py", b"x")),
    "symlink": packed((special("link", stat.S_IFLNK | 0o777), b"/etc/passwd")),
    "device": packed((special("pipe", stat.S_IFIFO | 0o666), b"")),
    "encrypted": encrypted(),
    "longer than it says": lying_size(),
    "damaged": damaged_data(),
    "file and folder of one name": packed(("a", b"x"), ("a/b", b"x")),
    "name too long": packed(("n" * 300, b"x")),
    "unusual compression": b"",
}


def unusual_compression() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as opened:
        opened.writestr("f.py", b"x")
    return buffer.getvalue()


HOSTILE["unusual compression"] = unusual_compression()


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archive_is_refused_and_leaves_nothing(case: str, tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    file.write_bytes(HOSTILE[case])
    home = tmp_path / "function"
    with pytest.raises(BadArchiveError, match="^" + DAMAGED):
        unpack(file, home / "code")
    assert not list(home.glob("*"))
    assert sorted(p.name for p in tmp_path.iterdir()) in (["function", "package.zip"], ["package.zip"])


def test_archive_without_files_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    for data in (packed(), packed((special("folder/", stat.S_IFDIR | 0o755), b""))):
        file.write_bytes(data)
        with pytest.raises(BadArchiveError, match=r"^Uploaded file must be a non-empty zip$"):
            unpack(file, tmp_path / "code")


def test_bomb_is_refused_by_its_declared_size(tmp_path: Path) -> None:
    data = bytearray(packed(("a", bytes(1000)), ("b", bytes(1000))))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 24 : at + 28] = struct.pack("<I", 140 * 1024 * 1024)
    file = tmp_path / "package.zip"
    file.write_bytes(data)
    with pytest.raises(BadArchiveError, match=r"^Unzipped size must be smaller than 262144000 bytes$"):
        unpack(file, tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_good_archive_is_unpacked_whole_and_read_only(tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    members: list[tuple[zipfile.ZipInfo | str, bytes]]
    members = [("f.py", b"one"), ("lib/deep/g.py", b"two"), (special("run.sh", 0o100755), b"three")]
    file.write_bytes(packed(*members))
    target = tmp_path / "function" / "code"
    unpack(file, target)
    assert (target / "f.py").read_bytes() == b"one"
    assert (target / "lib/deep/g.py").read_bytes() == b"two"
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in [target, *target.rglob("*")]}
    assert modes == {
        "code": 0o555, "f.py": 0o444, "lib": 0o555, "deep": 0o555, "g.py": 0o444, "run.sh": 0o555
    }  # fmt: skip
    unpack(file, target)  # once is enough
    remove(target)
    assert not list((tmp_path / "function").iterdir())


def test_name_given_twice_keeps_the_last(tmp_path: Path) -> None:
    file = tmp_path / "package.zip"
    with pytest.warns(UserWarning, match="Duplicate"):
        file.write_bytes(packed(("f.py", b"one"), ("f.py", b"two")))
    unpack(file, tmp_path / "code")
    assert (tmp_path / "code/f.py").read_bytes() == b"two"


def test_large_archives_are_unpacked_by_a_program_that_says_the_same(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    good.write_bytes(packed(("f.py", b"one")))
    bad.write_bytes(HOSTILE["climbs"])

    def run(file: Path) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-IS", archive.__file__, str(file), str(tmp_path / file.stem)]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)

    assert run(good).returncode == 0
    assert (tmp_path / "good/f.py").read_bytes() == b"one"
    refused = run(bad)
    assert (refused.returncode, refused.stdout) == (2, DAMAGED + "\n")
