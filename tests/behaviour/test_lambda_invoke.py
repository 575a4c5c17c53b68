"""Invocations: results, every way to fail in AWS's own bytes, warm workers, limits, logs."""

import base64
import contextlib
import io
import json
import os
import re
import time
import uuid
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

ROLE = "arn:aws:iam::000000000000:role/lambda"
SOURCE = """
import logging, os, sys, time, uuid

BORN = str(uuid.uuid4())


def handler(event, context):
    return globals()[event["do"]](event, context)


def echo(event, context):
    return event["value"]


def born(event, context):
    return BORN


def pid(event, context):
    return os.getpid()


def about(event, context):
    facts = {name: getattr(context, name) for name in (
        "function_name", "function_version", "memory_limit_in_mb", "invoked_function_arn",
        "aws_request_id", "log_group_name", "log_stream_name")}
    custom = context.client_context.custom if context.client_context else None
    left = context.get_remaining_time_in_millis()
    return {**facts, "custom": custom, "left": left, "env": dict(os.environ), "cwd": os.getcwd()}


def fail(event, context):
    raise ValueError("no")


def unserialisable(event, context):
    return {1}


def exit_1(event, context):
    sys.exit(1)


def exit_0(event, context):
    os._exit(0)


def killed(event, context):
    os.kill(os.getpid(), 9)


def hang(event, context):
    time.sleep(60)


def big(event, context):
    return "x" * event["size"]


def raw(event, context):
    return b"\\x89PNG"


def rest(event, context):
    time.sleep(event["seconds"])
    return BORN


def talk(event, context):
    for number in range(event["lines"]):
        print(f"line {number}")
    logging.getLogger().warning("careful")
    print("unfinished", end="")
    return None


def append(event, context):
    with open(event["path"], "a") as file:
        file.write(context.aws_request_id + "\\n")
    if event.get("fail"):
        raise RuntimeError("again")
"""


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, text in files.items():
            opened.writestr(name, text)
    return buffer.getvalue()


def create(client: Any, source: str = SOURCE, *, handler: str = "f.handler", **options: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:12]}"
    settings = {"Runtime": "python3.11", "Role": ROLE, "Handler": handler, "Timeout": 20}
    code = options.pop("Code", None) or {"ZipFile": zipped({"f.py": source})}
    client.create_function(FunctionName=name, Code=code, **settings | options)
    return name


def invoke(client: Any, name: str, do: str, **event: Any) -> tuple[Any, str]:
    """The payload's bytes read as JSON, and FunctionError or nothing."""
    reply = client.invoke(FunctionName=name, Payload=json.dumps({"do": do, **event}))
    assert reply["StatusCode"] == 200
    return json.loads(reply["Payload"].read()), reply.get("FunctionError", "")


def failure(client: Any, name: str, do: str = "", **event: Any) -> tuple[bytes, str]:
    """The error payload as it came, and the request id of the invocation."""
    payload = json.dumps({"do": do, **event})
    reply = client.invoke(FunctionName=name, Payload=payload, LogType="Tail")
    assert (reply["StatusCode"], reply["FunctionError"]) == (200, "Unhandled")
    tail = base64.b64decode(reply["LogResult"]).decode()
    found = re.search(r"END RequestId: (\S+)", tail)
    assert found
    return reply["Payload"].read(), found[1]


@pytest.fixture(scope="module")
def function(aws: LocalAWS) -> Iterator[str]:
    client = aws.client("lambda")
    name = create(client, Environment={"Variables": {"COLOUR": "red", "TZ": "Europe/Rome"}}, MemorySize=256)
    yield name
    client.delete_function(FunctionName=name)


def test_result_is_the_handlers_json(aws: LocalAWS, function: str) -> None:
    client = aws.client("lambda")
    for value in (None, 1, 1.5, "é☃", [1, {"a": []}], {"deep": {"er": True}}):
        assert invoke(client, function, "echo", value=value) == (value, "")
    assert client.invoke(FunctionName=function, Payload='{"do": "raw"}')["Payload"].read() == b"\x89PNG"


