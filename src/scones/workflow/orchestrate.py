"""Three functions, a topic for failures and two state machines: created, or brought up to date in place."""

import base64
import hashlib
import json
import math
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from scones.workflow.aws import Aws, missing, once_propagated
from scones.workflow.errors import WorkflowError
from scones.workflow.packages import RUNTIME, build
from scones.workflow.progress import Progress
from scones.workflow.roles import ensure_role

__all__ = [
    "FAN_OUT",
    "FUNCTIONS",
    "STATE_MACHINE",
    "TOPIC",
    "Orchestrate",
    "definition",
    "orchestrate",
    "put_machine",
]

FUNCTIONS = ("scones-serialize", "scones-classify", "scones-filter")
STATE_MACHINE = "scones-image-classification"
FAN_OUT = "scones-fan-out"
TOPIC = "scones-failures"

_TIMEOUT_S = 60  # as long as the endpoint may take
_MEMORY_MB = 256
_SHIPPED = Path(str(files("scones"))) / "shipped"


@dataclass(frozen=True, slots=True)
class Orchestrate:
    """What stands ready to be executed."""

    state_machine: str
    fan_out: str
    """The state machine for all images under a prefix."""
    functions: dict[str, str]
    topic: str
    threshold: float
    novelty_limit: float | None
    """None: no limit."""
    changed: tuple[str, ...]


def orchestrate(aws: Aws, progress: Progress) -> Orchestrate:
    """Publish what the project ships. Repeating it changes only what differs."""
    function_role = ensure_role(aws, "scones-lambda", progress)
    machine_role = ensure_role(aws, "scones-states", progress)
    topic: str = aws.client("sns").create_topic(Name=TOPIC)["TopicArn"]
    changed: list[str] = []
    arns = {}
    with progress.bar("publishing", len(FUNCTIONS) + 2) as advance:
        for name in FUNCTIONS:
            advance(0, note=name)
            arns[name] = _function(aws, name, function_role, changed)
            advance()
        machine = put_machine(aws, STATE_MACHINE, definition(arns, topic), machine_role, changed)
        advance()
        text = definition(arns, topic, "fan_out.asl.json")
        fan_out = put_machine(aws, FAN_OUT, text, machine_role, changed)
        advance()
    settings = aws.settings
    limit = settings.novelty_limit if math.isfinite(settings.novelty_limit) else None
    progress.say(f"published {', '.join(changed)}" if changed else "everything was already published")
    return Orchestrate(machine, fan_out, arns, topic, settings.threshold, limit, tuple(changed))


def definition(functions: dict[str, str], topic: str, file: str = "state_machine.asl.json") -> str:
    """A shipped state machine with the ARNs in their places."""
    text = (_SHIPPED / file).read_text()
    values = {f"{name.removeprefix('scones-').title()}FunctionArn": arn for name, arn in functions.items()}
    for name, value in (values | {"FailureTopicArn": topic}).items():
        text = text.replace("${" + name + "}", value)
    if "${" in text:
        raise WorkflowError("the state machine has a placeholder that nobody fills")
    return json.dumps(json.loads(text), indent=1)


def _environment(aws: Aws, name: str) -> dict[str, str]:
    if name == "scones-classify":
        return {"ENDPOINT_NAME": aws.settings.endpoint_name}
    if name == "scones-filter":
        limit = aws.settings.novelty_limit
        return {"THRESHOLD": str(aws.settings.threshold)} | (
            {"NOVELTY_LIMIT": str(limit)} if math.isfinite(limit) else {}
        )
    return {}


def _function(aws: Aws, name: str, role: str, changed: list[str]) -> str:
    client = aws.client("lambda")
    module = name.removeprefix("scones-")
    code = build(_SHIPPED / "lambdas" / f"{module}.py")
    wanted = {
        "Runtime": RUNTIME,
        "Role": role,
        "Handler": f"{module}.lambda_handler",
        "Timeout": _TIMEOUT_S,
        "MemorySize": _MEMORY_MB,
        "Environment": {"Variables": _environment(aws, name)},
    }
    try:
        found = client.get_function(FunctionName=name)["Configuration"]
    except ClientError as error:
        if not missing(error):
            raise
        return _create(aws, name, code, wanted, changed)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    if found["CodeSha256"] != base64.b64encode(hashlib.sha256(code).digest()).decode():
        client.update_function_code(FunctionName=name, ZipFile=code)
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        changed.append(name)
    if any(_value(found, key) != value for key, value in wanted.items()):
        once_propagated(
            lambda: client.update_function_configuration(FunctionName=name, **wanted),
            poll_s=aws.settings.poll_s,
        )
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
        changed += [] if name in changed else [name]
    return str(found["FunctionArn"])


def _value(found: dict[str, Any], key: str) -> Any:
    if key == "Environment":
        return {"Variables": (found.get(key) or {}).get("Variables", {})}
    return found.get(key)


def _create(aws: Aws, name: str, code: bytes, wanted: dict[str, Any], changed: list[str]) -> str:
    client = aws.client("lambda")
    arn: str = once_propagated(
        lambda: client.create_function(FunctionName=name, Code={"ZipFile": code}, **wanted),
        poll_s=aws.settings.poll_s,
    )["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    changed.append(name)
    return arn


def put_machine(aws: Aws, name: str, text: str, role: str, changed: list[str]) -> str:
    """The ARN of a state machine that is made, or brought up to date."""
    client = aws.client("stepfunctions")
    arn = aws.arn("states", f"stateMachine:{name}")
    try:
        found = client.describe_state_machine(stateMachineArn=arn)
    except ClientError as error:
        if not missing(error):
            raise
        once_propagated(
            lambda: client.create_state_machine(name=name, definition=text, roleArn=role),
            poll_s=aws.settings.poll_s,
        )
        changed.append(name)
        return arn
    if json.loads(found["definition"]) != json.loads(text) or found["roleArn"] != role:
        client.update_state_machine(stateMachineArn=arn, definition=text, roleArn=role)
        changed.append(name)
    return arn
