"""What a function may be told, and what is refused by name rather than ignored."""

from typing import Any

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.lambda_.configuration import created, updated

REQUEST = {"Runtime": "python3.12", "Handler": "f.handler", "Role": "arn:aws:iam::123456789012:role/r"}


def test_defaults_are_those_of_aws() -> None:
    made = created(REQUEST, name="f")
    assert (made["Timeout"], made["MemorySize"], made["Description"]) == (3, 128, "")
    assert made["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"}
    assert "Environment" not in made


def test_update_changes_only_what_it_names() -> None:
    made = created(REQUEST | {"Environment": {"Variables": {"AA": "1"}}, "Timeout": 9}, name="f")
    changed = updated(made, {"MemorySize": 512})
    assert changed == made | {"MemorySize": 512}
    assert "Environment" not in updated(made, {"Environment": {}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Runtime": "nodejs22.x"}, "nodejs22.x"),
        ({"Runtime": "python2.7"}, "python2.7"),
        ({"PackageType": "Image"}, "Image"),
        ({"Runtime": None}, "Runtime and Handler are mandatory"),
        ({"Handler": None}, "Runtime and Handler are mandatory"),
        ({"Layers": ["arn"]}, "Layers"),
        ({"VpcConfig": {"SubnetIds": ["s"]}}, "VpcConfig"),
        ({"DeadLetterConfig": {"TargetArn": "arn"}}, "DeadLetterConfig"),
        ({"TracingConfig": {"Mode": "Active"}}, "TracingConfig"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, "SnapStart"),
        ({"LoggingConfig": {"LogFormat": "JSON"}}, "LoggingConfig"),
        ({"KMSKeyArn": "arn"}, "KMSKeyArn"),
        ({"Timeout": 901}, "less than or equal to 900"),
        ({"MemorySize": 10241}, "less than or equal to 10240"),
        ({"Environment": {"Variables": {"AWS_REGION": "x", "_HANDLER": "y"}}}, "AWS_REGION, _HANDLER"),
        ({"Environment": {"Variables": {"AA": "x" * 5000}}}, "4KB limit"),
        ({"Environment": {"Variables": {"AA": "x\0y"}}}, "null character"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ServiceError, match=words):
        created(REQUEST | change, name="f")


@pytest.mark.parametrize(
    "change",
    [
        {"Layers": []},
        {"VpcConfig": {"SubnetIds": [], "SecurityGroupIds": []}},
        {"TracingConfig": {"Mode": "PassThrough"}},
        {"SnapStart": {"ApplyOn": "None"}},
        {"KMSKeyArn": ""},
        {"DeadLetterConfig": {}},
        {"Timeout": 900, "MemorySize": 10240},
    ],
)
def test_explicit_defaults_are_no_reason_to_refuse(change: dict[str, Any]) -> None:
    created(REQUEST | change, name="f")
