"""A function has many names; all mean the same, or say why they do not."""

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.lambda_.names import Place

PLACE = Place(region="eu-west-1", account="123456789012")
ARN = "arn:aws:lambda:eu-west-1:123456789012:function:my-function"


@pytest.mark.parametrize(
    ("given", "qualifier", "version"),
    [
        ("my-function", "", "$LATEST"),
        ("my-function:7", "", "7"),
        ("my-function", "7", "7"),
        ("my-function:7", "7", "7"),
        ("my-function:$LATEST", "", "$LATEST"),
        ("function:my-function", "", "$LATEST"),
        ("123456789012:function:my-function", "", "$LATEST"),
        ("123456789012:my-function:7", "", "7"),
        (ARN, "", "$LATEST"),
        (f"{ARN}:7", "", "7"),
        (f"{ARN}:$LATEST", "", "$LATEST"),
    ],
)
def test_every_form_names_the_function(given: str, qualifier: str, version: str) -> None:
    named = PLACE.parse(given, qualifier)
    assert (named.name, named.version) == ("my-function", version)


@pytest.mark.parametrize(
    ("given", "qualifier", "code"),
    [
        ("my-function:7", "8", "InvalidParameterValueException"),
        ("my.function", "", "InvalidParameterValueException"),
        ("", "", "InvalidParameterValueException"),
        (ARN.replace("eu-west-1", "us-east-1"), "", "ResourceNotFoundException"),
        (ARN.replace("123456789012", "210987654321"), "", "ResourceNotFoundException"),
    ],
)
def test_contradictory_and_foreign_names_are_refused(given: str, qualifier: str, code: str) -> None:
    with pytest.raises(ServiceError) as raised:
        PLACE.parse(given, qualifier)
    assert raised.value.code == code
    assert raised.value.fields == {"Type": "User"}


def test_arn_carries_the_qualifier() -> None:
    assert PLACE.arn("my-function") == ARN
    assert PLACE.arn("my-function", "7") == f"{ARN}:7"
