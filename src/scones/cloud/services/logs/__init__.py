"""CloudWatch Logs: groups, streams and events, kept in the state file."""

from scones.cloud.services.logs.api import Logs

__all__ = ["Logs"]
