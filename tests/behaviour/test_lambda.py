"""Functions as a client sees them: created, changed, described, refused, deleted."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from scones.testing import LocalAWS

ROLE = "arn:aws:iam::000000000000:role/lambda"
HELLO = "def handler(event, context):\n    return 'hello'\n"


def zipped(source: str = HELLO, others: dict[str, bytes] | None = None) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("f.py", source)
        for name, data in (others or {}).items():
            opened.writestr(name, data)
    return buffer.getvalue()


def create(client: Any, source: str = HELLO, **options: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:12]}"
    settings = {"Runtime": "python3.11", "Role": ROLE, "Handler": "f.handler", "Timeout": 20}
    client.create_function(FunctionName=name, Code={"ZipFile": zipped(source)}, **settings | options)
    return name


def result(reply: Any) -> Any:
    return json.loads(reply["Payload"].read())


def refused(code: str, status: int, operation: Callable[[], Any]) -> str:
    """The message of an error of a certain kind, which says whose fault it is."""
    with pytest.raises(ClientError) as raised:
        operation()
    reply: Any = raised.value.response
    assert (reply["Error"]["Code"], reply["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert reply.get("Type") == "User"
    return str(reply["Error"]["Message"])


def test_created_function_is_pending_then_active_and_fully_described(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name, code = f"f-{uuid.uuid4().hex[:12]}", zipped()
    made = client.create_function(
        FunctionName=name, Runtime="python3.12", Role=ROLE, Handler="f.handler", Code={"ZipFile": code},
        Environment={"Variables": {"COLOUR": "red"}}, Tags={"team": "a"}, Description="greets",
    )  # fmt: skip
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (made["State"], made["StateReasonCode"], made["Version"]) == ("Pending", "Creating", "$LATEST")
    began = time.monotonic()
    client.get_waiter("function_active_v2").wait(FunctionName=name)
    assert time.monotonic() - began < 3
    got = client.get_function(FunctionName=name)
    about = got["Configuration"]
    assert about["FunctionArn"] == f"arn:aws:lambda:us-east-1:000000000000:function:{name}"
    assert about["CodeSha256"] == base64.b64encode(hashlib.sha256(code).digest()).decode()
    assert (about["CodeSize"], about["Timeout"], about["MemorySize"]) == (len(code), 3, 128)
    assert (about["State"], about["LastUpdateStatus"], about["PackageType"]) == (
        "Active",
        "Successful",
        "Zip",
    )
    assert about["Environment"] == {"Variables": {"COLOUR": "red"}}
    assert about["LastModified"].endswith("+0000")
    assert about["RevisionId"]
    assert got["Tags"] == {"team": "a"}
    assert client.get_function_configuration(FunctionName=name)["Description"] == "greets"


def test_creating_twice_is_a_conflict_and_changes_nothing(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client)
    before = client.get_function_configuration(FunctionName=name)
    message = refused(
        "ResourceConflictException",
        409,
        lambda: client.create_function(
            FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="f.handler",
            Code={"ZipFile": zipped("other = 1")},
        ),
    )  # fmt: skip
    assert message == f"Function already exist: {name}"
    after = client.get_function_configuration(FunctionName=name)
    assert after["CodeSha256"] == before["CodeSha256"]


def test_unknown_function_is_not_found_whatever_is_asked(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = f"none-{uuid.uuid4().hex[:8]}"
    expected = f"Function not found: arn:aws:lambda:us-east-1:000000000000:function:{name}"
    for operation in (
        "get_function",
        "get_function_configuration",
        "delete_function",
        "invoke",
        "get_policy",
    ):
        ask = partial(getattr(client, operation), FunctionName=name)
        assert refused("ResourceNotFoundException", 404, ask) == expected
    named = partial(client.invoke, FunctionName=name, Qualifier="live")
    assert refused("ResourceNotFoundException", 404, named) == f"{expected}:live"


@pytest.mark.parametrize("data", [b"no zip", zipped()[:-40], zipped(others={"../evil.py": b"x"})])
def test_bad_zip_is_refused_in_aws_words_and_leaves_nothing(aws: LocalAWS, data: bytes) -> None:
    client = aws.client("lambda")
    name = f"f-{uuid.uuid4().hex[:12]}"
    message = refused(
        "InvalidParameterValueException",
        400,
        lambda: client.create_function(
            FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="f.handler", Code={"ZipFile": data}
        ),
    )
    assert message == "Could not unzip uploaded file. Please check your file, then try to upload again."
    refused("ResourceNotFoundException", 404, lambda: client.get_function(FunctionName=name))
    assert not list((aws.state_dir / "lambda/code").glob(f"{name}/*"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"Runtime": "nodejs22.x"}, "nodejs22.x"),
        ({"PackageType": "Image"}, "PackageType Image"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, "Layers"),
        (
            {"Environment": {"Variables": {"AWS_REGION": "x"}}},
            "Reserved keys used in this request: AWS_REGION",
        ),
        ({"FunctionName": "f:1"}, r"Only \$LATEST"),
        ({"FunctionName": "f" * 65}, "length less than or equal to 64"),
        ({"Code": {}}, "Please provide a source for function code"),
        ({"Code": {"S3Bucket": "bucket"}}, "Please provide a source for function code"),
        ({"Code": {"S3Bucket": "no-such-bucket-here", "S3Key": "k"}}, "S3 Error Code: NoSuchBucket"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(aws: LocalAWS, options: dict[str, Any], words: str) -> None:
    client = aws.client("lambda")
    request = {
        "FunctionName": f"f-{uuid.uuid4().hex[:12]}", "Runtime": "python3.11", "Role": ROLE,
        "Handler": "f.handler", "Code": {"ZipFile": zipped()},
    }  # fmt: skip
    with pytest.raises(ClientError, match=words) as raised:
        client.create_function(**request | options)
    assert raised.value.response["Error"]["Code"] == "InvalidParameterValueException"


def test_code_from_s3(aws: LocalAWS) -> None:
    client, s3 = aws.client("lambda"), aws.client("s3")
    bucket = f"code-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a/f.zip", Body=zipped())
    name = f"f-{uuid.uuid4().hex[:12]}"
    client.create_function(
        FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="f.handler",
        Code={"S3Bucket": bucket, "S3Key": "a/f.zip"},
    )  # fmt: skip
    assert result(client.invoke(FunctionName=name)) == "hello"
    s3.put_object(Bucket=bucket, Key="a/f.zip", Body=zipped(HELLO.replace("hello", "bye")))
    client.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="a/f.zip")
    assert result(client.invoke(FunctionName=name)) == "bye"
    message = refused(
        "InvalidParameterValueException",
        400,
        lambda: client.update_function_code(FunctionName=name, S3Bucket=bucket, S3Key="none"),
    )
    assert message.startswith("Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: ")


def test_large_package_is_unpacked_too(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = f"f-{uuid.uuid4().hex[:12]}"
    source = "import pathlib\ndef handler(e, c):\n    return len(pathlib.Path('ballast').read_bytes())\n"
    code = zipped(source, {"ballast": os.urandom(3 * 1024 * 1024)})
    client.create_function(
        FunctionName=name, Runtime="python3.11", Role=ROLE, Handler="f.handler", Code={"ZipFile": code}
    )
    assert result(client.invoke(FunctionName=name)) == 3 * 1024 * 1024
    damaged = bytearray(code)
    damaged[1_000_000] ^= 255
    refused(
        "InvalidParameterValueException",
        400,
        lambda: client.update_function_code(FunctionName=name, ZipFile=bytes(damaged)),
    )
    assert result(client.invoke(FunctionName=name)) == 3 * 1024 * 1024


def test_updates_take_effect_at_once_and_old_code_is_removed(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, "import os\ndef handler(e, c):\n    return ['old', os.getpid()]\n")
    old, pid = result(client.invoke(FunctionName=name))
    assert old == "old"
    changed = client.update_function_code(
        FunctionName=name,
        ZipFile=zipped(
            "import os\ndef handler(e, c):\n    return ['new', os.environ.get('XX'), c.memory_limit_in_mb]\n"
        ),
    )
    assert changed["LastUpdateStatus"] == "InProgress"
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    assert result(client.invoke(FunctionName=name)) == ["new", None, "128"]
    client.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"XX": "1"}}, MemorySize=256
    )
    assert result(client.invoke(FunctionName=name)) == ["new", "1", "256"]
    deadline = time.monotonic() + 10
    while len(list((aws.state_dir / "lambda/code" / name).iterdir())) > 1 or _alive(pid):
        assert time.monotonic() < deadline, "the old worker or its code is still there"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_stale_revision_is_refused(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client)
    revision = client.get_function_configuration(FunctionName=name)["RevisionId"]
    client.update_function_configuration(FunctionName=name, Timeout=7, RevisionId=revision)
    for change in (
        lambda: client.update_function_configuration(FunctionName=name, Timeout=8, RevisionId=revision),
        lambda: client.update_function_code(FunctionName=name, ZipFile=zipped("x"), RevisionId=revision),
        lambda: client.publish_version(FunctionName=name, RevisionId=revision),
    ):
        message = refused("PreconditionFailedException", 412, change)
        assert message.startswith("The RevisionId provided does not match the latest RevisionId.")
    assert client.get_function_configuration(FunctionName=name)["Timeout"] == 7


def test_dry_run_update_changes_nothing(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client)
    before = client.get_function_configuration(FunctionName=name)
    code = zipped("x = 1")
    client.update_function_code(FunctionName=name, ZipFile=code, DryRun=True)
    after = client.get_function_configuration(FunctionName=name)
    assert (after["CodeSha256"], after["RevisionId"]) == (before["CodeSha256"], before["RevisionId"])
    assert result(client.invoke(FunctionName=name)) == "hello"
    assert len(list((aws.state_dir / "lambda/code" / name).iterdir())) == 1


def test_versions_are_frozen_copies(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(
        client, "def handler(e, c):\n    return ['one', c.function_version, c.invoked_function_arn]\n"
    )
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    first = client.publish_version(FunctionName=name, Description="first")
    assert (first["Version"], first["FunctionArn"], first["Description"]) == ("1", f"{arn}:1", "first")
    client.update_function_code(
        FunctionName=name, ZipFile=zipped("def handler(e, c):\n    return 'two'\n"), Publish=True
    )
    assert client.publish_version(FunctionName=name)["Version"] == "2"  # nothing changed since
    assert result(client.invoke(FunctionName=name)) == "two"
    for options in ({"FunctionName": name, "Qualifier": "1"}, {"FunctionName": f"{arn}:1"}):
        reply = client.invoke(**options)
        assert (result(reply), reply["ExecutedVersion"]) == (["one", "1", f"{arn}:1"], "1")
    listed = client.list_versions_by_function(FunctionName=name)["Versions"]
    assert [v["Version"] for v in listed] == ["$LATEST", "1", "2"]
    assert listed[0]["FunctionArn"] == f"{arn}:$LATEST"
    client.delete_function(FunctionName=name, Qualifier="1")
    refused("ResourceNotFoundException", 404, lambda: client.invoke(FunctionName=name, Qualifier="1"))
    latest = partial(client.delete_function, FunctionName=name, Qualifier="$LATEST")
    refused("InvalidParameterValueException", 400, latest)
    wrong = partial(client.publish_version, FunctionName=name, CodeSha256="AAAA")
    assert "is different from current CodeSHA256" in refused("InvalidParameterValueException", 400, wrong)


def test_listing_pages_over_every_function(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    names = {create(client) for _ in range(5)}
    pages = client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [f["FunctionName"] for page in pages for f in page["Functions"]]
    assert names <= set(listed)
    assert len(listed) == len(set(listed))
    everything = client.get_paginator("list_functions").paginate(
        FunctionVersion="ALL", PaginationConfig={"PageSize": 2}
    )
    arns = [f["FunctionArn"] for page in everything for f in page["Functions"]]
    assert len(arns) == len(set(arns)) >= 5
    refused("InvalidParameterValueException", 400, lambda: client.list_functions(Marker="x:y"))


def test_deleted_function_is_gone_with_its_processes_and_code(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client, "import os\ndef handler(e, c):\n    return os.getpid()\n")
    pid = result(client.invoke(FunctionName=name))
    client.delete_function(FunctionName=name)
    refused("ResourceNotFoundException", 404, lambda: client.get_function(FunctionName=name))
    deadline = time.monotonic() + 10
    while _alive(pid) or (aws.state_dir / "lambda/code" / name).exists():
        assert time.monotonic() < deadline, "the worker or the code is still there"
        time.sleep(0.01)


def test_tags_policy_and_reserved_concurrency_are_kept(aws: LocalAWS) -> None:
    client = aws.client("lambda")
    name = create(client)
    arn = client.get_function_configuration(FunctionName=name)["FunctionArn"]
    client.tag_resource(Resource=arn, Tags={"a": "1", "b": "2"})
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.list_tags(Resource=arn)["Tags"] == {"b": "2"}

    refused("ResourceNotFoundException", 404, lambda: client.get_policy(FunctionName=name))
    grant = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    client.add_permission(FunctionName=name, SourceArn="arn:aws:s3:::bucket", **grant)
    policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    assert policy["Statement"] == [
        {
            "Sid": "s3", "Effect": "Allow", "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "lambda:InvokeFunction", "Resource": arn,
            "Condition": {"ArnLike": {"AWS:SourceArn": "arn:aws:s3:::bucket"}},
        }
    ]  # fmt: skip
    refused("ResourceConflictException", 409, lambda: client.add_permission(FunctionName=name, **grant))
    client.remove_permission(FunctionName=name, StatementId="s3")
    refused("ResourceNotFoundException", 404, lambda: client.get_policy(FunctionName=name))

    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=5)
    assert client.get_function_concurrency(FunctionName=name)["ReservedConcurrentExecutions"] == 5
    assert client.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 5}
    client.delete_function_concurrency(FunctionName=name)
    assert "ReservedConcurrentExecutions" not in client.get_function_concurrency(FunctionName=name)


def test_aws_command_line_creates_and_invokes(aws: LocalAWS, tmp_path: Path) -> None:
    """With version 1 of it; version 2 takes the payload in base64."""
    (tmp_path / "f.zip").write_bytes(zipped("def handler(e, c):\n    return {'got': e}\n"))
    name = f"f-{uuid.uuid4().hex[:12]}"
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "AWS_ENDPOINT_URL": aws.url,
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
    }  # fmt: skip

    def run(*arguments: str) -> Any:
        command = [str(Path(sys.executable).parent / "aws"), "lambda", *arguments]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    run(
        "create-function", "--function-name", name, "--runtime", "python3.11", "--role", ROLE,
        "--handler", "f.handler", "--zip-file", "fileb://f.zip",
    )  # fmt: skip
    said = run("invoke", "--function-name", name, "--payload", '{"a": 1}', "--log-type", "Tail", "out.json")
    assert (said["StatusCode"], said["ExecutedVersion"]) == (200, "$LATEST")
    assert json.loads((tmp_path / "out.json").read_text()) == {"got": {"a": 1}}
    assert b"REPORT RequestId:" in base64.b64decode(said["LogResult"])
