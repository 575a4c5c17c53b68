"""The verbs about the local cloud itself: up, down, status, env, exec."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import platformdirs

__all__ = ["cloud_commands", "ensure_cloud", "health"]

DEFAULT_PORT = 4566
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 30.0
_SHIPPED = Path(__file__).parent / "shipped"


def default_state_dir() -> Path:
    return Path(os.environ.get("SCONES_STATE") or platformdirs.user_data_path("scones") / "cloud")


def health(url: str) -> dict[str, Any] | None:
    """What the local cloud at `url` says of itself; None when none of ours answers there."""
    try:
        with urllib.request.urlopen(f"{url}/_scones/health", timeout=5) as reply:
            about: dict[str, Any] = json.load(reply)
    except (OSError, ValueError, urllib.error.URLError):
        return None
    return about


def _note(state_dir: Path) -> dict[str, Any] | None:
    """What a running cloud wrote into its state folder."""
    try:
        note: dict[str, Any] = json.loads((state_dir / "cloud.json").read_text())
    except (OSError, ValueError):
        return None
    return note


def _running(state_dir: Path) -> dict[str, Any] | None:
    note = _note(state_dir)
    about = health(note["url"]) if note else None
    return {**note, **about} if note and about and about["pid"] == note["pid"] else None


_state_option = click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_state_dir,
    help="Folder of everything the cloud remembers (SCONES_STATE; default: per user).",
)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535))
@click.option("--region", envvar=["AWS_REGION", "AWS_DEFAULT_REGION"], default="us-east-1", show_default=True)
@click.option("--account", "account_id", default="000000000000", show_default=True, help="12 digits.")
@_state_option
@click.option(
    "--sync",
    type=click.Choice(["normal", "full"]),
    default="normal",
    show_default=True,
    help="full: every commit survives a power cut, not only kill -9.",
)
@click.option(
    "--capture-window",
    "capture_window_s",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0.1, 3600),
    help="Seconds from a capture file's first record to its delivery.",
)
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="ID:SECRET",
    envvar="SCONES_KEYS",
    help="Access key to verify signatures with; required beyond loopback. Repeatable.",
)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    metavar="NAME=FOLDER",
    help="Run images of repository NAME as `python FOLDER train|serve`. Repeatable.",
)
@click.option("--detach", is_flag=True, help="Start in the background and return when it answers.")
@click.option("-v", "--verbose", is_flag=True, help="Log every request.")
def up(state_dir: Path, detach: bool, verbose: bool, **options: Any) -> None:
    """Run the local cloud: S3, SageMaker, Lambda, Step Functions and the rest, on one port."""
    if detach:
        url = start_detached(state_dir, _arguments(state_dir, verbose=verbose, **options))
        click.echo(f"local cloud at {url} (state in {state_dir}); `scones down` stops it", err=True)
        click.echo(url)
        return
    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        stream=sys.stderr,
    )
    raise SystemExit(_serve(state_dir, **options))


def _arguments(state_dir: Path, *, verbose: bool = False, **options: Any) -> list[str]:
    """The command line that runs the same cloud in the foreground."""
    arguments = ["--state", str(state_dir)]
    names = {
        "host": "--host",
        "port": "--port",
        "region": "--region",
        "account_id": "--account",
        "sync": "--sync",
        "capture_window_s": "--capture-window",
    }
    for name, flag in names.items():
        if name in options:
            arguments += [flag, str(options[name])]
    arguments += [item for key in options.get("keys", ()) for item in ("--key", key)]
    arguments += [item for pair in options.get("algorithms", ()) for item in ("--algorithm", pair)]
    return [*arguments, *(["-v"] if verbose else [])]


def _serve(state_dir: Path, *, keys: tuple[str, ...], algorithms: tuple[str, ...], **options: Any) -> int:
    import uvloop

    from scones.cloud.runtime import StateInUseError
    from scones.cloud.server import ServerError
    from scones.cloud.settings import CloudSettings
    from scones.cloud.state.db import SchemaError

    settings = CloudSettings(
        state_dir=state_dir.absolute(),
        credentials=_pairs(keys, ":", "--key ID:SECRET"),
        algorithms={"image-classification": _SHIPPED / "algorithm"}
        | {
            name: Path(folder).absolute()
            for name, folder in _pairs(algorithms, "=", "--algorithm NAME=FOLDER").items()
        },
        fault=os.environ.get("SCONES_FAULT", ""),
        **options,
    )
    try:
        return uvloop.run(_until_stopped(settings))
    except (StateInUseError, ServerError, SchemaError, OSError) as error:
        raise click.ClickException(str(error)) from error


def _pairs(values: tuple[str, ...], separator: str, form: str) -> dict[str, str]:
    pairs = dict(value.split(separator, 1) for value in values if separator in value)
    if len(pairs) < len(values):
        raise click.UsageError(f"expected {form}")
    return pairs


async def _until_stopped(settings: Any) -> int:
    """Serve until SIGINT (130) or SIGTERM (0); a second SIGINT ends at once."""
    from scones.cloud.runtime import running

    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()

    def stop(code: int) -> None:
        if stopped.done() and code:
            os._exit(code)
        if not stopped.done():
            stopped.set_result(code)

    loop.add_signal_handler(signal.SIGINT, stop, 130)
    loop.add_signal_handler(signal.SIGTERM, stop, 0)
    async with running(settings) as cloud:
        click.echo(f"local cloud at {cloud.url} (state in {settings.state_dir}); Ctrl-C stops it", err=True)
        return await stopped


def start_detached(state_dir: Path, arguments: list[str]) -> str:
    """Start a cloud that outlives this process, wait until it answers, and return its URL.

    Raises click.ClickException with the end of its log when it does not come up.
    """
    if about := _running(state_dir):
        return str(about["url"])
    state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    log = state_dir / "cloud.log"
    with log.open("wb") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "scones", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        if (about := _running(state_dir)) and about["pid"] == child.pid:
            return str(about["url"])
        if child.poll() is not None:
            break
        time.sleep(0.05)
    child.kill()
    raise click.ClickException(f"the local cloud did not start:\n{log.read_text(errors='replace')[-2000:]}")


def stop(state_dir: Path) -> bool:
    """Stop the cloud that owns the folder; False when none runs."""
    about = _running(state_dir)
    if about is None:
        return False
    pid = int(about["pid"])
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOP_TIMEOUT_S
    while _alive(pid):
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            break
        time.sleep(0.05)
    return True


def _alive(pid: int) -> bool:
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def ensure_cloud(endpoint_url: str, announce: Callable[[str], None]) -> Iterator[None]:
    """For the length of a block something answers at a loopback `endpoint_url`.

    A cloud started here stays up when the block ends well, and is stopped when it does not.
    """
    parts = urllib.parse.urlsplit(endpoint_url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1") or health(endpoint_url):
        yield
        return
    state_dir = default_state_dir()
    port = parts.port or DEFAULT_PORT
    announce(f"starting the local cloud on port {port}")
    url = start_detached(state_dir, ["--state", str(state_dir), "--port", str(port)])
    if health(endpoint_url) is None:
        raise click.ClickException(
            f"a local cloud is already running at {url}, and nothing answers at {endpoint_url};"
            " stop it with `scones down`, or set AWS_ENDPOINT_URL to it"
        )
    try:
        yield
    except BaseException:
        announce("stopping the local cloud")
        stop(state_dir)
        raise


@click.command()
@_state_option
def down(state_dir: Path) -> None:
    """Stop the local cloud; what it remembers stays."""
    if stop(state_dir):
        click.echo("stopped", err=True)
    else:
        click.echo(f"no local cloud runs with state in {state_dir}", err=True)


@click.command()
@_state_option
@click.option("--json", "as_json", is_flag=True, help="Machine-readable, on stdout.")
def status(state_dir: Path, as_json: bool) -> None:
    """Say whether the local cloud runs, where, and what runs in it. Exit code 1 when it does not."""
    about = _running(state_dir)
    if about is None:
        click.echo(json.dumps({"running": False}) if as_json else f"not running (state in {state_dir})")
        raise SystemExit(1)
    about = {"running": True, "state": str(state_dir)} | about | _resources(about)
    if as_json:
        click.echo(json.dumps(about, default=str))
        return
    for name, value in about.items():
        click.echo(f"{name:20} {', '.join(value) if isinstance(value, list) else value}")


def _resources(about: dict[str, Any]) -> dict[str, list[str]]:
    """Names of what exists in the cloud, read as any client would."""
    import boto3

    session = boto3.Session("local", "local", region_name=about["region"])

    def client(name: str) -> Any:
        return session.client(name, endpoint_url=about["url"])  # type: ignore[call-overload]

    sagemaker = client("sagemaker")
    return {
        "buckets": [b["Name"] for b in client("s3").list_buckets()["Buckets"]],
        "training_jobs": [
            f"{j['TrainingJobName']} ({j['TrainingJobStatus']})"
            for j in sagemaker.list_training_jobs()["TrainingJobSummaries"]
        ],
        "endpoints": [
            f"{e['EndpointName']} ({e['EndpointStatus']})" for e in sagemaker.list_endpoints()["Endpoints"]
        ],
        "functions": [f["FunctionName"] for f in client("lambda").list_functions()["Functions"]],
        "state_machines": [m["name"] for m in client("stepfunctions").list_state_machines()["stateMachines"]],
    }


def _client_environment(state_dir: Path) -> dict[str, str]:
    from scones.client_env import client_environment

    about = _running(state_dir)
    if about is None:
        raise click.ClickException(
            f"no local cloud runs with state in {state_dir}; start it with `scones up`"
        )
    return client_environment(about["url"], region=about["region"], account_id=about["account_id"])


@click.command()
@_state_option
def env(state_dir: Path) -> None:
    """Print the lines that point unmodified AWS clients at the local cloud: eval "$(scones env)"."""
    from scones.client_env import misleading, shell_lines

    for line in shell_lines(_client_environment(state_dir), misleading(os.environ)):
        click.echo(line)


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@_state_option
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(state_dir: Path, command: tuple[str, ...]) -> None:
    """Run COMMAND with its AWS clients pointed at the local cloud: scones exec -- aws s3 ls"""
    from scones.client_env import misleading

    added = _client_environment(state_dir)
    hidden = misleading(os.environ)
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | added
    try:
        os.execvpe(command[0], command, environment)
    except OSError as error:
        raise click.ClickException(f"cannot run {command[0]}: {error.strerror}") from error


@click.command()
def operations() -> None:
    """Print, as Markdown, which operations of which services the local cloud implements."""
    import tempfile

    from scones.cloud.runtime import running
    from scones.cloud.settings import CloudSettings

    async def table(folder: str) -> list[tuple[str, str, bool]]:
        async with running(CloudSettings(state_dir=Path(folder), port=0)) as cloud:
            return [(row.service, row.operation, row.implemented) for row in cloud.operations()]

    with tempfile.TemporaryDirectory() as folder:
        rows = asyncio.run(table(folder))
    click.echo(
        "# Operations\n\nWritten by `scones operations`. What is absent answers `NotImplemented`, by name."
    )
    for service in dict.fromkeys(row[0] for row in rows):
        every = [(name, done) for owner, name, done in rows if owner == service]
        done = [name for name, implemented in every if implemented]
        click.echo(f"\n## {service}\n\n{len(done)} of {len(every)}:\n")
        for name in done:
            click.echo(f"- {name}")


cloud_commands: list[click.Command] = [up, down, status, env, exec_, operations]
