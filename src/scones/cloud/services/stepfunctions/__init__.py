"""Step Functions: state machines and their journaled executions."""

from scones.cloud.services.stepfunctions.api import StepFunctions

__all__ = ["StepFunctions"]