def test_no_payload_is_an_empty_object(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, "def handler(e, c):\n    return e\n")
    reply = client.invoke(FunctionName=name)
    assert (reply["Payload"].read(), reply["ExecutedVersion"]) == (b"{}", "$LATEST")


def test_function_sees_its_context_and_environment(aws: LocalAWS, function: str) -> None:
    client = aws.client("lambda")
    context = base64.b64encode(b'{"custom": {"who": "\xc3\xa9"}}').decode()
    reply = client.invoke(FunctionName=function, Payload='{"do": "about"}', ClientContext=context)
    facts = json.loads(reply["Payload"].read())
    env = facts["env"]
    arn = f"arn:aws:lambda:us-east-1:000000000000:function:{function}"
    assert (facts["function_name"], facts["function_version"]) == (function, "$LATEST")
    assert (facts["memory_limit_in_mb"], facts["invoked_function_arn"]) == ("256", arn)
    assert facts["custom"] == {"who": "é"}
    assert 0 < facts["left"] <= 20_000
    assert facts["log_group_name"] == f"/aws/lambda/{function}"
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", facts["log_stream_name"])
    assert facts["cwd"] == env["LAMBDA_TASK_ROOT"]
    expected = {
        "AWS_ENDPOINT_URL": aws.url, "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": function, "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        "_HANDLER": "f.handler", "COLOUR": "red", "TZ": "Europe/Rome",
    }  # fmt: skip
    assert expected.items() <= env.items()
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "_X_AMZN_TRACE_ID", "TMPDIR"} <= env.keys()
    assert "PYTEST_CURRENT_TEST" not in env


