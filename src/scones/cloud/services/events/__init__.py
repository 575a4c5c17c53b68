"""EventBridge: buses, rules with patterns or schedules, and deliveries to functions, machines and topics."""

from scones.cloud.services.events.api import Events

__all__ = ["Events"]
