"""What the workflow makes of a service that dies over its reply."""

import http.server
import threading
from collections.abc import Iterator

import pytest

from scones.workflow.aws import Aws, explained
from scones.workflow.errors import WorkflowError
from scones.workflow.settings import Settings

REPLY = b'{"activities": []}'


class Cut(http.server.BaseHTTPRequestHandler):
    """Announces a reply and sends only its first bytes: as many as the server's `sent` says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(REPLY)))
        self.end_headers()
        self.wfile.write(REPLY[: self.server.sent])  # type: ignore[attr-defined]
        self.close_connection = True

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    with http.server.HTTPServer(("127.0.0.1", 0), Cut) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.mark.parametrize("sent", [0, 5, len(REPLY)])
def test_a_reply_cut_short_is_a_broken_connection(server: http.server.HTTPServer, sent: int) -> None:
    server.sent = sent  # type: ignore[attr-defined]
    settings = Settings(endpoint_url=f"http://127.0.0.1:{server.server_port}")
    client = Aws(settings).client("stepfunctions")
    if sent == len(REPLY):
        assert client.list_activities()["activities"] == []
        return
    with pytest.raises(WorkflowError, match="broke"), explained(settings):
        client.list_activities()
