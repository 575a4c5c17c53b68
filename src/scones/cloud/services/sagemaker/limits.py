"""How long SageMaker waits and how much it takes: the service's own figures where it documents them."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    invocation_s: float = 60.0
    """A container must answer a request within this; documented."""
    ready_s: float = 20.0
    """How long a request waits for a process that is being started again."""
    in_flight: int = 100
    """Requests at one serving process; more would only wait longer than anyone does."""
    training_stop_grace_s: float = 120.0
    """Between SIGTERM and SIGKILL of a training job; documented."""
    checkpoint_s: float = 1.0
    """Between two looks for checkpoints that have changed."""
    metrics_s: float = 30.0
    """The regular expressions of a training job's metrics may take no longer."""
    model_bytes: int = 16 * 1024**3
    """An unpacked model; an archive may pretend to be small."""
    capture_retry_s: float = 1.0
    """First pause before captures that S3 refused are offered again; it doubles up to a minute."""
