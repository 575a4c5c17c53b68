"""AWS Lambda: functions from zip archives, run in processes by AWS's own runtime client."""

from scones.cloud.services.lambda_.service import Lambda

__all__ = ["Lambda"]
