"""SageMaker: training jobs, models, endpoints with data capture, and their invocation."""

from scones.cloud.services.sagemaker.api import SageMaker, SageMakerRuntime

__all__ = ["SageMaker", "SageMakerRuntime"]
