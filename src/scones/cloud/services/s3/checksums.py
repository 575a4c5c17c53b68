"""Checksums of bodies: which one a request declares, computing it, and what a whole upload's is.

Knows no table and no file. Digests are bytes here and base64 on the wire and in rows.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from scones.cloud.errors import ServiceError
from scones.cloud.ports import Wire
from scones.cloud.services.s3.crc import CRC32, CRC32C, CRC64NVME, Crc, CrcHash, Zlib32

__all__ = [
    "COMPOSITE",
    "FULL_OBJECT",
    "Algorithm",
    "Declared",
    "algorithm_named",
    "base64_text",
    "checksum_members",
    "declared",
    "upload_checksum_type",
    "verify_document",
    "whole_checksum",
]

FULL_OBJECT = "FULL_OBJECT"
COMPOSITE = "COMPOSITE"

_REFUSED = ("XXHASH64", "XXHASH3", "XXHASH128")
"""Known to the service model, absent from the standard library."""


class Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm:
    """One of S3's checksum algorithms; `crc` where parts' checksums can be joined."""

    name: str
    size_bytes: int
    new: Callable[[], Hash]
    crc: Crc | None = None

    @property
    def member(self) -> str:
        return f"Checksum{self.name}"

    @property
    def header(self) -> str:
        return f"x-amz-checksum-{self.name.lower()}"


def _md5() -> Hash:
    return hashlib.md5(usedforsecurity=False)


def _sha1() -> Hash:
    return hashlib.sha1(usedforsecurity=False)


ALGORITHMS = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(name="CRC32", size_bytes=4, new=Zlib32, crc=CRC32),
        Algorithm(name="CRC32C", size_bytes=4, new=lambda: CrcHash(CRC32C), crc=CRC32C),
        Algorithm(name="CRC64NVME", size_bytes=8, new=lambda: CrcHash(CRC64NVME), crc=CRC64NVME),
        Algorithm(name="SHA1", size_bytes=20, new=_sha1),
        Algorithm(name="SHA256", size_bytes=32, new=hashlib.sha256),
        Algorithm(name="SHA512", size_bytes=64, new=hashlib.sha512),
        Algorithm(name="MD5", size_bytes=16, new=_md5),
    )
}


def algorithm_named(name: str) -> Algorithm:
    """Raises NotImplemented for one that exists but not here, InvalidRequest for any other word."""
    name = name.upper()
    if name in _REFUSED:
        known = ", ".join(ALGORITHMS)
        raise ServiceError(
            "NotImplemented", f"This cloud does not compute {name} checksums; use one of {known}.", status=501
        )
    if name not in ALGORITHMS:
        raise ServiceError("InvalidRequest", "Checksum algorithm provided is unsupported.")
    return ALGORITHMS[name]


def base64_text(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What a request says of its body. `value` None with an algorithm: it comes in the trailer, or
    nobody said and it is only computed."""

    algorithm: Algorithm | None = None
    value: bytes | None = None
    trailer: bool = False
    md5: bytes | None = None

    def verify(self, md5: bytes, checksum: bytes | None, trailers: Mapping[str, str]) -> None:
        """Raises BadDigest where the body is not what was declared."""
        if self.md5 is not None and self.md5 != md5:
            raise ServiceError(
                "BadDigest",
                "The Content-MD5 you specified did not match what we received.",
                fields={"ExpectedDigest": base64_text(self.md5), "CalculatedDigest": base64_text(md5)},
            )
        if self.algorithm is None:
            return
        value = self.value
        if self.trailer:
            if self.algorithm.header not in trailers:
                raise ServiceError(
                    "MalformedTrailerError", "The request contained trailing data that was not well-formed."
                )
            value = _decoded(self.algorithm, trailers[self.algorithm.header])
        if value is not None and value != checksum:
            raise mismatch(self.algorithm)


def mismatch(algorithm: Algorithm) -> ServiceError:
    return ServiceError(
        "BadDigest", f"The {algorithm.name} you specified did not match the calculated checksum."
    )


