"""The cache: resumed, checked, and only the default has a substitute."""

import contextlib
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scones.workflow import source
from scones.workflow.archive import ArchiveError
from scones.workflow.download import UnreachableError, fetch
from scones.workflow.errors import WorkflowError
from scones.workflow.progress import Silent
from scones.workflow.settings import Settings


class Web:
    """Serves one file; may break the connection after so many bytes, once."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.break_after: list[int] = []
        self.ranges: list[str | None] = []
        self.url = ""


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[Web]:
    web = Web(content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            web.ranges.append(asked)
            start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
            body = web.content[start:]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"one"')
            self.end_headers()
            self.wfile.write(body[: web.break_after.pop(0)] if web.break_after else body)
            self.close_connection = True

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        web.url = f"http://127.0.0.1:{server.server_address[1]}/some.tar.gz"
        yield web
        server.shutdown()
        thread.join()


def test_a_fetched_file_is_kept_and_not_fetched_again(tmp_path: Path) -> None:
    with serving(b"x" * 1000) as web:
        path, digest = fetch(web.url, tmp_path, Silent())
        assert path.read_bytes() == web.content
        assert digest == hashlib.sha256(web.content).hexdigest()
        assert fetch(web.url, tmp_path, Silent()) == (path, digest)
        assert len(web.ranges) == 1


def test_a_changed_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    with serving(b"x" * 1000) as web:
        path, _ = fetch(web.url, tmp_path, Silent())
        path.write_bytes(b"y" * 1000)
        assert fetch(web.url, tmp_path, Silent())[0].read_bytes() == web.content


def test_a_broken_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    with serving(bytes(range(256)) * 4000) as web:
        web.break_after = [300_000]
        path, _ = fetch(web.url, tmp_path, Silent())
        assert path.read_bytes() == web.content
        assert web.ranges == [None, "bytes=300000-"]


def test_a_wrong_checksum_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(b"other bytes") as web, pytest.raises(ArchiveError, match="wrong checksum"):
        fetch(web.url, tmp_path, Silent(), md5="0" * 32)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and not path.name.endswith(".etag")] == []


def test_nobody_there(tmp_path: Path) -> None:
    with serving(b"") as web:
        pass
    with pytest.raises(UnreachableError, match="cannot be fetched"):
        fetch(web.url, tmp_path, Silent())


class Warned(Silent):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    with serving(b"") as web:
        pass
    monkeypatch.setattr(source, "PUBLISHED_ARCHIVE", web.url)
    return web.url


def test_without_the_published_archive_pictures_are_drawn_and_nobody_can_miss_it(
    nowhere: str, tmp_path: Path
) -> None:
    warned = Warned()
    dataset = source.open_dataset(Settings(data=nowhere, cache_dir=tmp_path), warned)
    assert dataset.drawn
    assert (len(dataset.train), len(dataset.test)) == (1000, 200)
    assert "NOT photographs" in warned.warnings[0]


def test_other_classes_cannot_be_drawn(nowhere: str, tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match="can draw only bicycle and motorcycle"):
        source.open_dataset(Settings(data=nowhere, cache_dir=tmp_path, classes=("cat", "dog")), Silent())


def test_data_that_a_person_named_is_never_replaced(nowhere: str, tmp_path: Path) -> None:
    with pytest.raises(UnreachableError):
        source.open_dataset(Settings(data=nowhere, data_given=True, cache_dir=tmp_path), Silent())
    with pytest.raises(ArchiveError, match="there is no archive"):
        source.open_dataset(Settings(data=str(tmp_path / "none"), data_given=True), Silent())


def test_a_path_names_an_archive(archives: Any, tmp_path: Path) -> None:
    path = archives.write(tmp_path / "a.tar.gz")
    dataset = source.open_dataset(Settings(data=str(path), data_given=True), Silent())
    assert dataset.classes == ("bicycle", "motorcycle")
    assert dataset.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
