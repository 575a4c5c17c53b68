"""EventBridge's optimised integration: what events a task puts, and what becomes of them.

Unlike the others it answers without the HTTP envelope, and a single failed entry fails the task.
"""

from collections.abc import Sequence
from typing import Any

from scones.cloud.asl.journal import Failed, Invoke, Succeeded
from scones.cloud.asl.jsontext import dumps
from scones.cloud.asl.timestamps import instant_ms
from scones.cloud.ports import Wire

from .times import moment

__all__ = ["events_put", "events_request"]


def events_request(parameters: Wire, origin: Sequence[str]) -> tuple[str, str, Wire]:
    """(service, operation, request).

    origin: ARNs of the execution and its state machine, which every entry's Resources end with.
    """
    entries = parameters.get("Entries")
    if isinstance(entries, list):
        parameters = parameters | {"Entries": [_entry(entry, origin) for entry in entries]}
    return "events", "PutEvents", parameters


def _entry(entry: Any, origin: Sequence[str]) -> Any:
    if not isinstance(entry, dict):
        return entry
    made = dict(entry)
    if "Detail" in made and not isinstance(made["Detail"], str):
        made["Detail"] = dumps(made["Detail"])
    if (instant := instant_ms(made.get("Time"))) is not None:
        made["Time"] = moment(instant)
    if isinstance(resources := made.get("Resources", []), list):
        made["Resources"] = [*resources, *origin]
    return made


def events_put(invoke: Invoke, reply: Wire) -> Succeeded | Failed:
    text = dumps({"Entries": reply["Entries"], "FailedEntryCount": reply["FailedEntryCount"]})
    if reply["FailedEntryCount"]:
        return Failed(invoke.task, "EventBridge.FailedEntry", text)
    return Succeeded(invoke.task, text)
