"""Tiny archives of the CIFAR-100 python layout, whole and broken."""

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NAMES = ["apple", "bicycle", "motorcycle"]


class Archives:
    """Makes them."""

    @staticmethod
    def split(count: int = 6, **changes: Any) -> dict[bytes, Any]:
        """Rows of all three classes in turn; every value differs from its neighbours."""
        values = {
            b"filenames": [f"picture_{index:03d}.png".encode() for index in range(count)],
            b"batch_label": b"a batch",
            b"fine_labels": [index % 3 for index in range(count)],
            b"coarse_labels": [0] * count,
            b"data": np.arange(count * 3072, dtype=np.uint32).astype(np.uint8).reshape(count, 3072),
        }
        return values | {name.encode(): value for name, value in changes.items()}

    @staticmethod
    def write(path: Path, **members: Any) -> Path:
        """An archive whose members are pickled values, bytes as they are, or TarInfo; None leaves one out."""
        meta = {b"fine_label_names": [name.encode() for name in NAMES]}
        contents = {"meta": meta, "train": Archives.split(), "test": Archives.split(3)} | members
        with tarfile.open(path, "w:gz") as archive:
            for name, content in contents.items():
                if isinstance(content, tarfile.TarInfo):
                    archive.addfile(content)
                elif content is not None:
                    data = content if isinstance(content, bytes) else pickle.dumps(content, protocol=2)
                    entry = tarfile.TarInfo(f"cifar-100-python/{name}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))
        return path


@pytest.fixture
def archives() -> type[Archives]:
    return Archives
