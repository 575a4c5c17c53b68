"""The environment variables of a worker, and which of them a function may not choose. Pure.

Source: Lambda Developer Guide, "Defined runtime environment variables".
"""

import sys
from collections.abc import Mapping
from pathlib import Path

import orjson

from scones.cloud.services.lambda_.errors import invalid
from scones.cloud.services.lambda_.records import Version
from scones.cloud.settings import CloudSettings

__all__ = ["check", "worker_environment"]

_LIMIT_BYTES = 4096
_RESERVED = frozenset({
    "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_RUNTIME_API", "AWS_LAMBDA_MAX_CONCURRENCY", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
})  # fmt: skip
_UNABLE = (
    "Lambda was unable to configure your environment variables because the environment variables you have "
)


def check(variables: Mapping[str, str]) -> None:
    """Raises InvalidParameterValueException as AWS does for reserved names and for more than 4 KB."""
    if reserved := sorted(_RESERVED & variables.keys()):
        raise invalid(
            f"{_UNABLE}provided contains reserved keys that are currently not supported for modification."
            f" Reserved keys used in this request: {', '.join(reserved)}"
        )
    text = orjson.dumps(dict(variables))
    if len(text) > _LIMIT_BYTES:
        raise invalid(f"{_UNABLE}provided exceeded the 4KB limit. String measured: {text.decode()}")
    if broken := sorted(name for name, value in variables.items() if "\0" in value):
        raise invalid(f"{_UNABLE}provided contain a null character: {', '.join(broken)}")


def worker_environment(
    version: Version,
    *,
    settings: CloudSettings,
    code: Path,
    temporary: Path,
    log_stream: str,
    runtime_api: str,
    endpoint_url: str,
) -> dict[str, str]:
    """Everything the process sees; the function's own variables win where AWS lets them."""
    python = Path(settings.worker_python).parent
    configuration = version.configuration
    return {
        "PATH": f"{python}:/usr/local/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": f"{code}:{code / 'lib'}",
        "LANG": "C.UTF-8",  # en_US.UTF-8 is not installed everywhere
        "TZ": ":UTC",
        "PYTHONPATH": str(code),
        "PYTHONNOUSERSITE": "1",
        "HOME": str(temporary),  # a stranger's ~/.aws must not lead elsewhere
        "TMPDIR": str(temporary),
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
        **version.environment,
        **_credentials(settings),
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{configuration['Runtime']}",
        "AWS_LAMBDA_FUNCTION_NAME": version.function,
        "AWS_LAMBDA_FUNCTION_VERSION": version.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(version.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": version.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "LAMBDA_TASK_ROOT": str(code),
        "LAMBDA_RUNTIME_DIR": str(Path(sys.prefix) if settings.worker_python == sys.executable else python),
        "_HANDLER": configuration["Handler"],
    }


def _credentials(settings: CloudSettings) -> dict[str, str]:
    for key, secret in settings.credentials.items():
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    return {  # any key is accepted
        "AWS_ACCESS_KEY_ID": "lambda",
        "AWS_SECRET_ACCESS_KEY": "lambda",
        "AWS_SESSION_TOKEN": "lambda",
    }