def test_function_calls_this_cloud_with_plain_boto3(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    source = (
        "import boto3\ndef handler(e, c):\n    return boto3.client('sts').get_caller_identity()['Account']\n"
    )
    name = create(client, source)
    assert json.loads(client.invoke(FunctionName=name)["Payload"].read()) == "000000000000"


def test_packages_in_the_zip_win(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    files = {
        "pkg/app.py": "import click, boto3\ndef go(e, c):\n    return [click.MINE, boto3.__file__]\n",
        "click/__init__.py": "MINE = 1\n",
    }
    name = create(client, Code={"ZipFile": zipped(files)}, handler="pkg.app.go")
    mine, boto3_file = json.loads(client.invoke(FunctionName=name)["Payload"].read())
    assert mine == 1
    assert "site-packages" in boto3_file


def test_error_of_the_handler(aws: LocalAWS, function: str) -> None:
    payload, request_id = failure(aws.client("lambda"), function, "fail")
    error = json.loads(payload)
    assert list(error) == ["errorMessage", "errorType", "requestId", "stackTrace"]
    assert (error["errorMessage"], error["errorType"]) == ("no", "ValueError")
    assert error["requestId"] == request_id
    assert re.fullmatch(r'  File ".*/f\.py", line 8, in handler\n    return .*\n', error["stackTrace"][0])
    assert error["stackTrace"][1].endswith(', in fail\n    raise ValueError("no")\n')


def test_result_that_is_no_json(aws: LocalAWS, function: str) -> None:
    payload, request_id = failure(aws.client("lambda"), function, "unserialisable")
    assert payload.decode() == (
        '{"errorMessage": "Unable to marshal response: Object of type set is not JSON serializable", '
        f'"errorType": "Runtime.MarshalError", "requestId": "{request_id}", "stackTrace": []}}'
    )


@pytest.mark.parametrize(
    ("source", "handler", "kind", "message"),
    [
        ("", "g.handler", "Runtime.ImportModuleError", "Unable to import module 'g': No module named 'g'"),
        (
            "import nope",
            "f.handler",
            "Runtime.ImportModuleError",
            "Unable to import module 'f': No module named 'nope'",
        ),
        ("", "f.nope", "Runtime.HandlerNotFound", "Handler 'nope' missing on module 'f'"),
        (
            "",
            "f",
            "Runtime.MalformedHandlerName",
            "Bad handler 'f': not enough values to unpack (expected 2, got 1)",
        ),
        (
            "def (",
            "f.handler",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'f': invalid syntax (f.py, line 1)",
        ),
        ("1 / 0", "f.handler", "ZeroDivisionError", "division by zero"),
    ],
)
def test_function_that_cannot_be_loaded(
    aws: LocalAWS, source: str, handler: str, kind: str, message: str
) -> None:
    client = aws.client("lambda")
    name = create(client, source, handler=handler)
    for _ in range(2):
        payload, _ = failure(client, name)
        error = json.loads(payload)
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == (kind, message, "")


@pytest.mark.parametrize(
    ("do", "reason"),
    [
        ("exit_1", "Runtime exited with error: exit status 1"),
        ("exit_0", "Runtime exited without providing a reason"),
        ("killed", "Runtime exited with error: signal: killed"),
    ],
)
def test_worker_that_dies_in_the_middle(aws: LocalAWS, function: str, do: str, reason: str) -> None:
    client = aws.client("lambda")
    payload, request_id = failure(client, function, do)
    message = f"RequestId: {request_id} Error: {reason}"
    assert payload.decode() == f'{{"errorType":"Runtime.ExitError","errorMessage":"{message}"}}'
    assert invoke(client, function, "echo", value=1) == (1, "")


def test_exit_while_loading(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, "import sys\nsys.exit(3)\n")
    payload, request_id = failure(client, name)
    message = f"RequestId: {request_id} Error: Runtime exited with error: exit status 3"
    assert payload.decode() == f'{{"errorType":"Runtime.ExitError","errorMessage":"{message}"}}'


def test_handler_that_hangs_is_stopped_at_its_timeout(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, Timeout=1)
    pid, _ = invoke(client, name, "pid")
    began = time.monotonic()
    payload, request_id = failure(client, name, "hang")
    assert 0.9 < time.monotonic() - began < 5
    message = f"RequestId: {request_id} Error: Task timed out after 1.00 seconds"
    assert payload.decode() == f'{{"errorType":"Sandbox.Timedout","errorMessage":"{message}"}}'
    assert invoke(client, name, "pid")[0] != pid


def test_result_that_is_too_large(aws: LocalAWS, function: str) -> None:
    client = aws.client("lambda")
    limit = 6 * 1024 * 1024 + 100
    assert len(invoke(client, function, "big", size=limit - 2)[0]) == limit - 2
    payload, _ = failure(client, function, "big", size=limit - 1)
    assert payload == (
        b'{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded'
        b' maximum allowed payload size (6291556 bytes)."}'
    )
    assert invoke(client, function, "echo", value=1) == (1, "")


def test_requests_that_are_refused_before_they_run(aws: LocalAWS, function: str) -> None:
    client = aws.client("lambda")

    def code(**request: Any) -> tuple[str, int]:
        with pytest.raises(ClientError) as raised:
            client.invoke(FunctionName=function, **request)
        reply: Any = raised.value.response
        return reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]

    assert code(Payload=b"{nope") == ("InvalidRequestContentException", 400)
    assert code(Payload=b"\xff") == ("InvalidRequestContentException", 400)
    assert code(Payload=b'"' + b"x" * 6 * 1024 * 1024 + b'"') == ("RequestTooLargeException", 413)
    event = {"InvocationType": "Event", "Payload": b'"' + b"x" * 1024 * 1024 + b'"'}
    assert code(**event) == ("RequestTooLargeException", 413)
    for context in ("nope!", base64.b64encode(b"[1]").decode(), base64.b64encode(b"{").decode()):
        assert code(ClientContext=context) == ("InvalidRequestContentException", 400)


def test_dry_run_runs_nothing(aws: LocalAWS, tmp_path: Path, function: str) -> None:
    client = aws.client("lambda")
    event = json.dumps({"do": "append", "path": str(tmp_path / "ran")})
    reply = client.invoke(FunctionName=function, InvocationType="DryRun", Payload=event)
    assert (reply["StatusCode"], reply["Payload"].read()) == (204, b"")
    assert not (tmp_path / "ran").exists()


def test_warm_worker_is_used_again_and_side_by_side_ones_are_not_shared(aws: LocalAWS) -> None:
    client = aws.client("lambda", max_pool_connections=8)
    name = create(client)
    assert len({invoke(client, name, "born")[0] for _ in range(5)}) == 1
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda _: invoke(client, name, "rest", seconds=0.5)[0], range(4)))
    assert len(set(together)) == 4


