import contextlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scones.cloud.errors import ServiceError
from scones.cloud.wire.chunked import Decoder, is_chunked


def encode(
    pieces: Sequence[bytes], trailers: Sequence[tuple[str, str]] = (), *, signed: bool = False
) -> bytes:
    extension = b";chunk-signature=" + b"0" * 64 if signed else b""
    out = [b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces if p]
    out.append(b"0" + extension + b"\r\n")
    out += [f"{name}:{value}\r\n".encode() for name, value in trailers]
    return b"".join(out) + b"\r\n"


def decode(data: bytes, sizes: Sequence[int]) -> tuple[bytes, Decoder]:
    decoder, out, position = Decoder(), b"", 0
    for size in (*sizes, len(data)):
        out += b"".join(decoder.feed(data[position : position + size]))
        position += size
    decoder.close()
    return out, decoder


@given(
    pieces=st.lists(st.binary(max_size=300), max_size=5),
    sizes=st.lists(st.integers(1, 40), max_size=60),
    signed=st.booleans(),
)
def test_a_body_survives_any_cut(pieces: list[bytes], sizes: list[int], signed: bool) -> None:
    data = encode(pieces, [("x-amz-checksum-crc32", "NhCmhg==")], signed=signed)
    out, decoder = decode(data, sizes)
    assert out == b"".join(pieces)
    assert decoder.decoded == len(out)
    assert decoder.trailers == {"x-amz-checksum-crc32": "NhCmhg=="}


@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=10))
def test_garbage_is_refused_or_read_but_never_breaks(data: bytes, sizes: list[int]) -> None:
    with contextlib.suppress(ServiceError):
        decode(data, sizes)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5\r\nhel",
        b"5\r\nhello\r\n",
        b"5\r\nhelloXX0\r\n\r\n",
        b"zz\r\n",
        b"-1\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b"0" * 20_000,
        b"0\r\nno colon\r\n\r\n",
    ],
)
def test_a_broken_body_is_refused(body: bytes) -> None:
    with pytest.raises(ServiceError, match="IncompleteBody"):
        decode(body, [])


@pytest.mark.parametrize("ending", [b"0\r\n", b"0\r\nx-amz-checksum-crc32:NhCmhg==", b"0\r\n\r\n"])
def test_a_missing_last_empty_line_is_forgiven(ending: bytes) -> None:
    assert decode(b"5\r\nhello\r\n" + ending, [])[0] == b"hello"


@pytest.mark.parametrize(
    ("headers", "chunked"),
    [
        ({}, False),
        ({"content-encoding": "gzip"}, False),
        ({"content-encoding": "gzip,aws-chunked"}, True),
        ({"content-encoding": "AWS-Chunked"}, True),
        ({"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, True),
        ({"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, False),
    ],
)
def test_headers_say_whether_a_body_is_chunked(headers: dict[str, str], chunked: bool) -> None:
    assert is_chunked(headers) is chunked
