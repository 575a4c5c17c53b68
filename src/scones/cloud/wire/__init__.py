"""AWS protocols from botocore's service models, both directions. No socket, no clock, no service."""
