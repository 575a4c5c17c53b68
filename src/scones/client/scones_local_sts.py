"""A botocore plugin: keeps the SageMaker SDK's identity calls on this machine.

The SDK gives its STS clients an explicit public endpoint, which no environment variable overrides.
botocore imports this module by its bare name (BOTOCORE_EXPERIMENTAL__PLUGINS, with this folder on
PYTHONPATH) into other people's processes, so it needs nothing but the standard library, and does
nothing unless the environment points at a loopback address.
"""

import os
import re
from typing import Any
from urllib.parse import urlsplit, urlunsplit

__all__ = ["initialize_client_plugin"]

_PUBLIC_STS = re.compile(r"sts(-fips)?(\.[a-z0-9-]+)?\.amazonaws\.com(\.cn)?")
_LOOPBACK = re.compile(r"127(\.\d{1,3}){3}|::1|localhost")


def initialize_client_plugin(client: Any) -> None:
    """botocore calls this for every client it creates."""
    if client.meta.service_model.service_name == "sts":
        client.meta.events.register("before-sign.sts", _redirect)


def _redirect(request: Any, **_: Any) -> None:
    """Before signing, so that the signature covers the host which will verify it."""
    asked = urlsplit(request.url)
    local = urlsplit(os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL") or "")
    if _PUBLIC_STS.fullmatch(asked.hostname or "") and _LOOPBACK.fullmatch(local.hostname or ""):
        request.url = urlunsplit((local.scheme, local.netloc, asked.path, asked.query, asked.fragment))
