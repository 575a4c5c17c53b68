"""Batch transform: a model's container over every object of an input, one output object for each."""

from scones.cloud.services.sagemaker.transform.runner import TransformRunner

__all__ = ["TransformRunner"]
