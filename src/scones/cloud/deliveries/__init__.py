"""Deliveries that outlive a crash: what a service journals to be sent, and the runner that sends it."""

from scones.cloud.deliveries.runner import Deliver, Outcome, Runner, Sender, refusal
from scones.cloud.deliveries.store import Pending

__all__ = ["Deliver", "Outcome", "Pending", "Runner", "Sender", "refusal"]
