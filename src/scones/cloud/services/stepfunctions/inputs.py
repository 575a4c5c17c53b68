"""What an execution, or a state that is tested, may be given."""

from scones.cloud.asl.jackson import complaint
from scones.cloud.asl.jsontext import LIMIT_BYTES, loads
from scones.cloud.errors import ServiceError

__all__ = ["check_input"]


def check_input(text: str) -> None:
    """Raises InvalidExecutionInput for what is too long or no JSON."""
    if len(text.encode()) > LIMIT_BYTES:
        raise _invalid(f"Input exceeds {LIMIT_BYTES} bytes")
    if not text.strip():
        raise _invalid("Invalid execution input.")
    try:
        loads(text)
    except ValueError:
        known = complaint(text)
        raise _invalid(known[0] if known else "Invalid execution input.") from None


def _invalid(reason: str) -> ServiceError:
    return ServiceError("InvalidExecutionInput", f"Invalid State Machine Execution Input: '{reason}'")
