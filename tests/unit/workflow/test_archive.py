"""Archives from strangers: what is whole is read exactly, what is not is refused in words."""

import io
import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scones.workflow.archive import ArchiveError, read, unpickle

CHOSEN = ("bicycle", "motorcycle")


def refusal(path: Path, classes: tuple[str, ...] = CHOSEN) -> ArchiveError:
    with pytest.raises(ArchiveError) as caught:
        read(path, classes, "here")
    return caught.value


def test_chosen_rows_keep_their_order_and_get_labels_from_zero(archives: Any, tmp_path: Path) -> None:
    dataset = read(archives.write(tmp_path / "a.tar.gz"), CHOSEN, "here")
    assert dataset.train.filenames == (
        "picture_001.png",
        "picture_002.png",
        "picture_004.png",
        "picture_005.png",
    )
    assert dataset.train.labels.tolist() == [0, 1, 0, 1]
    expected = archives.split()[b"data"][[1, 2, 4, 5]]
    assert np.array_equal(dataset.train.rows, expected)
    assert len(dataset.test) == 2


def test_the_order_of_the_classes_is_the_order_of_the_labels(archives: Any, tmp_path: Path) -> None:
    dataset = read(archives.write(tmp_path / "a.tar.gz"), ("motorcycle", "bicycle"), "here")
    assert dataset.train.labels.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_of_any_python_are_read(protocol: int) -> None:
    content = pickle.dumps({"data": np.zeros((2, 3), np.uint8), "fine_labels": [1, 2]}, protocol=protocol)
    if protocol == 5:  # numpy uses another function there, which the layout never needs
        with pytest.raises(ArchiveError, match="_frombuffer"):
            unpickle(content, "test")
    else:
        assert unpickle(content, "test")["data"].shape == (2, 3)


def test_a_repeated_filename_is_made_unique(archives: Any, tmp_path: Path) -> None:
    train = archives.split(filenames=[b"same.png"] * 6)
    dataset = read(archives.write(tmp_path / "a.tar.gz", train=train), CHOSEN, "here")
    assert dataset.train.filenames == ("same.png", "same-2.png", "same-3.png", "same-4.png")


class Evil:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


@pytest.mark.parametrize(
    "value",
    [
        Evil(os.system, "touch pwned"),
        Evil(eval, "1"),
        Evil(np.ndarray, (1 << 40,)),
        Evil(np.dtype, "O"),
        Evil(np.loadtxt, "/etc/passwd"),
        Evil(getattr, [], "append"),
    ],
)
def test_a_pickle_that_would_do_something_is_refused(
    archives: Any, value: Evil, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    train = archives.split(fine_labels=value)
    error = refusal(archives.write(tmp_path / "a.tar.gz", train=train))
    assert "'train'" in error.message
    assert not (tmp_path / "pwned").exists()


def test_an_array_of_objects_is_refused(archives: Any, tmp_path: Path) -> None:
    train = archives.split(data=np.array([object] * 6))
    assert "refused" in refusal(archives.write(tmp_path / "a.tar.gz", train=train)).message


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x02", b"garbage", pickle.dumps([1, 2]), b"\x80\x02}q\x00(U\xff"]
)
def test_a_pickle_that_is_none_is_refused(archives: Any, content: bytes, tmp_path: Path) -> None:
    assert "'train'" in refusal(archives.write(tmp_path / "a.tar.gz", train=content)).message


@pytest.mark.parametrize(
    "changes",
    [
        {"data": np.zeros((5, 3072), np.uint8)},
        {"data": np.zeros((6, 3071), np.uint8)},
        {"data": np.zeros((6, 3072), np.int64)},
        {"data": "rows"},
        {"fine_labels": [1, 2]},
        {"fine_labels": [b"x"] * 6},
        {"filenames": [1] * 6},
        {"filenames": [b"../../etc/passwd"] * 6},
        {"filenames": [b"a\tb.png"] * 6},
    ],
)
def test_rows_of_another_shape_or_odd_names_are_refused(
    archives: Any, changes: dict[str, Any], tmp_path: Path
) -> None:
    error = refusal(archives.write(tmp_path / "a.tar.gz", train=archives.split(**changes)))
    assert "'train'" in error.message


def test_a_missing_entry_is_named(archives: Any, tmp_path: Path) -> None:
    train = archives.split()
    del train[b"fine_labels"]
    assert "lacks 'fine_labels'" in refusal(archives.write(tmp_path / "a.tar.gz", train=train)).message


def test_an_unknown_class_lists_close_ones(archives: Any, tmp_path: Path) -> None:
    error = refusal(archives.write(tmp_path / "a.tar.gz"), ("bicycle", "motorcylce"))
    assert "'motorcylce'" in error.message
    assert "motorcycle" in error.hint


def test_an_empty_split_is_named(archives: Any, tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar.gz", test=archives.split(3, fine_labels=[0, 1, 1]))
    assert refusal(path).message == "the test split has no picture of 'motorcycle'"


def test_a_missing_member_is_named(archives: Any, tmp_path: Path) -> None:
    assert "lacks test" in refusal(archives.write(tmp_path / "a.tar.gz", test=None)).message


def test_no_archive(tmp_path: Path) -> None:
    assert "there is no archive" in refusal(tmp_path / "none.tar.gz").message


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.98])
def test_a_truncated_archive_is_refused(archives: Any, share: float, tmp_path: Path) -> None:
    whole = archives.write(tmp_path / "a.tar.gz").read_bytes()
    path = tmp_path / "b.tar.gz"
    path.write_bytes(whole[: int(len(whole) * share)])
    error = refusal(path)
    assert "cut short" in error.message or "lacks" in error.message


def test_something_else_than_an_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(os.urandom(5000))
    assert "not a tar archive" in refusal(path).message


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_member_that_is_no_file_is_refused(archives: Any, kind: bytes, tmp_path: Path) -> None:
    entry = tarfile.TarInfo("cifar-100-python/train")
    entry.type, entry.linkname = kind, "/etc/passwd"
    assert "no regular file" in refusal(archives.write(tmp_path / "a.tar.gz", train=entry)).message


@pytest.mark.parametrize("name", ["/etc/passwd", "cifar-100-python/../../train"])
def test_a_member_that_points_outside_is_refused(archives: Any, name: str, tmp_path: Path) -> None:
    assert "outside" in refusal(archives.write(tmp_path / "a.tar.gz", extra=tarfile.TarInfo(name))).message


def test_a_member_that_claims_too_much_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with path.open("wb") as file:
        entry = tarfile.TarInfo("cifar-100-python/meta")
        entry.size = 1 << 30
        file.write(entry.tobuf())
        file.write(b"\0" * 10240)
    assert "more than" in refusal(path).message


def test_memory_is_not_taken_on_trust() -> None:
    claims = io.BytesIO()
    claims.write(b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little"))
    with pytest.raises(ArchiveError):
        unpickle(claims.getvalue(), "test")
