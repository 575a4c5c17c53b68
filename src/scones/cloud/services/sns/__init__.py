"""Simple Notification Service: topics whose messages reach Lambda functions and loopback listeners."""

from scones.cloud.services.sns.api import Sns

__all__ = ["Sns"]
