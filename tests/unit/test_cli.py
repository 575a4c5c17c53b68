"""The command line: help, exit codes, and errors in words."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

VERBS = (
    "etl",
    "train",
    "deploy",
    "orchestrate",
    "pipeline",
    "execute",
    "fan-out",
    "evaluate",
    "transform",
    "monitor",
    "run",
    "destroy",
)


def environment(**more: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SYSTEMROOT") if name in os.environ}
    return kept | more


def scones(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "scones", *arguments],
        capture_output=True,
        text=True,
        env=environment(**more),
        timeout=60,
        check=False,
    )


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    done = scones(verb, "--help")
    assert done.returncode == 0
    for option in ("--json", "--aws", "--bucket", "--quiet"):
        assert option in done.stdout


def test_verbs_are_listed_in_the_order_of_the_story() -> None:
    listed = scones("--help").stdout
    places = [listed.index(f"\n  {verb} ") for verb in VERBS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "verb",
    ["train", "deploy", "threshold", "orchestrate", "pipeline", "fan-out", "evaluate", "transform", "monitor",
     "executions", "graph", "destroy"],
)  # fmt: skip
def test_nobody_there(verb: str) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    done = scones(verb, "--endpoint-url", url)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines() == [f"error: nothing answers at {url}", "hint: scones up"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("etl", "--nonsense"),
        ("execute",),
        ("execute", "--all", "--sample", "3"),
        ("train", "--hyperparameter", "epochs"),
        ("orchestrate", "--threshold", "2"),
        ("nonsense",),
    ],
)
def test_asked_wrongly(arguments: tuple[str, ...]) -> None:
    done = scones(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr


def test_a_missing_archive_is_an_error_in_words(tmp_path: Path) -> None:
    done = scones("etl", "--data", str(tmp_path / "none.tar.gz"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: there is no archive at ")
    assert "hint: " in done.stderr


def test_help_does_not_wait_for_what_only_verbs_need() -> None:
    code = (
        "import sys; import scones.cli; "
        "print([m for m in ('boto3', 'numpy', 'PIL', 'matplotlib', 'rich') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout.replace("'", '"')) == []


def test_interrupted() -> None:
    """A listener that never answers keeps the verb waiting until Ctrl-C."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        command = [sys.executable, "-m", "scones", "monitor"]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with subprocess.Popen(
            [*command, "--endpoint-url", url], stderr=subprocess.PIPE, text=True, env=environment()
        ) as child:
            listener.settimeout(30)
            connection, _ = listener.accept()
            child.send_signal(signal.SIGINT)
            deadline = time.monotonic() + 20
            assert child.wait(deadline - time.monotonic()) == 130
            assert child.stderr
            assert child.stderr.read().splitlines()[-1] == "interrupted"
            connection.close()