def declared(request: Wire, headers: Mapping[str, str], default: Algorithm | None = None) -> Declared:
    """Read Content-MD5, a checksum member, or the name of a trailer to come.

    default: computed all the same when the request names none.
    """
    md5 = None
    if (text := request.get("ContentMD5")) is not None:
        md5 = _decoded_md5(text)
    values = checksum_members(request)
    trailers = [
        name.strip().removeprefix("x-amz-checksum-")
        for name in headers.get("x-amz-trailer", "").lower().split(",")
        if name.strip().startswith("x-amz-checksum-")
    ]
    named = request.get("ChecksumAlgorithm")
    if len(values) + len(trailers) > 1:
        raise ServiceError(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    if not values and not trailers:
        if named is not None and md5 is None:
            raise ServiceError(
                "InvalidRequest",
                "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or"
                " x-amz-trailer headers were found.",
            )
        return Declared(algorithm=default, md5=md5)
    name, text = next(iter(values.items())) if values else (trailers[0], None)
    algorithm = algorithm_named(name)
    if named is not None and named.upper() != algorithm.name:
        raise ServiceError("InvalidRequest", "Value for x-amz-sdk-checksum-algorithm header is invalid.")
    value = None if text is None else _decoded(algorithm, text)
    return Declared(algorithm=algorithm, value=value, trailer=bool(trailers), md5=md5)


def verify_document(body: bytes, request: Wire, headers: Mapping[str, str]) -> None:
    """Hold a request's XML document against its checksum headers, which no model carries.

    S3 refuses such a request without a checksum. Raises InvalidRequest, InvalidDigest or BadDigest.
    """
    named = {
        f"Checksum{algorithm.name}": headers[algorithm.header]
        for algorithm in ALGORITHMS.values()
        if algorithm.header in headers
    }
    if not named and "content-md5" not in headers:
        raise ServiceError(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    said = {"ChecksumAlgorithm": request.get("ChecksumAlgorithm"), "ContentMD5": headers.get("content-md5")}
    expected = declared(said | named, {})
    checksum = None
    if expected.algorithm is not None:
        hasher = expected.algorithm.new()
        hasher.update(body)
        checksum = hasher.digest()
    expected.verify(hashlib.md5(body, usedforsecurity=False).digest(), checksum, {})


def checksum_members(shape: Wire) -> dict[str, str]:
    """The checksums among a structure's members, by algorithm name."""
    skip = ("ChecksumAlgorithm", "ChecksumType", "ChecksumMode")
    return {
        member.removeprefix("Checksum"): value
        for member, value in shape.items()
        if member.startswith("Checksum") and member not in skip and value is not None
    }


def _decoded(algorithm: Algorithm, text: str) -> bytes:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != algorithm.size_bytes:
        raise ServiceError("InvalidRequest", f"Value for {algorithm.header} header is invalid.")
    return value


def _decoded_md5(text: str) -> bytes:
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != 16:
        raise ServiceError("InvalidDigest", "The Content-MD5 you specified was invalid.")
    return value


def upload_checksum_type(algorithm: Algorithm, wanted: str | None) -> str:
    """How an upload in parts forms its checksum. Raises InvalidRequest where the algorithm cannot."""
    natural = FULL_OBJECT if algorithm.name == "CRC64NVME" else COMPOSITE
    chosen = wanted or natural
    impossible = algorithm.crc is None if chosen == FULL_OBJECT else algorithm.name == "CRC64NVME"
    if impossible:
        raise ServiceError(
            "InvalidRequest",
            f"The {chosen} checksum type cannot be used with the {algorithm.name.lower()} checksum"
            " algorithm.",
        )
    return chosen


def whole_checksum(algorithm: Algorithm, checksum_type: str, parts: Sequence[tuple[str, int]]) -> str:
    """The checksum of an upload, from its parts' checksums (base64) and sizes."""
    digests = [base64.b64decode(text) for text, _ in parts]
    if checksum_type == COMPOSITE:
        whole = algorithm.new()
        whole.update(b"".join(digests))
        return f"{base64_text(whole.digest())}-{len(parts)}"
    assert algorithm.crc is not None  # upload_checksum_type saw to it
    joined = int.from_bytes(digests[0], "big")
    for digest, (_, size) in zip(digests[1:], parts[1:], strict=True):
        joined = algorithm.crc.join(joined, int.from_bytes(digest, "big"), size)
    return base64_text(joined.to_bytes(algorithm.size_bytes, "big"))
