"""Scones: image-classification workflows on Amazon SageMaker, on AWS or on this machine."""

__version__ = "0.1.0"
__all__ = ["__version__"]
