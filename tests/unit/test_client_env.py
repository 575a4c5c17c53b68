"""The environment for unmodified clients, tried with real ones in processes of their own."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from scones.client_env import CLIENT_FOLDER, client_environment, misleading, shell_lines

STS_REPLY = (
    b'<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
    b"<GetCallerIdentityResult><Account>000000000000</Account></GetCallerIdentityResult>"
    b"</GetCallerIdentityResponse>"
)


class Recorder(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.hosts.append(self.headers["Host"])  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", str(len(STS_REPLY)))
        self.end_headers()
        self.wfile.write(STS_REPLY)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def recorder() -> Iterator[tuple[str, list[str]]]:
    """A server that answers GetCallerIdentity, its URL, and the Host of every request."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.hosts = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", server.hosts  # type: ignore[attr-defined]
    server.shutdown()
    thread.join()
    server.server_close()


def environment(url: str, **inherited: str) -> dict[str, str]:
    return client_environment(url, region="us-east-1", account_id="000000000000", inherited=inherited)


def python(code: str, variables: dict[str, str]) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in misleading(os.environ)}
    result = subprocess.run(
        [sys.executable, "-c", code], env=kept | variables, capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


IDENTITY = """
import boto3
from botocore.config import Config
sts = boto3.client("sts", endpoint_url={endpoint!r}, config=Config(retries={{"total_max_attempts": 1}}, connect_timeout=1))
print(sts.get_caller_identity()["Account"])
"""


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://sts.us-east-1.amazonaws.com",
        "https://sts.amazonaws.com",
        "https://sts-fips.us-east-1.amazonaws.com",
        "https://sts.cn-north-1.amazonaws.com.cn",
        None,
    ],
    ids=str,
)
def test_sts_clients_with_a_public_endpoint_stay_on_this_machine(
    recorder: tuple[str, list[str]], endpoint: str | None
) -> None:
    url, hosts = recorder
    assert python(IDENTITY.format(endpoint=endpoint), environment(url)) == "000000000000"
    assert hosts == [url.removeprefix("http://")]


def test_an_endpoint_for_sts_alone_is_obeyed(recorder: tuple[str, list[str]]) -> None:
    url, _ = recorder
    variables = environment("http://127.0.0.1:9") | {"AWS_ENDPOINT_URL_STS": url}
    code = IDENTITY.format(endpoint="https://sts.us-east-1.amazonaws.com")
    assert python(code, variables) == "000000000000"


REDIRECTED = """
import boto3
client = boto3.client({service!r}, endpoint_url={endpoint!r})
request = []
client.meta.events.register_last("before-sign", lambda request, **_: urls.append(request.url))
urls = []
try:
    client.meta.events.register("before-send", lambda **_: 1 / 0)
    getattr(client, {method!r})()
except ZeroDivisionError:
    pass
print(urls[0])
"""


@pytest.mark.parametrize(
    ("service", "endpoint", "method", "local"),
    [
        ("sts", "https://sts.us-east-1.amazonaws.com", "get_caller_identity", "https://cloud.example.com"),
        ("sts", "https://sts.example.com", "get_caller_identity", "http://127.0.0.1:4566"),
        ("s3", "https://s3.us-east-1.amazonaws.com", "list_buckets", "http://127.0.0.1:4566"),
    ],
)
def test_nothing_but_public_sts_is_redirected_and_only_to_loopback(
    service: str, endpoint: str, method: str, local: str
) -> None:
    code = REDIRECTED.format(service=service, endpoint=endpoint, method=method)
    assert python(code, environment(local)).startswith(endpoint)


def test_the_plugin_folder_shows_none_of_our_modules_to_other_programs() -> None:
    assert [path.name for path in CLIENT_FOLDER.glob("*.py")] == ["scones_local_sts.py"]


def test_lists_that_people_use_are_extended_once() -> None:
    first = environment(
        "http://127.0.0.1:1",
        PYTHONPATH="/mine",
        BOTOCORE_EXPERIMENTAL__PLUGINS="other=module",
        NO_PROXY="internal",
    )
    assert first["PYTHONPATH"] == os.pathsep.join(["/mine", str(CLIENT_FOLDER)])
    assert first["BOTOCORE_EXPERIMENTAL__PLUGINS"] == "other=module,scones=scones_local_sts"
    assert first["NO_PROXY"] == first["no_proxy"] == "internal,127.0.0.1,localhost"
    assert environment("http://127.0.0.1:1", **first) == first


def test_settings_for_real_aws_are_named() -> None:
    inherited = {
        "AWS_PROFILE": "work",
        "AWS_SESSION_TOKEN": "t",
        "AWS_ENDPOINT_URL_S3": "https://s3.example.com",
        "AWS_ENDPOINT_URL": "https://example.com",
        "HOME": "/home/me",
    }
    assert misleading(inherited) == ["AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"]


def test_shell_lines_survive_a_shell(tmp_path: Path) -> None:
    awkward = 'it\'s $HOME; `ls` "x"\n2'
    lines = shell_lines({"A": awkward}, ["B"])
    script = "\n".join(
        [*lines, f'exec {sys.executable} -c "import json,os; print(json.dumps(dict(os.environ)))"']
    )
    result = subprocess.run(["sh", "-c", script], env={"B": "b"}, capture_output=True, text=True, timeout=30)
    found = json.loads(result.stdout)
    assert found["A"] == awkward
    assert "B" not in found
