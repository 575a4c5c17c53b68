"""Find the last value of each metric in a training log.

`python metrics.py LOG DEFINITIONS`: LOG has one "MILLISECONDS<tab>TEXT" a line, DEFINITIONS is a
JSON list of {"Name", "Regex"}; prints a JSON list of [name, value, milliseconds]. A process of its
own, because an expression may take for ever.
Standard library only: this file runs in somebody else's interpreter.
"""

import json
import math
import re
import sys
from pathlib import Path


def main(log: str, definitions: str) -> None:
    with Path(definitions).open(encoding="utf-8") as file:
        patterns = [(d["Name"], re.compile(d["Regex"])) for d in json.load(file)]
    found: dict[str, tuple[float, int]] = {}
    with Path(log).open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            stamp, _, text = line.rstrip("\n").partition("\t")
            for name, pattern in patterns:
                value = _value(pattern, text)
                if value is not None:
                    found[name] = value, int(stamp)
    print(json.dumps([[name, value, stamp] for name, (value, stamp) in found.items()]))


def _value(pattern: "re.Pattern[str]", text: str) -> "float | None":
    match = pattern.search(text)
    if not match or not match.groups():
        return None
    try:
        value = float(match[1])
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


if __name__ == "__main__":
    main(*sys.argv[1:])
