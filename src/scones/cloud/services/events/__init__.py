"""EventBridge: buses, rules with event patterns, and deliveries to functions, state machines and topics."""

from scones.cloud.services.events.api import Events

__all__ = ["Events"]
