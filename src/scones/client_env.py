"""The environment by which unmodified AWS clients (boto3, awscli, SageMaker SDK) use a local cloud.

Pure: values in, values out. The command line prints them (`scones env`) or starts a command with
them (`scones exec`).
"""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

__all__ = ["client_environment", "misleading", "shell_lines"]

CLIENT_FOLDER = Path(__file__).parent / "client"

# What people set for real AWS and what would win over, or break, the local settings.
_MISLEADING = frozenset(
    {
        "AWS_PROFILE",  # a profile that does not exist here is an error; one that does adds its role
        "AWS_DEFAULT_PROFILE",
        "AWS_SESSION_TOKEN",  # belongs to other keys
        "AWS_SECURITY_TOKEN",
        "AWS_USE_FIPS_ENDPOINT",  # botocore refuses it together with an endpoint of one's own
        "AWS_USE_DUALSTACK_ENDPOINT",
        "AWS_CA_BUNDLE",
    }
)


def client_environment(
    endpoint_url: str,
    *,
    region: str,
    account_id: str,
    access_key: str = "test",
    secret_key: str = "test",
    inherited: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Variables to add to `inherited` (this process's environment by default).

    Lists that people already use (PYTHONPATH, plugins, proxies' exceptions) are kept and extended.
    """
    before = os.environ if inherited is None else inherited
    no_proxy = _extended(before.get("no_proxy") or before.get("NO_PROXY", ""), "127.0.0.1,localhost", ",")
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        "AWS_DEFAULT_REGION": region,  # boto3 reads this one,
        "AWS_REGION": region,  # every other SDK that one
        "AWS_ACCOUNT_ID": account_id,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": secret_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",  # StartSyncExecution's "sync-" before an IP address
        "BOTOCORE_EXPERIMENTAL__PLUGINS": _extended(
            before.get("BOTOCORE_EXPERIMENTAL__PLUGINS", ""), "scones=scones_local_sts", ","
        ),
        "PYTHONPATH": _extended(before.get("PYTHONPATH", ""), str(CLIENT_FOLDER), os.pathsep),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,  # where both exist, Python reads this one
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(CLIENT_FOLDER / "sagemaker-config.yaml"),
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
    }


def misleading(inherited: Mapping[str, str]) -> list[str]:
    """Names of inherited variables that must go, because they point clients at real AWS."""
    return sorted(name for name in inherited if name in _MISLEADING or name.startswith("AWS_ENDPOINT_URL_"))


def shell_lines(variables: Mapping[str, str], unset: list[str]) -> list[str]:
    """What `eval "$(scones env)"` gives to a POSIX shell."""
    return [
        *(f"unset {name}" for name in unset),
        *(f"export {name}={shlex.quote(value)}" for name, value in variables.items()),
    ]


def _extended(value: str, entry: str, separator: str) -> str:
    """`value` with `entry` at its end, once. An empty part in PYTHONPATH would mean the current folder."""
    kept = [part for part in value.split(separator) if part]
    return separator.join([*kept, *(part for part in entry.split(separator) if part not in kept)])
