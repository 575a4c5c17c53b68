"""The cloud's settings: built once, flag over environment over default."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

__all__ = ["CloudSettings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """Everything the local cloud can be told."""

    state_dir: Path
    """Folder of the state file, the blobs and the workers' folders; one cloud owns it at a time."""
    host: str = "127.0.0.1"
    """Listening address; beyond loopback `credentials` must be given."""
    port: int = 4566
    """TCP port; 0 picks a free one."""
    region: str = "us-east-1"
    """The one region this cloud is."""
    account_id: str = "000000000000"
    """The one account this cloud is: 12 digits."""
    sync: Literal["normal", "full"] = "normal"
    """"full" makes every commit survive a power cut, not only kill -9."""
    credentials: dict[str, str] = field(default_factory=dict)
    """Access key id -> secret; empty: any key is accepted (loopback only)."""
    capture_window_s: float = 60.0
    """Seconds from a capture file's first record until it is delivered to S3."""
    worker_python: str = sys.executable
    """Interpreter that runs training jobs, endpoints and Lambda functions."""
    algorithms: Mapping[str, Path] = field(default_factory=dict)
    """Image repository name, e.g. "image-classification" -> folder run as `python FOLDER train|serve`."""
    fault: str = ""
    """Named point at which to end as kill -9 would, "POINT" or "POINT:N"; for fault tests only."""
    payload_limit_bytes: int = 6 * 1024 * 1024
    """Largest InvokeEndpoint body."""