def test_worker_killed_between_two_invocations_is_replaced_unseen(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client)
    for _ in range(3):
        pid, _ = invoke(client, name, "pid")
        os.kill(pid, 9)
        while psutil.pid_exists(pid):  # until the cloud has collected it
            time.sleep(0.005)
        other, error = invoke(client, name, "pid")
        assert error == ""
        assert other != pid


def test_reserved_concurrency_is_honoured_exactly(aws: LocalAWS) -> None:
    client = aws.client("lambda", max_pool_connections=8)
    name = create(client)
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=2)

    def attempt(_: int) -> str:
        try:
            invoke(client, name, "rest", seconds=1)
        except ClientError as error:
            reply: Any = error.response
            assert reply["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert reply["Error"]["Message"] == "Rate Exceeded."
            return f"{reply['Error']['Code']} {reply['Reason']}"
        return "done"

    with ThreadPoolExecutor(4) as pool:
        ends = sorted(pool.map(attempt, range(4)))
    throttled = "TooManyRequestsException ReservedFunctionConcurrentInvocationLimitExceeded"
    assert ends == [throttled, throttled, "done", "done"]
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert attempt(0) == throttled
    client.delete_function_concurrency(FunctionName=name)
    assert attempt(0) == "done"


def test_more_invocations_than_the_account_may_run_wait_their_turn(aws: LocalAWS, function: str) -> None:
    client = aws.client("lambda", max_pool_connections=30)
    with ThreadPoolExecutor(24) as pool:
        ends = list(pool.map(lambda n: invoke(client, function, "echo", value=n), range(24)))
    assert ends == [(n, "") for n in range(24)]


def test_tail_and_stream_hold_the_same_lines(aws: LocalAWS) -> None:
    client, logs = aws.client("lambda"), aws.client("logs")
    name = create(client)
    reply = client.invoke(FunctionName=name, Payload='{"do": "talk", "lines": 3}', LogType="Tail")
    tail = base64.b64decode(reply["LogResult"]).decode()
    lines = tail.splitlines()
    assert lines[0].startswith("INIT_START Runtime Version: python:3.")
    request_id = lines[1].removeprefix("START RequestId: ").removesuffix(" Version: $LATEST")
    assert lines[2:5] == ["line 0", "line 1", "line 2"]
    assert re.fullmatch(rf"\[WARNING\]\t\d{{4}}-\d\d-\d\dT[\d:.]+Z\t{request_id}\tcareful", lines[5])
    end = lines.index(f"END RequestId: {request_id}")
    number = r"\d+\.\d\d"
    assert re.fullmatch(
        rf"REPORT RequestId: {request_id}\tDuration: {number} ms\tBilled Duration: \d+ ms\t"
        rf"Memory Size: 128 MB\tMax Memory Used: [1-9]\d* MB\tInit Duration: {number} ms\t",
        lines[end + 1],
    )
    again = client.invoke(FunctionName=name, Payload='{"do": "talk", "lines": 500}', LogType="Tail")
    warm = base64.b64decode(again["LogResult"]).decode()
    assert len(warm) == 4096
    assert "Init Duration" not in warm
    assert "line 499\n" in warm

    group = f"/aws/lambda/{name}"
    deadline = time.monotonic() + 10
    while True:
        stored = []
        with contextlib.suppress(logs.exceptions.ResourceNotFoundException):  # until the first line is there
            stored = [e["message"] for e in logs.filter_log_events(logGroupName=group)["events"]]
        if sum(message.startswith("REPORT") for message in stored) == 2:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert "".join(stored).startswith(tail)
    assert "".join(stored).endswith(warm)
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert len(streams) == 1
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", streams[0]["logStreamName"])


def test_every_failure_is_in_the_log(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, Timeout=1)

    def tail(do: str) -> str:
        reply = client.invoke(FunctionName=name, Payload=json.dumps({"do": do}), LogType="Tail")
        return base64.b64decode(reply["LogResult"]).decode()

    raised = tail("fail")
    assert "[ERROR] ValueError: no\rTraceback (most recent call last):\r\u00a0\u00a0File " in raised
    ended = tail("exit_1")
    found = re.search(
        r"RequestId: (\S+) Error: Runtime exited with error: exit status 1\nRuntime.ExitError\n", ended
    )
    assert found
    assert ended.index(f"REPORT RequestId: {found[1]}") < found.start()
    hung = tail("hang")
    assert re.search(r"Z [0-9a-f-]{36} Task timed out after 1\.00 seconds\n", hung)
    assert "Duration: 1000.00 ms\tBilled Duration: 1000 ms" in hung


def test_event_is_accepted_at_once_and_runs_later(aws: LocalAWS, tmp_path: Path, function: str) -> None:
    client = aws.client("lambda")
    ran = tmp_path / "ran"
    event = json.dumps({"do": "append", "path": str(ran)})
    for _ in range(3):
        reply = client.invoke(FunctionName=function, InvocationType="Event", Payload=event)
        assert (reply["StatusCode"], reply["Payload"].read()) == (202, b"")
        assert "FunctionError" not in reply
    deadline = time.monotonic() + 20
    while not ran.exists() or len(set(ran.read_text().split())) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_functions_survive_a_restart_of_the_cloud(tmp_path: Path) -> None:
    with LocalAWS(tmp_path / "state") as cloud:
        client = cloud.client("lambda")
        name = create(client, Environment={"Variables": {"COLOUR": "red"}})
        before = client.get_function_configuration(FunctionName=name)
        pid, _ = invoke(client, name, "pid")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with LocalAWS(tmp_path / "state") as cloud:
        client = cloud.client("lambda")
        after = client.get_function_configuration(FunctionName=name)
        same = ("RevisionId", "CodeSha256", "State", "LastModified", "Environment")
        assert [after[key] for key in same] == [before[key] for key in same]
        assert invoke(client, name, "echo", value=1) == (1, "")
        logs = partial(cloud.client("logs").filter_log_events, logGroupName=f"/aws/lambda/{name}")
        assert logs()["events"]


def test_function_that_prints_without_end_neither_loses_lines_nor_holds_up_others(
    aws: LocalAWS, function: str
) -> None:
    client, logs = aws.client("lambda"), aws.client("logs")
    name = create(client, Timeout=60)
    with ThreadPoolExecutor(1) as pool:
        talking = pool.submit(invoke, client, name, "talk", lines=60_000)
        while not talking.done():
            began = time.monotonic()
            assert invoke(aws.client("lambda"), function, "echo", value=1) == (1, "")
            assert time.monotonic() - began < 5
        assert talking.result() == (None, "")
    ask = partial(logs.filter_log_events, logGroupName=f"/aws/lambda/{name}", filterPattern='"line 59999"')
    deadline = time.monotonic() + 20
    token: dict[str, str] = {}
    while True:
        page = ask(**token)
        if page["events"]:
            break
        token = {"nextToken": page["nextToken"]} if "nextToken" in page else token
        assert time.monotonic() < deadline
