"""Where AWS publishes no runtime client, ours stands in: the same contract, seen from outside."""

import base64
import io
import json
import re
import venv
import zipfile
from collections.abc import Iterator
from typing import Any

import pytest

from scones.testing import LocalAWS

SOURCE = """
import decimal, logging, os
def handler(event, context):
    print("working")
    logging.getLogger().warning("careful")
    return globals()[event["do"]](event, context)
def about(event, context):
    at_home = os.getcwd() == os.environ["LAMBDA_TASK_ROOT"]
    return [context.function_name, context.client_context.custom, at_home,
            0 < context.get_remaining_time_in_millis() <= 3000, decimal.Decimal("1.5"), "é"]
def fail(event, context):
    raise ValueError("no")
def unserialisable(event, context):
    return {1}
def raw(event, context):
    return b"\\x89PNG"
def big(event, context):
    return "x" * 7_000_000
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAWS]:
    """A cloud whose workers run in an interpreter with nothing installed."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    with LocalAWS(folder / "state", worker_python=str(folder / "venv/bin/python")) as cloud:
        yield cloud


def create(client: Any, name: str, source: str = SOURCE, handler: str = "f.handler") -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("f.py", source)
    client.create_function(
        FunctionName=name, Runtime="python3.12", Role="arn:aws:iam::000000000000:role/r", Handler=handler,
        Code={"ZipFile": buffer.getvalue()},
    )  # fmt: skip


def test_results_errors_and_lines_are_those_of_the_real_one(bare: LocalAWS) -> None:
    client = bare.client("lambda")
    create(client, "f")

    def invoke(do: str) -> tuple[bytes, str, str]:
        context = base64.b64encode(b'{"custom": {"a": 1}}').decode()
        payload = json.dumps({"do": do})
        reply = client.invoke(FunctionName="f", Payload=payload, LogType="Tail", ClientContext=context)
        tail = base64.b64decode(reply["LogResult"]).decode()
        return reply["Payload"].read(), reply.get("FunctionError", ""), tail

    payload, error, tail = invoke("about")
    assert (error, payload.decode()) == ("", '["f", {"a": 1}, true, true, 1.5, "é"]')
    found = re.search(r"START RequestId: (\S+) Version", tail)
    assert found
    assert re.search(rf"\nworking\n\[WARNING\]\t\d{{4}}-[\dT:.-]+Z\t{found[1]}\tcareful\nEND RequestId", tail)

    payload, error, tail = invoke("fail")
    described = json.loads(payload)
    assert list(described) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert (error, described["errorType"], described["errorMessage"]) == ("Unhandled", "ValueError", "no")
    assert re.findall(r", in (\w+)\n", "".join(described["stackTrace"])) == ["handler", "fail"]
    assert "[ERROR] ValueError: no\rTraceback (most recent call last):\r\u00a0\u00a0File " in tail

    described = json.loads(invoke("unserialisable")[0])
    assert described["errorType"] == "Runtime.MarshalError"
    assert described["errorMessage"].startswith("Unable to marshal response: Object of type set is not JSON")
    assert described["stackTrace"] == []
    assert invoke("raw")[:2] == (b"\x89PNG", "")
    assert b"Function.ResponseSizeTooLarge" in invoke("big")[0]
    assert invoke("raw")[:2] == (b"\x89PNG", "")


@pytest.mark.parametrize(
    ("name", "source", "handler", "kind", "message"),
    [
        ("a", "", "g.h", "Runtime.ImportModuleError", "Unable to import module 'g': No module named 'g'"),
        ("b", "", "f.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'f'"),
        ("c", "", "f", "Runtime.MalformedHandlerName", "Bad handler 'f': not enough values to unpack"),
        ("d", "def (", "f.h", "Runtime.UserCodeSyntaxError", "Syntax error in module 'f': invalid syntax"),
        ("e", "1 / 0", "f.h", "ZeroDivisionError", "division by zero"),
    ],
)
def test_function_that_cannot_be_loaded(
    bare: LocalAWS, name: str, source: str, handler: str, kind: str, message: str
) -> None:
    client = bare.client("lambda")
    create(client, name, source, handler)
    error = json.loads(client.invoke(FunctionName=name)["Payload"].read())
    assert (error["errorType"], error["requestId"]) == (kind, "")
    assert error["errorMessage"].startswith(message)
