"""The README tells the truth: its commands run, and the table of operations is current."""

import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path

import click
import pytest
from tests.conftest import CommandLine

from scones.cli import cli

ROOT = Path(__file__).parents[2]


def test_every_verb_stands_in_the_readme() -> None:
    assert isinstance(cli, click.Group)
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in cli.commands if not re.search(rf"\b{verb}\b", readme)] == []


def test_the_table_of_operations_is_current(scones: CommandLine) -> None:
    assert scones.ok("operations") == (ROOT / "docs" / "operations.md").read_text()


@pytest.mark.timeout(500)
def test_the_whole_run_ends_in_a_report(scones: CommandLine) -> None:
    """On real rows where SCONES_DATA names them, as a new user would run it; else on drawn pictures."""
    rows = os.environ.get("SCONES_DATA", "")
    scones.up("--capture-window", "5")
    choice = ["--data", rows] if rows else ["--hyperparameter", "epochs=8"]
    result = json.loads(scones.ok("run", "--json", *choice, timeout_s=450))
    assert result["drawn"] is not bool(rows)
    assert result["test_accuracy"] >= 0.88
    assert result["executions"]["broken"] == 0
    assert sum(result["executions"].values()) == 40
    assert result["captured"] > 0
    assert_report(Path(result["report"]))
    assert_awscli_reads_it_all(scones)
    scones.ok("destroy", "--yes")
    assert json.loads(scones.ok("status", "--json"))["buckets"] == []


def assert_report(page: Path) -> None:
    """Self-contained: every picture lies in the page itself."""
    sources: list[str] = []

    class Pictures(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            sources.extend(value or "" for name, value in attrs if name in ("src", "href"))

    Pictures().feed(page.read_text())
    assert sources
    assert [source[:40] for source in sources if not source.startswith(("data:", "#"))] == []
    assert len(list(page.parent.glob("*.png"))) >= 3


def assert_awscli_reads_it_all(scones: CommandLine) -> None:
    """Unmodified awscli, under the environment of `scones exec`."""

    def aws(*arguments: str) -> str:
        return scones.ok("exec", "--", "aws", *arguments)

    bucket = json.loads(aws("s3api", "list-buckets"))["Buckets"][0]["Name"]
    assert "test.lst" in aws("s3", "ls", f"s3://{bucket}/")
    key = json.loads(aws("s3api", "list-objects-v2", "--bucket", bucket, "--prefix", "test/"))["Contents"][0][
        "Key"
    ]
    picture, answer = scones.folder / "picture.png", scones.folder / "answer.json"
    aws("s3", "cp", f"s3://{bucket}/{key}", str(picture))
    endpoint = json.loads(aws("sagemaker", "list-endpoints"))["Endpoints"][0]["EndpointName"]
    aws(
        "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", endpoint,
        "--content-type", "image/png", "--body", f"fileb://{picture}", str(answer),
    )  # fmt: skip
    assert sum(json.loads(answer.read_text())) == pytest.approx(1, abs=1e-4)
    machine = json.loads(aws("stepfunctions", "list-state-machines"))["stateMachines"][0]["stateMachineArn"]
    executions = json.loads(aws("stepfunctions", "list-executions", "--state-machine-arn", machine))
    assert len(executions["executions"]) == 40
