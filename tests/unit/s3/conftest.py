from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import Service


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[Service]:
    """A fresh S3 with one bucket, `shelf`."""
    service = Service(tmp_path)
    service.create_bucket(Bucket="shelf")
    yield service
    service.close()
