"""Jackson's words are said of exactly those texts that are no JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.asl.jackson import complaint

FRAGMENTS = st.lists(
    st.sampled_from([*'{}[]",:\\ -.eE+019\n', "u00e9", "\\n", "true", "null", "nul", '"a"', '"a":', "é"]),
    max_size=12,
).map("".join)


def is_json(text: str) -> bool:
    try:
        json.loads(text)
    except json.JSONDecodeError:
        return False
    return True


@given(FRAGMENTS)
def test_what_is_no_json_and_only_that_is_complained_of(text: str) -> None:
    found = complaint(text)
    assert (found is None) is is_json(text)
    assert found is None or 0 <= found[1] <= len(text)
