"""What every test may use: the command line as a person has it, with a state folder of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest

OWN_VARIABLES = ("SCONES_", "AWS_")


class CommandLine:
    """`scones` in processes of its own, against one local cloud on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(OWN_VARIABLES)} | {
            "SCONES_STATE": str(self.state),
            "SCONES_CACHE_DIR": str(folder / "cache"),
            "SCONES_REPORT_DIR": str(folder / "report"),
            "NO_COLOR": "1",
        }

    def start(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "scones", *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self, *arguments: str, timeout_s: float = 110, **environment: str
    ) -> "subprocess.CompletedProcess[str]":
        process = self.start(*arguments, **environment)
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            stdout, stderr = process.communicate()
            pytest.fail(f"scones {' '.join(arguments)} took over {timeout_s} s:\n{stdout}\n{stderr}")
        return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)

    def ok(self, *arguments: str, **options: Any) -> str:
        """stdout of a command that must succeed."""
        done = self.run(*arguments, **options)
        assert done.returncode == 0, f"scones {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def up(self, *arguments: str, **environment: str) -> str:
        """Start the local cloud on the port it had before, or a free one; later commands use it."""
        port = self.environment.get("AWS_ENDPOINT_URL", ":0").rpartition(":")[2]
        url = self.ok("up", "--detach", "--port", port, *arguments, **environment).strip()
        self.environment["AWS_ENDPOINT_URL"] = url
        return url

    def cloud_pid(self) -> int:
        return int(json.loads((self.state / "cloud.json").read_text())["pid"])

    def client(self, service: str) -> Any:
        session = boto3.Session("test", "test", region_name="us-east-1")
        url = self.environment["AWS_ENDPOINT_URL"]
        return session.client(service, endpoint_url=url)  # type: ignore[call-overload]

    def processes(self) -> list[psutil.Process]:
        """Every living process that was started for this state folder."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = str(self.folder) in " ".join(process.environ().values())
                if ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def scones(tmp_path: Path) -> Iterator[CommandLine]:
    line = CommandLine(tmp_path)
    yield line
    line.run("down")
    for process in line.processes():
        process.kill()
