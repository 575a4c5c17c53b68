"""The cloud is killed at random moments of a whole run, again and again; the run still ends whole."""

import contextlib
import json
import os
import random
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CommandLine
from tests.pictures import draw_pictures

KILLS = 10
SAMPLE = 12


@pytest.fixture
def workflow(scones: CommandLine, tmp_path: Path) -> list[str]:
    """The command line of one small run."""
    data = draw_pictures(tmp_path / "pictures")
    return [
        "run", "--json", "--data", str(data), "--sample", str(SAMPLE), "--capture-percent", "100",
        "--hyperparameter", "epochs=2", "--capture-wait", "30",
    ]  # fmt: skip


@pytest.mark.timeout(400)
def test_a_run_survives_ten_kills_with_nothing_lost_or_doubled(
    scones: CommandLine, workflow: list[str]
) -> None:
    moments = random.Random(20261123)
    for _ in range(KILLS):
        scones.up("--capture-window", "1")
        run = scones.start(*workflow)
        pid = scones.cloud_pid()
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.wait(moments.uniform(1.5, 9.0))
        os.kill(pid, signal.SIGKILL)
        stdout, stderr = run.communicate(timeout=100)
        assert "Traceback" not in stderr
        assert run.returncode in (0, 1), stdout + stderr  # 0: it had ended, or had not begun

    scones.up("--capture-window", "1")
    result = json.loads(scones.ok(*workflow, timeout_s=200))
    assert_whole(scones, result)


def assert_whole(scones: CommandLine, result: dict[str, Any]) -> None:
    jobs = scones.client("sagemaker").list_training_jobs()["TrainingJobSummaries"]
    assert [job["TrainingJobStatus"] for job in jobs] == ["Completed"]
    endpoints = scones.client("sagemaker").list_endpoints()["Endpoints"]
    assert [endpoint["EndpointStatus"] for endpoint in endpoints] == ["InService"]
    assert result["executions"]["broken"] == 0
    assert_each_key_ran_once(scones, result)
    assert_captures_are_single(scones)
    assert Path(result["report"]).exists()
    scones.ok("down")
    assert scones.processes() == []


def assert_each_key_ran_once(scones: CommandLine, result: dict[str, Any]) -> None:
    """Runs that ended before a later one began have their executions too; look at each run's own."""
    states = scones.client("stepfunctions")
    machines = {machine["name"]: machine for machine in states.list_state_machines()["stateMachines"]}
    machine = machines["scones-image-classification"]
    pages = states.get_paginator("list_executions").paginate(stateMachineArn=machine["stateMachineArn"])
    executions = [execution for page in pages for execution in page["executions"]]
    assert {execution["status"] for execution in executions} <= {"SUCCEEDED", "FAILED"}
    mine = [
        json.loads(states.describe_execution(executionArn=execution["executionArn"])["input"])["s3_key"]
        for execution in executions
        if execution["name"].startswith(result["run_id"])
    ]
    assert len(mine) == len(set(mine)) == SAMPLE


def assert_captures_are_single(scones: CommandLine) -> None:
    s3 = scones.client("s3")
    (bucket,) = [entry["Name"] for entry in s3.list_buckets()["Buckets"]]
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="data_capture/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", [])]
    records = [
        json.loads(line)["eventMetadata"]["eventId"]
        for key in keys
        for line in s3.get_object(Bucket=bucket, Key=key)["Body"].read().splitlines()
    ]
    assert records
    assert len(records) == len(set(records))
