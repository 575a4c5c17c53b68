"""A transform job as its row holds it, and what its request settles. Pure."""

from dataclasses import dataclass
from typing import Self

from scones.cloud.ports import Wire
from scones.cloud.services.sagemaker.job import Job

__all__ = ["Plan", "TransformJob"]

_MEGABYTE = 1024 * 1024
_PAYLOAD_MB = 6
_PAYLOADS_MB = 100  # in flight at one instance, documented
_TIMEOUT_S, _RETRIES = 600, 3  # of ModelClientConfig, documented


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformJob(Job):
    """container: the model's when the job was created, so that the model may go."""

    container: Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a job feeds its containers: the request's word, else the container's, else the default."""

    split: str
    gzip: bool
    single: bool
    """One record in a request, or as many as fit."""
    concurrent: int
    """Requests in flight at each instance."""
    payload_bytes: int
    timeout_s: float
    retries: int
    content_type: str
    accept: str
    line_ends: bool
    """Each result gets a newline at its end (AssembleWith Line)."""

    @classmethod
    def of(cls, request: Wire, offered: Wire) -> Self:
        """offered: what the container says at /execution-parameters, {} where it says nothing.

        Raises ValueError for offers that are not what the contract allows.
        """
        source, output = request["TransformInput"], request["TransformOutput"]
        client = request.get("ModelClientConfig", {})
        megabytes = _whole(request, offered, "MaxPayloadInMB", _PAYLOAD_MB)
        concurrent = _whole(request, offered, "MaxConcurrentTransforms", 1)
        strategy = request.get("BatchStrategy") or _words(offered.get("BatchStrategy", "MULTI_RECORD"))
        return cls(
            split=source.get("SplitType", "None"),
            gzip=source.get("CompressionType", "None") == "Gzip",
            single=strategy == "SingleRecord",
            concurrent=min(concurrent, max(_PAYLOADS_MB // megabytes, 1)),
            payload_bytes=megabytes * _MEGABYTE,
            timeout_s=client.get("InvocationsTimeoutInSeconds", _TIMEOUT_S),
            retries=client.get("InvocationsMaxRetries", _RETRIES),
            content_type=source.get("ContentType", ""),
            accept=output.get("Accept", ""),
            line_ends=output.get("AssembleWith", "None") == "Line",
        )

    def __str__(self) -> str:
        strategy = "SINGLE_RECORD" if self.single else "MULTI_RECORD"
        megabytes = self.payload_bytes // _MEGABYTE
        return (
            f"MaxConcurrentTransforms={self.concurrent}, MaxPayloadInMB={megabytes}, BatchStrategy={strategy}"
        )


def _words(strategy: object) -> str:
    known = {"MULTI_RECORD": "MultiRecord", "SINGLE_RECORD": "SingleRecord"}
    if not isinstance(strategy, str) or strategy not in known:
        raise ValueError(f"BatchStrategy is {strategy!r}, not MULTI_RECORD or SINGLE_RECORD")
    return known[strategy]


def _whole(request: Wire, offered: Wire, member: str, default: int) -> int:
    """A number of 1 to 100; 0 in a request, as no word at all, leaves it to the container."""
    value = request.get(member) or offered.get(member) or default
    if not isinstance(value, int) or not 1 <= value <= 100:
        raise ValueError(f"{member} is {value!r}, not a number from 1 to 100")
    return value
