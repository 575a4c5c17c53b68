"""What an exit code and a failure file say to the owner of a training job. Pure."""

import signal

from scones.cloud.services.sagemaker.wording import REASON_LIMIT, excerpt

__all__ = ["failure_reason"]

_CUSTOMER_ERROR = 2  # the exit code by which SageMaker's algorithms blame the data or the request


def failure_reason(code: int, failure: str, last_line: str) -> str:
    """FailureReason of a job whose process ended with `code`; -N stands for signal N, as in subprocess.

    failure: text of /opt/ml/output/failure, "" where there is none; last_line: of the log.
    """
    suffix = f", exit code: {code if code >= 0 else 128 - code}"
    text = failure.strip()
    kind = "ClientError" if code == _CUSTOMER_ERROR else "AlgorithmError"
    for known in ("ClientError", "AlgorithmError"):
        if text.startswith(f"{known}:"):
            kind, text = known, text.removeprefix(f"{known}:").strip()
    if code < 0 and not text:
        text = f"the training process was killed by signal {-code} ({_signal_name(-code)})"
    if not text:
        text = f"the training process wrote no failure file; its last log line: {last_line or '(none)'}"
    return f"{kind}: {excerpt(text, REASON_LIMIT - len(kind) - len(suffix) - 2)}{suffix}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unnamed"
