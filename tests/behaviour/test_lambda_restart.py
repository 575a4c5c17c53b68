"""kill -9 of the cloud: functions stay, accepted events are delivered, no worker is left behind."""

import io
import json
import os
import signal
import time
import zipfile
from pathlib import Path
from typing import Any

import psutil

SOURCE = """
import os, time
def handler(event, context):
    with open(event["path"], "a") as file:
        file.write(f"{context.aws_request_id} {os.getpid()}\\n")
    while os.path.exists(event["hold"]):
        time.sleep(0.02)
    return "done"
"""


def eventually(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def test_accepted_event_survives_kill_9(scones: Any, tmp_path: Path) -> None:
    scones.up()
    client = scones.client("lambda")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("f.py", SOURCE)
    client.create_function(
        FunctionName="f", Runtime="python3.11", Role="arn:aws:iam::000000000000:role/r",
        Handler="f.handler", Code={"ZipFile": buffer.getvalue()}, Timeout=60,
    )  # fmt: skip
    ran, hold = tmp_path / "ran", tmp_path / "hold"
    hold.touch()
    event = json.dumps({"path": str(ran), "hold": str(hold)})
    assert client.invoke(FunctionName="f", InvocationType="Event", Payload=event)["StatusCode"] == 202
    eventually(ran.exists, "the event was never delivered")
    os.kill(scones.cloud_pid(), signal.SIGKILL)
    worker = int(ran.read_text().split()[1])
    eventually(lambda: not psutil.pid_exists(worker), "the worker outlived the cloud")
    hold.unlink()

    scones.up()
    client = scones.client("lambda")
    eventually(lambda: len(ran.read_text().splitlines()) == 2, "the event was lost")
    first, second = (line.split()[0] for line in ran.read_text().splitlines())
    assert first == second
    reply = client.invoke(FunctionName="f", Payload=event)
    assert json.loads(reply["Payload"].read()) == "done"
