"""Image classification as SageMaker's built-in algorithm does it: `train` and `serve`.

Started by path (`python /path/to/algorithm train`) in somebody else's process or container. It
knows files under a base directory, environment variables, exit codes and HTTP; it must not know
who started it. `serve` never imports PyTorch.
"""

__all__: list[str] = []
