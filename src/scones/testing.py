"""A local cloud for anyone's tests: install scones and use the fixture `aws`.

    def test_upload(aws):
        s3 = aws.client("s3")
        s3.create_bucket(Bucket="pictures")

The cloud is real (sockets, processes, files) and lives as long as the test process; use names of
your own in each test. `LocalAWS` is the same thing by hand, to choose settings or to restart.

pytest imports this module in every run, so the cloud itself is imported only when one starts.
"""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import pytest

__all__ = ["LocalAWS", "aws"]

_SHIPPED = Path(__file__).parent / "shipped"


class LocalAWS:
    """A cloud on a thread of its own. Settings are those of CloudSettings; the port is a free one."""

    def __init__(self, state_dir: Path, **settings: Any) -> None:
        import boto3
        import uvloop

        from scones.cloud.runtime import Cloud
        from scones.cloud.settings import CloudSettings

        defaults: dict[str, Any] = {
            "port": 0,
            "capture_window_s": 1.0,
            "algorithms": {"image-classification": _SHIPPED / "algorithm"},
        }
        chosen = CloudSettings(**defaults | settings, state_dir=state_dir)
        self.state_dir = state_dir
        self.url = ""
        self._cloud = Cloud(chosen)
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="local-aws", daemon=True)
        self._session = boto3.Session("test", "test", region_name=chosen.region)

    def start(self) -> Self:
        self._thread.start()
        try:
            self.url = asyncio.run_coroutine_threadsafe(self._cloud.start(), self._loop).result(60)
        except BaseException:
            self._stop_thread()
            raise
        return self

    def close(self) -> None:
        try:
            asyncio.run_coroutine_threadsafe(self._cloud.close(), self._loop).result(60)
        finally:
            self._stop_thread()

    def _stop_thread(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def client(self, service: str, **config: Any) -> Any:
        """A plain boto3 client of this cloud; `config` goes to botocore's Config."""
        from botocore.config import Config

        options: dict[str, Any] = {"inject_host_prefix": False, "retries": {"max_attempts": 0}} | config
        make: Any = self._session.client  # its stubs know a signature for each service, none for all
        return make(service, endpoint_url=self.url, config=Config(**options))


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    """A running local cloud, shared by the tests of one process."""
    with LocalAWS(tmp_path_factory.mktemp("aws")) as cloud:
        yield cloud
