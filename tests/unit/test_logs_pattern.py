"""Filter patterns over plain text."""

import pytest

from scones.cloud.errors import ServiceError
from scones.cloud.services.logs.pattern import matcher


@pytest.mark.parametrize(
    ("pattern", "message", "matches"),
    [
        ("", "anything", True),
        ("ERROR", "an ERROR here", True),
        ("ERROR", "an error here", False),
        ("ERROR disk", "disk ERROR", True),
        ("ERROR disk", "ERROR", False),
        ('"disk full"', "the disk full of", True),
        ('"disk full"', "full disk", False),
        ("ERROR -disk", "ERROR net", True),
        ("ERROR -disk", "ERROR disk", False),
        ("?WARN ?ERROR", "an ERROR", True),
        ("?WARN ?ERROR", "an INFO", False),
        (r'"say \"no\""', 'they say "no"', True),
        ('-"task timed"', "all well", True),
    ],
)
def test_terms_and_phrases(pattern: str, message: str, matches: bool) -> None:
    assert matcher(pattern)(message) is matches


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ('{ $.level = "ERROR" }', "JSON filter patterns"),
        ("[ip, user, ...]", "space-delimited filter patterns"),
        ("%ERR.*%", "regular-expression filter patterns"),
        ("RequestId:", r"Invalid character\(s\) in term 'RequestId:'"),
        ('"open', "Invalid character"),
    ],
)
def test_other_patterns_are_refused_by_name(pattern: str, words: str) -> None:
    with pytest.raises(ServiceError, match=words) as raised:
        matcher(pattern)
    assert raised.value.code == "InvalidParameterException"
