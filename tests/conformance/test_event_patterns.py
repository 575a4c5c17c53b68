"""Event patterns whose answers were recorded on AWS by TestEventPattern.

SCONES_EVENT_PATTERNS names a folder with `event_pattern_templates/` (events with their patterns; those
named _NEG do not match, those named _EXC are refused) and `test_events_patterns.snapshot.json` (the
refusals), as the public collection of an archived emulator has them.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from scones.cloud.services.events.patterns import PatternError, compile_pattern

FOLDER = os.environ.get("SCONES_EVENT_PATTERNS")
TOO_COMPLEX = {"content_wildcard_complex_EXC"}
"""AWS refuses wildcards that its matcher would be slow at; the one here is not."""

_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*')
_COMMA = re.compile(r",(\s*[}\]])")


def _case(path: Path) -> Any:
    text = _COMMENT.sub(lambda match: match[1] or "", path.read_text("utf-8"))
    return json.loads(_COMMA.sub(r"\1", text))


def _refusals(folder: Path) -> dict[str, str]:
    """By the case's name: AWS's whole message."""
    found = {}
    recorded = json.loads((folder / "test_events_patterns.snapshot.json").read_text("utf-8"))
    for content in (entry["recorded-content"] for entry in recorded.values()):
        for name, told in content.items():
            if isinstance(told, dict) and "exception_message" in told:
                message = told["exception_message"]["Error"]["MessageRaw"]
                found[name] = message.replace("<partition>", "aws").replace("<region>", "us-east-1")
    return found


def _answer(case: Any) -> bool | str:
    try:
        return compile_pattern(json.dumps(case["EventPattern"])).matches(case["Event"])
    except PatternError as problem:
        return f"Event pattern is not valid. Reason: {problem}"


@pytest.mark.skipif(not FOLDER, reason="SCONES_EVENT_PATTERNS is not set")
def test_recorded_patterns_match_and_are_refused_as_recorded() -> None:
    folder = Path(FOLDER or "")
    refusals, wrong = _refusals(folder), []
    paths = sorted((folder / "event_pattern_templates").glob("*.json5"))
    for path in paths:
        wanted = refusals[path.stem] if path.stem.endswith("_EXC") else not path.stem.endswith("_NEG")
        if path.stem not in TOO_COMPLEX and (answer := _answer(_case(path))) != wanted:
            wrong.append((path.stem, wanted, answer))
    print(f"\npatterns {len(paths)}, answered as recorded {len(paths) - len(wrong) - len(TOO_COMPLEX)}")
    assert wrong == []
