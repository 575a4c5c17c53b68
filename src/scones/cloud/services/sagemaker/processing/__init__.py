"""Processing jobs: a program of the user's own over folders that come from S3 and go there."""

from scones.cloud.services.sagemaker.processing.runner import ProcessingRunner

__all__ = ["ProcessingRunner"]
